"""Every slot equals what Debian's cron would start: a year of 200 jobs in nine zones, and 10,000 random cases."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from automations import schedule
from tests import debian_cron

ZONES = [
    "Europe/Zurich",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "America/Havana",  # likewise
    "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # back and forth around Ramadan
    "Asia/Kathmandu",  # +05:45
    "Pacific/Chatham",  # +12:45, with summer time
    "UTC",
]
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = 200
CASES = 10_000
SLOTS_OF_A_CASE = 10


def expression(dice: random.Random) -> str:
    """A schedule as people write them, with the hours of clock changes among the likely ones."""
    minute = dice.choice(["0", "30", "59", "*", "*/5", "*/7", "15,45", "10-20/3", str(dice.randrange(60))])
    hour = dice.choice(["*", "*/2", "*/6", "0", "1", "2", "3", "1-3", "0,2,23", "22-23", str(dice.randrange(24))])
    day = dice.choice(["*", "*", "*", "*", "1", "*/2", "28-31", "13", "1,15", str(dice.randint(1, 31))])
    month = dice.choice(["*", "*", "*", "MAR,OCT", "1-6", "*/3", "apr", "9-11"])
    weekday = dice.choice(["*", "*", "*", "SUN", "MON-FRI", "7", "0", "6-7", "*/2", "sat,sun"])
    if month != "*" and day not in ("*", "*/2") and weekday == "*":
        month = "*"  # a date that may never come is for another test
    return f"{minute} {hour} {day} {month} {weekday}"


def slots(rule: schedule.AnyOf, since: datetime, until: datetime) -> list[datetime]:
    found = []
    due = rule.after(since)
    while due is not None and due <= until:
        found.append(due)
        due = rule.after(due)
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_every_slot_of_a_year_is_one_that_debian_would_start(zone: str):
    dice = random.Random(zone)
    until = YEAR + timedelta(days=365)
    for _ in range(JOBS // len(ZONES) + 1):
        text = expression(dice)
        expected = debian_cron.starts(debian_cron.read(text), ZoneInfo(zone), YEAR, until)
        assert slots(schedule.parse([text], ZoneInfo(zone)), YEAR, until) == expected, f"{text} in {zone}"


@pytest.mark.parametrize("part", range(10))
def test_the_next_slots_of_a_random_case_are_those_of_debian(part: int):
    dice = random.Random(part)
    zones = sorted(available_timezones())
    for _ in range(CASES // 10):
        zone, text = ZoneInfo(dice.choice(zones)), expression(dice)
        since = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(15 * 366 * 1440))
        changes = debian_cron.transitions(zone, since, since + timedelta(days=200)) if dice.random() < 0.5 else []
        if changes:  # most of what can go wrong is within a day of a change
            since = dice.choice(changes) + timedelta(minutes=dice.randrange(-1440, 1440))
        until = since + timedelta(days=3)
        expected = debian_cron.starts(debian_cron.read(text), zone, since, until)[:SLOTS_OF_A_CASE]
        found = slots(schedule.parse([text], zone), since, until)[:SLOTS_OF_A_CASE]
        assert found == expected, f"{text} in {zone} after {since}"
