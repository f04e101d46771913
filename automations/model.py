"""The values everything speaks in: Job, Config, Missed, Owed, and the closed sets of words.

Frozen named tuples rather than dataclasses, whose import alone costs the scheduler a megabyte.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

BUILT_IN_JOBS = ("brief", "report", "selfheal", "retention")


class Outcome(StrEnum):
    """How a run or slot ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"
    SKIPPED = "skipped"
    MISSED = "missed"
    ABANDONED = "abandoned"


class Want(StrEnum):
    """What the user asked for."""

    UP = "up"
    DOWN = "down"


class Trigger(StrEnum):
    """Why a run began."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


class Schedule(Protocol):
    """A rule that gives the next due time after a given time."""

    at_start: bool

    def after(self, utc: datetime) -> datetime | None:
        """The first slot strictly later than `utc`, in UTC; None when there is none."""


class Job(NamedTuple):
    """What is to be run and when."""

    name: str
    schedule: Schedule
    schedule_text: str
    command: str | tuple[str, ...]
    timeout: timedelta
    grace: timedelta
    cwd: str
    env: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    description: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """A list command is executed as it stands, a string by `sh -c`."""
        return ("/bin/sh", "-c", self.command) if isinstance(self.command, str) else self.command


class Config(NamedTuple):
    """One `automations.toml` that was found good: its jobs by name and the hash of its bytes."""

    jobs: dict[str, Job]
    hash: str


class Missed(NamedTuple):
    """Slots of one job that will not run, first to last, how many, and why."""

    first: datetime
    last: datetime
    slots: int
    reason: str


class Owed(NamedTuple):
    """What became due for one job: the slot to run now, if any, what was missed, and the last slot decided."""

    start: datetime | None
    missed: Missed | None
    until: datetime
