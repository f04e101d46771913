"""The three clocks and the one form in which a time is written."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from automations import clock

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.timezones())


def whole_milliseconds(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (datetime(2026, 11, 22, 22, 35, 0, 3999, tzinfo=UTC), "2026-11-22T22:35:00.003Z"),
        (datetime(2026, 11, 22, 22, 35, tzinfo=UTC), "2026-11-22T22:35:00.000Z"),
        (datetime(2026, 11, 22, 23, 35, tzinfo=ZoneInfo("Europe/Zurich")), "2026-11-22T22:35:00.000Z"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2025-12-31T18:45:00.000Z"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds_and_z(at: datetime, written: str):
    assert clock.iso(at) == written


@given(TIMES)
def test_what_was_written_is_read_back_to_the_millisecond(at: datetime):
    assert clock.parse_iso(clock.iso(at)) == whole_milliseconds(at)


@given(TIMES, TIMES)
def test_written_times_sort_as_the_times_do(one: datetime, other: datetime):
    earlier, later = sorted([one.astimezone(UTC), other.astimezone(UTC)])
    assert clock.iso(earlier) <= clock.iso(later)


def test_a_time_with_another_offset_is_read_as_utc():
    read = clock.parse_iso("2026-11-22T09:00:00+01:00")
    assert (read, read.tzinfo) == (datetime(2026, 11, 22, 8, tzinfo=UTC), UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22T25:00:00Z", "None"])
def test_what_is_not_a_time_is_refused(text: str):
    with pytest.raises(ValueError, match=r"\S"):
        clock.parse_iso(text)


def test_a_time_without_an_offset_is_refused_and_the_message_shows_a_good_one():
    with pytest.raises(ValueError, match="needs its offset, as in 2026-11-22T08:00:00Z"):
        clock.parse_iso("2026-11-22T08:00:00")


def test_a_slot_is_named_by_its_second_in_utc():
    assert clock.slot_name(datetime(2026, 11, 22, 9, tzinfo=ZoneInfo("Europe/Zurich"))) == "20261122T080000Z"


def test_a_moment_is_named_to_the_millisecond():
    assert clock.moment_name(datetime(2026, 11, 22, 8, 0, 3, 123987, tzinfo=UTC)) == "20261122T080003.123Z"


@given(TIMES, TIMES)
def test_a_moment_never_has_the_name_of_a_slot(moment: datetime, due: datetime):
    assert clock.moment_name(moment) != clock.slot_name(due)


@time_machine.travel(datetime(2026, 11, 22, 8, tzinfo=ZoneInfo("America/New_York")), tick=False)
def test_the_wall_clock_is_read_in_utc():
    assert clock.read().utc == datetime(2026, 11, 22, 13, tzinfo=UTC)


def test_the_clocks_that_measure_never_run_backwards():
    readings = [clock.read() for _ in range(1000)]
    assert sorted(r.mono for r in readings) == [r.mono for r in readings]
    assert sorted(r.boot_s for r in readings) == [r.boot_s for r in readings]
