"""What the dashboard remembers from one day to the next: theme, raw lines, sort, zoom. Nothing of it matters much.

In `$XDG_CONFIG_HOME/echopilot-automations/tui.json`; what cannot be read or written there is not remembered.
"""

import contextlib
import json
import os

from msgspec import Struct, ValidationError, convert, to_builtins

from automations.files import read_text, replace


class Settings(Struct):
    """The settings, with what they are at first."""

    theme: str = "textual-dark"
    raw: bool = False
    sort: str = "file"
    week: bool = False


def _path() -> str:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "echopilot-automations", "tui.json")


def load() -> Settings:
    """What was remembered; the first settings where nothing was."""
    try:
        return convert(json.loads(read_text(_path(), 1 << 16)), Settings)
    except (OSError, ValueError, ValidationError):
        return Settings()


def save(settings: Settings) -> None:
    """Remember these, if that is possible."""
    path = _path()
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        replace(path, json.dumps(to_builtins(settings)).encode())
