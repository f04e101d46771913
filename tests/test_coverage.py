"""Which minutes have a tick, and why the others have none."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations import clock
from automations.coverage import EVENTS, Cause, Coverage, Gap, Life, Present
from tests.machine import NOON, Machine, at, made_home

ALL_DAY = "00:00"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(made_home(tmp_path))


def life(machine: Machine) -> Life:
    found = Life()
    for entry in machine.entries(EVENTS):
        found.take(entry)
    return found


def coverage(
    machine: Machine, since: str = ALL_DAY, now: str = "", alive: bool | None = True, tick_s: float = 60.0
) -> Coverage:
    present = Present(alive, machine.boot, machine.boot_s)
    return life(machine).coverage(at(since), at(now) if now else machine.now, tick_s, present)


def spans(found: Coverage) -> list[tuple[str, str]]:
    return [(f"{gap.since:%H:%M}", f"{gap.until:%H:%M}") for gap in found.gaps]


def causes(found: Coverage) -> list[tuple[Cause, str]]:
    return [(gap.cause, gap.detail) for gap in found.gaps]


def counted(found: Coverage) -> tuple[int, int]:
    return found.covered, found.minutes


# Which minutes count


def test_a_minute_is_covered_when_a_tick_or_a_startup_was_written_in_it(machine: Machine):
    machine.starts()
    machine.ticks(9)
    assert (counted(coverage(machine)), spans(coverage(machine))) == ((10, 10), [])


def test_a_minute_counts_once_however_much_was_written_in_it(machine: Machine):
    machine.starts()
    machine.starts()
    machine.ticks()
    assert counted(coverage(machine)) == (2, 2)


def test_nothing_but_a_tick_or_a_startup_covers_a_minute(machine: Machine):
    machine.starts()
    machine.passes(1)
    machine.says("journal_recovered", bytes_cut=1)
    machine.ticks()
    assert counted(coverage(machine)) == (2, 3)


def test_the_minute_that_runs_now_does_not_count_before_it_is_covered(machine: Machine):
    machine.starts()
    machine.ticks()
    assert counted(coverage(machine, now="12:02:59")) == (2, 2)


def test_the_minute_that_runs_now_counts_once_it_is_covered(machine: Machine):
    machine.starts()
    machine.ticks()
    assert counted(coverage(machine, now="12:01:59")) == (2, 2)


def test_a_minute_that_has_passed_without_a_tick_counts(machine: Machine):
    machine.starts()
    machine.ticks()
    found = coverage(machine, now="12:03:00")
    assert (counted(found), spans(found)) == ((2, 3), [("12:02", "12:03")])


def test_minutes_before_the_first_sign_on_record_do_not_count(machine: Machine):
    machine.starts()
    machine.ticks(3)
    found = coverage(machine, since="09:00")
    assert (found.since, found.until, counted(found)) == (at("12:00"), at("12:04"), (4, 4))


def test_minutes_before_the_time_asked_about_do_not_count(machine: Machine):
    machine.starts()
    machine.ticks(9)
    found = coverage(machine, since="12:05")
    assert (found.since, counted(found)) == (at("12:05"), (5, 5))


def test_without_any_sign_no_minute_counts_and_there_is_no_percentage(machine: Machine):
    machine.says("stopped")
    found = coverage(machine)
    assert (counted(found), found.percent, found.gaps) == ((0, 0), None, ())


def test_a_gap_at_the_start_of_the_window_begins_with_the_window(machine: Machine):
    machine.starts()
    machine.passes(9)
    machine.ticks()
    found = coverage(machine, since="12:04")
    assert (spans(found), counted(found)) == ([("12:04", "12:10")], (1, 7))


def test_a_window_that_lies_in_one_gap_is_all_gap(machine: Machine):
    machine.starts()
    machine.passes(30)
    found = coverage(machine, since="12:10", now="12:20", alive=False)
    assert (spans(found), counted(found), found.percent) == ([("12:10", "12:20")], (0, 10), 0.0)


def test_a_minute_is_as_long_as_a_tick(machine: Machine):
    machine.starts()
    machine.ticks(2)
    found = coverage(machine, tick_s=30.0)
    assert (counted(found), found.tick_s, [gap.since for gap in found.gaps]) == (
        (3, 5),
        30.0,
        [at("12:00:30"), at("12:01:30")],
    )


@pytest.mark.parametrize(
    ("covered", "minutes", "percent"),
    [(1440, 1440, 100.0), (1439, 1440, 99.9), (10079, 10080, 99.9), (1, 3, 33.3), (0, 9, 0.0), (0, 0, None)],
)
def test_the_percentage_is_never_rounded_up_to_a_hundred(covered: int, minutes: int, percent: float | None):
    assert Coverage(NOON, NOON, minutes, covered, ()).percent == percent


@pytest.mark.parametrize(
    ("moment", "is_in_it"), [("12:01:59", False), ("12:02", True), ("12:04:59", True), ("12:05", False)]
)
def test_a_gap_holds_its_first_moment_and_not_its_last(moment: str, is_in_it: bool):
    gap = Gap(at("12:02"), at("12:05"), Cause.ASLEEP, "")
    assert Coverage(NOON, NOON, 9, 6, (gap,)).gap_at(at(moment)) == (gap if is_in_it else None)


# Why a minute has no tick: one scheduler, three clocks


def test_a_machine_whose_boot_time_ran_while_its_monotonic_time_stood_was_asleep(machine: Machine):
    machine.starts()
    machine.sleeps(29)
    machine.ticks()
    found = coverage(machine)
    assert (spans(found), causes(found)) == (
        [("12:01", "12:30")],
        [(Cause.ASLEEP, "the machine slept for 29 min")],
    )


def test_a_scheduler_for_which_all_clocks_ran_was_stalled(machine: Machine):
    machine.starts()
    machine.passes(4)
    machine.ticks()
    assert causes(coverage(machine)) == [(Cause.STALLED, "the scheduler was there and wrote nothing for 5 min")]


def test_a_wall_clock_that_ran_ahead_of_the_others_was_set(machine: Machine):
    machine.starts()
    machine.is_set(150)
    machine.ticks()
    assert causes(coverage(machine)) == [(Cause.CLOCK_STEPPED, "the clock was set ahead by 2.5 h")]


@pytest.mark.parametrize(
    ("slept", "stalled", "stepped", "cause"),
    [
        (1, 30, 0, Cause.STALLED),
        (30, 5, 0, Cause.ASLEEP),
        (30, 0, 5, Cause.ASLEEP),
        (5, 0, 30, Cause.CLOCK_STEPPED),
        (30, 0, -10, Cause.ASLEEP),
    ],
)
def test_of_several_causes_the_longest_is_told(machine: Machine, slept: int, stalled: int, stepped: int, cause: Cause):
    machine.starts()
    machine.sleeps(slept)
    machine.passes(stalled)
    machine.is_set(stepped)
    machine.ticks()
    assert [cause for cause, _ in causes(coverage(machine))] == [cause]


def test_what_the_scheduler_reports_as_not_written_is_unrecorded(machine: Machine):
    machine.starts()
    machine.passes(9)
    machine.says("journal_gap", lost={"tick": 9}, reason="No space left on device")
    machine.ticks()
    assert causes(coverage(machine)) == [(Cause.UNRECORDED, "No space left on device")]


def test_entries_without_clocks_tell_no_cause(machine: Machine):
    machine.says("startup", pid=1, boot="b")
    machine.passes(5)
    machine.says("tick", next={})
    assert causes(coverage(machine)) == [(Cause.UNKNOWN, "the entries around it carry no clocks")]


def test_clocks_that_contradict_each_other_tell_no_cause(machine: Machine):
    machine.starts()
    machine.is_off(5)  # and no startup on record
    machine.ticks()
    assert causes(coverage(machine)) == [(Cause.UNKNOWN, "the clocks around it contradict each other")]


# Another scheduler came


@pytest.mark.parametrize(
    ("words", "detail"),
    [
        ([("shutdown", {"reason": "SIGTERM"}), ("stopped", {})], "stopped on request"),
        ([("shutdown", {"reason": "bad job file"})], "it ended by itself: bad job file"),
        ([("watchdog_restart", {"cause": "crashed"})], "crashed; the watchdog started it again"),
        (
            [("watchdog_restart", {"cause": "crashed"}), ("watchdog_gave_up", {"cause": "crashed"})],
            "crashed; the watchdog gave up",
        ),
        ([], "it ended without a word"),
    ],
)
def test_a_scheduler_that_was_down_is_told_in_the_last_words_about_it(machine: Machine, words: list, detail: str):
    machine.starts(pid=100)
    for event, fields in words:
        machine.says(event, **fields)
    machine.passes(10)
    machine.starts(pid=200)
    assert causes(coverage(machine)) == [(Cause.SCHEDULER_DOWN, detail)]


def test_words_about_another_gap_are_not_taken_for_this_one(machine: Machine):
    machine.starts()
    machine.says("stopped")
    machine.passes(10)
    machine.starts(pid=200)
    machine.passes(10)
    machine.starts(pid=300)
    assert causes(coverage(machine))[1] == (Cause.SCHEDULER_DOWN, "it ended without a word")


def test_a_new_scheduler_is_known_although_it_has_the_pid_of_the_one_before(machine: Machine):
    machine.starts(pid=7)
    machine.passes(10)
    machine.starts(pid=7)
    assert causes(coverage(machine)) == [(Cause.SCHEDULER_DOWN, "it ended without a word")]


def test_another_boot_id_is_a_machine_that_was_off(machine: Machine):
    machine.starts()
    machine.says("shutdown", reason="SIGTERM")
    machine.is_off(60)
    machine.starts()
    assert causes(coverage(machine)) == [(Cause.POWERED_OFF, "the machine was restarted")]


def test_a_boot_id_tells_more_than_the_clocks(machine: Machine):
    machine.starts()
    machine.passes(10)
    machine.boot = "another"
    machine.starts()
    machine.boot_s -= 5000
    machine.passes(10)
    machine.starts()
    assert [cause for cause, _ in causes(coverage(machine))] == [Cause.POWERED_OFF, Cause.SCHEDULER_DOWN]


@pytest.mark.parametrize(
    ("event", "fields", "how"),
    [("stopped", {}, "stopped on request"), ("watchdog_gave_up", {"cause": "hung"}, "hung; the watchdog gave up")],
)
def test_who_was_down_before_the_machine_went_off_was_down(machine: Machine, event: str, fields: dict, how: str):
    machine.starts()
    machine.says(event, **fields)
    machine.is_off(60)
    machine.starts()
    detail = f"{how}; the machine was restarted before it was started again"
    assert causes(coverage(machine)) == [(Cause.SCHEDULER_DOWN, detail)]


def test_without_a_boot_id_on_record_a_boot_clock_that_ran_on_is_the_same_boot(machine: Machine):
    machine.ticks()
    machine.passes(10)
    machine.starts()
    assert causes(coverage(machine)) == [(Cause.SCHEDULER_DOWN, "it ended without a word")]


def test_without_a_boot_id_on_record_a_boot_clock_that_went_back_is_a_machine_that_was_off(machine: Machine):
    machine.ticks()
    machine.is_off(10)
    machine.starts()
    assert causes(coverage(machine)) == [(Cause.POWERED_OFF, "the machine was restarted")]


def test_without_a_boot_id_on_record_a_boot_clock_that_ran_otherwise_than_the_wall_tells_nothing(machine: Machine):
    machine.ticks()
    machine.is_off(10)
    machine.boot_s = 99_000.0
    machine.starts()
    assert [cause for cause, _ in causes(coverage(machine))] == [Cause.UNKNOWN]


def test_where_nothing_tells_whether_the_machine_was_off_the_cause_is_unknown(machine: Machine):
    machine.says("tick", next={})
    machine.passes(10)
    machine.starts()
    detail = "it ended without a word, and nothing tells whether the machine was restarted"
    assert causes(coverage(machine)) == [(Cause.UNKNOWN, detail)]


# Since the last sign


def test_a_scheduler_that_lives_and_writes_nothing_is_stalled(machine: Machine):
    machine.starts()
    machine.passes(10)
    detail = "the scheduler is there and has written nothing since 2026-11-22T12:00:00.000Z"
    assert causes(coverage(machine, alive=True)) == [(Cause.STALLED, detail)]


@pytest.mark.parametrize(
    ("event", "fields", "detail"),
    [
        ("stopped", {}, "stopped on request"),
        ("shutdown", {"reason": "no jobs"}, "it ended by itself: no jobs"),
        ("watchdog_gave_up", {"cause": "crashed"}, "crashed; the watchdog gave up"),
        ("watchdog_restart", {"cause": "crashed"}, "crashed; the watchdog started it again"),
        ("journal_recovered", {}, "it ended without a word"),
    ],
)
def test_a_scheduler_that_does_not_live_is_down(machine: Machine, event: str, fields: dict, detail: str):
    machine.starts()
    machine.says(event, **fields)
    machine.passes(10)
    assert causes(coverage(machine, alive=False)) == [(Cause.SCHEDULER_DOWN, detail)]


def test_a_machine_on_another_boot_than_the_last_sign_was_off(machine: Machine):
    machine.starts()
    machine.is_off(10)
    detail = "the machine was restarted, and no scheduler was started since"
    assert causes(coverage(machine, alive=False)) == [(Cause.POWERED_OFF, detail)]


def test_without_a_boot_id_on_record_the_boot_clock_tells_that_the_machine_was_off(machine: Machine):
    machine.ticks()
    machine.is_off(10)
    assert [cause for cause, _ in causes(coverage(machine, alive=False))] == [Cause.POWERED_OFF]


def test_a_scheduler_that_was_stopped_before_the_machine_went_off_is_down(machine: Machine):
    machine.starts()
    machine.says("stopped")
    machine.is_off(10)
    assert causes(coverage(machine, alive=False)) == [(Cause.SCHEDULER_DOWN, "stopped on request")]


def test_where_nobody_can_look_whether_it_lives_the_cause_is_unknown(machine: Machine):
    machine.starts()
    machine.passes(10)
    assert causes(coverage(machine, alive=None)) == [(Cause.UNKNOWN, "it cannot be looked at")]


# Clocks that are set back


def test_after_a_clock_was_set_back_a_minute_that_comes_twice_counts_once(machine: Machine):
    machine.starts()
    machine.ticks(9)
    machine.is_set(-5)
    machine.ticks(10)
    found = coverage(machine)
    assert (counted(found), spans(found)) == ((15, 15), [])


def test_a_gap_in_a_time_that_the_clock_shows_again_is_found(machine: Machine):
    machine.starts()
    machine.is_set(-60)
    machine.ticks(4)
    machine.says("stopped")
    machine.passes(66)
    machine.starts(pid=200)
    found = coverage(machine)
    assert spans(found) == [("11:05", "12:00"), ("12:01", "12:10")]
    assert causes(found) == [(Cause.SCHEDULER_DOWN, "stopped on request")] * 2


def test_a_clock_that_was_ahead_and_set_right_leaves_no_gap_in_what_was_ticked_since(machine: Machine):
    machine.starts()
    machine.is_set(30)
    machine.ticks()
    machine.is_set(-31)
    machine.ticks(31)
    assert spans(coverage(machine)) == []


def test_a_gap_is_told_by_the_last_step_of_the_clock_over_it(machine: Machine):
    machine.starts()
    machine.is_set(180)
    machine.ticks()
    machine.is_set(-181)
    machine.ticks(30)
    machine.says("stopped")
    machine.passes(180)
    machine.starts(pid=200)
    assert set(causes(coverage(machine))) == {(Cause.SCHEDULER_DOWN, "stopped on request")}


def test_a_minute_in_which_the_clock_was_ahead_is_one_of_a_stepped_clock(machine: Machine):
    machine.starts()
    machine.is_set(60 * 24 * 365)
    machine.ticks()
    machine.is_set(-60 * 24 * 365)
    machine.ticks(3)
    found = coverage(machine)
    assert (counted(found), spans(found)) == ((4, 5), [("12:01", "12:02")])
    assert causes(found) == [(Cause.CLOCK_STEPPED, "the clock was set ahead by 8760.0 h")]


def test_words_stay_at_their_place_behind_a_sign_from_the_future(machine: Machine):
    machine.starts()
    machine.is_set(60 * 24)
    machine.ticks()
    machine.is_set(-60 * 24)
    machine.ticks()
    machine.says("stopped")
    machine.passes(10)
    machine.starts(pid=200)
    assert causes(coverage(machine, since="12:02")) == [(Cause.SCHEDULER_DOWN, "stopped on request")]


def test_before_anything_but_a_sign_from_the_future_no_minute_counts(machine: Machine):
    machine.starts()
    assert counted(coverage(machine, now="11:59:30")) == (0, 0)


# What holds for any signs

HAPPENINGS = ("passes", "sleeps", "is_set", "is_off", "starts", "ticks", "stopped", "journal_gap")
happenings = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(-40, 90)), max_size=25)


def told(story: list[tuple[str, int]]) -> tuple[Life, datetime]:
    """A life by such happenings, and the time at its end."""

    class Told(Machine):
        def __init__(self) -> None:
            self.now, self.mono, self.boot_s, self.boot = NOON, 50_000.0, 50_000.0, "boot-1"
            self.life = Life()

        def says(self, event: str, **fields: object) -> None:
            self.life.take({"event": event, "ts": clock.iso(self.now), **fields})

    machine = Told()
    for what, minutes in story:
        if what == "ticks":
            machine.passes(abs(minutes))
            machine.says("tick", mono=machine.mono, boot_s=machine.boot_s)
        elif what == "starts":
            machine.starts()
        elif hasattr(machine, what):
            getattr(machine, what)(minutes if what == "is_set" else abs(minutes))
        else:
            machine.says(what, reason="why")
    return machine.life, machine.now


@given(happenings, st.integers(-200, 200), st.sampled_from([True, False, None]), st.sampled_from([60.0, 30.0, 7.0]))
def test_each_minute_that_counts_is_covered_or_in_one_gap(story, since: int, alive: bool | None, tick_s: float):
    found_life, now = told(story)
    since_then = at(f"12:{since}")
    found = found_life.coverage(since_then, now, tick_s, Present(alive, "boot-1", 60_000.0))
    in_gaps = sum((gap.until - gap.since).total_seconds() / tick_s for gap in found.gaps)
    assert found.covered + in_gaps == found.minutes == (found.until - found.since).total_seconds() / tick_s
    assert all(before.until < after.since for before, after in zip(found.gaps, found.gaps[1:], strict=False))


@given(happenings, st.integers(0, 120))
def test_what_is_forgotten_changes_nothing_in_the_window_that_is_kept(story, minutes: int):
    found, now = told(story)
    since = at(f"12:{minutes}")
    before = found.coverage(since, now, 60.0, Present(True, "boot-1"))
    found.forget_before(since)
    after = found.coverage(since, now, 60.0, Present(True, "boot-1"))
    assert after == before


# What is remembered


def test_what_is_forgotten_is_gone_but_for_the_last_sign_before(machine: Machine):
    machine.starts()
    machine.ticks(9)
    found = life(machine)
    found.forget_before(at("12:05"))
    assert found.first() == at("12:04")


def test_the_words_before_a_gap_outlive_what_is_forgotten(machine: Machine):
    machine.starts()
    machine.ticks(9)
    machine.says("stopped")
    machine.passes(20)
    machine.starts(pid=200)
    found = life(machine)
    found.forget_before(at("12:15"))
    gaps = found.coverage(at("12:15"), machine.now, 60.0, Present(True, machine.boot)).gaps
    assert [gap.detail for gap in gaps] == ["stopped on request"]


def test_of_a_long_silence_the_last_sign_before_it_is_kept(machine: Machine):
    machine.starts()
    machine.ticks(9)
    found = life(machine)
    found.forget_before(at("36:00"))
    assert (found.first(), bool(found)) == (at("12:09"), True)


def test_the_scheduler_of_the_last_sign_started_when_it_says_so(machine: Machine):
    machine.starts(pid=7)
    machine.ticks(3)
    machine.starts(pid=7)
    machine.ticks(3)
    assert life(machine).started() == at("12:03")


def test_a_scheduler_whose_startup_is_not_on_record_started_nobody_knows_when(machine: Machine):
    machine.ticks(3)
    assert life(machine).started() is None


def test_an_entry_without_a_time_is_passed_over():
    found = Life()
    found.take({"event": "tick", "ts": "yesterday"})
    assert (bool(found), found.first()) == (False, None)
