"""Jobs, clock and what already happened, to decisions. Pure: `now` is an argument, nothing is started here.

Rules:
- A slot is owed once, at the instant its schedule gives, and is taken off the agenda when it is decided.
- The newest owed slot runs if it is within its job's grace; older ones are missed, with the reason.
- A wall clock that moved by three hours or more was corrected: the agenda starts afresh at the new time, and
  nothing is caught up. Source: Debian cron(8), which draws the line at 3 hours.
"""

import heapq
from collections.abc import Mapping
from datetime import datetime, timedelta

from automations.model import BUILT_IN_JOBS, Job, Missed, Owed

CORRECTION = timedelta(hours=3)
LOOK_SLOTS = 1000
NEWER = "a newer slot of the job runs instead"


def owed(job: Job, first_due: datetime, now: datetime) -> Owed:
    """Decide the slots of `job` from `first_due` to `now`, both included, at most `LOOK_SLOTS` of them."""
    count, newest, previous = 1, first_due, first_due
    due = job.schedule.after(first_due)
    while due is not None and due <= now and count < LOOK_SLOTS:
        previous, newest, count = newest, due, count + 1
        due = job.schedule.after(due)
    late = now - newest
    if late > job.grace:
        reason = f"{_words(late)} late; its grace is {_words(job.grace)}"
        return Owed(None, Missed(first_due, newest, count, reason), newest)
    if due is not None and due <= now:
        return Owed(None, Missed(first_due, newest, count, NEWER), newest)
    return Owed(newest, Missed(first_due, previous, count - 1, NEWER) if count > 1 else None, newest)


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
        for due, name in heapq.nsmallest(limit, self._heap):
            if len(shown) >= limit:
                break
            shown.setdefault(name, due)
        return shown

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


def _words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s or seconds == unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"
