"""One sentence about all of it: is it well, and if not, what is the worst and what is its likely cause? Pure.

Rules: the worst comes first and alone; a failure that was followed by a success of the same job is told as mended.
Failures that all ended the same way have one likely cause, and it is named.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from automations import clock
from automations.coverage import Coverage
from automations.model import Outcome, Want
from automations.promises import Promises
from automations.promises import State as Kept
from automations.vitals import State, Vitals

TROUBLE = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.ABANDONED)
EVENTS = frozenset(b"run_finished run_skipped".split())


class Level(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


class Verdict(Struct, frozen=True):
    """The sentence and its level."""

    level: Level
    text: str


class End(Struct, frozen=True):
    """How one run of a job ended."""

    at: datetime
    job: str
    outcome: str
    how: str


class Ends:
    """How runs ended lately, collected from the journal in the order in which they ended."""

    def __init__(self) -> None:
        self._ends: list[End] = []

    def take(self, entry: dict[str, object]) -> None:
        """Take in one entry. A run that will be tried again has not ended its slot."""
        if entry["event"] not in ("run_finished", "run_skipped") or "retry_at" in entry:
            return
        outcome = str(entry.get("outcome"))
        if entry["event"] == "run_skipped" and outcome not in TROUBLE:
            return
        try:
            at = clock.parse_iso(str(entry["ts"]))
        except ValueError:
            return
        self._ends.append(End(at, str(entry.get("job")), outcome, _how(entry, outcome)))

    def forget_before(self, moment: datetime) -> None:
        self._ends = [end for end in self._ends if end.at >= moment]

    def since(self, moment: datetime) -> list[End]:
        return [end for end in self._ends if end.at >= moment]


class Facts(NamedTuple):
    """What a verdict is about: the last 24 hours, the names of the jobs, the faults of the job file."""

    vitals: Vitals
    coverage: Coverage
    promises: Promises
    ends: Sequence[End]
    jobs: Sequence[str]
    faults: Sequence[str]
    journal_breaks: int


def judge(facts: Facts) -> Verdict:
    """The worst of it, or that all is well."""
    ladder = (
        _on_state(facts.vitals),
        _on_journal(facts.journal_breaks),
        _on_broken(facts.promises),
        _on_failures(facts.ends),
        _on_faults(facts.faults),
        _on_not_kept(facts.promises),
        _on_gaps(facts.coverage),
    )
    return next((verdict for verdict in ladder if verdict), _all_well(facts))


def _on_journal(breaks: int) -> Verdict | None:
    if not breaks:
        return None
    lines = f"{_times(breaks, 'line')} of the journal {'does' if breaks == 1 else 'do'} not hold"
    told = f"{lines}: changed, missing or put in by something else"
    return Verdict(Level.BAD, f"{told}; next: make verify")


def _on_state(vitals: Vitals) -> Verdict | None:
    told = {
        State.NEVER_STARTED: (Level.WARN, "Never started here: nothing runs until it is started"),
        State.STOPPED: (Level.WARN, "Stopped on request: nothing will run until it is started"),
        State.DEAD: (Level.BAD, "Dead: it was not stopped, and nothing runs; start it, then look into scheduler.out"),
        State.STALLED: (Level.BAD, f"It lives and does nothing: {vitals.reason}; the watchdog should replace it"),
        State.UNREADABLE: (Level.BAD, f"No permission to look: {vitals.reason}"),
    }
    found = told.get(vitals.state)
    if vitals.state is State.STOPPED and vitals.want == Want.UP:
        found = Level.BAD, "It ended although it is wanted: nothing runs until it is started"
    return Verdict(*found) if found else None


def _on_broken(promises: Promises) -> Verdict | None:
    broken = [one for one in promises.not_kept if one.state is Kept.BROKEN]
    if not promises.broken:
        return None
    names = f": {_listed(sorted({one.job for one in broken}))}" if broken else ""
    return Verdict(Level.BAD, f"{_times(promises.broken, 'promise')} broken{names}")


def _on_failures(ends: Sequence[End]) -> Verdict | None:
    by_job: dict[str, list[End]] = {}
    for end in ends:
        if end.outcome in TROUBLE:
            by_job.setdefault(end.job, []).append(end)
    if not by_job:
        return None
    last = {end.job: end for end in ends if end.outcome in (*TROUBLE, Outcome.SUCCEEDED)}
    still = {job: failed for job, failed in by_job.items() if last[job].outcome in TROUBLE}
    told = [f"{job} failed {len(failed)}×" for job, failed in (still or by_job).items()]
    if not still:
        return Verdict(Level.WARN, f"{_listed(told)}, and succeeded since")
    failed = [end for ends_of_job in still.values() for end in ends_of_job]
    if len(failed) == 1:
        return Verdict(Level.BAD, f"{failed[0].job} failed: {failed[0].how}")
    hows = {end.how for end in failed}
    cause = f", likely one cause: {hows.pop()}" if len(hows) == 1 else ""
    return Verdict(Level.BAD, _listed(told) + cause)


def _on_faults(faults: Sequence[str]) -> Verdict | None:
    if not faults:
        return None
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Verdict(Level.WARN, f"The job file is refused, the last good one is in force: {faults[0]}{more}")


def _on_not_kept(promises: Promises) -> Verdict | None:
    counted = [
        f"{count} {word}"
        for word, count in (("missed", promises.missed), ("skipped", promises.skipped), ("late", promises.late))
        if count
    ]
    if not counted:
        return None
    return Verdict(Level.WARN, f"{', '.join(counted)} of {_times(_all(promises), 'slot')} in 24 h")


def _on_gaps(coverage: Coverage) -> Verdict | None:
    if coverage.covered == coverage.minutes:
        return None
    away = sum(((gap.until - gap.since) for gap in coverage.gaps), timedelta(0))
    causes = _listed(sorted({gap.cause.replace("_", " ") for gap in coverage.gaps}))
    return Verdict(Level.WARN, f"Every promise kept; away for {_span(away)} of 24 h: {causes}")


def _all_well(facts: Facts) -> Verdict:
    if not facts.jobs:
        return Verdict(Level.WARN, "No jobs: add some to automations.toml")
    if not _all(facts.promises):
        return Verdict(Level.GOOD, "All is well; no slot was due in the last 24 h")
    names = sorted(facts.jobs)
    who = f"All {len(names)} jobs kept their promises" if len(names) > 1 else f"{names[0]} kept its promises"
    return Verdict(Level.GOOD, f"{who} in the last 24 h")


def counts(promises: Promises) -> Mapping[str, int]:
    """How many slots of each state there were."""
    return {str(state): getattr(promises, state) for state in Kept}


def _all(promises: Promises) -> int:
    return sum(counts(promises).values())


def _how(entry: dict[str, object], outcome: str) -> str:
    if outcome == Outcome.TIMED_OUT:
        return "timeout"
    reason, code = entry.get("reason"), entry.get("exit")
    if reason or not isinstance(code, int):
        return str(reason or "no exit status")
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _listed(words: Sequence[str], most: int = 3) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _span(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
