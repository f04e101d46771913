"""A crontab as an `automations.toml`, and word of whatever could not be carried over. Pure: text in, text out.

Rules, as Debian's crontab(5) has them: five fields or an @word, then the command; `NAME = value` lines hold for what
follows; in a command the first unescaped `%` begins the standard input, each further one is a newline in it. Comments
right above an entry become its description; an entry that is commented out becomes a disabled job. Nothing vanishes: a
line that cannot be a job is kept as a comment, with a note.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from automations import schedule

_VARIABLE = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*""")
_FIELD = re.compile(r"[0-9A-Za-z*/,-]+")
_NAME_PART = re.compile(r"[a-z0-9]+(?:[-_.]+[a-z0-9]+)*")
_WRAPPERS = {
    "nice",
    "ionice",
    "flock",
    "timeout",
    "sudo",
    "env",
    "exec",
    "chronic",
    "nohup",
    "test",
    "command",
    "time",
    "sleep",
}
_INTERPRETERS = {"sh", "bash", "dash", "python", "python3", "perl", "php", "ruby", "node"}
_HEADER = "# Made from a crontab. What could not be carried over was said when it was made.\n"


class Imported(NamedTuple):
    """The job file's text, a note for each thing that is not as it was (`line N: …`), and how many jobs there are."""

    toml: str
    notes: tuple[str, ...]
    jobs: int


class _Entry(NamedTuple):
    expression: str
    command: str


def convert(text: str, *, system: bool = False, timezone: str | None = None) -> Imported:
    """Read a crontab. `system`: its entries name a user; `timezone`: the zone its times are meant in."""
    return _Importer(system, timezone).convert(text)


class _Importer:
    """What has been read so far: variables in force, comments not used yet, names taken."""

    def __init__(self, system: bool, timezone: str | None) -> None:
        self._system = system
        self._timezone = timezone
        self._variables: dict[str, str] = {}
        self._comments: list[str] = []
        self._names: set[str] = set()
        self._notes: list[str] = []
        self._parts: list[str] = [_HEADER]

    def convert(self, text: str) -> Imported:
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
            self._line(number, line.strip(" \t"))
        if len(self._names) > 0:
            self._notes.insert(0, "all jobs: cron starts a job while it still runs; here it is skipped then (overlap)")
        return Imported("\n".join(self._parts), tuple(self._notes), len(self._names))

    def _line(self, number: int, line: str) -> None:
        if not line:
            self._comments.clear()
        elif line.startswith("#"):
            self._comment(number, line)
        elif (variable := _VARIABLE.fullmatch(line)) and not _is_entry(line):
            self._variable(number, next(name for name in variable.groups()[:3] if name is not None), variable[4])
        elif found := self._split(line):
            self._entry(number, line, found, enabled=True)
        else:
            self._refuse(number, line, "expected five fields or an @word, then a command")

    def _comment(self, number: int, line: str) -> None:
        words = line.lstrip("# \t")
        found = self._split(words) if _is_entry(words) else None
        if found and _fault(found.expression) is None and not words.endswith((".", ":")):
            self._entry(number, words, found, enabled=False)
        else:
            self._comments.append(_visible(words))

    def _variable(self, number: int, name: str, value: str) -> None:
        quoted = re.fullmatch(r"""(["'])(.*)\1""", value)
        value = quoted[2] if quoted else value
        if name == "MAILTO":
            if value:
                self._note(number, "MAILTO: nothing is mailed; the output of each run is kept and searchable")
            return None
        if name in ("CRON_TZ", "TZ"):
            self._note(
                number, f"{name}: Debian's cron does not schedule by it; set timezone in the jobs if you mean it"
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("AUTOMATIONS_") or "\0" in value:
            return self._refuse(number, f"{name}={value}", "this name or value cannot be in an environment")
        if "$" in value:
            self._note(number, f"{name}: cron does not expand variables, so {value!r} is taken as it stands")
        self._variables[name] = value
        return None

    def _split(self, line: str) -> _Entry | None:
        """Schedule and command of an entry; None when it has not enough words."""
        count = (1 if line.startswith("@") else 5) + self._system
        words = line.split(None, count)
        if len(words) <= count:
            return None
        return _Entry(" ".join(words[: count - self._system]), words[count])

    def _entry(self, number: int, line: str, found: _Entry, *, enabled: bool) -> None:
        fault = _fault(found.expression) or ("NUL in the command" if "\0" in found.command else None)
        if fault:
            return self._refuse(number, line, fault)
        if found.expression == "@reboot":
            self._note(number, "@reboot: here it is each start of the scheduler, not only of the machine")
        if self._system:
            self._note(number, "its user is not carried over: jobs run as whoever runs the scheduler")
        self._parts.append(self._table(found, enabled))
        self._comments.clear()
        return None

    def _table(self, found: _Entry, enabled: bool) -> str:
        command, variables = _with_input(found.command), dict(self._variables)
        shell = variables.pop("SHELL", "").strip() or "/bin/sh"
        folder = variables.get("HOME", "~")
        lines = [f"[jobs.{self._name(found.command)}]"]
        if self._comments:
            lines.append(f"description = {_string(' '.join(self._comments))}")
        lines.append(f"schedule = {_string(found.expression)}")
        if self._timezone and self._timezone != "UTC":
            lines.append(f"timezone = {_string(self._timezone)}")
        words = command if shell == "/bin/sh" else [shell, "-c", command]
        lines.append(f"command = {_string(words) if isinstance(words, str) else _strings(words)}")
        lines.append(f"cwd = {_string(folder or '~')}")
        if variables:
            lines.append(f"env = {{ {', '.join(f'{name} = {_string(value)}' for name, value in variables.items())} }}")
        if not enabled:
            lines.append("enabled = false")
        return "\n".join(lines) + "\n"

    def _name(self, command: str) -> str:
        """A name from the first word that says what is run, unlike all names before it."""
        base = next(_telling_words(command), "job")[:56]
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}-{count}"
        self._names.add(name)
        return name

    def _refuse(self, number: int, line: str, fault: str) -> None:
        self._note(number, f"not carried over: {fault}: {_visible(line)[:100]}")
        self._parts.append(f"# line {number}, not carried over: {_visible(line)}\n")
        self._comments.clear()

    def _note(self, number: int, words: str) -> None:
        self._notes.append(f"line {number}: {words}")


def _is_entry(line: str) -> bool:
    """Does it begin as an entry does: five fields of a schedule, or an @word?"""
    words = line.split(None, 5)
    return line.startswith("@") or (len(words) == 6 and all(_FIELD.fullmatch(word) for word in words[:5]))


def _fault(expression: str) -> str | None:
    try:
        schedule.parse([expression], ZoneInfo("UTC"))
    except ValueError as error:
        return str(error)
    return None


def _with_input(command: str) -> str:
    """The command for `sh -c`, with the standard input that cron would make of its `%`."""
    parts = [part.replace("\\%", "%") for part in re.split(r"(?<!\\)%", command)]
    if len(parts) == 1:
        return parts[0]
    text = "".join(f"{part}\n" for part in parts[1:])
    return f"printf %s {shlex.quote(text)} | {{ {parts[0].rstrip()}\n}}"


def _telling_words(command: str) -> Iterator[str]:
    """Names that the words of a command suggest, the most telling first."""
    is_folder = False
    for word in re.split(r"[\s;&|()<>]+", command):
        base = word.rstrip("/").rpartition("/")[2].strip("\"'`").lower()
        if is_folder or not base or base.startswith("-") or "=" in base or base in ("cd", "!", "[", "{"):
            is_folder = base == "cd"
        elif base not in _WRAPPERS | _INTERPRETERS and not base.isdigit():
            found = _NAME_PART.search(re.sub(r"\.(sh|py|pl|rb|php)$", "", base))
            if found:
                yield found[0].replace(".", "-")


def _strings(words: list[str]) -> str:
    return f"[{', '.join(map(_string, words))}]"


def _string(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else _escape(char) for char in escaped) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    if 0xD800 <= code < 0xE000:  # half a character is none
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
