"""An oracle of Debian's cron: when would it start a job? Shares no code with the product, nor with its library.

Around each change of clocks it is a transcription of the main loop of cron.c (Debian's vixie-cron 3.0pl1): a
virtual clock that follows the wall clock minute by minute, with its kinds of wake-up. Elsewhere the wall clock runs
evenly, and the fields alone decide. Several starts at one instant count once, as they are one slot.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=8)
THREE_HOURS = 3 * 60


class Entry(NamedTuple):
    """A line of a crontab, as entry.c reads it."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_wild: bool  # MIN_STAR or HR_STAR: a field that begins with a star, a step behind it or not
    day_star: bool  # DOM_STAR
    weekday_star: bool  # DOW_STAR

    def matches_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_days, in_weekdays = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_days and in_weekdays if self.day_star or self.weekday_star else in_days or in_weekdays

    def matches(self, wall: datetime) -> bool:
        return wall.minute in self.minutes and wall.hour in self.hours and self.matches_day(wall.date())


def read(expression: str) -> Entry:
    """Five fields, as load_entry reads them."""
    minute, hour, day, month, weekday = expression.lower().split()
    return Entry(
        _field(minute, 0, 59, []),
        _field(hour, 0, 23, []),
        _field(day, 1, 31, []),
        _field(month, 1, 12, MONTHS, 1),
        frozenset(number % 7 for number in _field(weekday, 0, 7, DAYS)),
        minute[0] == "*" or hour[0] == "*",
        day[0] == "*",
        weekday[0] == "*",
    )


def _field(text: str, low: int, high: int, names: list[str], first: int = 0) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        begin, dash, end = span.partition("-")
        start = low if begin == "*" else _number(begin, names, first)
        stop = high if begin == "*" else _number(end, names, first) if dash else start
        found |= set(range(start, stop + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: list[str], first: int) -> int:
    return names.index(text) + first if text in names else int(text)


def starts(entry: Entry, zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    """The instants after `since`, up to `until`, at which cron starts it; both in whole minutes, UTC."""
    found: set[datetime] = set()
    at = since
    for change in transitions(zone, since - AROUND, until + AROUND):
        found |= set(_evenly(entry, zone, at, change - AROUND))
        found |= set(_loop(entry, zone, change - AROUND, change + AROUND))
        at = max(at, change + AROUND)
    found |= set(_evenly(entry, zone, at, until))
    return sorted(start for start in found if since < start <= until)


def transitions(zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    """The instants at which the zone's offset changes, to the minute."""
    found, at = [], since
    while at < until:
        low, high = at, at + timedelta(hours=6)
        if _offset(zone, low) != _offset(zone, high):
            steps = range(1, 6 * 60 + 1)
            found.append(next(low + n * MINUTE for n in steps if _offset(zone, low + n * MINUTE) != _offset(zone, low)))
        at = high
    return found


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _evenly(entry: Entry, zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """Starts from `since` to `until` where the offset stays the same."""
    if until < since:
        return
    offset = _offset(zone, since)
    day, last = (since + offset).date(), (until + offset).date()
    while day <= last:
        if entry.matches_day(day):
            for hour in entry.hours:
                for minute in entry.minutes:
                    start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - offset
                    if since <= start <= until:
                        yield start
        day += timedelta(days=1)


def _loop(entry: Entry, zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """The main loop of cron.c, woken each minute from `since` to `until`."""

    def find_jobs(virtual: int, *, wild: bool, fixed: bool) -> bool:
        wall = datetime(1970, 1, 1) + virtual * MINUTE
        return (wild if entry.is_wild else fixed) and entry.matches(wall)

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    now, virtual = since, (since + _offset(zone, since) - epoch) // MINUTE - 1
    while now <= until:
        running = (now + _offset(zone, now) - epoch) // MINUTE
        difference = running - virtual
        found = False
        if difference == 1:
            virtual = running
            found = find_jobs(virtual, wild=True, fixed=True)
        elif 1 < difference <= 5:  # woke up late
            while virtual < running:
                virtual += 1
                found |= find_jobs(virtual, wild=True, fixed=True)
        elif 5 < difference <= THREE_HOURS:  # jumped forward: wildcard jobs for now, fixed ones for each minute skipped
            found = find_jobs(running, wild=True, fixed=False)
            while virtual < running:
                virtual += 1
                found |= find_jobs(virtual, wild=False, fixed=True)
        elif -THREE_HOURS < difference <= 0:  # jumped back: only wildcard jobs, until the virtual clock is reached
            found = find_jobs(running, wild=True, fixed=False)
        else:  # a correction: everything goes on at the new time
            virtual = running
            found = find_jobs(virtual, wild=True, fixed=True)
        if found:
            yield now
        now += MINUTE
