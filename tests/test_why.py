"""Why did a job run, or not run, at a moment? One sentence, and the entries that prove it."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from automations import clock, config, coverage, why
from automations.coverage import Life, Present
from automations.model import Job
from automations.pause import Pause
from automations.why import Answer, Question, explain, slot_before
from tests.machine import NOON, Machine, at, made_home


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(made_home(tmp_path))
    made.starts()
    return made


@pytest.fixture(autouse=True)
def local_time_is_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def job(keys: str = 'schedule = "5 * * * *"') -> Job:
    text = f'[jobs.a]\ncommand = "true"\n{keys}\n'
    return config.parse(text.encode(), "automations.toml", "/home/user", "/opt/project").jobs["a"]


HOURLY = job()


def answer(
    machine: Machine, asked_at: str, rule: Job = HOURLY, pause: Pause | None = None, alive: bool = True
) -> Answer:
    entries = machine.entries(coverage.EVENTS | why.EVENTS)
    life = Life()
    for entry in entries:
        life.take(entry)
    covered = life.coverage(at("00:00"), machine.now, 60.0, Present(alive, machine.boot, machine.boot_s))
    asked = Question(rule, at(asked_at), machine.now, covered, pause)
    told = [entry for entry in entries if str(entry["event"]).encode() in why.EVENTS]
    return explain(asked, slot_before(rule, at(asked_at)), told)


def sentence(machine: Machine, asked_at: str = "12:10", **more: object) -> str:
    """What is said of the slot of 12:05, without its head and without what comes next."""
    found = answer(machine, asked_at, **more).sentence
    head, tail = "a, due Sun 22 Nov 12:05:00: ", ". Next: "
    assert (found[: len(head)], tail in found) == (head, True)
    return found[len(head) : found.rindex(tail)]


def proof(found: Answer) -> list[object]:
    return [entry["event"] for entry in found.proof]


def says(machine: Machine, event: str, due: str = "12:05", **more: object) -> None:
    machine.says(event, **{"job": "a", "due": clock.iso(at(due)), "attempt": 1, **more})


def runs(machine: Machine, outcome: str = "succeeded", minutes: float = 1, **more: object) -> None:
    """A run of the slot of 12:05, from now on."""
    says(machine, "run_started", **{name: value for name, value in more.items() if name == "attempt"})
    machine.passes(minutes)
    says(machine, "run_finished", **{"outcome": outcome, "exit": 0, "duration_s": minutes * 60, **more})


def skips(machine: Machine, until: str = "12:05", **more: object) -> None:
    says(machine, "run_skipped", **{"until": clock.iso(at(until)), "outcome": "missed", "reason": "why", **more})


# Which slot it is about


@pytest.mark.parametrize(
    ("keys", "moment", "due"),
    [
        ('schedule = "5 * * * *"', "12:05", "12:05"),
        ('schedule = "5 * * * *"', "12:04:59", "11:05"),
        ('schedule = "0 8 * * *"', "07:59", "-16:00"),
        ('every = "1s"', "12:00:00.5", "12:00"),
    ],
)
def test_the_question_is_about_the_last_slot_at_or_before_the_moment(keys: str, moment: str, due: str):
    assert slot_before(job(keys), at(moment)) == at(due)


def test_a_slot_of_a_year_ago_is_found():
    assert slot_before(job('schedule = "0 0 23 11 *"'), NOON) == datetime(2025, 11, 23, tzinfo=NOON.tzinfo)


def test_a_job_without_a_slot_by_the_clock_has_none_before():
    assert slot_before(job('schedule = "@reboot"'), NOON) is None


def test_the_answer_names_the_job_and_the_slot(machine: Machine):
    found = answer(machine, "12:10")
    assert (found.job, found.due, found.sentence[:28]) == ("a", at("12:05"), "a, due Sun 22 Nov 12:05:00: ")


# What the journal says of it


def test_a_run_that_succeeded_is_told_with_how_long_it_took(machine: Machine):
    machine.ticks(5)
    runs(machine, minutes=2)
    assert sentence(machine) == "it ran on time and succeeded in 2 min 0 s"


@pytest.mark.parametrize(
    ("more", "how"),
    [
        ({"outcome": "failed", "exit": 3}, "failed after 1 min 0 s: exit 3"),
        (
            {"outcome": "timed_out", "reason": "longer than its timeout"},
            "timed out after 1 min 0 s: longer than its timeout",
        ),
        ({"outcome": "abandoned", "exit": None, "duration_s": None}, "abandoned after –: no exit status"),
    ],
)
def test_a_run_that_did_not_succeed_is_told_with_its_reason(machine: Machine, more: dict[str, object], how: str):
    machine.ticks(5)
    runs(machine, **more)
    assert sentence(machine) == f"it ran on time and {how}"


def test_a_run_that_began_late_is_told_with_how_late(machine: Machine):
    machine.ticks(10)
    runs(machine)
    assert sentence(machine) == "it ran 5 min 0 s late and succeeded in 1 min 0 s"


def test_jitter_is_no_delay(machine: Machine):
    machine.ticks(5)
    says(machine, "run_waiting", reason="jitter", until=clock.iso(at("12:09")))
    machine.ticks(4)
    runs(machine)
    assert sentence(machine).startswith("it ran on time and succeeded")


def test_a_run_that_has_not_ended_is_told_as_such(machine: Machine):
    machine.ticks(5)
    says(machine, "run_started")
    assert sentence(machine) == "it began on time and has not ended yet"


def test_a_run_whose_beginning_is_not_at_hand_is_told_by_its_end(machine: Machine):
    machine.ticks(5)
    says(machine, "run_finished", outcome="succeeded", duration_s=5)
    assert sentence(machine) == "it succeeded in 5.0 s"


def test_a_retry_to_come_is_told(machine: Machine):
    machine.ticks(5)
    runs(machine, "failed", exit=1, retry_at=clock.iso(at("12:30")))
    told = "it ran on time and failed after 1 min 0 s: exit 1; the next attempt is due Sun 22 Nov 12:30:00"
    assert sentence(machine) == told


def test_of_several_attempts_the_last_is_told_with_its_number(machine: Machine):
    machine.ticks(5)
    runs(machine, "failed", exit=1, retry_at=clock.iso(at("12:08")))
    runs(machine, attempt=2)
    assert sentence(machine) == "it ran on time and succeeded in 1 min 0 s in attempt 2"


def test_an_attempt_that_did_not_begin_is_not_told_as_a_slot_that_did_not_run(machine: Machine):
    machine.ticks(5)
    runs(machine, "failed", exit=1, retry_at=clock.iso(at("12:08")))
    skips(machine, outcome="failed", attempt=2, reason="attempt 2 did not begin: paused until it is resumed")
    assert sentence(machine) == "it ended as failed: attempt 2 did not begin: paused until it is resumed"


def test_a_slot_that_waits_is_told_with_what_for(machine: Machine):
    machine.ticks(5)
    says(machine, "run_waiting", reason="a is still running")
    assert sentence(machine) == "it waits: a is still running"


def test_a_slot_that_did_not_run_is_told_with_its_reason(machine: Machine):
    machine.ticks(9)
    skips(machine, outcome="skipped", reason="paused until it is resumed")
    assert sentence(machine) == "it did not run: skipped, because paused until it is resumed"


def test_a_slot_that_was_missed_in_a_gap_is_told_with_the_gap(machine: Machine):
    machine.ticks(2)
    machine.sleeps(27)
    machine.ticks()
    skips(machine, reason="25 min late; its grace is 1 min")
    told = "it did not run: missed, because 25 min late; its grace is 1 min; "
    told += "asleep: the machine slept for 27 min (Sun 22 Nov 12:03:00 to Sun 22 Nov 12:30:00)"
    assert sentence(machine) == told


def test_a_slot_within_a_range_is_told_by_the_range(machine: Machine):
    machine.ticks(5)
    machine.passes(300)
    machine.ticks()
    skips(machine, until="16:05", slots=5)
    assert answer(machine, "14:10").sentence.startswith("a, due Sun 22 Nov 14:05:00: it did not run: missed")


def test_what_is_said_of_this_very_slot_counts_more_than_a_range_around_it(machine: Machine):
    machine.ticks(9)
    skips(machine, outcome="abandoned", reason="it began; what became of it could not be written")
    skips(machine, until="16:05", slots=4)
    assert sentence(machine) == "it ended as abandoned: it began; what became of it could not be written"


def test_another_slot_and_another_job_say_nothing_of_it(machine: Machine):
    machine.ticks(9)
    says(machine, "run_started", due="11:05")
    says(machine, "run_started", job="b")
    skips(machine, job="b", until="16:05")
    skips(machine, due="13:05", until="16:05")
    assert sentence(machine).startswith("the journal says nothing of it")


# Where the journal says nothing


def test_a_slot_to_come_is_not_due_yet(machine: Machine):
    machine.ticks(2)
    assert sentence(machine, "12:05") == "it is not due yet"


def test_a_slot_of_this_minute_is_due_just_now(machine: Machine):
    machine.ticks(5)
    assert sentence(machine) == "it is due just now"


def test_a_slot_since_which_nobody_lived_is_not_decided_yet(machine: Machine):
    machine.ticks(2)
    machine.says("stopped")
    machine.passes(30)
    told = "nothing is decided yet: scheduler down: stopped on request; the next start of the scheduler decides it"
    assert sentence(machine, alive=False) == told


def test_a_slot_in_a_gap_that_has_ended_should_have_been_decided(machine: Machine):
    machine.ticks(2)
    machine.passes(8)
    machine.says("journal_gap", lost={"tick": 8}, reason="No space left on device")
    machine.ticks(3)
    assert sentence(machine) == "the journal says nothing of it; unrecorded: No space left on device"


def test_a_slot_of_a_covered_time_that_nothing_is_said_of_is_no_guess(machine: Machine):
    machine.ticks(9)
    told = "the journal says nothing of it: the job was not in the job file then, or its promise is broken"
    assert sentence(machine) == told


def test_a_disabled_job_is_told_as_such(machine: Machine):
    machine.ticks(9)
    disabled = job('schedule = "5 * * * *"\nenabled = false')
    assert answer(machine, "12:10", disabled) == Answer("a", at("12:05"), "a is disabled in automations.toml")


def test_what_a_job_did_before_it_was_disabled_is_told(machine: Machine):
    machine.ticks(5)
    runs(machine)
    found = answer(machine, "12:10", job('schedule = "5 * * * *"\nenabled = false')).sentence
    assert found.endswith("it ran on time and succeeded in 1 min 0 s. It is disabled in automations.toml")


def test_a_job_that_only_runs_at_the_start_says_so(machine: Machine):
    found = answer(machine, "12:10", job('schedule = "@reboot"'))
    assert (found.due, found.sentence) == (None, "a is due at each start of the scheduler, and not by the clock")


def test_a_job_without_a_slot_before_the_moment_says_so(machine: Machine):
    found = answer(machine, "12:10", job('schedule = "0 0 29 2 *"'))
    assert found.sentence == "a had no slot before Sun 22 Nov 12:10:00. Next: Tue 29 Feb 00:00:00"


# What comes next


@pytest.mark.parametrize(
    ("until", "note", "told"),
    [
        (None, "", ". It is paused until it is resumed"),
        (NOON + timedelta(days=1), "holidays", ". It is paused until Mon 23 Nov 12:00:00 (holidays)"),
        (NOON - timedelta(days=1), "", ". Next: Sun 22 Nov 13:05:00"),
    ],
)
def test_a_pause_that_covers_now_is_told_in_place_of_the_next_slot(
    machine: Machine, until: datetime | None, note: str, told: str
):
    machine.ticks(9)
    assert answer(machine, "12:10", pause=Pause(NOON, until, note)).sentence.endswith(told)


# The proof


def test_a_run_is_proved_by_its_own_entries(machine: Machine):
    machine.ticks(5)
    runs(machine)
    assert proof(answer(machine, "12:10")) == ["run_started", "run_finished"]


def test_a_slot_in_a_gap_is_proved_by_what_was_said_of_the_scheduler_too(machine: Machine):
    machine.ticks(2)
    machine.says("stopped")
    machine.passes(30)
    machine.starts(pid=200)
    skips(machine)
    assert proof(answer(machine, "12:10")) == ["startup", "stopped", "startup", "run_skipped"]


def test_silence_is_proved_by_what_was_said_around_it_in_the_order_of_its_writing(machine: Machine):
    machine.says("job_paused", job="a")
    machine.says("job_paused", job="b")
    machine.says("config_loaded", config="c2")
    machine.says("job_resumed", job="a")
    machine.ticks(9)
    assert proof(answer(machine, "12:10")) == ["startup", "job_paused", "config_loaded", "job_resumed"]


def test_of_a_long_proof_the_last_entries_are_shown(machine: Machine):
    for _ in range(20):
        machine.says("config_loaded", config="c2")
    machine.ticks(9)
    assert len(answer(machine, "12:10").proof) == why.MOST_PROOF
