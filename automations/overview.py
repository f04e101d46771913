"""What the faces show, as typed values that are JSON as they stand: one reading for command line, API and screens."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from cronsim import CronSim
from msgspec import Struct

from automations import clock, forecast
from automations.coverage import Coverage
from automations.history import Filters, History, Row
from automations.model import Job
from automations.pause import Pause
from automations.promises import Promises
from automations.schedule import ALIASES
from automations.verdict import Verdict
from automations.vitals import Vitals


class PauseView(Struct, frozen=True):
    """A pause, its times as text."""

    since: str
    until: str | None
    note: str


class JobView(Struct, frozen=True):
    """A job: when it is next due, how it went last, whether it is paused or runs at this moment."""

    name: str
    description: str
    schedule: str
    in_words: str
    timezone: str
    enabled: bool
    group: str
    next: str | None
    paused: PauseView | None
    running: tuple[str, ...]
    last: Row | None
    durations_s: tuple[float, ...]


class ConfigView(Struct, frozen=True):
    """The job file: the hash of the one in force, and the faults of the one that is there, if it is refused."""

    hash: str
    faults: tuple[str, ...] = ()


class JournalView(Struct, frozen=True):
    """The journal: its size, and of the part that was read: lines that do not hold, entries about runs."""

    bytes: int
    breaks: int = 0
    runs: int = 0


class HostView(Struct, frozen=True):
    """The machine: load of the last minute, free bytes where `logs/` is, free memory; None where unknown."""

    load: float | None = None
    disk_free_bytes: int | None = None
    memory_free_bytes: int | None = None


class Overview(Struct, frozen=True):
    """All that a screen needs, read at one moment."""

    at: datetime
    vitals: Vitals
    verdict: Verdict
    coverage: Coverage
    promises: Promises
    jobs: tuple[JobView, ...]
    config: ConfigView
    journal: JournalView
    host: HostView


class Record(NamedTuple):
    """What the history knows of each job: its last row, its last durations, its open runs."""

    last: Mapping[str, Row] = {}
    durations: Mapping[str, list[float]] = {}
    running: Mapping[str, tuple[str, ...]] = {}


def record(history: History) -> Record:
    """Ask the history for what the job list shows."""
    running: dict[str, tuple[str, ...]] = {}
    for row in history.runs(Filters(outcome="running", limit=1000)):
        running[row.job] = (*running.get(row.job, ()), row.run_id)
    return Record(history.last(), history.durations(), running)


def jobs(known: Mapping[str, Job], paused: Mapping[str, Pause], found: Record, now: datetime) -> tuple[JobView, ...]:
    """Every job of the job file, in its order."""
    return tuple(
        JobView(
            name=job.name,
            description=job.description,
            schedule=job.schedule_text,
            in_words=in_words(job.schedule_text, job.timezone),
            timezone=job.timezone,
            enabled=job.enabled,
            group=job.group,
            next=next_due(job, paused.get(job.name), now),
            paused=pause_view(paused.get(job.name)),
            running=found.running.get(job.name, ()),
            last=found.last.get(job.name),
            durations_s=tuple(found.durations.get(job.name, ())),
        )
        for job in known.values()
    )


def next_due(job: Job, pause: Pause | None, now: datetime) -> str | None:
    """The job's next slot that will run; None when there is none, or when it is paused until further notice."""
    since = now
    if pause and pause.covers(now):
        if pause.until is None:
            return None
        since = pause.until
    due = next(forecast.slots(job, since), None)
    return clock.iso(due) if due else None


@lru_cache(maxsize=4096)
def in_words(schedule: str, timezone: str) -> str:
    """The schedule as a sentence."""
    if schedule.startswith("every "):
        return schedule
    zone = "" if timezone == "UTC" else f", {timezone}"
    return "; ".join(_explained(text) for text in schedule.split(" · ")) + zone


def _explained(expression: str) -> str:
    if expression == "@reboot":
        return "At each start of the scheduler"
    return str(CronSim(ALIASES.get(expression, expression), datetime(2000, 1, 1)).explain())


def pause_view(pause: Pause | None) -> PauseView | None:
    """A pause with its times as text."""
    if pause is None:
        return None
    return PauseView(clock.iso(pause.since), clock.iso(pause.until) if pause.until else None, pause.note)


def difference_as_json(found: forecast.Difference) -> dict[str, object]:
    """What a change of the job file changes, with its times as text."""
    return {
        "changes": [
            {**change._asdict(), "first": clock.iso(change.first), "to": clock.iso(change.to) if change.to else None}
            for change in found.changes
        ],
        "collisions": [{**collision._asdict(), "first": clock.iso(collision.first)} for collision in found.collisions],
        "dst": [
            {**slot._asdict(), "wall": slot.wall.isoformat(), "runs": [clock.iso(due) for due in slot.runs]}
            for slot in found.dst
        ],
        "same_slots": found.same_slots,
    }
