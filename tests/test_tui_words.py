"""Ages, countdowns, spans, sizes and sparklines: what a person reads of them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.coverage import Cause, Gap
from automations.model import Outcome
from automations.verdict import Level
from automations.vitals import State
from tui import words

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def local_time_is_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


# Lengths of time


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.9, "0 s"),
        (8, "8 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (754, "12 min"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86400, "1 d"),
        (86400 + 3599, "1 d"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, told: str):
    assert words.span(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"),
        (0.0941, "94 ms"),
        (1, "1.0 s"),
        (4.23, "4.2 s"),
        (723.2, "12 min 3 s"),
        (3599.9, "1 h"),
        (7260, "2 h 1 min"),
    ],
)
def test_a_duration_is_told_as_finely_as_it_is_short(seconds: float | None, told: str):
    assert words.took(seconds) == told


@pytest.mark.parametrize("seconds", [float("inf"), float("-inf"), float("nan")])
def test_a_duration_that_is_no_number_is_a_dash(seconds: float):
    assert words.took(seconds) == "–"


@pytest.mark.parametrize(("count", "told"), [(1, "1 gap"), (2, "2 gaps"), (0, "0 gaps")])
def test_one_is_singular_and_all_else_plural(count: int, told: str):
    assert words.plural(count, "gap") == told


# Moments


def test_an_age_is_counted_up_to_now():
    assert words.ago(at(-8), NOON) == "8 s ago"


def test_an_age_may_be_of_a_moment_written_as_text():
    assert words.ago("2026-11-22T11:58:00.000Z", NOON) == "2 min ago"


@pytest.mark.parametrize("moment", [None, "", "yesterday", "2026-13-99T00:00:00.000Z"])
def test_what_is_no_moment_is_a_dash(moment: str | None):
    told = words.ago(moment, NOON), words.until(moment, NOON), words.wall(moment, NOON)
    assert told == ("–", "–", "–")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "now"), (0.5, "now"), (1, "in 1 s"), (9, "in 9 s"), (19, "in 10 s"), (59, "in 50 s"), (119, "in 1 min")],
)
def test_a_countdown_goes_in_coarse_steps_far_out_and_in_seconds_at_the_end(seconds: float, told: str):
    assert words.until(at(seconds), NOON) == told


@given(st.floats(0, 1e6))
def test_coarse_never_promises_more_time_than_there_is(seconds: float):
    assert 0 <= words.coarse(seconds) <= seconds


def test_a_time_of_today_goes_without_its_day():
    assert words.wall(at(-4 * 3600), NOON) == "08:00"


def test_a_time_of_another_day_names_it():
    assert words.wall(at(-16 * 3600), NOON) == "Sat 21 Nov 20:00"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_moment_at_the_end_of_all_calendars_breaks_nothing(monkeypatch: pytest.MonkeyPatch, moment: str, zone: str):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert words.wall(moment, NOON) == "–"


# Numbers


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_300_000, "9.3 MB"),
        (120_000, "120 kB"),
        (4e12, "4000 GB"),
    ],
)
def test_a_size_has_the_unit_that_keeps_it_short(count: float | None, told: str):
    assert words.size(count) == told


def test_a_sparkline_is_as_long_as_it_has_values_and_no_longer_than_its_width():
    assert (len(words.sparkline([1, 2, 3], 8)), len(words.sparkline(range(100), 8))) == (3, 8)


def test_a_sparkline_shows_the_last_values_the_longest_full():
    assert words.sparkline([9, 9, 0, 4, 8], 3) == "▁▅█"


@pytest.mark.parametrize("values", [[5.0, 5.0, 5.0], [100.0, 101.0, 102.0], [0.0, 0.0]])
def test_a_sparkline_of_values_that_hardly_differ_is_flat(values: list[float]):
    assert len(set(words.sparkline(values, 8))) == 1


def test_nothing_makes_an_empty_sparkline():
    assert words.sparkline([], 8) == ""


@given(st.lists(st.floats(0, 1e9), max_size=30), st.integers(1, 20))
def test_a_sparkline_is_made_of_bars_whatever_the_values(values: list[float], width: int):
    assert set(words.sparkline(values, width)) <= set("▁▂▃▄▅▆▇█")


def test_what_is_usual_is_the_median():
    assert (words.usual([9, 1, 100]), words.usual([])) == (9, None)


# Marks


@pytest.mark.parametrize(
    ("outcome", "started", "told"),
    [("failed", "x", "failed"), (None, "x", "running"), (None, None, "waiting")],
)
def test_a_run_without_outcome_runs_or_waits(outcome: str | None, started: str | None, told: str):
    assert words.outcome_of(outcome, started) == told


def test_every_outcome_has_a_mark_of_its_own_and_a_tone():
    assert len({words.MARKS[outcome] for outcome in Outcome}) == len(Outcome)
    assert set(Outcome) <= words.TONES.keys()


def test_every_cause_of_a_gap_has_a_mark_of_its_own():
    assert len({words.CAUSE_MARKS[cause] for cause in Cause}) == len(Cause)


def test_every_state_has_a_sign_that_is_told_without_colour():
    assert len({words.SIGNS[state][0] for state in State}) == len(State)


def test_every_level_of_the_verdict_has_a_mark_of_its_own():
    assert len({words.VERDICTS[level][0] for level in Level}) == len(Level)


def test_a_gap_is_told_with_its_cause_its_ends_and_its_length():
    found = Gap(at(-7200), at(-7200 + 23 * 60), Cause.POWERED_OFF, "the machine was off")
    assert words.gap(found, NOON) == "powered off 10:00–10:23 (23 min)"
