"""Why did a job run, or not run, at a moment? One sentence, and the entries that prove it. Pure.

Rules: the question is about the job's last slot at or before the moment. The answer is what the journal says of that
slot; where it says nothing, what the coverage and the job file say; never a guess.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from automations import clock, text
from automations.coverage import Coverage
from automations.model import Job, Outcome
from automations.pause import Pause

EVENTS = frozenset(
    b"run_started run_finished run_skipped run_waiting job_paused job_resumed config_loaded config_rejected startup "
    b"shutdown stopped watchdog_restart watchdog_gave_up journal_gap".split()
)
ABOUT_JOBS = ("job_paused", "job_resumed")
MOST_PROOF = 12
_HORIZONS = tuple(timedelta(hours=hours) for hours in (1, 24, 24 * 8, 24 * 32, 24 * 367))


class Answer(Struct, frozen=True):
    """The slot that the answer is about (None: none was due), the sentence, and the entries that prove it."""

    job: str
    due: datetime | None
    sentence: str
    proof: tuple[dict[str, object], ...] = ()


class Question(NamedTuple):
    """A job, a moment, and what is known beside the journal."""

    job: Job
    at: datetime
    now: datetime
    coverage: Coverage
    pause: Pause | None = None


def slot_before(job: Job, moment: datetime) -> datetime | None:
    """The job's last slot at or before `moment`; None where it has none within a year."""
    for horizon in _HORIZONS:
        found, due = None, job.schedule.after(moment - horizon)
        while due is not None and due <= moment:
            found, due = due, job.schedule.after(due)
        if found:
            return found
    return None


def explain(asked: Question, due: datetime | None, entries: Sequence[dict[str, object]]) -> Answer:
    """Answer from the entries around the slot `due`, oldest first."""
    job = asked.job
    mine = [entry for entry in entries if due and _is_about(entry, job.name, due)]
    mine = [entry for entry in mine if not _is_range(entry)] or mine  # what is said of this very slot counts more
    if not job.enabled and not mine:
        return Answer(job.name, due, f"{job.name} is disabled in automations.toml")
    if due is None and job.schedule.at_start:
        return Answer(job.name, None, f"{job.name} is due at each start of the scheduler, and not by the clock")
    if due is None:
        return Answer(job.name, None, f"{job.name} had no slot before {text.local(asked.at)}{_upcoming(asked)}")
    around = [entry for entry in entries if entry["event"] in ABOUT_JOBS and entry.get("job") == job.name]
    life = [entry for entry in entries if "job" not in entry]
    gap = asked.coverage.gap_at(due)
    proof = [*(mine or around), *(life if gap or not mine else [])]
    proof.sort(key=lambda entry: int(str(entry["seq"])))
    sentence = _of_record(asked, due, mine) if mine else _of_silence(asked, due)
    head = f"{job.name}, due {text.local(due)}"
    return Answer(job.name, due, f"{head}: {sentence}{_upcoming(asked)}", tuple(proof[-MOST_PROOF:]))


def _is_about(entry: dict[str, object], job: str, due: datetime) -> bool:
    if entry.get("job") != job or not str(entry["event"]).startswith("run_"):
        return False
    first, last = str(entry.get("due")), str(entry.get("until") or entry.get("due"))
    return first <= clock.iso(due) <= last if _is_range(entry) else first == clock.iso(due)


def _is_range(entry: dict[str, object]) -> bool:
    return entry["event"] == "run_skipped" and entry.get("until", entry.get("due")) != entry.get("due")


def _of_record(asked: Question, due: datetime, mine: Sequence[dict[str, object]]) -> str:
    """What the last word on the slot is."""
    last = mine[-1]
    begun = [entry for entry in mine if entry["event"] == "run_started"]
    if last["event"] == "run_skipped":
        return _skipped(asked, due, last)
    if last["event"] == "run_waiting":
        return f"it waits: {last.get('reason')}"
    tries = f" in attempt {len(begun)}" if len(begun) > 1 else ""
    if last["event"] == "run_started":
        return f"it began {_when(begun[0], _begins(mine, due))} and has not ended yet{tries}"
    began = f"it ran {_when(begun[0], _begins(mine, due))} and " if begun else "it "
    return began + _ended(last) + tries


def _of_silence(asked: Question, due: datetime) -> str:
    """What can be said where the journal says nothing of the slot."""
    gap = asked.coverage.gap_at(due)
    if due > asked.now:
        return "it is not due yet"
    if gap and gap.until >= asked.coverage.until:
        return f"nothing is decided yet: {_away(gap.cause, gap.detail)}; the next start of the scheduler decides it"
    if gap:
        return f"the journal says nothing of it; {_away(gap.cause, gap.detail)}"
    if asked.now - due < timedelta(minutes=2):
        return "it is due just now"
    if asked.coverage.minutes and due < asked.coverage.since:
        return f"that was before the journal begins, at {text.local(asked.coverage.since)}"
    return "the journal says nothing of it: the job was not in the job file then, or its promise is broken"


def _skipped(asked: Question, due: datetime, entry: dict[str, object]) -> str:
    outcome, reason = entry.get("outcome"), entry.get("reason")
    gap = asked.coverage.gap_at(due)
    away = f"; {_away(gap.cause, gap.detail)} ({text.local(gap.since)} to {text.local(gap.until)})" if gap else ""
    did_not_run = outcome in (Outcome.SKIPPED, Outcome.MISSED)
    told = f"it did not run: {outcome}, because {reason}" if did_not_run else f"it ended as {outcome}: {reason}"
    return f"{told}{away}"


def _away(cause: str, detail: str) -> str:
    return f"{cause.replace('_', ' ')}: {detail}"


def _begins(mine: Sequence[dict[str, object]], due: datetime) -> datetime:
    """When the slot was to begin: jitter is no delay."""
    for entry in mine:
        if entry["event"] == "run_waiting" and entry.get("reason") == "jitter" and entry.get("until"):
            return clock.parse_iso(str(entry["until"]))
    return due


def _when(entry: dict[str, object], begins: datetime) -> str:
    late = clock.parse_iso(str(entry["ts"])) - begins
    return "on time" if late <= timedelta(minutes=1) else f"{text.seconds(late.total_seconds())} late"


def _ended(entry: dict[str, object]) -> str:
    outcome, code, took = entry.get("outcome"), entry.get("exit"), entry.get("duration_s")
    took_s = float(took) if isinstance(took, int | float) else None
    if outcome == Outcome.SUCCEEDED:
        return f"succeeded in {text.seconds(took_s)}"
    reason = entry.get("reason") or (f"exit {code}" if code is not None else "no exit status")
    retry = f"; the next attempt is due {text.local(str(entry['retry_at']))}" if entry.get("retry_at") else ""
    return f"{str(outcome).replace('_', ' ')} after {text.seconds(took_s)}: {reason}{retry}"


def _upcoming(asked: Question) -> str:
    """When it will run next, or why it will not."""
    if not asked.job.enabled:
        return ". It is disabled in automations.toml"
    if asked.pause and asked.pause.covers(asked.now):
        end = f"until {text.local(asked.pause.until)}" if asked.pause.until else "until it is resumed"
        return f". It is paused {end}" + (f" ({asked.pause.note})" if asked.pause.note else "")
    due = asked.job.schedule.after(asked.now)
    return f". Next: {text.local(due)}" if due else ""
