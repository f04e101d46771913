"""The slots that are owed and have not begun: for jitter, for the run before, for their group, for a retry.

Pure but for the list it keeps. Rules: slots of one job begin in the order in which they were put here, unless the
job allows overlap; a slot that has waited beyond its limit is handed out as expired, never forgotten.
"""

from collections.abc import Iterator
from datetime import datetime

from automations.model import Job, Overlap, Slot


class Waiting:
    """A small waiting room; most of the time it is empty."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, slot: Slot) -> None:
        """Let a slot wait behind the others."""
        self._slots.append(slot)

    def first_of(self, job: str) -> Slot | None:
        """The slot of this job that waits longest."""
        return next((slot for slot in self._slots if slot.job.name == job), None)

    def take_expired(self, now: datetime) -> list[Slot]:
        """Take out the slots that have waited too long."""
        return self._take([slot for slot in self._slots if slot.expires and slot.expires < now])

    def take_ready(self, now: datetime) -> list[Slot]:
        """Take out what may begin: one slot of each job at most, its first, once its time has come."""
        ready, seen = [], set()
        for slot in self._slots:
            name = slot.job.name
            if name not in seen and (slot.not_before is None or slot.not_before <= now):
                ready.append(slot)
            if slot.job.overlap is not Overlap.ALLOW:
                seen.add(name)
        return self._take(ready)

    def take_gone(self, jobs: dict[str, Job]) -> list[Slot]:
        """Take out the slots whose job is not among `jobs`; the others go on with the job as it is there."""
        gone = self._take([slot for slot in self._slots if slot.job.name not in jobs])
        self._slots = [slot._replace(job=jobs[slot.job.name]) for slot in self._slots]
        return gone

    def soonest(self, now: datetime) -> datetime | None:
        """The next instant at which the clock alone changes anything here; None: nothing does."""
        moments = [slot.not_before for slot in self._slots if slot.not_before and slot.not_before > now]
        moments += [slot.expires for slot in self._slots if slot.expires]
        return min(moments, default=None)

    def _take(self, taken: list[Slot]) -> list[Slot]:
        if taken:
            places = {id(slot) for slot in taken}
            self._slots = [slot for slot in self._slots if id(slot) not in places]
        return taken
