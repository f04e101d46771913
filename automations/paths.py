"""Where everything lives: one value made from AUTOMATIONS_HOME, passed to whoever needs a file.

Strings and `os.path` rather than pathlib, a plain class rather than a NamedTuple: the watchdog lives for months
in few megabytes.
"""

import os

from automations.errors import SettingError
from automations.files import open_private

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def tick_s() -> float:
    """The length of a tick: 60 seconds, or AUTOMATIONS_TICK_S in a test. Raises SettingError."""
    text = os.environ.get("AUTOMATIONS_TICK_S") or "60"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise SettingError(f"AUTOMATIONS_TICK_S: got {text!r}; expected seconds from 0.1 to 3600")
    return seconds


class Paths:
    """Files of one installation. `home` holds the user's files, `project` the program's."""

    __slots__ = ("home", "project")

    def __init__(self, home: str, project: str = PROJECT) -> None:
        self.home = home
        self.project = project

    @classmethod
    def from_environment(cls) -> "Paths":
        """AUTOMATIONS_HOME if set, else the project's own folder."""
        return cls(os.path.abspath(os.environ.get("AUTOMATIONS_HOME") or PROJECT))

    @property
    def config(self) -> str:
        return os.path.join(self.home, "automations.toml")

    @property
    def key_file(self) -> str:
        return os.path.join(self.home, ".env")

    @property
    def logs(self) -> str:
        return os.path.join(self.home, "logs")

    def log(self, *parts: str) -> str:
        """A file or folder below `logs/`."""
        return os.path.join(self.home, "logs", *parts)

    @property
    def journal(self) -> str:
        return self.log("scheduler.log")

    @property
    def want(self) -> str:
        return self.log("scheduler.want")

    @property
    def runs(self) -> str:
        return self.log("runs")

    @property
    def door(self) -> str:
        return os.path.join(self.project, "scripts", "run_automations.sh")


def prepare_logs(paths: Paths) -> None:
    """Create `logs/` (0700) and the three files that a user may always expect there (0600)."""
    if not os.path.isdir(paths.logs):
        os.mkdir(paths.logs, mode=0o700)  # not its parents: a misspelt AUTOMATIONS_HOME must not come into being
    if os.stat(paths.logs).st_mode & 0o077:  # a fresh clone brings the folder along, readable by all
        os.chmod(paths.logs, 0o700)
    for name in ("scheduler.log", "scheduler.out", "retention.log"):
        os.close(open_private(paths.log(name), os.O_WRONLY | os.O_APPEND))
