"""One sentence about all of it: the worst first and alone."""

from datetime import timedelta
from pathlib import Path

import pytest

from automations.coverage import Cause, Coverage, Gap
from automations.promises import Promise, Promises
from automations.promises import State as Kept
from automations.verdict import EVENTS, End, Ends, Facts, Level, Verdict, counts, judge
from automations.vitals import State, Vitals
from tests.machine import NOON, Machine, at, made_home

RUNNING = Vitals(State.RUNNING, 100, want="up")
FULL = Coverage(at("12:00"), at("12:10"), 10, 10, ())
AWAY = Coverage(at("12:00"), at("12:10"), 10, 7, (Gap(at("12:02"), at("12:05"), Cause.POWERED_OFF, ""),))
MISSED = Promise("a", NOON, Kept.MISSED, "why")
BROKEN = Promise("a", NOON, Kept.BROKEN, "why")
FAILED = End(NOON, "backup", "failed", "exit 3")


def kept(*not_kept: Promise, **more: int) -> Promises:
    """24 slots that were kept, and these."""
    found = {str(state): sum(one.slots for one in not_kept if one.state is state) for state in Kept}
    return Promises(NOON, **{**found, "kept": 24, **more}, not_kept=not_kept)


def facts(**other: object) -> Facts:
    """All is well, but for what is said otherwise."""
    well = Facts(RUNNING, FULL, kept(), [], ["backup", "brief"], [], 0)
    return well._replace(**other)


def ends(*outcomes: str, job: str = "backup", how: str = "exit 3") -> list[End]:
    """One run after the other."""
    return [End(NOON + timedelta(minutes=n), job, outcome, how) for n, outcome in enumerate(outcomes)]


def told(**other: object) -> tuple[str, str]:
    found = judge(facts(**other))
    return found.level, found.text


# The ladder

WORST_FIRST = [
    ({"vitals": Vitals(State.DEAD)}, "bad", "Dead: "),
    ({"journal_breaks": 2}, "bad", "2 lines of the journal do not hold"),
    ({"promises": kept(MISSED, BROKEN)}, "bad", "1 promise broken: a"),
    ({"ends": [FAILED]}, "bad", "backup failed: exit 3"),
    ({"faults": ["jobs.a: bad"]}, "warn", "The job file is refused"),
    ({"promises": kept(MISSED)}, "warn", "1 missed of 25 slots"),
    ({"coverage": AWAY}, "warn", "Every promise kept; away for 3 min of 24 h: powered off"),
    ({}, "good", "All 2 jobs kept their promises"),
]


@pytest.mark.parametrize("rung", range(len(WORST_FIRST)))
def test_the_worst_comes_first_and_alone(rung: int):
    below = {name: value for other, _, _ in reversed(WORST_FIRST[rung:]) for name, value in other.items()}
    _, level, beginning = WORST_FIRST[rung]
    found = judge(facts(**below))
    assert (found.level, found.text[: len(beginning)]) == (level, beginning)


# How it is


@pytest.mark.parametrize(
    ("vitals", "level", "text"),
    [
        (Vitals(State.NEVER_STARTED), "warn", "Never started here: nothing runs until it is started"),
        (Vitals(State.STOPPED), "warn", "Stopped on request: nothing will run until it is started"),
        (
            Vitals(State.STOPPED, want="up"),
            "bad",
            "It ended although it is wanted: nothing runs until it is started",
        ),
        (
            Vitals(State.DEAD, want="up"),
            "bad",
            "Dead: it was not stopped, and nothing runs; start it, then look into scheduler.out",
        ),
        (
            Vitals(State.STALLED, reason="no tick for 200 s"),
            "bad",
            "It lives and does nothing: no tick for 200 s; the watchdog should replace it",
        ),
        (Vitals(State.UNREADABLE, reason="logs: denied"), "bad", "No permission to look: logs: denied"),
    ],
)
def test_each_state_but_running_is_told(vitals: Vitals, level: str, text: str):
    assert told(vitals=vitals) == (level, text)


# The journal and the promises


def test_a_line_that_does_not_hold_asks_for_the_verifier():
    text = "1 line of the journal does not hold: changed, missing or put in by something else; next: make verify"
    assert told(journal_breaks=1) == ("bad", text)


def test_broken_promises_are_told_with_the_names_of_their_jobs():
    broken = [Promise(job, NOON, Kept.BROKEN) for job in ("d", "b", "a", "c", "a")]
    assert told(promises=kept(*broken)) == ("bad", "5 promises broken: a, b, c and 1 more")


def test_a_broken_promise_whose_name_is_not_at_hand_is_told_all_the_same():
    assert told(promises=kept(broken=2)) == ("bad", "2 promises broken")


def test_slots_that_were_not_kept_are_counted_slot_by_slot():
    not_kept = [Promise("a", NOON, Kept.MISSED, "", 3), Promise("b", NOON, Kept.LATE), Promise("c", NOON, Kept.SKIPPED)]
    assert told(promises=kept(*not_kept)) == ("warn", "3 missed, 1 skipped, 1 late of 29 slots in 24 h")


def test_counts_have_a_number_for_each_state():
    assert counts(kept(MISSED)) == {"kept": 24, "late": 0, "skipped": 0, "missed": 1, "broken": 0}


def test_time_away_is_told_with_its_causes():
    gaps = (
        Gap(at("12:00"), at("15:00"), Cause.SCHEDULER_DOWN, ""),
        Gap(at("16:00"), at("16:30"), Cause.ASLEEP, ""),
        Gap(at("17:00"), at("17:30"), Cause.ASLEEP, ""),
    )
    away = Coverage(at("12:00"), at("18:00"), 360, 120, gaps)
    assert told(coverage=away) == ("warn", "Every promise kept; away for 4.0 h of 24 h: asleep, scheduler down")


# Failures


@pytest.mark.parametrize("outcome", ["failed", "timed_out", "abandoned"])
def test_a_job_that_fails_is_told_with_how_often_and_its_likely_cause(outcome: str):
    text = "backup failed 2×, likely one cause: exit 3"
    assert told(ends=ends("succeeded", outcome, outcome)) == ("bad", text)


def test_one_failure_is_told_with_how_it_ended():
    assert told(ends=[FAILED]) == ("bad", "backup failed: exit 3")


def test_failures_that_all_ended_the_same_way_have_one_likely_cause():
    both = [*ends("failed", how="no process"), *ends("failed", job="sync", how="no process")]
    assert told(ends=both) == ("bad", "backup failed 1×, sync failed 1×, likely one cause: no process")


def test_failures_that_ended_in_different_ways_have_no_one_cause():
    both = [*ends("failed", how="exit 1"), *ends("failed", job="sync", how="exit 2")]
    assert told(ends=both) == ("bad", "backup failed 1×, sync failed 1×")


def test_a_failure_that_was_followed_by_a_success_is_told_as_mended():
    assert told(ends=ends("failed", "failed", "succeeded")) == ("warn", "backup failed 2×, and succeeded since")


def test_a_success_before_a_failure_mends_nothing():
    assert told(ends=ends("succeeded", "failed"))[0] == "bad"


def test_a_success_of_another_job_mends_nothing():
    assert told(ends=[*ends("failed"), *ends("succeeded", job="sync")])[0] == "bad"


def test_a_run_that_was_stopped_mends_nothing():
    assert told(ends=ends("failed", "stopped")) == ("bad", "backup failed: exit 3")


def test_a_mended_failure_is_not_told_beside_one_that_is_not():
    both = [*ends("failed", "succeeded"), *ends("failed", job="sync", how="timeout")]
    assert told(ends=both) == ("bad", "sync failed: timeout")


def test_runs_that_succeeded_or_were_stopped_are_no_trouble():
    assert told(ends=ends("succeeded", "stopped"))[0] == "good"


# The job file


def test_a_refused_job_file_is_told_with_its_first_fault_and_the_number_of_others():
    text = "The job file is refused, the last good one is in force: jobs.a: bad (and 2 more)"
    assert told(faults=["jobs.a: bad", "jobs.b: bad", "jobs.c: bad"]) == ("warn", text)


# All is well


@pytest.mark.parametrize(
    ("jobs", "promises", "level", "text"),
    [
        (["b", "a"], kept(), "good", "All 2 jobs kept their promises in the last 24 h"),
        (["a"], kept(), "good", "a kept its promises in the last 24 h"),
        (["a"], kept(kept=0), "good", "All is well; no slot was due in the last 24 h"),
        ([], kept(), "warn", "No jobs: add some to automations.toml"),
    ],
)
def test_that_all_is_well_is_told_of_what_there_is(jobs: list[str], promises: Promises, level: str, text: str):
    assert judge(facts(jobs=jobs, promises=promises)) == Verdict(Level(level), text)


# How runs ended, from the journal


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(made_home(tmp_path))


def read(machine: Machine) -> Ends:
    found = Ends()
    for entry in machine.entries(EVENTS):
        found.take(entry)
    return found


def finishes(machine: Machine, outcome: str = "failed", **more: object) -> None:
    machine.says("run_finished", job="a", outcome=outcome, **more)


@pytest.mark.parametrize(
    ("outcome", "more", "how"),
    [
        ("failed", {"exit": 3}, "exit 3"),
        ("failed", {"exit": -9}, "signal 9"),
        ("failed", {"exit": None, "reason": "no process"}, "no process"),
        ("failed", {"exit": None}, "no exit status"),
        ("timed_out", {"exit": -15, "reason": "longer than its timeout"}, "timeout"),
        ("succeeded", {"exit": 0}, "exit 0"),
    ],
)
def test_a_run_ended_in_one_of_these_ways(machine: Machine, outcome: str, more: dict[str, object], how: str):
    finishes(machine, outcome, **more)
    assert read(machine).since(NOON) == [End(NOON, "a", outcome, how)]


def test_a_run_that_will_be_tried_again_has_not_ended_its_slot(machine: Machine):
    finishes(machine, exit=1, retry_at="2026-11-22T12:01:00.000Z")
    assert read(machine).since(NOON) == []


@pytest.mark.parametrize(("outcome", "count"), [("failed", 1), ("abandoned", 1), ("skipped", 0), ("missed", 0)])
def test_a_slot_without_a_run_is_an_end_when_it_is_trouble(machine: Machine, outcome: str, count: int):
    machine.says("run_skipped", job="a", outcome=outcome, reason="why")
    assert len(read(machine).since(NOON)) == count


def test_only_what_ended_since_then_is_told(machine: Machine):
    finishes(machine)
    machine.passes(5)
    finishes(machine)
    assert [end.at for end in read(machine).since(at("12:05"))] == [at("12:05")]


def test_what_is_forgotten_is_not_told(machine: Machine):
    finishes(machine)
    machine.passes(5)
    finishes(machine)
    found = read(machine)
    found.forget_before(at("12:05"))
    assert len(found.since(NOON)) == 1


def test_an_entry_without_a_time_is_passed_over():
    found = Ends()
    found.take({"event": "run_finished", "ts": "yesterday", "job": "a", "outcome": "failed"})
    assert found.since(NOON) == []
