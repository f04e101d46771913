"""What became of each slot that the schedule announced: kept, late, skipped, missed or broken. Pure.

Rules:
- A tick announces the next slots; a slot is a promise once a later tick has come after it, and no other job file came
  into force in between. A slot on record is one whether or not a tick had room for it. A tick is written before the
  slots of its minute are decided, so that it passes what was due at the tick or the startup before it.
- Kept: its run began within a minute of when it was to begin (jitter is no delay). Late: it began later than that, or
  waits longer.
- Skipped and missed: on record as such, each with its reason. A range counts slot by slot, and whole as long as its
  last slot is asked for: the journal does not say when each of them was due.
- Broken: announced, due, passed by a tick, and nothing on record of it; or begun and never recorded.
- How the run *ended* is its outcome and another matter: see `verdict`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from automations import clock

EVENTS = frozenset(b"tick startup config_loaded run_started run_waiting run_skipped".split())
ON_TIME = timedelta(minutes=1)
UNSAID = "announced, and nothing on record of it"


class State(StrEnum):
    """What became of a promise."""

    KEPT = "kept"
    LATE = "late"
    SKIPPED = "skipped"
    MISSED = "missed"
    BROKEN = "broken"


class Promise(Struct, frozen=True):
    """One slot, or a range of `slots` that begins with it, and what became of it."""

    job: str
    due: datetime
    state: State
    reason: str = ""
    slots: int = 1


class Promises(Struct, frozen=True):
    """How many slots were kept, late, skipped, missed, broken since `since`; those that were not kept, newest first."""

    since: datetime
    kept: int
    late: int
    skipped: int
    missed: int
    broken: int
    not_kept: tuple[Promise, ...]

    @property
    def all_kept(self) -> bool:
        return not self.not_kept


class Ledger:
    """The promises of a home, collected from its journal in the order in which they were written."""

    def __init__(self) -> None:
        self._announced: dict[str, str] = {}
        self._passed: dict[tuple[str, datetime], None] = {}
        self._settled: dict[tuple[str, datetime, datetime], Promise] = {}  # by first and last slot
        self._begins: dict[tuple[str, datetime], datetime] = {}
        self._ranges: dict[str, list[tuple[datetime, datetime]]] = {}
        self._config: object = None
        self._decided = ""  # the slots up to here have been, by now

    def take(self, entry: dict[str, object]) -> None:
        """Take in one entry. What is about no slot is passed over."""
        event, at = entry["event"], _time(entry, "ts")
        if at is None:
            return
        if event == "tick":
            self._take_tick(entry, at)
        elif event in ("startup", "config_loaded"):
            self._take_config(entry.get("config"))
        elif event in ("run_started", "run_waiting", "run_skipped"):
            job, due = str(entry.get("job")), _time(entry, "due")
            if due is not None:
                self._take_slot(event, entry, (job, due), at)
        if event in ("tick", "startup"):
            self._decided = clock.iso(at)

    def _take_tick(self, entry: dict[str, object], at: datetime) -> None:
        for slot, begins in self._begins.items():
            if begins <= at - ON_TIME:
                self._settle(slot, State.LATE, "waits longer than its jitter")
        now, fresh = clock.iso(at), entry.get("next")  # compared as they are written: most are never parsed
        upcoming = {job: due for job, due in fresh.items() if isinstance(due, str)} if isinstance(fresh, dict) else {}
        for job, due in self._announced.items():
            if self._decided < due <= now:
                upcoming[job] = due
            elif due <= self._decided and (moment := _parsed(due)) is not None:
                self._passed[job, moment] = None
        self._announced = upcoming

    def _take_config(self, config: object) -> None:
        """Another job file announces other slots. After a start with the same one, what was announced is still owed."""
        if config != self._config:
            self._config, self._announced = config, {}

    def _take_slot(self, event: object, entry: dict[str, object], slot: tuple[str, datetime], at: datetime) -> None:
        reason = str(entry.get("reason") or "")
        if entry.get("attempt", 1) != 1:
            return
        if event == "run_waiting":
            until = _time(entry, "until")
            if reason == "jitter" and until:
                self._begins[slot] = until
            self._settle(slot, State.KEPT if reason == "jitter" else State.LATE, f"waits: {reason}")
        elif event == "run_started":
            late = at - self._begins.pop(slot, slot[1])
            is_late = late > ON_TIME
            self._settle(slot, State.LATE if is_late else State.KEPT, f"{_minutes(late)} late" if is_late else "")
        else:
            self._begins.pop(slot, None)
            last = _time(entry, "until") or slot[1]
            found = Promise(*slot, _state(entry.get("outcome")), reason, _count(entry.get("slots")))
            self._settled[*slot, last] = found
            if last > slot[1]:
                self._ranges.setdefault(slot[0], []).append((slot[1], last))

    def _settle(self, slot: tuple[str, datetime], state: State, reason: str) -> None:
        self._settled[*slot, slot[1]] = Promise(*slot, state, reason)

    def forget_before(self, moment: datetime) -> None:
        """Let go of slots that were due before `moment`."""
        self._settled = {span: promise for span, promise in self._settled.items() if span[2] >= moment}
        self._passed = {slot: None for slot in self._passed if slot[1] >= moment and not self._is_on_record(*slot)}
        self._begins = {slot: begins for slot, begins in self._begins.items() if slot[1] >= moment}
        self._ranges = {job: [one for one in ranges if one[1] >= moment] for job, ranges in self._ranges.items()}

    def promises(self, since: datetime, most: int = 50) -> Promises:
        """What became of the slots that were due from `since` on."""
        settled = [promise for span, promise in self._settled.items() if span[2] >= since]
        unsaid = [slot for slot in self._passed if slot[1] >= since and not self._is_on_record(*slot)]
        found = [*settled, *(Promise(*slot, State.BROKEN, UNSAID) for slot in unsaid)]
        counts = _counts(found)
        not_kept = sorted((one for one in found if one.state is not State.KEPT), key=lambda one: one.due, reverse=True)
        return Promises(since, **counts, not_kept=tuple(not_kept[:most]))

    def _is_on_record(self, job: str, due: datetime) -> bool:
        return (job, due, due) in self._settled or any(low <= due <= high for low, high in self._ranges.get(job, []))


def _counts(found: Iterable[Promise]) -> dict[str, int]:
    counts = {str(state): 0 for state in State}
    for promise in found:
        counts[promise.state] += promise.slots
    return counts


def _state(outcome: object) -> State:
    return {"skipped": State.SKIPPED, "missed": State.MISSED}.get(str(outcome), State.BROKEN)


def _time(entry: dict[str, object], key: str) -> datetime | None:
    return _parsed(entry.get(key))


def _parsed(value: object) -> datetime | None:
    try:
        return clock.parse_iso(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1


def _minutes(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
