"""What became of each slot that the schedule announced: kept, late, skipped, missed or broken."""

from pathlib import Path

import pytest
from msgspec import structs

from automations import clock
from automations.promises import EVENTS, UNSAID, Ledger, Promise, Promises, State
from tests.machine import Machine, at, made_home


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(made_home(tmp_path))
    made.starts()
    return made


def ledger(machine: Machine) -> Ledger:
    found = Ledger()
    for entry in machine.entries(EVENTS):
        found.take(entry)
    return found


def promises(machine: Machine, since: str = "00:00") -> Promises:
    return ledger(machine).promises(at(since))


def counts(machine: Machine, since: str = "00:00") -> dict[str, int]:
    """Of each state that there is, how many."""
    found = promises(machine, since)
    return {str(state): getattr(found, state) for state in State if getattr(found, state)}


def only(machine: Machine) -> tuple[State, str]:
    """The state of the one slot that was not kept, and its reason."""
    (found,) = promises(machine).not_kept
    return found.state, found.reason


def begins(machine: Machine, due: str, job: str = "a", **more: object) -> None:
    fields = {"job": job, "run_id": f"{job}/{due}", "due": clock.iso(at(due)), "attempt": 1, **more}
    machine.says("run_started", **fields)


def waits(machine: Machine, due: str, reason: str, until: str = "", **more: object) -> None:
    ends = clock.iso(at(until)) if until else None
    fields = {"job": "a", "due": clock.iso(at(due)), "until": ends, "attempt": 1, "reason": reason, **more}
    machine.says("run_waiting", **fields)


def skips(machine: Machine, due: str, until: str = "", outcome: str = "missed", **more: object) -> None:
    span = {"due": clock.iso(at(due)), "until": clock.iso(at(until or due)), "slots": 1}
    machine.says("run_skipped", **{"job": "a", **span, "outcome": outcome, "reason": "why", **more})


# Kept and late


def test_a_slot_whose_run_began_is_kept(machine: Machine):
    machine.ticks(5, a="12:05")
    begins(machine, "12:05")
    machine.ticks(3)
    assert (counts(machine), promises(machine).all_kept) == ({"kept": 1}, True)


def test_how_the_run_ended_does_not_matter(machine: Machine):
    machine.ticks(5, a="12:05")
    begins(machine, "12:05")
    machine.says("run_finished", job="a", run_id="a/12:05", due=clock.iso(at("12:05")), outcome="failed")
    machine.ticks(3)
    assert counts(machine) == {"kept": 1}


def test_a_slot_on_record_counts_although_no_tick_had_room_for_it(machine: Machine):
    begins(machine, "12:00")
    assert counts(machine) == {"kept": 1}


@pytest.mark.parametrize(("seconds", "state"), [(0, "kept"), (60, "kept"), (61, "late")])
def test_a_run_that_began_more_than_a_minute_after_its_slot_is_late(machine: Machine, seconds: int, state: str):
    machine.passes(seconds / 60)
    begins(machine, "12:00")
    assert counts(machine) == {state: 1}


@pytest.mark.parametrize(("minutes", "reason"), [(2, "2 min late"), (119, "119 min late"), (150, "2.5 h late")])
def test_a_late_slot_tells_how_late(machine: Machine, minutes: int, reason: str):
    machine.passes(minutes)
    begins(machine, "12:00")
    assert only(machine) == (State.LATE, reason)


def test_a_run_by_hand_keeps_no_promise(machine: Machine):
    machine.says("run_started", job="a", run_id="a/now", due=None, attempt=1)
    assert counts(machine) == {}


def test_a_run_that_began_while_the_clock_was_set_back_is_not_late(machine: Machine):
    machine.is_set(-30)
    begins(machine, "12:00")
    assert counts(machine) == {"kept": 1}


# Waiting


def test_jitter_is_no_delay(machine: Machine):
    waits(machine, "12:00", "jitter", until="12:10")
    machine.ticks(10)
    begins(machine, "12:00")
    assert counts(machine) == {"kept": 1}


def test_a_run_that_began_later_than_its_jitter_is_late(machine: Machine):
    waits(machine, "12:00", "jitter", until="12:10")
    machine.ticks(15)
    begins(machine, "12:00")
    assert only(machine) == (State.LATE, "5 min late")


def test_a_slot_that_waits_for_its_jitter_breaks_no_promise(machine: Machine):
    waits(machine, "12:00", "jitter", until="12:10")
    machine.ticks(10, a="36:00")
    assert counts(machine) == {"kept": 1}


def test_a_slot_that_waits_longer_than_its_jitter_is_late(machine: Machine):
    waits(machine, "12:00", "jitter", until="12:10")
    machine.ticks(11)
    assert only(machine) == (State.LATE, "waits longer than its jitter")


@pytest.mark.parametrize("reason", ["a is still running", "another job of its group runs"])
def test_a_slot_that_waits_for_anything_else_is_late(machine: Machine, reason: str):
    waits(machine, "12:00", reason)
    assert only(machine) == (State.LATE, f"waits: {reason}")


def test_a_slot_that_waited_less_than_a_minute_is_kept(machine: Machine):
    waits(machine, "12:00", "a is still running")
    machine.passes(0.5)
    begins(machine, "12:00")
    assert counts(machine) == {"kept": 1}


def test_a_slot_that_waited_in_vain_is_missed(machine: Machine):
    waits(machine, "12:00", "jitter", until="12:01")
    machine.ticks(5)
    skips(machine, "12:00", reason="waited longer than its grace")
    machine.ticks(5)
    assert only(machine) == (State.MISSED, "waited longer than its grace")


# Retries


def test_a_retry_does_not_make_a_kept_slot_late(machine: Machine):
    begins(machine, "12:00")
    machine.ticks(30)
    begins(machine, "12:00", attempt=2)
    assert counts(machine) == {"kept": 1}


def test_a_retry_that_did_not_begin_takes_nothing_from_a_kept_slot(machine: Machine):
    begins(machine, "12:00")
    machine.ticks(30)
    skips(machine, "12:00", outcome="failed", attempt=2)
    assert counts(machine) == {"kept": 1}


# Skipped and missed


@pytest.mark.parametrize("outcome", ["skipped", "missed"])
def test_what_is_on_record_as_skipped_or_missed_is_that_with_its_reason(machine: Machine, outcome: str):
    skips(machine, "12:00", outcome=outcome, reason="paused until it is resumed")
    assert only(machine) == (State(outcome), "paused until it is resumed")


def test_a_range_counts_slot_by_slot(machine: Machine):
    machine.passes(60)
    skips(machine, "12:00", until="12:40", slots=5)
    assert counts(machine) == {"missed": 5}


def test_a_slot_within_a_range_is_on_record(machine: Machine):
    machine.ticks(5, a="12:10")
    machine.passes(30)
    skips(machine, "12:00", until="12:20", slots=3)
    machine.ticks(3)
    assert counts(machine) == {"missed": 3}


def test_a_range_of_another_job_puts_nothing_on_record(machine: Machine):
    machine.ticks(5, a="12:10")
    machine.passes(30)
    skips(machine, "12:00", until="12:20", slots=3, job="b")
    machine.ticks(3)
    assert counts(machine) == {"missed": 3, "broken": 1}


def test_a_range_that_reaches_into_the_time_asked_about_counts(machine: Machine):
    machine.passes(60)
    skips(machine, "12:00", until="12:50", slots=6)
    assert (counts(machine, since="12:50"), counts(machine, since="12:51")) == ({"missed": 6}, {})


# Broken


def test_a_slot_that_was_announced_due_and_passed_without_a_word_is_broken(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.ticks(2, a="36:05")
    assert promises(machine).not_kept == (Promise("a", at("12:05"), State.BROKEN, UNSAID),)


def test_a_slot_is_not_broken_by_the_first_tick_after_it_which_is_written_before_the_slot_is_decided(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.sleeps(60)
    machine.ticks(1, a="12:05")
    assert counts(machine) == {}


def test_a_slot_that_was_announced_and_is_not_due_yet_is_no_promise(machine: Machine):
    machine.ticks(9, a="12:30")
    assert counts(machine) == {}


def test_a_slot_that_no_later_tick_has_passed_is_no_promise(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.says("stopped")
    machine.passes(600)
    assert counts(machine) == {}


def test_each_slot_of_a_job_is_a_promise_of_its_own(machine: Machine):
    for minute in range(1, 6):
        machine.ticks(1, a=f"12:0{minute}")
        if minute != 3:
            begins(machine, f"12:0{minute}")
    machine.ticks(2, a="36:00")
    assert counts(machine) == {"kept": 4, "broken": 1}


def test_a_slot_between_two_ticks_is_passed_like_any_other(machine: Machine):
    machine.ticks(1, a="12:01:30")
    machine.ticks(2, a="36:00")
    assert counts(machine) == {"broken": 1}


def test_a_broken_promise_that_is_put_on_record_later_is_not_broken(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.ticks(5)
    begins(machine, "12:05")
    assert only(machine) == (State.LATE, "4 min late")


def test_a_run_that_began_and_was_never_recorded_is_broken(machine: Machine):
    skips(machine, "12:00", outcome="abandoned", reason="it began; what became of it could not be written")
    assert only(machine) == (State.BROKEN, "it began; what became of it could not be written")


@pytest.mark.parametrize("lost", ["12:00", "12:20"])
def test_a_lost_run_at_the_edge_of_a_missed_range_is_told_beside_it(machine: Machine, lost: str):
    machine.passes(60)
    skips(machine, lost, outcome="abandoned")
    skips(machine, "12:00", until="12:20", slots=2)
    assert counts(machine) == {"missed": 2, "broken": 1}


# Other job files, and starts


def test_a_slot_of_a_job_file_that_is_no_longer_in_force_is_no_promise(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.says("config_loaded", config="c2", jobs=1)
    machine.ticks(9)
    assert counts(machine) == {}


def test_a_job_file_that_was_loaded_again_as_it_was_changes_no_promise(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.says("config_loaded", config="c1", jobs=1)
    machine.ticks(9)
    assert counts(machine) == {"broken": 1}


def test_another_job_file_leaves_what_was_passed_before_it(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.ticks(3)
    machine.says("config_loaded", config="c2", jobs=1)
    assert counts(machine) == {"broken": 1}


def test_what_was_announced_is_owed_beyond_a_start_with_the_same_job_file(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.passes(30)
    machine.starts(pid=200)
    machine.ticks(1)
    assert counts(machine) == {"broken": 1}


def test_what_was_announced_is_not_owed_beyond_a_start_with_another_job_file(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.passes(30)
    machine.starts(pid=200, config="c2")
    machine.ticks(3)
    assert counts(machine) == {}


def test_a_start_that_decides_what_was_missed_breaks_nothing(machine: Machine):
    machine.ticks(4, a="12:05")
    machine.passes(30)
    machine.starts(pid=200)
    skips(machine, "12:05")
    machine.ticks(3)
    assert counts(machine) == {"missed": 1}


# What is asked for


def test_a_slot_before_the_time_asked_about_does_not_count(machine: Machine):
    machine.ticks(4, b="12:05")
    machine.ticks(3)
    begins(machine, "12:00")
    assert (counts(machine, since="12:05"), counts(machine, since="12:06")) == ({"broken": 1}, {})


def test_those_that_were_not_kept_come_newest_first_and_no_more_than_asked_for(machine: Machine):
    machine.passes(60)
    for minute in ("12:01", "12:03", "12:02"):
        skips(machine, minute)
    found = ledger(machine).promises(at("12:00"), most=2)
    assert ([one.due for one in found.not_kept], found.missed) == ([at("12:03"), at("12:02")], 3)


def test_what_is_forgotten_does_not_count_and_what_is_kept_counts_as_before(machine: Machine):
    machine.ticks(2, a="12:01", b="12:02")
    machine.ticks(4, c="12:07", e="12:07")
    machine.ticks(3)
    begins(machine, "12:02", job="d")
    skips(machine, "12:00", until="12:08", slots=5, job="e")
    found = ledger(machine)
    before = found.promises(at("12:05"))
    found.forget_before(at("12:05"))
    after = found.promises(at("12:05"))
    assert (after, found.promises(at("00:00"))) == (before, structs.replace(before, since=at("00:00")))
    assert (after.broken, after.missed) == (1, 5)


def test_what_was_announced_before_something_was_forgotten_can_still_be_broken(machine: Machine):
    machine.ticks(4, a="12:05")
    found = ledger(machine)
    found.forget_before(at("12:04"))
    machine.ticks(3)
    for entry in machine.entries(EVENTS)[5:]:
        found.take(entry)
    assert found.promises(at("12:00")).broken == 1


def test_a_range_that_is_partly_forgotten_still_puts_its_slots_on_record(machine: Machine):
    machine.ticks(4, a="12:07")
    skips(machine, "12:00", until="12:08", slots=5)
    found = ledger(machine)
    found.forget_before(at("12:05"))
    machine.ticks(5)
    for entry in machine.entries(EVENTS)[6:]:
        found.take(entry)
    assert found.promises(at("12:05")).broken == 0


def test_an_entry_that_makes_no_sense_is_passed_over():
    found = Ledger()
    noon = clock.iso(at("12:00"))
    for entry in (
        {"event": "tick", "ts": "yesterday"},
        {"event": "tick", "ts": noon, "next": "soon"},
        {"event": "tick", "ts": noon, "next": {"a": 5, "b": "later"}},
        {"event": "run_started", "ts": noon, "job": "a", "due": "2026-11-22"},
    ):
        found.take(entry)
    assert found.promises(at("00:00")) == Promises(at("00:00"), 0, 0, 0, 0, 0, ())


@pytest.mark.parametrize("slots", [None, 0, -3, True, "many"])
def test_a_count_that_makes_no_sense_is_one_slot(machine: Machine, slots: object):
    skips(machine, "12:00", slots=slots)
    assert counts(machine) == {"missed": 1}
