"""Keeping up with one home: what a look reads, what it says, and what it does when files come, go and break."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from automations import clock, locks
from automations.coverage import Cause
from automations.digest import short_hash
from automations.errors import UnknownJob
from automations.history import Row
from automations.journal import Entry, Journal, encode
from automations.locks import Lock
from automations.observer import FIRST_BYTES, Observer
from automations.overview import HostView, Overview, Record
from automations.paths import Paths
from automations.reading import BLOCK_BYTES, JournalFile
from automations.vitals import State
from tests.machine import Machine, at, made_home

JOBS = '[jobs.a]\nschedule = "5 * * * *"\ncommand = "true"\n'
PAD = {"pad" + "x" * 50 + str(n): "36:00" for n in range(20)}  # 24 hours of such ticks are three mebibytes


@pytest.fixture(autouse=True)
def usual_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOMATIONS_TICK_S", raising=False)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = made_home(tmp_path)
    Path(made.config).write_text(JOBS)
    return made


@pytest.fixture
def machine(paths: Paths) -> Machine:
    made = Machine(paths)
    made.boot = locks.boot_id()
    made.starts()
    made.ticks(9)
    return made


@pytest.fixture
def busy(paths: Paths) -> Machine:
    """36 hours of long ticks."""
    made = Machine(paths)
    made.ticks(36 * 60, **PAD)
    return made


@pytest.fixture
def lives(paths: Paths) -> Iterator[Lock]:
    """A scheduler that lives: this process holds its lock."""
    lock = Lock(paths.log("scheduler.lock"))
    lock.acquire()
    lock.sign()
    yield lock
    lock.release()


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much is read of the journal."""
    found: list[int] = []
    really = JournalFile.read

    def counting(file: JournalFile, start: int, limit: int) -> bytes:
        content = really(file, start, limit)
        found.append(len(content))
        return content

    monkeypatch.setattr(JournalFile, "read", counting)
    return found


def look(machine: Machine, observer: Observer | None = None) -> Overview:
    return (observer or Observer(machine.paths)).look(machine.now)


def counted(found: Overview) -> tuple[int, int]:
    return found.coverage.covered, found.coverage.minutes


def seal(machine: Machine) -> None:
    """Put the journal aside and begin the next part, whose first line names the last of this one."""
    last = Path(machine.paths.journal).read_bytes().split(b"\n")[-2]
    os.rename(machine.paths.journal, machine.paths.log("older"))
    machine.passes(1)
    line = encode(Entry("tick", {"mono": machine.mono, "boot_s": machine.boot_s}, machine.now), 99, short_hash(last))
    Path(machine.paths.journal).write_bytes(line + b"\n")


def forge(paths: Paths) -> None:
    with open(paths.journal, "ab") as journal:
        journal.write(encode(Entry("tick", {}, at("12:30")), 99, "0123456789abcdef") + b"\n")


# A look


def test_a_look_at_a_home_where_nothing_happened_yet(paths: Paths):
    found = Observer(paths).look(at("12:00"))
    assert (found.vitals.state, counted(found), found.journal.bytes) == (State.NEVER_STARTED, (0, 0), 0)


def test_a_look_at_no_home_says_so(tmp_path: Path):
    assert Observer(Paths(str(tmp_path / "nowhere"))).look(at("12:00")).vitals.state is State.UNREADABLE


def test_a_look_tells_of_coverage_promises_and_failures(machine: Machine, lives: Lock):
    due = clock.iso(at("12:05"))
    machine.says("run_skipped", job="a", due=due, outcome="missed", reason="why")
    machine.says("run_finished", job="b", outcome="failed", exit=3)
    found = look(machine)
    assert (counted(found), found.promises.missed, found.vitals.state) == ((10, 10), 1, State.RUNNING)
    assert found.verdict.text.startswith("b failed")


def test_only_the_last_24_hours_count(machine: Machine):
    due = clock.iso(at("12:05"))
    machine.says("run_skipped", job="a", due=due, outcome="missed", reason="why")
    machine.says("run_finished", job="b", outcome="failed", exit=3)
    machine.passes(24 * 60 + 1)
    machine.starts()
    found = look(machine)
    assert (found.coverage.since, found.promises.missed, "b" in found.verdict.text.split()) == (at("12:10"), 0, False)


def test_a_look_shows_the_jobs_of_the_job_file(machine: Machine):
    found = look(machine)
    assert ([job.name for job in found.jobs], found.jobs[0].next) == (["a"], clock.iso(at("13:05")))


def test_what_the_history_knows_is_handed_in(machine: Machine):
    row = Row("a/1", "a", None, None, 1, None, None, "failed", 3, 1.0, 0, None, 1, None, 1)
    found = Observer(machine.paths).look(machine.now, Record(last={"a": row}, durations={"a": [1.0]}))
    assert (found.jobs[0].last, found.jobs[0].durations_s, look(machine).jobs[0].last) == (row, (1.0,), None)


def test_what_somebody_else_measured_is_shown(machine: Machine):
    observer = Observer(machine.paths)
    observer.measure(HostView(load=0.5), 12.5, 1000)
    found = look(machine, observer)
    assert (found.host.load, found.vitals.cpu_percent, found.vitals.memory_bytes) == (0.5, 12.5, 1000)


def test_a_pause_is_shown(machine: Machine):
    Path(machine.paths.log("paused")).mkdir()
    Path(machine.paths.log("paused", "a")).write_text('{"since":"2026-11-22T12:00:00Z","until":null,"note":"n"}')
    found = look(machine).jobs[0]
    assert (found.paused.note, found.next) == ("n", None)


def test_a_look_changes_nothing(machine: Machine):
    before = {path: path.stat().st_mtime_ns for path in Path(machine.paths.home).rglob("*")}
    look(machine)
    assert {path: path.stat().st_mtime_ns for path in Path(machine.paths.home).rglob("*")} == before


# Whether it lives


def test_since_the_last_sign_a_scheduler_that_lives_is_stalled(machine: Machine, lives: Lock):
    machine.passes(10)
    assert [gap.cause for gap in look(machine).coverage.gaps] == [Cause.STALLED]


def test_since_the_last_sign_a_scheduler_that_does_not_live_is_down(machine: Machine):
    machine.passes(10)
    assert [gap.cause for gap in look(machine).coverage.gaps] == [Cause.SCHEDULER_DOWN]


def test_since_the_last_sign_on_another_boot_the_machine_was_off(machine: Machine):
    machine.boot = "another"
    machine.starts()
    machine.passes(10)
    assert [gap.cause for gap in look(machine).coverage.gaps] == [Cause.POWERED_OFF]


def test_since_the_last_sign_of_a_startup_that_is_not_on_record_the_boot_clock_tells(paths: Paths):
    machine = Machine(paths)
    machine.boot_s = 1e12  # later than any machine has been up
    machine.ticks(3)
    machine.passes(10)
    assert [gap.cause for gap in look(machine).coverage.gaps] == [Cause.POWERED_OFF]


# What is read


def test_the_first_look_reads_the_end_only(busy: Machine, bytes_read: list[int]):
    look(busy)
    assert sum(bytes_read) < 3 * FIRST_BYTES < os.path.getsize(busy.paths.journal) / 3


def test_the_first_look_at_a_long_journal_finds_no_break_where_it_begins(busy: Machine):
    found = look(busy)
    assert (found.journal.breaks, found.coverage.percent, found.coverage.minutes > 20) == (0, 100.0, True)


def test_a_further_look_reads_what_is_new(busy: Machine, bytes_read: list[int]):
    observer = Observer(busy.paths)
    look(busy, observer)
    bytes_read.clear()
    busy.ticks(2)
    assert (counted(look(busy, observer))[0] > 20, sum(bytes_read) < 5000) == (True, True)


def test_a_further_look_sees_what_is_new(machine: Machine):
    observer = Observer(machine.paths)
    before = counted(look(machine, observer))
    machine.ticks(2)
    assert (before, counted(look(machine, observer))) == ((10, 10), (12, 12))


def test_a_line_that_is_torn_waits_until_it_is_whole(machine: Machine):
    machine.ticks()
    whole = Path(machine.paths.journal).read_bytes()
    Path(machine.paths.journal).write_bytes(whole[:-10])
    observer = Observer(machine.paths)
    before = counted(look(machine, observer))
    Path(machine.paths.journal).write_bytes(whole)
    found = look(machine, observer)
    assert (before, counted(found), found.journal.breaks) == ((10, 10), (11, 11), 0)


def test_reach_reads_24_hours(busy: Machine):
    observer = Observer(busy.paths)
    look(busy, observer)
    observer.reach(busy.now)
    found = look(busy, observer)
    assert (counted(found), found.journal.breaks) == ((1441, 1441), 0)


def test_reach_reads_no_more_than_it_must(busy: Machine, bytes_read: list[int]):
    observer = Observer(busy.paths)
    look(busy, observer)
    bytes_read.clear()
    observer.reach(busy.now)
    assert sum(bytes_read) < 0.9 * os.path.getsize(busy.paths.journal)


def test_reach_reads_once(busy: Machine, bytes_read: list[int]):
    observer = Observer(busy.paths)
    look(busy, observer)
    observer.reach(busy.now)
    bytes_read.clear()
    observer.reach(busy.now)
    assert bytes_read == []


def test_reach_reads_a_journal_younger_than_a_day_once(paths: Paths, bytes_read: list[int]):
    machine = Machine(paths)
    machine.ticks(20 * 60, **PAD)
    observer = Observer(paths)
    look(machine, observer)
    observer.reach(machine.now)
    bytes_read.clear()
    observer.reach(machine.now)
    assert (counted(look(machine, observer)), sum(bytes_read)) == ((1200, 1200), 0)


def test_where_the_first_look_went_back_far_enough_there_is_nothing_to_reach(machine: Machine, bytes_read: list[int]):
    observer = Observer(machine.paths)
    look(machine, observer)
    bytes_read.clear()
    observer.reach(machine.now)
    assert bytes_read == []


def test_reach_before_the_first_look_does_nothing(machine: Machine, bytes_read: list[int]):
    Observer(machine.paths).reach(machine.now)
    assert bytes_read == []


def test_what_is_older_than_a_day_is_let_go_of(machine: Machine):
    observer = Observer(machine.paths)
    before = counted(look(machine, observer))
    machine.passes(36 * 60)
    machine.starts()
    look(machine, observer)
    assert (before, counted(observer.look(at("12:08")))) == ((10, 10), (0, 0))


def test_the_sign_before_a_gap_is_not_let_go_of(machine: Machine):
    observer = Observer(machine.paths)
    machine.passes(36 * 60)
    machine.starts()
    for _ in range(3):
        found = look(machine, observer)
    assert (counted(found), [gap.cause for gap in found.coverage.gaps]) == ((1, 1441), [Cause.SCHEDULER_DOWN])


# Lines that do not hold


def test_lines_that_do_not_hold_are_counted_and_not_believed(machine: Machine):
    forge(machine.paths)
    found = look(machine)
    assert (found.journal.breaks, counted(found)) == (1, (10, 10))


def test_a_break_is_counted_once_however_often_one_looks(machine: Machine, lives: Lock):
    observer = Observer(machine.paths)
    look(machine, observer)
    forge(machine.paths)
    look(machine, observer)
    found = look(machine, observer)
    assert (found.journal.breaks, found.verdict.text[:19]) == (1, "1 line of the journ")


def test_what_reach_reads_again_is_not_counted_again(busy: Machine):
    forge(busy.paths)
    observer = Observer(busy.paths)
    look(busy, observer)
    observer.reach(busy.now)
    assert look(busy, observer).journal.breaks == 1


def test_a_line_beyond_all_measure_hides_nothing_that_comes_after_it(machine: Machine):
    observer = Observer(machine.paths)
    look(machine, observer)
    with open(machine.paths.journal, "ab") as journal:
        journal.write(b"\0" * (2 * BLOCK_BYTES) + b"\n")
    machine.ticks(3)
    found = look(machine, observer)
    assert (counted(found), found.journal.breaks) == ((13, 13), 1)


# A journal that is replaced, cut, or gone


def test_a_journal_that_was_replaced_is_read_to_its_end_first(machine: Machine):
    observer = Observer(machine.paths)
    look(machine, observer)
    machine.ticks(3)
    seal(machine)
    found = look(machine, observer)
    assert (counted(found), found.journal.breaks) == ((14, 14), 0)


def test_a_journal_that_is_away_for_a_moment_loses_nothing(machine: Machine):
    observer = Observer(machine.paths)
    look(machine, observer)
    seal(machine)
    os.rename(machine.paths.journal, machine.paths.log("newer"))
    look(machine, observer)
    os.rename(machine.paths.log("newer"), machine.paths.journal)
    found = look(machine, observer)
    assert (counted(found), found.journal.breaks) == ((11, 11), 0)


def test_breaks_before_a_journal_was_replaced_still_count(machine: Machine):
    observer = Observer(machine.paths)
    forge(machine.paths)
    look(machine, observer)
    seal(machine)
    assert look(machine, observer).journal.breaks == 1


def test_a_journal_that_does_not_go_on_from_the_one_before_is_a_break(machine: Machine):
    observer = Observer(machine.paths)
    look(machine, observer)
    os.unlink(machine.paths.journal)
    Journal(machine.paths).append(Entry("tick", {}, machine.now))
    assert look(machine, observer).journal.breaks == 1


def test_a_journal_that_was_cut_is_begun_anew(machine: Machine):
    observer = Observer(machine.paths)
    look(machine, observer)
    os.truncate(machine.paths.journal, 0)
    machine.ticks(3)
    found = look(machine, observer)
    assert (counted(found), found.journal.breaks) == ((3, 3), 0)


def test_a_journal_that_is_gone_is_no_fault_and_has_no_size(machine: Machine):
    observer = Observer(machine.paths)
    Path(machine.paths.want).write_text("down\n")
    before = look(machine, observer).journal.bytes
    os.unlink(machine.paths.journal)
    found = look(machine, observer)
    assert (before > 0, found.journal.bytes, found.vitals.state) == (True, 0, State.STOPPED)


def test_a_home_that_gets_its_first_journal_is_followed(paths: Paths):
    os.unlink(paths.journal)
    observer = Observer(paths)
    observer.look(at("12:00"))
    machine = Machine(paths)
    machine.ticks(3)
    assert counted(look(machine, observer)) == (3, 3)


# What cannot be read


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/hostname", path)])
def test_a_journal_that_cannot_be_read_is_said_to_be_so(machine: Machine, lives: Lock, make):
    os.unlink(machine.paths.journal)
    make(machine.paths.journal)
    found = look(machine)
    assert (found.vitals.state, found.verdict.level) == (State.UNREADABLE, "bad")
    assert found.vitals.reason.startswith(f"{machine.paths.journal}: cannot be read: ")


def test_while_the_journal_cannot_be_read_nobody_guesses_why_there_is_no_tick(machine: Machine, lives: Lock):
    observer = Observer(machine.paths)
    look(machine, observer)
    os.rename(machine.paths.journal, machine.paths.log("older"))
    os.symlink(machine.paths.log("older"), machine.paths.journal)
    machine.passes(10)
    found = look(machine, observer)
    assert (counted(found), [gap.cause for gap in found.coverage.gaps]) == ((10, 19), [Cause.UNKNOWN])


def test_a_journal_that_can_be_read_again_is_followed_from_where_it_was_left(machine: Machine, lives: Lock):
    observer = Observer(machine.paths)
    look(machine, observer)
    os.rename(machine.paths.journal, machine.paths.log("older"))
    os.mkfifo(machine.paths.journal)
    look(machine, observer)
    os.rename(machine.paths.log("older"), machine.paths.journal)
    machine.ticks(3)
    found = look(machine, observer)
    assert (found.vitals.state, counted(found), found.journal.breaks) == (State.RUNNING, (13, 13), 0)


def test_pauses_that_cannot_be_read_are_said_to_be_so(machine: Machine, lives: Lock):
    Path(machine.paths.log("paused")).mkdir()
    Path(machine.paths.log("paused", "a")).symlink_to("/etc/hostname")
    found = look(machine).vitals
    assert (found.state, found.reason) == (
        State.UNREADABLE,
        f"{machine.paths.log('paused', 'a')}: Too many levels of symbolic links",
    )


# The job file


def test_a_refused_job_file_is_told_with_its_faults_and_the_last_good_one_is_shown(machine: Machine, lives: Lock):
    Path(machine.paths.log("configs")).mkdir()
    Path(machine.paths.log("configs", "c1.toml")).write_text(JOBS)
    Path(machine.paths.config).write_text(JOBS.replace("5 *", "61 *"))
    found = look(machine)
    assert ([job.name for job in found.jobs], len(found.config.faults), bool(found.config.hash)) == (["a"], 1, True)
    assert found.verdict.text.startswith("The job file is refused")


def test_without_a_good_job_file_there_are_no_jobs(machine: Machine):
    os.unlink(machine.paths.config)
    found = look(machine)
    assert (found.jobs, found.config.hash, len(found.config.faults)) == ((), "", 1)


def test_a_changed_job_file_is_taken_over(machine: Machine):
    observer = Observer(machine.paths)
    before = look(machine, observer)
    Path(machine.paths.config).write_text(JOBS + JOBS.replace("jobs.a", "jobs.bb"))
    after = look(machine, observer)
    assert ([job.name for job in after.jobs], before.config.hash == after.config.hash) == (["a", "bb"], False)


def test_a_job_is_known_by_its_name(machine: Machine):
    observer = Observer(machine.paths)
    assert (observer.job("a").name, observer.job("b")) == ("a", None)


# A week


def week(machine: Machine, look_first: bool = True) -> tuple[int, int, list[str]]:
    observer = Observer(machine.paths)
    if look_first:
        look(machine, observer)
    found = observer.week(machine.now)
    return found.covered, found.minutes, [gap.detail for gap in found.gaps]


def test_a_week_is_read_from_the_journal_with_the_gap_at_its_beginning(paths: Paths):
    machine = Machine(paths)
    machine.boot = locks.boot_id()
    machine.starts()
    machine.says("stopped")
    machine.passes(3 * 1440)
    machine.starts()
    machine.ticks(5 * 1440)
    assert week(machine) == (7201, 10_081, ["stopped on request"])


def test_a_week_of_a_younger_journal_begins_with_it(machine: Machine):
    assert week(machine) == (10, 10, [])


def test_a_week_without_a_journal_has_no_minutes(paths: Paths):
    assert week(Machine(paths), look_first=False) == (0, 0, [])


# Why


def why(machine: Machine, moment: str) -> str:
    observer = Observer(machine.paths)
    look(machine, observer)
    return observer.why("a", at(moment), machine.now).sentence


def test_why_is_answered_from_the_journal(machine: Machine):
    due = clock.iso(at("12:05"))
    machine.says("run_skipped", job="a", due=due, until=due, outcome="skipped", reason="a is still running")
    observer = Observer(machine.paths)
    look(machine, observer)
    found = observer.why("a", at("12:10"), machine.now)
    assert (found.due, [entry["event"] for entry in found.proof]) == (at("12:05"), ["run_skipped"])
    assert "it did not run: skipped, because a is still running" in found.sentence


def test_why_of_a_job_that_is_not_there_names_those_that_are(machine: Machine):
    with pytest.raises(UnknownJob, match=r"no job 'b' in .*automations\.toml; there are: a"):
        Observer(machine.paths).why("b", at("12:10"), machine.now)


def test_why_of_a_slot_that_a_long_absence_passed_over_is_answered_by_what_was_said_at_its_end(machine: Machine):
    machine.says("stopped")
    machine.passes(3 * 1440)
    machine.starts()
    span = {"due": clock.iso(at("12:05")), "until": clock.iso(at("84:05")), "slots": 73}
    machine.says("run_skipped", job="a", **span, outcome="missed", reason="late")
    machine.ticks(3)
    assert "it did not run: missed, because late; scheduler down: stopped on request" in why(machine, "20:10")


def test_why_of_a_slot_long_ago_reads_little_of_what_came_since(paths: Paths, bytes_read: list[int]):
    machine = Machine(paths)
    machine.ticks(80 * 60, **PAD)
    observer = Observer(paths)
    look(machine, observer)
    bytes_read.clear()
    observer.why("a", at("14:10"), machine.now)
    assert sum(bytes_read) < 0.6 * os.path.getsize(paths.journal)


def test_why_does_not_prove_anything_by_what_was_said_long_before(machine: Machine):
    machine.ticks(60)
    machine.says("config_loaded", config="c1")
    machine.ticks(60)
    observer = Observer(machine.paths)
    look(machine, observer)
    found = observer.why("a", at("13:10"), machine.now)
    assert [entry["event"] for entry in found.proof] == ["config_loaded"]


def test_why_tells_of_a_pause(machine: Machine):
    Path(machine.paths.log("paused")).mkdir()
    Path(machine.paths.log("paused", "a")).write_text('{"since":"2026-11-22T12:00:00Z","until":null,"note":""}')
    assert why(machine, "12:10").endswith(". It is paused until it is resumed")


def test_why_without_a_journal_guesses_nothing(paths: Paths):
    found = Observer(paths).why("a", at("12:10"), at("12:10") + timedelta(minutes=5)).sentence
    assert "the journal says nothing of it" in found
