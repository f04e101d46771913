"""An oracle: the instants at which Debian's cron starts a job. Shares no code with `automations` or its library.

Source: cron.c (main, find_jobs, set_time) and entry.c (load_entry, get_list, get_range, get_number) of
vixie-cron 3.0pl1 as patched by Debian, version 3.0pl1-162; the rules in words: cron(8), crontab(5).

Rules:
- Five fields of numbers or names, `*`, ranges, steps of `*` and of ranges, and lists of these; `7` is Sunday as is `0`.
- A field that begins with `*`, so `*/2` as well, raises its flag. Where the day of month or the day of week has raised
  its flag, a day must fit both, else either. Where the minute or the hour has, the job is a wildcard job.
- cron counts minutes of the wall clock in a virtual time of its own, and compares the two at each minute.
  The wall went on by one minute: all jobs. By up to five: all jobs of each minute in between.
  It leapt by up to three hours: wildcard jobs of this minute, then fixed-time jobs of each minute skipped.
  It fell back by less than three hours: wildcard jobs only, until the wall has caught up with the virtual time.
  Any other leap is a correction: the virtual time is set to the wall, and all jobs of this minute run.
- Here cron wakes at each minute, never late; a job is started at an instant at most once.

A day without a change of the clock is read off the fields; each minute of any other day goes through cron's loop.
Does not know `@reboot`, commands or users.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTH_NAMES = {
    name: n
    for n, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
DOW_NAMES = {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = EPOCH.toordinal()
DAY = 24 * 60
THREE_HOURS = 3 * 60


def starts(expression: str, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants later than `after`, up to `until`, at which a cron that has long been running starts the job."""
    day = (after - EPOCH) // timedelta(days=1) - 1
    cron = Cron(Entry(expression), zone, day * DAY)
    while (begin := day * DAY) <= (until - EPOCH) // timedelta(minutes=1):
        for minute in cron.run_day(begin):
            slot = EPOCH + timedelta(minutes=minute)
            if after < slot <= until:
                yield slot
        day += 1


class Entry:
    """One line of a crontab: load_entry()."""

    def __init__(self, expression: str) -> None:
        minute, hour, dom, month, dow = ALIASES.get(expression, expression).split()
        self.minutes = get_list(minute, 0, 59)
        self.hours = get_list(hour, 0, 23)
        self.doms = get_list(dom, 1, 31)
        self.months = get_list(month, 1, 12, MONTH_NAMES)
        self.dows = {n % 7 for n in get_list(dow, 0, 7, DOW_NAMES)}
        self.min_or_hr_star = minute[0] == "*" or hour[0] == "*"
        self.dom_or_dow_star = dom[0] == "*" or dow[0] == "*"
        self.minutes_of_day = [h * 60 + m for h in sorted(self.hours) for m in sorted(self.minutes)]

    def fits_day(self, wall_day: int) -> bool:
        """Whether a day, counted from 1970-01-01, fits: the second half of the condition in find_jobs()."""
        day = date.fromordinal(EPOCH_ORDINAL + wall_day)
        dom, dow = day.day in self.doms, day.isoweekday() % 7 in self.dows
        return day.month in self.months and ((dom and dow) if self.dom_or_dow_star else (dom or dow))

    def fits(self, wall_minute: int) -> bool:
        wall_day, minute_of_day = divmod(wall_minute, DAY)
        hour, minute = divmod(minute_of_day, 60)
        return minute in self.minutes and hour in self.hours and self.fits_day(wall_day)


class Cron:
    """cron with one entry. Minutes are counted from 1970-01-01 00:00, of UTC or, as in cron, of the local wall."""

    def __init__(self, entry: Entry, zone: ZoneInfo, utc_minute: int) -> None:
        self.entry = entry
        self.zone = zone
        self.virtual_time = self.clock_time(utc_minute - 1)

    def clock_time(self, utc_minute: int) -> int:
        """The wall's minute: set_time()."""
        return utc_minute + self.gmt_offset(utc_minute)

    def gmt_offset(self, utc_minute: int) -> int:
        instant = EPOCH + timedelta(minutes=utc_minute)
        return instant.astimezone(self.zone).utcoffset() // timedelta(minutes=1)

    def run_day(self, begin: int) -> list[int]:
        """The UTC minutes of one day at which the job starts."""
        end = begin + DAY
        in_step = self.virtual_time + 1 == self.clock_time(begin)
        if not in_step or self.gmt_offset(begin) != self.gmt_offset(end - 1):
            return [minute for minute in range(begin, end) if self.wake(minute)]
        offset = self.gmt_offset(begin)
        self.virtual_time = end - 1 + offset
        return [minute - offset for minute in self.read_off(begin + offset, end + offset)]

    def read_off(self, begin: int, end: int) -> list[int]:
        """The wall minutes that fit in one day's length without a change of the clock, which touches two wall days."""
        minutes = []
        for wall_day in (begin // DAY, begin // DAY + 1):
            if self.entry.fits_day(wall_day):
                midnight, of_day = wall_day * DAY, self.entry.minutes_of_day
                some = of_day[bisect_left(of_day, begin - midnight) : bisect_left(of_day, end - midnight)]
                minutes += [midnight + minute for minute in some]
        return minutes

    def wake(self, utc_minute: int) -> bool:
        """Whether the job starts at this minute: one pass of the loop in main()."""
        time_running = self.clock_time(utc_minute)
        time_diff = time_running - self.virtual_time
        if time_diff == 1:
            self.virtual_time = time_running
            return self.find_jobs(time_running, do_wild=True, do_non_wild=True)
        wakeup_kind = -1
        if time_diff > -THREE_HOURS:
            wakeup_kind = 0
        if time_diff > 0:
            wakeup_kind = 1
        if time_diff > 5:
            wakeup_kind = 2
        if time_diff > THREE_HOURS:
            wakeup_kind = 3
        match wakeup_kind:
            case 1:
                return self.catch_up(time_running, do_wild=True)
            case 2:
                wild = self.find_jobs(time_running, do_wild=True, do_non_wild=False)
                return self.catch_up(time_running, do_wild=False) or wild
            case 0:
                return self.find_jobs(time_running, do_wild=True, do_non_wild=False)
            case _:
                self.virtual_time = time_running
                return self.find_jobs(time_running, do_wild=True, do_non_wild=True)

    def catch_up(self, time_running: int, *, do_wild: bool) -> bool:
        found = False
        while self.virtual_time < time_running:
            self.virtual_time += 1
            found |= self.find_jobs(self.virtual_time, do_wild=do_wild, do_non_wild=True)
        return found

    def find_jobs(self, wall_minute: int, *, do_wild: bool, do_non_wild: bool) -> bool:
        return (do_wild if self.entry.min_or_hr_star else do_non_wild) and self.entry.fits(wall_minute)


def get_list(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers of one field. Raises ValueError."""
    return {number for part in field.split(",") for number in get_range(part, low, high, names or {})}


def get_range(part: str, low: int, high: int, names: dict[str, int]) -> range:
    numbers, _, step = part.partition("/")
    first, dash, last = numbers.partition("-")
    if first == "*":
        num1, num2 = low, high
    else:
        num1 = get_number(first, names)
        num2 = get_number(last, names) if dash else num1
    if step and not dash and first != "*":
        raise ValueError(f"{part!r}: a step without a range")
    num3 = int(step or 1)
    if num3 <= 0 or not (low <= num1 <= high and low <= num2 <= high):
        raise ValueError(f"{part!r} is not in {low}-{high}")
    return range(num1, num2 + 1, num3)


def get_number(text: str, names: dict[str, int]) -> int:
    number = names.get(text.lower())
    return int(text) if number is None else number
