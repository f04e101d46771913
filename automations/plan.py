"""Jobs, clock and what already happened, to decisions. Pure: `now` is an argument, nothing is started here.

Rules:
- A slot is owed once, at the instant its schedule gives, and is taken off the agenda when it is decided.
- A slot that is later than its job allows is missed. How late it may be: its grace; its catch-up window, if there is
  one; with `catch_up = "none"` a minute, which is how late a busy machine may be.
- Of the others the newest runs (`latest`), or all of them one after the other (`all`), the newest `MAX_CATCH_UP`.
- A wall clock that moved by three hours or more was corrected: the agenda starts afresh at the new time, and
  nothing is caught up. Source: Debian cron(8), which draws the line at 3 hours.
- Jitter and the wait before a retry are drawn from the slot's name: the same after a restart.
"""

import heapq
from collections.abc import Mapping
from datetime import datetime, timedelta

from automations.clock import slot_name
from automations.digest import short_hash
from automations.model import BUILT_IN_JOBS, CatchUp, Job, Missed, Owed

CORRECTION = timedelta(hours=3)
LOOK_SLOTS = 1000
MAX_CATCH_UP = 100
ON_TIME = timedelta(minutes=1)
MAX_BACKOFF = timedelta(hours=1)
NEWER = "a newer slot of the job runs instead"
TOO_MANY = f"more than {MAX_CATCH_UP} slots to catch up; the newest of them run"


def owed(job: Job, first_due: datetime, now: datetime) -> Owed:
    """Decide the slots of `job` from `first_due` to `now`, both included, at most `LOOK_SLOTS` of them."""
    slots = [first_due]
    due = job.schedule.after(first_due)
    while due is not None and due <= now and len(slots) < LOOK_SLOTS:
        slots.append(due)
        due = job.schedule.after(due)
    are_more = due is not None and due <= now
    reach = _reach(job)
    late = [slot for slot in slots if now - slot > reach]
    timely = slots[len(late) :]
    most = MAX_CATCH_UP if job.catch_up is CatchUp.ALL else 1
    starts = () if are_more else tuple(timely[-most:])
    passed_over = timely[: len(timely) - len(starts)]
    missed = []
    if late:
        missed.append(Missed(late[0], late[-1], len(late), _why_late(job, now - late[-1])))
    if passed_over:
        reason = TOO_MANY if job.catch_up is CatchUp.ALL else NEWER
        missed.append(Missed(passed_over[0], passed_over[-1], len(passed_over), reason))
    return Owed(starts, tuple(missed), slots[-1])


def _reach(job: Job) -> timedelta:
    if job.catch_up is CatchUp.NONE:
        return min(job.grace, ON_TIME)
    return job.grace if job.catch_up_window is None else job.catch_up_window


def _why_late(job: Job, late: timedelta) -> str:
    if job.catch_up is CatchUp.NONE:
        return f"{in_words(late)} late; it is not caught up"
    limit = "grace" if job.catch_up_window is None else "catch-up window"
    return f"{in_words(late)} late; its {limit} is {in_words(_reach(job))}"


def jitter(job: Job, due: datetime) -> timedelta:
    """How much later than `due` this slot begins: up to the job's jitter."""
    return job.jitter * _fraction(f"{job.name}/{slot_name(due)}")


def retry_in(job: Job, due: datetime, attempt: int) -> timedelta:
    """How long to wait after attempt number `attempt` has failed: twice as long each time, at most an hour.

    Up to a quarter is added, so that jobs that failed together do not come back together.
    """
    wait: timedelta = min(job.backoff * 2.0 ** (attempt - 1), max(MAX_BACKOFF, job.backoff))
    return wait * (1 + _fraction(f"{job.name}/{slot_name(due)}.{attempt}") / 4)


def _fraction(name: str) -> float:
    """A number from 0 to 1 that belongs to this name."""
    return int(short_hash(name.encode()), 16) / 2**64


class Agenda:
    """When each job is due next: a heap, so that an idle minute costs one look at its top."""

    def __init__(self, jobs: dict[str, Job], since: datetime, settled: Mapping[str, datetime] = {}) -> None:
        """Begin with each enabled job's first slot after `since` and after its last settled slot."""
        self._jobs = jobs
        self._next: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        for job in jobs.values():
            if job.enabled:
                self._put(job, max(since, settled.get(job.name, since)))

    def changed(self, jobs: dict[str, Job], now: datetime) -> "Agenda":
        """The agenda of another job file, from `now` on; what did not change is not computed again."""
        fresh = Agenda({}, now)
        fresh._jobs = jobs
        for job in jobs.values():
            before, due = self._jobs.get(job.name), self._next.get(job.name)
            if due and due > now and before and job.enabled and _rule(before) == _rule(job):
                fresh._next[job.name] = due
                fresh._heap.append((due, job.name))
        heapq.heapify(fresh._heap)
        for job in jobs.values():
            if job.enabled and job.name not in fresh._next:
                fresh._put(job, now)
        return fresh

    def take_due(self, now: datetime) -> list[tuple[Job, Owed]]:
        """Decide what is due at `now`, one look for each job; each slot is handed out once.

        After a long downtime a job may need further looks, so that the loop can tick in between: ask again.
        """
        decided: list[tuple[Job, Owed]] = []
        taken: list[tuple[datetime, str]] = []
        while self._heap and self._heap[0][0] <= now:
            taken.append(heapq.heappop(self._heap))
        for due, name in taken:
            job = self._jobs[name]
            owed_now = owed(job, due, now)
            decided.append((job, owed_now))
            self._put(job, owed_now.until)
        return decided

    def soonest(self) -> datetime | None:
        """The next instant at which anything is due."""
        return self._heap[0][0] if self._heap else None

    def upcoming(self, limit: int = 20) -> dict[str, datetime | None]:
        """Next slots for a tick: the built-in jobs first (None when not scheduled), then the soonest others."""
        shown: dict[str, datetime | None] = {name: self._next.get(name) for name in BUILT_IN_JOBS if name in self._jobs}
        for due, name in self._soonest_few(limit):
            if len(shown) >= limit:
                break
            shown.setdefault(name, due)
        return shown

    def _soonest_few(self, count: int) -> list[tuple[datetime, str]]:
        """The first entries in order: walks down from the heap's top, whatever number of jobs lies below."""
        found: list[tuple[datetime, str]] = []
        edge = [(self._heap[0], 0)] if self._heap else []
        while edge and len(found) < count:
            entry, place = heapq.heappop(edge)
            found.append(entry)
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(self._heap):
                    heapq.heappush(edge, (self._heap[child], child))
        return found

    def _put(self, job: Job, after: datetime) -> None:
        due = job.schedule.after(after)
        if due is None:
            self._next.pop(job.name, None)
        else:
            self._next[job.name] = due
            heapq.heappush(self._heap, (due, job.name))


def clock_step(before: tuple[datetime, float], now: tuple[datetime, float]) -> timedelta:
    """How far the wall clock ran ahead of elapsed time between two (UTC, elapsed seconds) looks."""
    return (now[0] - before[0]) - timedelta(seconds=now[1] - before[1])


def _rule(job: Job) -> tuple[str, str]:
    return job.schedule_text, job.timezone


def in_words(span: timedelta) -> str:
    """A length of time in its largest fitting unit: `6 h`."""
    seconds = int(span.total_seconds())
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s or seconds == unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"
