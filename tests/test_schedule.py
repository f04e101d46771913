"""From an expression to slots: Debian's rules, whatever the clocks of the zone do, and never a past slot."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import schedule
from automations.model import Schedule
from automations.schedule import ALIASES, AtStart, Cron, Every

ZURICH = ZoneInfo("Europe/Zurich")  # spring 2026-03-29 02:00 -> 03:00, autumn 2026-10-25 03:00 -> 02:00
NEW_YORK = ZoneInfo("America/New_York")  # spring 2026-03-08 02:00 -> 03:00, autumn 2026-11-01 02:00 -> 01:00
CAIRO = ZoneInfo("Africa/Cairo")  # spring 2026-04-24 00:00 -> 01:00: a day without its midnight


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def slots(rule: Schedule, after: str, until: str, zone: ZoneInfo) -> list[str]:
    """The slots after one time to another, as they read on the zone's wall: day, time, offset in hours."""
    found, slot, end = [], rule.after(at(after)), at(until)
    while slot is not None and slot <= end:
        found.append(slot.astimezone(zone).strftime("%d %H:%M %z")[:-2])
        slot = rule.after(slot)
    return found


def cron(expression: str, zone: str = "UTC") -> Cron:
    return Cron(expression, ZoneInfo(zone))


# Five fields


@pytest.mark.parametrize(
    ("expression", "after", "slot"),
    [
        ("0 8 * * *", "2026-11-22T07:59:59.999Z", "2026-11-22T08:00:00Z"),
        ("0 8 * * *", "2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z"),
        ("0 8 * * *", "2026-11-22T08:00:00.001Z", "2026-11-23T08:00:00Z"),
        ("*/15 * * * *", "2026-11-22T23:46:00Z", "2026-11-23T00:00:00Z"),
        ("5,10-12 0 1 jan *", "2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"),
        ("0 0 * * 7", "2026-11-16T00:00:00Z", "2026-11-22T00:00:00Z"),
        ("0 0 * * sun", "2026-11-16T00:00:00Z", "2026-11-22T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("0 0 L * *", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"),
    ],
)
def test_the_next_slot_is_the_first_one_strictly_later(expression: str, after: str, slot: str):
    assert cron(expression).after(at(after)) == at(slot)


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 13 * 5", ["05", "12", "13", "19", "26"]),  # the 13th, and every Friday
        ("0 0 */10 * 5", []),  # a star in one of the two: both must fit; 1, 11, 21, 31 June 2026 are no Fridays
        ("0 0 * * 5", ["05", "12", "19", "26"]),
    ],
)
def test_day_of_month_and_day_of_week_combine_as_in_debian(expression: str, days: list[str]):
    found = slots(cron(expression), "2026-05-31T12:00:00Z", "2026-06-30T23:00:00Z", ZoneInfo("UTC"))
    assert [slot[:2] for slot in found] == days


@pytest.mark.parametrize(("alias", "fields"), ALIASES.items())
def test_an_alias_is_its_five_fields(alias: str, fields: str):
    begin = at("2026-11-22T22:35:00Z")
    assert cron(alias).after(begin) == cron(fields).after(begin)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("60 * * * *", "bad minute; expected minute 0-59"),
        ("* 24 * * *", "bad hour; expected"),
        ("* * 0 * *", "bad day-of-month or a date that never comes; expected"),
        ("* * * 13 *", "bad month; expected"),
        ("* * * * 8", "bad day-of-week; expected"),
        ("*/0 * * * *", "bad minute; expected"),
        ("5-1 * * * *", "bad minute; expected"),
        ("0 0 30 2 *", "bad day-of-month or a date that never comes; expected"),
        ("0 0 * 2 mon#6", "bad day-of-week; expected"),
        ("* * * *", "expected five fields: minute hour day-of-month month day-of-week"),
        ("0 * * * * *", "expected five fields"),
        ("", "expected five fields"),
        ("@reboot", "expected one of @reboot @hourly"),
        ("@Daily", "expected one of @reboot @hourly"),
    ],
)
def test_a_bad_expression_is_refused_with_what_was_expected(expression: str, expected: str):
    with pytest.raises(ValueError, match=expected):
        cron(expression)


# Daylight saving time, as Debian's cron does it


@pytest.mark.parametrize(
    ("zone", "spring", "before", "after"),
    [
        (ZURICH, "2026-03-29", "+01", "+02"),
        (NEW_YORK, "2026-03-08", "-05", "-04"),
    ],
)
def test_a_fixed_time_in_the_spring_gap_runs_once_right_after_it(zone: ZoneInfo, spring: str, before: str, after: str):
    day = spring[-2:]
    found = slots(Cron("30 2 * * *", zone), f"{spring}T00:00:00{before}:00", f"{spring}T23:00:00{after}:00", zone)
    assert found == [f"{day} 03:00 {after}"]


@pytest.mark.parametrize(
    ("zone", "autumn", "hour", "before", "after"),
    [
        (ZURICH, "2026-10-25", "02", "+02", "+01"),
        (NEW_YORK, "2026-11-01", "01", "-04", "-05"),
    ],
)
def test_a_fixed_time_in_the_repeated_hour_runs_once(zone: ZoneInfo, autumn: str, hour: str, before: str, after: str):
    rule = Cron(f"30 {hour} * * *", zone)
    found = slots(rule, f"{autumn}T00:00:00{before}:00", f"{autumn}T23:00:00{after}:00", zone)
    assert found == [f"{autumn[-2:]} {hour}:30 {before}"]


@pytest.mark.parametrize("minute", range(0, 60, 5))
def test_a_start_inside_the_repeated_hour_does_not_run_its_fixed_time_again(minute: int):
    second_time = at(f"2026-10-25T02:{minute:02d}:00+01:00")
    assert Cron("30 2 * * *", ZURICH).after(second_time) == at("2026-10-26T02:30:00+01:00")


@pytest.mark.parametrize(
    ("begin", "end", "found"),
    [
        ("2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", ["29 03:00 +02", "29 03:30 +02"]),
        ("2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+01:00", ["25 02:30 +02", "25 02:00 +01", "25 02:30 +01"]),
    ],
)
def test_a_wildcard_rule_follows_elapsed_time(begin: str, end: str, found: list[str]):
    assert slots(Cron("*/30 * * * *", ZURICH), begin, end, ZURICH) == found


def test_an_hourly_rule_runs_twenty_three_times_on_the_short_day_and_twenty_five_on_the_long_one():
    hourly = Cron("0 * * * *", NEW_YORK)
    short = slots(hourly, "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", NEW_YORK)
    long = slots(hourly, "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", NEW_YORK)
    assert (len(short), len(long)) == (23, 25)


def test_a_day_without_its_midnight_runs_the_midnight_rule_right_after_the_gap():
    found = slots(Cron("@daily", CAIRO), "2026-04-23T12:00:00Z", "2026-04-25T12:00:00Z", CAIRO)
    assert found == ["24 01:00 +03", "25 00:00 +03"]


def test_times_that_the_gap_moves_to_one_instant_are_one_slot():
    found = slots(Cron("0,30 2,3 * * *", ZURICH), "2026-03-29T00:00:00+01:00", "2026-03-29T12:00:00+02:00", ZURICH)
    assert found == ["29 03:00 +02", "29 03:30 +02"]


# Intervals


@pytest.mark.parametrize(
    ("interval", "after", "slot"),
    [
        (timedelta(hours=6), "2026-11-22T07:59:59Z", "2026-11-22T12:00:00Z"),
        (timedelta(hours=6), "2026-11-22T12:00:00Z", "2026-11-22T18:00:00Z"),
        (timedelta(hours=6), "2026-11-22T18:00:00Z", "2026-11-23T00:00:00Z"),
        (timedelta(seconds=1), "2026-11-22T18:00:00.500Z", "2026-11-22T18:00:01Z"),
        (timedelta(days=1), "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        (timedelta(days=2), "2000-01-01T00:00:00Z", "2000-01-03T00:00:00Z"),
        (timedelta(hours=7), "2000-01-01T00:00:00Z", "2000-01-01T07:00:00Z"),
    ],
)
def test_an_interval_counts_from_midnight(interval: timedelta, after: str, slot: str):
    assert Every(interval, ZoneInfo("UTC")).after(at(after)) == at(slot)


def test_an_interval_that_divides_the_day_counts_from_the_midnight_of_its_zone():
    found = slots(Every(timedelta(hours=8), ZURICH), "2026-07-01T00:00:00+02:00", "2026-07-02T00:00:00+02:00", ZURICH)
    assert found == ["01 08:00 +02", "01 16:00 +02", "02 00:00 +02"]


@pytest.mark.parametrize(
    ("begin", "end", "found"),
    [
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", ["29 09:00 +02", "29 17:00 +02", "30 00:00 +02"]),
        (
            "2026-10-25T00:00:00+02:00",
            "2026-10-26T00:00:00+01:00",
            ["25 07:00 +01", "25 15:00 +01", "25 23:00 +01", "26 00:00 +01"],
        ),
    ],
)
def test_an_interval_is_elapsed_time_and_starts_afresh_at_each_midnight(begin: str, end: str, found: list[str]):
    assert slots(Every(timedelta(hours=8), ZURICH), begin, end, ZURICH) == found


def test_an_interval_of_less_than_a_second_is_refused():
    with pytest.raises(ValueError, match="expected at least 1s"):
        Every(timedelta(milliseconds=999), ZURICH)


# Several rules at once


def test_a_list_of_expressions_is_due_when_any_of_them_is():
    rule = schedule.parse(["0 8 * * *", "30 8 * * *", "0 8 * * MON"], ZURICH)
    found = slots(rule, "2026-11-22T00:00:00Z", "2026-11-23T12:00:00Z", ZURICH)
    assert found == ["22 08:00 +01", "22 08:30 +01", "23 08:00 +01", "23 08:30 +01"]


def test_reboot_is_due_at_the_start_and_never_by_the_clock():
    rule = schedule.parse(["@reboot"], ZURICH)
    assert (rule.at_start, rule.after(at("2026-01-01T00:00:00Z"))) == (True, None)


@pytest.mark.parametrize(
    ("expressions", "at_start"), [(["@reboot", "@daily"], True), (["@daily"], False), (["@daily", "0 1 * * *"], False)]
)
def test_a_schedule_is_due_at_the_start_only_if_it_says_so(expressions: list[str], at_start: bool):
    assert schedule.parse(expressions, ZURICH).at_start is at_start


def test_of_several_expressions_the_bad_one_is_named():
    with pytest.raises(ValueError, match=r"'0 25 \* \* \*': bad hour"):
        schedule.parse(["0 8 * * *", "0 25 * * *"], ZURICH)


# What holds for every rule, zone and moment

ZONES = ["UTC", "Europe/Zurich", "America/New_York", "Africa/Cairo", "Asia/Kathmandu", "Atlantic/Azores"]
ZONES += ["America/Santiago", "America/Havana", "Pacific/Auckland", "Asia/Beirut", "America/Nuuk"]
EXPRESSIONS = ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 * * *", "15 1-3 * * *", "0 */6 * * *", "5 * * * *"]
EXPRESSIONS += ["59 23 L * *", "0 3 13 * 5", "30 0,1,2 * * SUN"]
INTERVALS_S = [1, 59, 60, 900, 3600, 5 * 3600, 6 * 3600, 86400, 3 * 86400]

zones = st.sampled_from(ZONES).map(ZoneInfo)
crons = st.builds(Cron, st.sampled_from(EXPRESSIONS), zones)
intervals = st.builds(lambda s, zone: Every(timedelta(seconds=s), zone), st.sampled_from(INTERVALS_S), zones)
rules = crons | intervals | st.just(AtStart())
anywhen = st.datetimes(datetime(2023, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))
CLOCK_CHANGES = [
    datetime(2026, month, day, hour, tzinfo=UTC)
    for month, day, hour in [(3, 29, 1), (10, 25, 1), (3, 8, 7), (11, 1, 6), (4, 23, 22), (10, 29, 21), (4, 5, 3)]
]
near_changes = st.builds(
    lambda change, s: change + timedelta(seconds=s), st.sampled_from(CLOCK_CHANGES), st.integers(-10_000, 10_000)
)
moments = anywhen | near_changes


@settings(max_examples=500, deadline=None)
@given(rules, moments)
def test_a_slot_is_never_at_or_before_the_time_asked_about(rule: Schedule, moment: datetime):
    slot = rule.after(moment)
    assert slot is None or slot > moment


@settings(max_examples=500, deadline=None)
@given(rules, moments)
def test_a_slot_is_in_utc_and_on_a_whole_second(rule: Schedule, moment: datetime):
    slot = rule.after(moment)
    assert slot is None or (slot.tzinfo, slot.microsecond) == (UTC, 0)


@settings(max_examples=500, deadline=None)
@given(crons | intervals, moments, st.floats(0, 0.999))
def test_a_restart_anywhere_before_a_slot_does_not_shift_it(rule: Schedule, moment: datetime, part: float):
    slot = rule.after(moment)
    restart = moment + (slot - moment) * part
    assert rule.after(restart) == slot


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(INTERVALS_S), zones, moments)
def test_an_interval_is_never_longer_than_it_says(seconds: int, zone: ZoneInfo, moment: datetime):
    rule = Every(timedelta(seconds=seconds), zone)
    first = rule.after(moment)
    assert rule.after(first) - first <= timedelta(seconds=seconds)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=4), zones, moments)
def test_a_list_of_rules_is_the_soonest_of_each(expressions: list[str], zone: ZoneInfo, moment: datetime):
    assert schedule.parse(expressions, zone).after(moment) == min(Cron(e, zone).after(moment) for e in expressions)
