"""How the scheduler is at this moment, as its files and the system tell. Here, this process is the scheduler."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from automations import clock, locks, process, vitals
from automations.journal import Entry, Journal
from automations.locks import Lock
from automations.model import Want
from automations.paths import Paths
from automations.vitals import State, Vitals, look
from tests.machine import NOON, at, made_home

TICK_S = 60.0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return made_home(tmp_path)


@pytest.fixture
def lock(paths: Paths) -> Iterator[Lock]:
    """The lock of a scheduler that lives: this process."""
    found = Lock(paths.log("scheduler.lock"))
    found.acquire()
    found.sign()
    yield found
    found.release()


def seen(paths: Paths) -> Vitals:
    return look(paths, TICK_S)


def last_progress(lock: Lock, seconds_ago: float) -> None:
    moment = time.time() - seconds_ago
    os.utime(lock.path, (moment, moment))


# Who lives


def test_who_holds_the_lock_lives(paths: Paths, lock: Lock):
    assert (seen(paths).state, seen(paths).pid) == (State.RUNNING, os.getpid())


def test_the_pid_file_makes_nobody_live(paths: Paths):
    Path(paths.log("scheduler.pid")).write_text(f"{os.getpid()}\n")
    assert (seen(paths).state, seen(paths).pid) == (State.DEAD, None)


def test_a_pid_file_that_names_another_process_does_not_matter_while_the_lock_is_held(paths: Paths, lock: Lock):
    Path(paths.log("scheduler.pid")).write_text("1\n")
    assert (seen(paths).state, seen(paths).pid) == (State.RUNNING, os.getpid())


def test_a_lock_that_nobody_holds_is_no_life(paths: Paths, lock: Lock):
    lock.release()
    process.write_want(paths, Want.DOWN)
    assert seen(paths).state is State.STOPPED


def test_it_started_when_its_process_did(paths: Paths, lock: Lock):
    started = seen(paths).started
    start_s = int(locks.proc_stat(os.getpid())[19]) / os.sysconf("SC_CLK_TCK")
    age_s = clock.read().boot_s - start_s
    assert abs((datetime.now(UTC) - started).total_seconds() - age_s) < 1


# Progress


@pytest.mark.parametrize(("seconds", "state"), [(0, State.RUNNING), (149, State.RUNNING), (151, State.STALLED)])
def test_without_progress_for_two_and_a_half_ticks_it_is_stalled(
    paths: Paths, lock: Lock, seconds: float, state: State
):
    last_progress(lock, seconds)
    assert seen(paths).state is state


def test_a_stalled_one_is_told_with_its_pid_and_for_how_long(paths: Paths, lock: Lock):
    last_progress(lock, 200)
    assert (seen(paths).pid, seen(paths).reason) == (os.getpid(), "no tick for 200 s")


def test_a_short_tick_makes_impatient(paths: Paths, lock: Lock):
    last_progress(lock, 5)
    assert (look(paths, 1.0).state, look(paths, 60.0).state) == (State.STALLED, State.RUNNING)


def test_progress_that_seems_to_lie_in_the_future_is_progress(paths: Paths, lock: Lock):
    last_progress(lock, -3600)
    assert seen(paths).state is State.RUNNING


# Not living


def test_where_nothing_ever_happened_it_was_never_started(paths: Paths):
    assert seen(paths) == Vitals(State.NEVER_STARTED)


def test_a_home_without_logs_was_never_started(tmp_path: Path):
    assert look(Paths(str(tmp_path)), TICK_S).state is State.NEVER_STARTED


def test_a_journal_tells_that_it_was_started_once(paths: Paths):
    Journal(paths).append(Entry("startup", {}, NOON))
    assert seen(paths).state is State.STOPPED


@pytest.mark.parametrize("want", [Want.UP, Want.DOWN])
def test_a_want_tells_that_it_was_started_once_and_is_told(paths: Paths, want: Want):
    process.write_want(paths, want)
    assert (seen(paths).state, seen(paths).want) == (State.STOPPED, want)


def test_whether_a_watchdog_watches_is_told(paths: Paths):
    without = seen(paths).watchdog
    with Lock(paths.log("watchdog.lock")) as watchdog:
        watchdog.acquire()
        assert (without, seen(paths).watchdog) == (False, True)


# What cannot be read


def test_a_home_that_is_not_there_is_unreadable(tmp_path: Path):
    found = look(Paths(str(tmp_path / "nowhere")), TICK_S)
    assert (found.state, found.reason) == (State.UNREADABLE, f"{tmp_path}/nowhere: No such file or directory")


@pytest.mark.parametrize("name", ["scheduler.lock", "watchdog.lock", "scheduler.want", "scheduler.log"])
def test_a_file_that_cannot_be_read_is_named_and_never_taken_for_a_stop(paths: Paths, lock: Lock, name: str):
    Path(paths.log(name)).unlink(missing_ok=True)
    Path(paths.log(name)).symlink_to("/etc/hostname")
    found = seen(paths)
    assert (found.state, found.reason) == (State.UNREADABLE, f"{paths.log(name)}: Too many levels of symbolic links")


def test_a_journal_that_is_a_pipe_keeps_nobody_waiting(paths: Paths):
    os.unlink(paths.journal)
    os.mkfifo(paths.journal)
    assert seen(paths).state is State.UNREADABLE


def test_logs_that_are_no_folder_are_unreadable(tmp_path: Path):
    (tmp_path / "logs").write_text("")
    assert look(Paths(str(tmp_path)), TICK_S).state is State.UNREADABLE


def test_a_look_changes_nothing(paths: Paths, lock: Lock):
    last_progress(lock, 100)
    before = {entry.name: entry.stat().st_mtime_ns for entry in Path(paths.logs).iterdir()}
    seen(paths)
    assert {entry.name: entry.stat().st_mtime_ns for entry in Path(paths.logs).iterdir()} == before


@pytest.mark.parametrize("state", State)
def test_a_signal_is_missing_from_those_in_trouble(state: State):
    assert state.no_signal == (state in ("stalled", "dead", "unreadable"))


# The last activity


def test_the_last_activity_is_the_time_of_the_last_line(paths: Paths):
    Journal(paths).append(Entry("tick", {}, NOON), Entry("tick", {}, at("12:01")))
    assert seen(paths).last_activity == at("12:01")


@pytest.mark.parametrize("rest", [b'{"ts":"2026-11-22T12:30:00.000Z","event"', b"hello\n", b'{"ts":"soon"}\n', b"\n\n"])
def test_a_torn_or_foreign_last_line_has_no_time(paths: Paths, rest: bytes):
    Journal(paths).append(Entry("tick", {}, NOON))
    with open(paths.journal, "ab") as journal:
        journal.write(rest)
    assert vitals.last_activity(paths) == NOON


def test_only_the_end_of_a_long_journal_is_looked_at(paths: Paths):
    Journal(paths).append(Entry("tick", {}, NOON))
    with open(paths.journal, "ab") as journal:
        journal.write(b"x\n" * 20_000)
    assert vitals.last_activity(paths) is None
