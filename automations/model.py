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


class Overlap(StrEnum):
    """What becomes of a slot that is due while the job's run before it has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """Which of the slots that were missed while the scheduler was down or asleep still run."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class OnStop(StrEnum):
    """What a stop of the scheduler does to an open run: end it, or leave it to be adopted."""

    TERMINATE = "terminate"
    LEAVE = "leave"


class Schedule(Protocol):
    """A rule that gives the next due time after a given time."""

    at_start: bool

    def after(self, utc: datetime) -> datetime | None:
        """The first slot strictly later than `utc`, in UTC; None when there is none."""


class Job(NamedTuple):
    """What is to be run and when, and what to do when that does not go as planned."""

    name: str
    schedule: Schedule
    schedule_text: str
    command: str | tuple[str, ...]
    timeout: timedelta
    grace: timedelta
    cwd: str
    timezone: str = "UTC"
    env: tuple[tuple[str, str], ...] = ()
    env_file: str = ""
    retries: int = 0
    backoff: timedelta = timedelta(seconds=30)
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: timedelta | None = None
    on_stop: OnStop = OnStop.TERMINATE
    jitter: timedelta = timedelta(0)
    group: str = ""
    ok_exit_codes: tuple[int, ...] = (0,)
    max_output_bytes: int = 10 * 1024 * 1024
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
    """What became due for one job: the slots to run now, oldest first, what was missed, the last slot decided."""

    starts: tuple[datetime, ...]
    missed: tuple[Missed, ...]
    until: datetime


class Slot(NamedTuple):
    """A run that is owed and has not begun: which attempt, not before when, and until when it may wait at most.

    `due` is None for a run by hand. `recorded`: the journal already says that it waits.
    """

    job: Job
    due: datetime | None
    attempt: int = 1
    not_before: datetime | None = None
    expires: datetime | None = None
    reason: str = ""
    recorded: bool = False
