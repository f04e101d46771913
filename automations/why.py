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
    if not job.enabled:
        return Answer(job.name, due, f"{job.name} is disabled in automations.toml")
    if due is None:
        return Answer(job.name, None, f"{job.name} had no slot before {text.local(asked.at)}{_upcoming(asked)}")
    mine = [entry for entry in entries if _is_about(entry, job.name, due)]
    around = [entry for entry in entries if entry["event"] in ABOUT_JOBS and entry.get("job") == job.name]
    life = [entry for entry in entries if "job" not in entry]
    gap = asked.coverage.gap_at(due)
    proof = mine or [*around, *life]
    if mine:
        sentence = _of_record(asked, due, mine)
        proof = sorted([*mine, *(life if gap else [])], key=lambda entry: int(str(entry["seq"])))
    elif gap:
        sentence = f"nothing is decided yet: {_away(gap.cause, gap.detail)}; the next start of the scheduler decides it"
    elif asked.now - due < timedelta(minutes=2):
        sentence = "it is due just now"
    else:
        sentence = "the journal says nothing of it: the job was not in the job file then, or its promise is broken"
    head = f"{job.name}, due {text.local(due)}"
    return Answer(job.name, due, f"{head}: {sentence}{_upcoming(asked)}", tuple(proof[-MOST_PROOF:]))


def _is_about(entry: dict[str, object], job: str, due: datetime) -> bool:
    if entry.get("job") != job or not str(entry["event"]).startswith("run_"):
        return False
    first, last = str(entry.get("due")), str(entry.get("until") or entry.get("due"))
    is_range = entry["event"] == "run_skipped"
    return first <= clock.iso(due) <= last if is_range else first == clock.iso(due)


def _of_record(asked: Question, due: datetime, mine: Sequence[dict[str, object]]) -> str:
    """What the last word on the slot is."""
    last = mine[-1]
    begun = [entry for entry in mine if entry["event"] == "run_started"]
    if last["event"] == "run_skipped":
        return _skipped(asked, due, last)
    if last["event"] == "run_waiting":
        return f"it waits: {last.get('reason')}"
    if last["event"] == "run_started":
        return f"it began {_when(last, due)} and has not ended yet"
    tries = f" in attempt {len(begun)}" if len(begun) > 1 else ""
    began = f"it ran {_when(begun[0], due)} and " if begun else "it "
    return began + _ended(last) + tries


def _skipped(asked: Question, due: datetime, entry: dict[str, object]) -> str:
    outcome, reason = entry.get("outcome"), entry.get("reason")
    gap = asked.coverage.gap_at(due)
    away = f"; {_away(gap.cause, gap.detail)} ({text.local(gap.since)} to {text.local(gap.until)})" if gap else ""
    return f"it did not run: {outcome}, because {reason}{away}"


def _away(cause: str, detail: str) -> str:
    return f"{cause.replace('_', ' ')}: {detail}"


def _when(entry: dict[str, object], due: datetime) -> str:
    late = clock.parse_iso(str(entry["ts"])) - due
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
    if asked.pause and asked.pause.covers(asked.now):
        end = f"until {text.local(asked.pause.until)}" if asked.pause.until else "until it is resumed"
        return f". It is paused {end}" + (f" ({asked.pause.note})" if asked.pause.note else "")
    due = asked.job.schedule.after(asked.now)
    return f". Next: {text.local(due)}" if due else ""
