"""What the faces show of jobs and slots, as plain values for JSON: one reading for command line, API and screens."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from cronsim import CronSim

from automations import clock, forecast
from automations.history import Filters, History, Row
from automations.model import Job
from automations.paths import Paths
from automations.pause import Pause, read
from automations.schedule import ALIASES


def jobs(paths: Paths, known: Mapping[str, Job], history: History, now: datetime) -> list[dict[str, object]]:
    """Every job: when it is next due, how it went last, whether it is paused or runs at this moment."""
    paused, last, durations = read(paths), history.last(), history.durations()
    running = history.runs(Filters(outcome="running", limit=1000))
    return [
        {
            "name": job.name,
            "description": job.description,
            "schedule": job.schedule_text,
            "in_words": in_words(job, now),
            "timezone": job.timezone,
            "enabled": job.enabled,
            "group": job.group,
            "next": next_due(job, paused.get(job.name), now),
            "paused": pause_as_json(paused.get(job.name)),
            "running": [row.run_id for row in running if row.job == job.name],
            "last": row_as_json(last[job.name]) if job.name in last else None,
            "durations_s": durations.get(job.name, []),
        }
        for job in known.values()
    ]


def next_due(job: Job, pause: Pause | None, now: datetime) -> str | None:
    """The job's next slot that will run; None when there is none, or when it is paused until further notice."""
    since = now
    if pause and pause.covers(now):
        if pause.until is None:
            return None
        since = pause.until
    due = next(forecast.slots(job, since), None)
    return clock.iso(due) if due else None


def in_words(job: Job, now: datetime) -> str:
    """The schedule as a sentence."""
    if job.schedule_text.startswith("every "):
        return job.schedule_text
    zone = "" if job.timezone == "UTC" else f", {job.timezone}"
    return "; ".join(_explained(text, now) for text in job.schedule_text.split(" · ")) + zone


def _explained(expression: str, now: datetime) -> str:
    if expression == "@reboot":
        return "At each start of the scheduler"
    return str(CronSim(ALIASES.get(expression, expression), now).explain())


def pause_as_json(pause: Pause | None) -> dict[str, object] | None:
    """A pause with its times as text."""
    if pause is None:
        return None
    until = clock.iso(pause.until) if pause.until else None
    return {"since": clock.iso(pause.since), "until": until, "note": pause.note}


def row_as_json(row: Row) -> dict[str, object]:
    """A run or a settled slot, all of its fields."""
    return row._asdict()


def rows_as_json(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Runs and settled slots, newest first as they came."""
    return [row_as_json(row) for row in rows]


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
