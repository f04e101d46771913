"""What job files will do: the next slots, and what a change of the file would change in real fires. Pure.

Rules: slots are compared, not texts; so a rewritten expression that means the same is no change. A slot that goes while
another of its job comes within a day of it is called moved. Two jobs due at one instant collide; that
matters most within a group, where one of them has to wait. A wall time that a change of clocks skips or repeats is told
with what will happen to it.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from automations.model import Job
from automations.schedule import ALIASES

WEEK = timedelta(days=7)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


class Change(NamedTuple):
    """Slots of one job that are `added`, `removed` or `moved`; `first` is the first of them, `to` where it moves."""

    job: str
    kind: str
    slots: int
    first: datetime
    to: datetime | None = None


class Collision(NamedTuple):
    """Jobs that are due at the same instants, how often, and when first; their group if they share one."""

    jobs: tuple[str, ...]
    slots: int
    first: datetime
    group: str


class DstSlot(NamedTuple):
    """A wall time of a job that the clocks skip (`gap`) or show twice (`repeat`), and when it will really run."""

    job: str
    kind: str
    wall: datetime
    runs: tuple[datetime, ...]


class Difference(NamedTuple):
    """All that a change of the job file changes in the time looked at; `collisions` are the new ones."""

    changes: tuple[Change, ...]
    collisions: tuple[Collision, ...]
    dst: tuple[DstSlot, ...]
    same_slots: int


def slots(job: Job, since: datetime) -> Iterator[datetime]:
    """The job's slots after `since`, without end for most."""
    due = job.schedule.after(since) if job.enabled else None
    while due is not None:
        yield due
        due = job.schedule.after(due)


def upcoming(jobs: Mapping[str, Job], since: datetime, count: int) -> list[tuple[datetime, str]]:
    """The next `count` slots of all these jobs together."""
    streams = [_named(job, since) for job in jobs.values()]
    return [entry for _, entry in zip(range(count), heapq.merge(*streams), strict=False)]


def _named(job: Job, since: datetime) -> Iterator[tuple[datetime, str]]:
    for due in slots(job, since):
        yield due, job.name


def compare(before: Mapping[str, Job], after: Mapping[str, Job], now: datetime, span: timedelta = WEEK) -> Difference:
    """What changes in real fires from `now` on, when `after` takes the place of `before`."""
    old, new = ({name: _within(job, now, span) for name, job in jobs.items()} for jobs in (before, after))
    changes: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        changes += _changes(name, old.get(name, []), new.get(name, []))
    known = {collision.jobs for collision in _collisions(before, old)}
    collisions = tuple(found for found in _collisions(after, new) if found.jobs not in known)
    same = sum(len(set(old.get(name, [])) & set(due)) for name, due in new.items())
    return Difference(tuple(changes), collisions, tuple(dst_slots(after, now, span)), same)


def _within(job: Job, now: datetime, span: timedelta) -> list[datetime]:
    return list(takewhile(lambda due: due <= now + span, slots(job, now)))


def _changes(name: str, old: list[datetime], new: list[datetime]) -> Iterator[Change]:
    gone, come = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    moved = _pairs(gone, come)
    removed, added = (sorted(set(dues) - {pair[side] for pair in moved}) for side, dues in enumerate((gone, come)))
    if moved:
        yield Change(name, "moved", len(moved), *moved[0])
    if removed:
        yield Change(name, "removed", len(removed), removed[0])
    if added:
        yield Change(name, "added", len(added), added[0])


def _pairs(gone: list[datetime], come: list[datetime]) -> list[tuple[datetime, datetime]]:
    """Slots that go with those that come in their place: the next one that is less than a day away."""
    pairs, place = [], 0
    for due in gone:
        while place < len(come) and come[place] <= due - _DAY:
            place += 1
        if place < len(come) and come[place] < due + _DAY:
            pairs.append((due, come[place]))
            place += 1
    return pairs


def _collisions(jobs: Mapping[str, Job], fires: Mapping[str, list[datetime]]) -> list[Collision]:
    at: dict[datetime, list[str]] = defaultdict(list)
    for name in sorted(fires):
        for due in fires[name]:
            at[due].append(name)
    together: dict[tuple[str, ...], list[datetime]] = defaultdict(list)
    for due, names in sorted(at.items()):
        if len(names) > 1:
            together[tuple(names)].append(due)
    return [Collision(names, len(dues), dues[0], _shared_group(jobs, names)) for names, dues in together.items()]


def _shared_group(jobs: Mapping[str, Job], names: tuple[str, ...]) -> str:
    groups = [jobs[name].group for name in names if jobs[name].group]
    return next((group for group in groups if groups.count(group) > 1), "")


def dst_slots(jobs: Mapping[str, Job], now: datetime, span: timedelta = WEEK) -> Iterator[DstSlot]:
    """The wall times of these jobs that fall into a change of clocks of their zone."""
    transitions: dict[str, list[datetime]] = {}
    for job in jobs.values():
        if job.enabled and job.timezone != "UTC" and not job.schedule_text.startswith("every "):
            zone = ZoneInfo(job.timezone)
            if job.timezone not in transitions:
                transitions[job.timezone] = list(_transitions(zone, now, span))
            for at in transitions[job.timezone]:
                yield from _touched(job, zone, at)


def _transitions(zone: ZoneInfo, now: datetime, span: timedelta) -> Iterator[datetime]:
    """The instants at which the zone's offset changes, to the minute."""
    day = now
    while day < now + span:
        low, high = day, day + _DAY
        if _offset(zone, low) != _offset(zone, high):
            while high - low > _MINUTE:
                middle = low + (high - low) / 2
                low, high = (middle, high) if _offset(zone, middle) == _offset(zone, low) else (low, middle)
            yield low.replace(second=0, microsecond=0) + _MINUTE
        day += _DAY


def _offset(zone: ZoneInfo, utc: datetime) -> timedelta:
    return utc.astimezone(zone).utcoffset() or timedelta(0)


def _touched(job: Job, zone: ZoneInfo, at: datetime) -> Iterator[DstSlot]:
    before, after = _offset(zone, at - _MINUTE), _offset(zone, at)
    kind, length = ("gap", after - before) if after > before else ("repeat", before - after)
    start = (at + min(before, after)).replace(tzinfo=None)  # the first wall time that is skipped, or shown twice
    for expression in job.schedule_text.split(" · "):
        fields = ALIASES.get(expression, expression)
        if expression == "@reboot" or any(field.startswith("*") for field in fields.split()[:2]):
            continue  # what runs every so often follows elapsed time: nothing of it is skipped or repeated
        walls = CronSim(fields, start - _MINUTE)
        for wall in takewhile(lambda wall: wall < start + length, walls):
            instants = [(wall - offset).replace(tzinfo=UTC) for offset in sorted((before, after), reverse=True)]
            yield DstSlot(job.name, kind, wall, tuple(_really(job, kind, at, instants)))


def _really(job: Job, kind: str, at: datetime, instants: list[datetime]) -> list[datetime]:
    """When a skipped time runs: by the first slot from the change on; a repeated one: whenever it is a slot."""
    if kind == "gap":
        due = job.schedule.after(at - _MINUTE)
        return [due] if due and due < at + _DAY else []
    return [due for due in instants if job.schedule.after(due - _MINUTE) == due]
