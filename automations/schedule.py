"""From an expression to slots: pure, in UTC outside and in the job's zone inside.

Rules:
- Five-field cron by Debian's rules. Which wall times match is cronsim's to say; when a wall time is a slot is said
  here: for a job whose minute or hour begins with `*`, whenever the clock shows it; for another, once: the first time
  if the clock shows it twice, right after the gap if the clock skips it. Source: Debian cron(8), crontab(5), cron.c.
- `@hourly` to `@yearly` are their five-field equivalents; `@reboot` is one slot at each scheduler start.
- `every` counts from local midnight when it divides a day, else from a fixed midnight, so that a restart
  never shifts it.
- A slot is never at or before the time asked about.

Does not know jobs, grace or what already ran.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_AROUND = timedelta(hours=4)
_CORRECTION = timedelta(hours=3)
_ANCHOR_DAY = (2000, 1, 1)


class Cron:
    """One cron expression in one zone. Raises ValueError with what was expected."""

    at_start = False

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._fields = ALIASES.get(expression, expression)
        self._zone = zone
        self._is_wild = any(field.startswith("*") for field in self._fields.split()[:2])
        if self._fields.startswith("@"):
            raise ValueError(f"expected one of @reboot {' '.join(ALIASES)}")
        if len(self._fields.split()) != 5:
            raise ValueError("expected five fields: minute hour day-of-month month day-of-week")
        try:
            CronSim(self._fields, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            or_never = " or a date that never comes" if "day-of-month" in str(error) else ""
            raise ValueError(f"{str(error).lower()}{or_never}; expected {_RANGES}") from None
        if self.after(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise ValueError("never comes due; expected a date that exists")

    def after(self, utc: datetime) -> datetime | None:
        if self._is_wild and not self._is_even(utc):
            return self._after_near_a_change(utc)
        for wall in CronSim(self._fields, self._wall(utc)):
            for slot in self._instants(wall):
                if slot > utc:
                    return slot
        return None

    def _after_near_a_change(self, utc: datetime) -> datetime | None:
        """Where the clocks are set back, a wall time that has passed can come again before the next one."""
        best: datetime | None = None
        for wall in CronSim(self._fields, self._wall(utc) - _AROUND):
            best = min((slot for slot in (best, *self._instants(wall)) if slot and slot > utc), default=None)
            if best and wall > self._wall(best) + _AROUND:
                break
        return best

    def _instants(self, wall: datetime) -> list[datetime]:
        """When this wall time is a slot: twice, once, or never where the clocks are changed."""
        first, second = (wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if self._wall(first) == wall:
            return [first, second] if self._is_wild and second > first else [first]
        if (
            self._is_wild or first - second >= _CORRECTION
        ):  # in a gap, the one taken for the other differs by its length
            return []
        return [self._change(second, first)]

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The first minute after the change of clocks between these two."""
        offset = before.astimezone(self._zone).utcoffset()
        while after - before > _MINUTE:
            middle = before + (after - before) // (2 * _MINUTE) * _MINUTE
            if middle.astimezone(self._zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after

    def _is_even(self, utc: datetime) -> bool:
        around = (utc - _AROUND, utc, utc + _AROUND)
        return len({at.astimezone(self._zone).utcoffset() for at in around}) == 1

    def _wall(self, utc: datetime) -> datetime:
        return utc.astimezone(self._zone).replace(tzinfo=None, fold=0)


class Every:
    """A fixed interval of elapsed time, anchored to midnight of its zone."""

    at_start = False

    def __init__(self, interval: timedelta, zone: ZoneInfo) -> None:
        if interval < timedelta(seconds=1):
            raise ValueError("expected at least 1s")
        self._interval = interval
        self._zone = zone
        self._divides_day = _DAY % interval == timedelta(0)

    def after(self, utc: datetime) -> datetime | None:
        if not self._divides_day:
            anchor = datetime(*_ANCHOR_DAY, tzinfo=self._zone).astimezone(UTC)
            return self._next(anchor, utc)
        today = utc.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        tomorrow = (today + _DAY).astimezone(UTC)
        return min(self._next(today.astimezone(UTC), utc), tomorrow)

    def _next(self, anchor: datetime, utc: datetime) -> datetime:
        return anchor + ((utc - anchor) // self._interval + 1) * self._interval


class AtStart:
    """`@reboot`: due once at each start of the scheduler, never by the clock."""

    at_start = True

    def after(self, utc: datetime) -> datetime | None:  # noqa: ARG002  (the protocol's argument)
        return None


class AnyOf:
    """Several rules at once, as several crontab lines of one command."""

    def __init__(self, rules: list[Cron | AtStart]) -> None:
        self._rules = rules
        self.at_start = any(rule.at_start for rule in rules)

    def after(self, utc: datetime) -> datetime | None:
        return min((slot for rule in self._rules if (slot := rule.after(utc))), default=None)


def parse(expressions: list[str], zone: ZoneInfo) -> AnyOf:
    """Make the schedule of these expressions. Raises ValueError naming the expression and what was expected."""
    rules: list[Cron | AtStart] = []
    for expression in expressions:
        try:
            rules.append(AtStart() if expression == "@reboot" else Cron(expression, zone))
        except ValueError as error:
            raise ValueError(f"{expression!r}: {error}") from None
    return AnyOf(rules)


_RANGES = "minute 0-59, hour 0-23, day-of-month 1-31, month 1-12 or JAN-DEC, day-of-week 0-7 or SUN-SAT"
