"""Tables and times for a terminal: plain text, aligned, and safe whatever a job has printed or was named.

Knows nothing of jobs and runs.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from automations import clock


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns wide enough for what is in them; the last one is as long as it is."""
    cells = [list(head), *([clean(str(cell)) for cell in row] for row in rows)]
    widths = [max(_width(row[place]) for row in cells) for place in range(len(head))]
    lines = (
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)) for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def clean(text: str) -> str:
    """One line that a terminal shows as it is: nothing in it moves the cursor, recolours or reorders.

    Whole escape sequences go; what else is unprintable becomes its picture (␛), or U+FFFD where it has none.
    """
    if text.isprintable():
        return text
    return "".join(char if char == " " or _is_harmless(char) else _picture(char) for char in _ESCAPES.sub("", text))


_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS and other strings
    r"|\x1b[ -/]*[0-Z\\^-~]"
)


def _is_harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _picture(char: str) -> str:
    return chr(0x2400 + ord(char)) if char < " " else "\N{REPLACEMENT CHARACTER}"


def _width(text: str) -> int:
    """Columns that a terminal gives this text."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def local(moment: str | datetime | None) -> str:
    """A moment in the machine's own time, to the second: `Tue 24 Nov 08:00:00`; a dash for none."""
    if moment is None:
        return "–"
    at = clock.parse_iso(moment) if isinstance(moment, str) else moment
    return at.astimezone().strftime("%a %d %b %H:%M:%S")


def seconds(count: float | None) -> str:
    """A length of time as a person would say it; a dash for none."""
    if count is None:
        return "–"
    if count < 60:
        return f"{count:.1f} s" if count >= 1 else f"{count * 1000:.0f} ms"
    minutes, rest = divmod(round(count), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
