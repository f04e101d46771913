"""One run from claim to outcome, with real commands: what it gets, how it ends, who sees it through."""

import contextlib
import errno
import os
import pwd
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from automations import adoption, claim, clock, replay, spawn
from automations.clock import Reading
from automations.ending import KILL_AFTER_S
from automations.errors import RunRefused
from automations.journal import Journal
from automations.locks import Identity
from automations.model import Job, Outcome, Slot
from automations.paths import PROJECT, Paths, prepare_logs
from automations.recorder import Recorder
from automations.replay import Past
from automations.run import Run
from automations.runner import Runner
from automations.schedule import AtStart
from tests.conftest import until

DUE = datetime(2026, 11, 22, 8, tzinfo=UTC)
WAIT_FOR_GO = "echo up; until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    """A home, and an end for every process that was started from it."""
    made = Paths(str(tmp_path))
    prepare_logs(made)
    yield made
    for pid in processes_of(made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    close_files_of(made)


def close_files_of(paths: Paths) -> None:
    """Close what a journal keeps open for the life of its process."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(entry).startswith(paths.logs):
                os.close(int(entry.name))


@pytest.fixture
def run_by(paths: Paths) -> Runner:
    return Runner(paths, Recorder(Journal(paths), echo=False))


def processes_of(paths: Paths) -> list[int]:
    """Living processes that were started as runs of this home."""
    mark, found = f"AUTOMATIONS_HOME={paths.home}".encode(), []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def job(paths: Paths, command: str | tuple[str, ...], name: str = "a", timeout_s: float = 60, **more: object) -> Job:
    span = timedelta(seconds=timeout_s)
    return Job(name, AtStart(), "", command, span, timedelta(hours=1), **{"cwd": paths.home, **more})


def later(seconds: float) -> Reading:
    """The clocks as they will stand in so many seconds."""
    now = clock.read()
    return Reading(now.utc + timedelta(seconds=seconds), now.mono + seconds, now.boot_s + seconds)


def start(run_by: Runner, wanted: Job, due: datetime | None, now: Reading) -> Run:
    return run_by.begin_one(Slot(wanted, due), now)


def file(run_by: Runner, run_id: str, kind: str) -> str:
    return claim.file(run_by._paths, run_id, kind)


def finish(run_by: Runner, run: Run, ahead_s: float = 0) -> Outcome:
    """Watch a run to its end, by clocks that are `ahead_s` seconds ahead."""
    until(lambda: run_by.watch(later(ahead_s)) or run.outcome, what=f"end of {run.run_id}")
    return run.outcome


def done(run_by: Runner, wanted: Job, due: datetime | None = DUE) -> Run:
    run = start(run_by, wanted, due, clock.read())
    finish(run_by, run)
    return run


def output(run_by: Runner, run: Run) -> str:
    return Path(file(run_by, run.run_id, "log")).read_text()


def under_way(run_by: Runner, wanted: Job, word: str = "up") -> Run:
    """A run that has begun and has said so."""
    run = start(run_by, wanted, DUE, clock.read())
    until(lambda: word in output(run_by, run), what=f"{word} of {run.run_id}")
    return run


def printed(paths: Paths, run_by: Runner, command: str | tuple[str, ...], **more: object) -> str:
    return output(run_by, done(run_by, job(paths, command, **more)))


def entries(paths: Paths, event: str = "") -> list[dict[str, object]]:
    found = replay.believable(Path(paths.journal).read_bytes())
    return [entry for entry in found if event in ("", entry["event"])]


def last(paths: Paths) -> dict[str, object]:
    return entries(paths)[-1]


def is_alive(pid: int) -> bool:
    return Identity.of(pid) is not None


# How it ends


def test_a_command_that_exits_with_zero_succeeded(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, "exit 0"))
    assert (run.outcome, run.code) == (Outcome.SUCCEEDED, 0)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exit 3", 3),
        ("exit 255", 255),
        (("false",), 1),
        (("no-such-program",), 127),
        (("/etc/passwd",), 126),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
    ],
)
def test_a_command_that_exits_otherwise_failed_with_its_code(
    paths: Paths, run_by: Runner, command: str | tuple[str, ...], code: int
):
    run = done(run_by, job(paths, command))
    assert (run.outcome, run.code) == (Outcome.FAILED, code)


def test_a_folder_that_is_not_there_is_a_failure_that_its_output_explains(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, "true", cwd="/no/such/folder"))
    assert (run.outcome, run.code) == (Outcome.FAILED, 126)
    assert "/no/such/folder" in output(run_by, run)


def test_nothing_is_settled_while_the_command_lives(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, WAIT_FOR_GO))
    run_by.watch(clock.read())
    assert (run.outcome, list(run_by.open)) == (None, [run.run_id])


def test_an_ended_run_is_no_longer_open(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    assert run_by.open == {}


# Its time is up


def test_a_run_at_its_deadline_is_timed_out(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, WAIT_FOR_GO, timeout_s=60))
    assert finish(run_by, run, ahead_s=60) == Outcome.TIMED_OUT
    assert (last(paths)["outcome"], last(paths)["reason"]) == ("timed_out", "longer than its timeout")


def test_a_run_before_its_deadline_is_left_alone(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, WAIT_FOR_GO, timeout_s=60))
    run_by.watch(later(50))
    assert run.stopping_as is None


def test_a_short_timeout_ends_a_long_run(paths: Paths, run_by: Runner):
    assert done(run_by, job(paths, ("sleep", "60"), timeout_s=0.2)).outcome == Outcome.TIMED_OUT


def test_the_deadline_is_monotonic_and_no_step_of_the_wall_clock_matters(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, WAIT_FOR_GO, timeout_s=60))
    run_by.watch(clock.read()._replace(utc=datetime(2036, 1, 1, tzinfo=UTC)))
    assert run.stopping_as is None


def test_the_whole_group_is_told_to_end(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, "sleep 60 & sleep 60 & jobs -p; echo up; wait", timeout_s=60))
    children = [int(line) for line in output(run_by, run).split()[:2]]
    finish(run_by, run, ahead_s=60)
    until(lambda: not any(map(is_alive, children)), 3, f"{children} ended")


def test_a_command_that_is_deaf_to_term_is_killed_five_seconds_later(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, "trap '' TERM; echo up; while :; do sleep 60; done", timeout_s=60))
    run_by.watch(later(60))
    run_by.watch(later(60 + KILL_AFTER_S - 1))
    before = run.outcome, is_alive(run.pid)
    assert finish(run_by, run, ahead_s=60 + KILL_AFTER_S + 1) == Outcome.TIMED_OUT
    assert before == (None, True)


def test_nothing_of_a_deaf_group_survives(paths: Paths, run_by: Runner):
    command = "trap '' TERM; sleep 60 & echo $! up; while :; do sleep 60; done"
    run = under_way(run_by, job(paths, command, timeout_s=60))
    run_by.watch(later(60))
    finish(run_by, run, ahead_s=60 + KILL_AFTER_S + 1)
    until(lambda: not processes_of(paths), 3, "all of the group ended")


def test_a_deaf_child_does_not_survive_a_command_that_listened(paths: Paths, run_by: Runner):
    command = "(trap '' TERM; echo up; exec sleep 60) & wait"
    run = under_way(run_by, job(paths, command, timeout_s=60))
    finish(run_by, run, ahead_s=60)
    run_by.watch(later(60 + KILL_AFTER_S + 1))
    until(lambda: not processes_of(paths), 3, "all of the group ended")


def test_a_child_of_a_command_has_the_same_five_seconds_to_clean_up(paths: Paths, run_by: Runner):
    clean_up = "trap 'sleep 0.3; echo cleaned; exit' TERM; echo up; while :; do sleep 0.02; done"
    run = under_way(run_by, job(paths, f"({clean_up}) & wait", timeout_s=60))
    finish(run_by, run, ahead_s=60)
    until(lambda: "cleaned" in output(run_by, run), 3, "the child's clean-up")


# It is told to stop


def test_a_run_that_was_told_to_stop_is_stopped(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, WAIT_FOR_GO))
    run_by.stop([run], clock.read())
    assert finish(run_by, run) == Outcome.STOPPED
    assert last(paths)["reason"] == "it was told to stop"


def test_being_told_twice_to_stop_does_not_put_off_the_end(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, "trap '' TERM; echo up; while :; do sleep 60; done"))
    run_by.stop([run], later(0))
    first = run.kill_at
    run_by.stop([run], later(3))
    assert run.kill_at == first


def test_a_command_may_clean_up_when_it_is_stopped(paths: Paths, run_by: Runner):
    command = "trap 'echo cleaned; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    run = under_way(run_by, job(paths, command))
    run_by.stop([run], clock.read())
    finish(run_by, run)
    assert (run.outcome, run.code, output(run_by, run)[-8:]) == (Outcome.STOPPED, 0, "cleaned\n")


def test_a_frozen_command_is_woken_to_end(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, "echo up; kill -STOP $$"))
    run_by.stop([run], clock.read())
    assert finish(run_by, run) == Outcome.STOPPED


def test_a_run_that_does_not_listen_can_be_killed_at_once(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, "trap '' TERM; echo up; while :; do sleep 60; done"))
    run_by.stop([run], clock.read())
    run_by.kill([run], clock.read())
    assert finish(run_by, run) == Outcome.STOPPED


# What the journal says


def test_the_start_is_in_the_journal_before_the_command_runs(paths: Paths, run_by: Runner):
    seen = printed(paths, run_by, 'grep -c "run_started.*$AUTOMATIONS_RUN_ID" "$AUTOMATIONS_HOME/logs/scheduler.log"')
    assert seen == "1\n"


def test_a_scheduled_run_is_named_after_its_slot(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    started = entries(paths, "run_started")[0]
    assert (started["run_id"], started["due"]) == ("a/20261122T080000Z", "2026-11-22T08:00:00.000Z")
    assert (started["trigger"], started["attempt"]) == ("schedule", 1)


def test_a_run_by_hand_is_named_after_its_moment(paths: Paths, run_by: Runner):
    now = clock.read()._replace(utc=datetime(2026, 11, 22, 8, 0, 3, 123000, tzinfo=UTC))
    finish(run_by, start(run_by, job(paths, "true"), None, now))
    started = entries(paths, "run_started")[0]
    assert (started["run_id"], started["due"], started["trigger"]) == ("a/20261122T080003.123Z", None, "manual")


def test_the_start_names_the_process_that_will_see_it_through(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    assert entries(paths, "run_started")[0]["by"] == str(Identity.of(os.getpid()))


def test_the_end_tells_outcome_exit_duration_and_output(paths: Paths, run_by: Runner):
    run = start(run_by, job(paths, "printf 12345; exit 3"), DUE, Reading(DUE, clock.read().mono - 50, 0))
    finish(run_by, run)
    told = {name: last(paths)[name] for name in ("run_id", "due", "outcome", "exit", "output_bytes")}
    assert told == {
        "run_id": "a/20261122T080000Z",
        "due": "2026-11-22T08:00:00.000Z",
        "outcome": "failed",
        "exit": 3,
        "output_bytes": 5,
    }
    assert 50 <= last(paths)["duration_s"] < 60


def test_every_run_has_one_start_and_one_end(paths: Paths, run_by: Runner):
    for name in "abc":
        done(run_by, job(paths, "true", name=name))
    told = [(entry["event"], entry["run_id"][0]) for entry in entries(paths)]
    assert told == [(event, name) for name in "abc" for event in ("run_started", "run_finished")]


def test_nothing_but_the_output_is_left_of_a_run(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    assert sorted(path.name for path in Path(paths.runs, "a").iterdir()) == ["20261122T080000Z.log", "spare"]


def test_a_journal_that_takes_nothing_does_not_keep_a_job_from_running(paths: Paths, run_by: Runner):
    Path(paths.journal).unlink()
    Path(paths.journal).mkdir()
    run = done(run_by, job(paths, "echo ran"))
    assert (run.outcome, output(run_by, run)) == (Outcome.SUCCEEDED, "ran\n")


# It is not started


def test_a_claimed_slot_is_refused_and_its_output_is_untouched(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, "echo first"))
    with pytest.raises(RunRefused, match="a/20261122T080000Z began before"):
        start(run_by, job(paths, "echo second"), DUE, clock.read())
    assert output(run_by, run) == "first\n"


def test_another_slot_of_a_job_that_still_runs_is_refused(paths: Paths, run_by: Runner):
    under_way(run_by, job(paths, WAIT_FOR_GO))
    with pytest.raises(RunRefused, match="a is still running"):
        start(run_by, job(paths, "true"), DUE + timedelta(hours=1), clock.read())


def test_a_job_that_runs_is_refused_to_other_processes_too(paths: Paths, run_by: Runner):
    under_way(run_by, job(paths, WAIT_FOR_GO))
    said = subprocess.run([*starter(paths, "true")], capture_output=True, text=True, timeout=30, check=False)
    assert "a is still running" in said.stderr


def test_a_job_that_ended_can_run_again(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    assert done(run_by, job(paths, "true"), DUE + timedelta(hours=1)).outcome == Outcome.SUCCEEDED


def test_what_a_finished_command_left_in_the_background_does_not_keep_its_job_busy(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "sleep 60 >/dev/null 2>&1 &"))
    assert done(run_by, job(paths, "true"), DUE + timedelta(hours=1)).outcome == Outcome.SUCCEEDED


def test_different_jobs_run_side_by_side(paths: Paths, run_by: Runner):
    under_way(run_by, job(paths, WAIT_FOR_GO, name="a"))
    assert done(run_by, job(paths, "true", name="b")).outcome == Outcome.SUCCEEDED


def test_a_refused_run_leaves_no_entry_and_no_open_run(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    before = len(entries(paths))
    with pytest.raises(RunRefused):
        start(run_by, job(paths, "true"), DUE, clock.read())
    assert (len(entries(paths)), run_by.open) == (before, {})


def test_a_link_in_place_of_the_output_is_refused_and_what_it_names_is_untouched(paths: Paths, run_by: Runner):
    precious = Path(paths.home, "precious")
    precious.write_text("mine")
    Path(paths.runs, "a").mkdir(parents=True)
    Path(file(run_by, "a/20261122T080000Z", "log")).symlink_to(precious)
    with pytest.raises(RunRefused):
        start(run_by, job(paths, "echo gone"), DUE, clock.read())
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("obstacle", ["runs", "runs/a"])
def test_a_run_whose_folder_cannot_be_made_is_refused_with_the_reason(paths: Paths, run_by: Runner, obstacle: str):
    Path(paths.log(obstacle)).parent.mkdir(exist_ok=True)
    Path(paths.log(obstacle)).touch()
    with pytest.raises(RunRefused, match=r"a/20261122T080000Z: .+"):
        start(run_by, job(paths, "true"), DUE, clock.read())


def test_a_run_whose_lock_cannot_be_made_is_refused_with_the_reason(paths: Paths, run_by: Runner):
    Path(paths.runs, "a").mkdir(parents=True)
    Path(paths.runs, "a", "20261122T080000Z.run").symlink_to("/dev/null")
    with pytest.raises(RunRefused, match=r"a/20261122T080000Z: .+"):
        start(run_by, job(paths, "true"), DUE, clock.read())


# No process is to be had


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "posix_spawn", refuse)


def test_a_process_that_cannot_be_had_is_an_outcome_and_not_a_crash(paths: Paths, run_by: Runner, no_processes: None):
    run = start(run_by, job(paths, "true"), DUE, clock.read())
    assert (run.outcome, run_by.open) == (Outcome.FAILED, {})
    assert (last(paths)["exit"], last(paths)["reason"]) == (None, "no process: Resource temporarily unavailable")


def test_a_command_too_long_for_the_system_is_a_failed_run(paths: Paths, run_by: Runner):
    run = start(run_by, job(paths, ("echo", "x" * 200_000)), DUE, clock.read())
    assert (run.outcome, last(paths)["reason"]) == (Outcome.FAILED, "no process: Argument list too long")


def test_after_a_process_could_not_be_had_the_job_is_free_again(paths: Paths, run_by: Runner):
    start(run_by, job(paths, ("echo", "x" * 200_000)), DUE, clock.read())
    assert done(run_by, job(paths, "true"), DUE + timedelta(hours=1)).outcome == Outcome.SUCCEEDED


def test_a_user_without_a_name_can_run_jobs(paths: Paths, run_by: Runner, monkeypatch: pytest.MonkeyPatch):
    def nameless(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    spawn.environment.cache_clear()
    assert done(run_by, job(paths, "true")).outcome == Outcome.SUCCEEDED


def test_a_spawn_that_fails_in_an_unforeseen_way_does_not_stop_the_watch_of_others(
    paths: Paths, run_by: Runner, monkeypatch: pytest.MonkeyPatch
):
    def unforeseen(*_: object) -> int:
        raise ValueError("embedded null byte")

    other = under_way(run_by, job(paths, WAIT_FOR_GO, name="b"))
    with monkeypatch.context() as patched:
        patched.setattr("automations.spawn.spawn", unforeseen)
        with contextlib.suppress(ValueError):
            start(run_by, job(paths, "true"), DUE, clock.read())
    Path(paths.home, "go").touch()
    assert finish(run_by, other) == Outcome.SUCCEEDED


def test_a_refused_or_failed_run_leaves_no_open_file(paths: Paths, run_by: Runner):
    done(run_by, job(paths, "true"))
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(RunRefused):
        start(run_by, job(paths, "true"), DUE, clock.read())
    start(run_by, job(paths, ("echo", "x" * 200_000)), DUE + timedelta(hours=1), clock.read())
    assert set(Path("/proc/self/fd").iterdir()) == before


@contextlib.contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Let this process open so many more files and not one more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 50, hard))
    filled = []
    with contextlib.suppress(OSError):
        while True:
            filled.append(os.open(os.devnull, os.O_RDONLY))
    try:
        for fd in filled[-descriptors:]:
            os.close(fd)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in filled[:-descriptors]:
            os.close(fd)


@pytest.mark.parametrize("descriptors", [1, 2, 3, 4, 5])
def test_a_run_for_which_descriptors_run_out_leaves_none_open(paths: Paths, run_by: Runner, descriptors: int):
    done(run_by, job(paths, "true"))
    before = set(Path("/proc/self/fd").iterdir())
    with room_for(descriptors), contextlib.suppress(RunRefused):
        start(run_by, job(paths, "true"), DUE + timedelta(hours=1), clock.read())
    assert set(Path("/proc/self/fd").iterdir()) == before


# What the command is


def test_a_list_is_executed_word_for_word(paths: Paths, run_by: Runner):
    assert printed(paths, run_by, ("printf", "[%s]", "a b", "$HOME", "*", "", "'")) == "[a b][$HOME][*][][']"


def test_a_string_is_for_the_shell(paths: Paths, run_by: Runner):
    assert printed(paths, run_by, "x=$((1 + 1)); echo $x | tr 2 3") == "3\n"


@pytest.mark.parametrize("word", ["exit", "exec", "return", "trap", ":", "eval"])
def test_a_list_names_a_program_and_never_a_word_of_the_shell(paths: Paths, run_by: Runner, word: str):
    assert done(run_by, job(paths, (word,))).code == 127


def test_a_list_cannot_reach_the_variables_of_the_shim(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, ("unset", "folder")))
    assert run.code == 127


# What the command gets


def test_both_streams_go_to_the_file_of_the_run_in_their_order(paths: Paths, run_by: Runner):
    assert printed(paths, run_by, "echo one; echo two >&2; echo three") == "one\ntwo\nthree\n"


def test_output_of_any_bytes_is_kept_as_it_is(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, ("printf", r"\377\000\033[2J")))
    assert Path(file(run_by, run.run_id, "log")).read_bytes() == b"\xff\0\x1b[2J"


def test_its_standard_input_is_empty(paths: Paths, run_by: Runner):
    assert printed(paths, run_by, "readlink /proc/self/fd/0; cat") == "/dev/null\n"


def test_it_starts_in_its_folder(paths: Paths, run_by: Runner):
    Path(paths.home, "work").mkdir()
    assert printed(paths, run_by, "pwd", cwd=f"{paths.home}/work") == f"{paths.home}/work\n"


def test_it_runs_in_a_session_and_a_group_of_its_own(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, ("cut", "-d ", "-f", "5,6", "/proc/self/stat")))
    group, session = output(run_by, run).split()
    assert group == session != str(os.getsid(0))


def test_its_new_files_are_readable_as_usual_whatever_the_umask_of_the_scheduler(paths: Paths, run_by: Runner):
    before = os.umask(0o077)
    try:
        assert printed(paths, run_by, "umask") == "0022\n"
    finally:
        os.umask(before)


def test_the_file_of_a_run_is_for_its_owner_only(paths: Paths, run_by: Runner):
    run = done(run_by, job(paths, "true"))
    assert Path(file(run_by, run.run_id, "log")).stat().st_mode & 0o777 == 0o600
    assert Path(paths.runs, "a").stat().st_mode & 0o777 == 0o700


def test_it_does_not_hold_the_locks_of_its_run(paths: Paths, run_by: Runner):
    targets = printed(paths, run_by, "readlink /proc/$$/fd/*").split()
    assert not [target for target in targets if target.endswith((".run", "/runs/a"))]


def test_it_gets_no_descriptor_that_the_scheduler_happened_to_inherit(paths: Paths, run_by: Runner):
    with open("/etc/passwd") as inherited:
        os.set_inheritable(inherited.fileno(), True)
        spawn._inheritable.cache_clear()
        assert "/etc/passwd" not in printed(paths, run_by, "readlink /proc/$$/fd/*")


ORDINARY = 0x7FFFFFFF  # 1 to 31; above are the real-time ones, of which glibc uses two for itself


def signals_of(paths: Paths, run_by: Runner) -> dict[str, str]:
    lines = printed(paths, run_by, ("grep", "^Sig", "/proc/self/status")).splitlines()
    return dict(line.split(":\t") for line in lines)


def test_it_hears_every_signal_whatever_the_scheduler_holds_back(paths: Paths, run_by: Runner):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
    try:
        assert int(signals_of(paths, run_by)["SigBlk"], 16) == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_it_ignores_no_signal_whatever_the_scheduler_ignores(paths: Paths, run_by: Runner):
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        assert int(signals_of(paths, run_by)["SigIgn"], 16) & ORDINARY == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment_of(paths: Paths, run_by: Runner, due: datetime, **more: object) -> dict[str, str]:
    run = done(run_by, job(paths, ("env", "-0"), **more), due)
    return dict(line.split("=", 1) for line in output(run_by, run).split("\0")[:-1])


def test_its_environment_is_a_short_list_of_names(paths: Paths, run_by: Runner):
    ours = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG"}
    ours |= {"AUTOMATIONS_HOME", "AUTOMATIONS_JOB", "AUTOMATIONS_RUN_ID", "AUTOMATIONS_DUE"}
    assert set(environment_of(paths, run_by, DUE)) - {"PWD", "OLDPWD", "_", "SHLVL"} == ours


def test_the_key_of_the_control_api_is_not_in_it(paths: Paths, run_by: Runner, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DASHBOARD_KEY", "s3cret")
    Path(paths.key_file).write_text("DASHBOARD_KEY=s3cret\n")
    assert "s3cret" not in str(environment_of(paths, run_by, DUE))


def test_it_is_the_same_whatever_the_environment_of_the_scheduler_is(
    paths: Paths, run_by: Runner, monkeypatch: pytest.MonkeyPatch
):
    before = environment_of(paths, run_by, DUE)
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LANG", "de_CH")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    after = environment_of(paths, run_by, DUE + timedelta(hours=1))
    own = {name for name in before if before[name] != after.get(name)}
    assert own == {"AUTOMATIONS_RUN_ID", "AUTOMATIONS_DUE"}


def test_it_tells_the_command_its_job_run_and_slot(paths: Paths, run_by: Runner):
    found = environment_of(paths, run_by, DUE)
    told = [found[f"AUTOMATIONS_{name}"] for name in ("HOME", "JOB", "RUN_ID", "DUE")]
    assert told == [paths.home, "a", "a/20261122T080000Z", "2026-11-22T08:00:00.000Z"]


def test_the_job_file_adds_to_it_and_changes_it(paths: Paths, run_by: Runner):
    found = environment_of(paths, run_by, DUE, env=(("LANG", "de_CH.UTF-8"), ("TOKEN", "a=b c")))
    assert (found["LANG"], found["TOKEN"]) == ("de_CH.UTF-8", "a=b c")


def test_python_means_the_python_of_the_scheduler(paths: Paths, run_by: Runner):
    found = printed(paths, run_by, ("python", "-c", "import sys; print(sys.prefix)"))
    assert found == f"{sys.prefix}\n"


# When to look again


def test_without_open_runs_there_is_nothing_to_wait_for(run_by: Runner):
    assert run_by.wake_in(clock.read()) is None


def test_the_next_look_is_at_the_nearest_deadline(paths: Paths, run_by: Runner):
    now = clock.read()
    start(run_by, job(paths, WAIT_FOR_GO, name="a", timeout_s=60), DUE, now)
    start(run_by, job(paths, WAIT_FOR_GO, name="b", timeout_s=90), DUE, now)
    run_by.watch(now._replace(mono=now.mono + 59.5))
    assert run_by.wake_in(now._replace(mono=now.mono + 59.5)) == pytest.approx(0.5)


def test_an_open_run_is_looked_at_once_a_second(paths: Paths, run_by: Runner):
    now = clock.read()
    start(run_by, job(paths, WAIT_FOR_GO), DUE, now)
    run_by.watch(now)
    assert run_by.wake_in(now) == pytest.approx(1)


def test_what_must_end_is_looked_at_ten_times_a_second(paths: Paths, run_by: Runner):
    now = clock.read()
    run = start(run_by, job(paths, "trap '' TERM; echo up; while :; do sleep 60; done"), DUE, now)
    run_by.stop([run], now)
    run_by.watch(now)
    assert run_by.wake_in(now) == pytest.approx(0.1)


def test_a_look_that_is_overdue_is_now(paths: Paths, run_by: Runner):
    start(run_by, job(paths, WAIT_FOR_GO, timeout_s=60), DUE, clock.read())
    assert run_by.wake_in(later(100)) == 0


# Adoption: the runs of a scheduler that is no more

STARTER = f"""
import os, sys
sys.path.insert(0, {PROJECT!r})
from datetime import UTC, datetime, timedelta
from automations import clock
from automations.journal import Journal
from automations.recorder import Recorder
from automations.model import Job, Slot
from automations.paths import Paths
from automations.runner import Runner
from automations.schedule import AtStart
home, command, first_free = sys.argv[1:]
os.closerange(3, 100)
while (fd := os.open("/dev/null", os.O_RDONLY)) < int(first_free) - 1:
    pass
os.close(fd) if int(first_free) <= 3 else None
run_by = Runner(Paths(home), Recorder(Journal(Paths(home)), echo=False))
job = Job("a", AtStart(), "", command, timedelta(seconds=60), timedelta(hours=1), home)
run_by.begin_one(Slot(job, None), clock.read())
print("started", flush=True)
os._exit(0)  # as good as a kill -9: nothing is cleaned up
"""


def starter(paths: Paths, command: str, first_free: int = 3) -> list[str]:
    """A scheduler that starts a run and dies at once; its first free descriptor has this number."""
    return [sys.executable, "-I", "-c", STARTER, paths.home, command, str(first_free)]


def orphaned(paths: Paths, command: str, first_free: int = 3) -> str:
    """The run id of a run whose scheduler has died."""
    subprocess.run(starter(paths, command, first_free), check=True, timeout=30, capture_output=True)
    (run_id,) = replay.read(paths.journal).open_runs
    return run_id


def take_over(paths: Paths, run_by: Runner, past: Past, now: Reading) -> None:
    run_by.adopt(adoption.open_runs(paths, past, {}, now))


def adopted(paths: Paths, run_by: Runner, run_id: str, now: Reading | None = None) -> Run:
    take_over(paths, run_by, replay.read(paths.journal), now or clock.read())
    return run_by.open[run_id]


@pytest.mark.parametrize("code", [0, 7])
def test_a_run_whose_scheduler_died_is_adopted_and_settled_with_its_true_code(paths: Paths, run_by: Runner, code: int):
    run = adopted(paths, run_by, orphaned(paths, f"{WAIT_FOR_GO}; exit {code}"))
    run_by.watch(clock.read())
    before = run.outcome
    Path(paths.home, "go").touch()
    finish(run_by, run)
    assert (before, run.outcome, run.code) == (None, Outcome.FAILED if code else Outcome.SUCCEEDED, code)


def test_an_adopted_run_says_so_in_the_journal(paths: Paths, run_by: Runner):
    run = adopted(paths, run_by, orphaned(paths, "exit 3"))
    finish(run_by, run)
    assert (last(paths)["adopted"], last(paths)["exit"], last(paths)["run_id"]) == (True, 3, run.run_id)


def test_a_run_that_ended_while_nobody_watched_is_settled_with_its_true_code(paths: Paths, run_by: Runner):
    run_id = orphaned(paths, "exit 5")
    until(lambda: not processes_of(paths))
    assert finish(run_by, adopted(paths, run_by, run_id)) == Outcome.FAILED


def test_a_run_that_left_no_status_is_abandoned(paths: Paths, run_by: Runner):
    run_id = orphaned(paths, "sleep 60")
    for pid in processes_of(paths):
        os.kill(pid, signal.SIGKILL)
    run = adopted(paths, run_by, run_id)
    assert (finish(run_by, run), run.code) == (Outcome.ABANDONED, None)
    assert last(paths)["reason"] == "it ended while no scheduler watched, and left no status"


def recorded(name: str) -> Past:
    """An open run of the job `a`, begun long ago by a process that is no more."""
    ids = {"job": "a", "run_id": f"a/{name}", "due": clock.iso(DUE)}
    return Past(
        None, {}, {f"a/{name}": {**ids, "ts": clock.iso(DUE - timedelta(days=1)), "timeout_s": 60.0, "by": "1 1 -"}}
    )


def test_a_run_recorded_but_never_spawned_is_abandoned(paths: Paths, run_by: Runner):
    take_over(paths, run_by, recorded("20261121T080000Z"), clock.read())
    assert finish(run_by, run_by.open["a/20261121T080000Z"]) == Outcome.ABANDONED


def test_a_run_whose_starter_lives_is_left_to_it(paths: Paths, run_by: Runner):
    run = under_way(run_by, job(paths, WAIT_FOR_GO))
    successor = Runner(paths, Recorder(Journal(paths), echo=False))
    take_over(paths, successor, replay.read(paths.journal), clock.read())
    assert (successor.open, list(run_by.open)) == ({}, [run.run_id])


def test_an_adopted_run_at_its_deadline_is_timed_out_with_its_whole_group(paths: Paths, run_by: Runner):
    run = adopted(paths, run_by, orphaned(paths, "sleep 60 & sleep 60"))
    assert finish(run_by, run, ahead_s=60) == Outcome.TIMED_OUT
    until(lambda: not processes_of(paths), 3, "all of the group ended")


def test_the_deadline_of_an_adopted_run_counts_from_its_own_start(paths: Paths, run_by: Runner):
    run = adopted(paths, run_by, orphaned(paths, "sleep 60"), now=later(45))
    assert run_by.wake_in(later(45)) <= 1
    assert 0 < run.deadline - later(45).mono <= 15


def test_an_adopted_run_can_be_stopped(paths: Paths, run_by: Runner):
    run = adopted(paths, run_by, orphaned(paths, "sleep 60"))
    run_by.stop([run], clock.read())
    assert finish(run_by, run) == Outcome.STOPPED


def test_an_adopted_run_that_is_deaf_to_term_is_killed(paths: Paths, run_by: Runner):
    run = adopted(paths, run_by, orphaned(paths, "trap '' TERM; while :; do sleep 60; done"))
    run_by.watch(later(60))
    assert finish(run_by, run, ahead_s=60 + KILL_AFTER_S + 1) == Outcome.TIMED_OUT


def test_the_job_of_an_orphaned_run_is_still_running(paths: Paths, run_by: Runner):
    orphaned(paths, "sleep 60")
    with pytest.raises(RunRefused, match="a is still running"):
        start(run_by, job(paths, "true"), DUE, clock.read())


def test_a_run_that_is_no_more_is_not_taken_for_a_later_one_of_its_job(paths: Paths, run_by: Runner):
    living = under_way(run_by, job(paths, WAIT_FOR_GO))
    successor = Runner(paths, Recorder(Journal(paths), echo=False))
    take_over(paths, successor, recorded("20261121T080000Z"), clock.read())
    assert finish(successor, successor.open["a/20261121T080000Z"]) == Outcome.ABANDONED
    assert is_alive(living.pid)


@pytest.mark.parametrize("first_free", range(3, 13))
def test_an_orphan_holds_its_locks_whatever_descriptors_its_scheduler_had_free(
    paths: Paths, run_by: Runner, first_free: int
):
    run = adopted(paths, run_by, orphaned(paths, f"{WAIT_FOR_GO}; exit 7", first_free))
    run_by.watch(clock.read())
    Path(paths.home, "go").touch()
    finish(run_by, run)
    assert (run.outcome, run.code) == (Outcome.FAILED, 7)


def test_an_exit_status_is_never_taken_for_the_pid_that_could_not_be_written(paths: Paths):
    Path(paths.runs, "a").mkdir(parents=True)
    Path(claim.file(paths, "a/20261122T080000Z", "run")).write_text("exit 7\n")
    assert claim.left(paths, "a/20261122T080000Z") == ({}, None, 7)
