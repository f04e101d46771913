"""A crash or a hang is mended, with patience; a stopped scheduler stays stopped; a sleeping machine hung nobody."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.locks import Identity, Lock, proc_stat
from automations.model import Want
from automations.paths import PROJECT, Paths
from automations.process import write_want
from scripts import watchdog
from scripts.watchdog import Scheduler, Timing, Watchdog
from tests.conftest import until

PID = 4711
MINUTE = 60.0
FOR_EVER = 10_000 * MINUTE


class Clock:
    """A time module of its own, in which an hour takes no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps.append(seconds)


class Watched:
    """A scheduler whose whole life is known beforehand."""

    def __init__(self, clock: Clock, ends_at: float = FOR_EVER, hangs_at: float = FOR_EVER) -> None:
        self.identity = Identity(PID, "1", "-")
        self.killed_at: float | None = None
        self.tick_s = MINUTE
        self._clock, self._ends_at, self._hangs_at = clock, ends_at, hangs_at

    def ended_within(self, seconds: float) -> bool:
        self._clock.now += seconds
        return self._clock.now >= self._ends_at

    def progress(self) -> int | None:
        return int(min(self._clock.now, self._hangs_at) // self.tick_s)

    def kill_hung(self) -> str:
        self.killed_at = self._clock.now
        return "busy without end"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watchdog, "time", made)
    return made


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A home whose scheduler is wanted."""
    (tmp_path / "logs").mkdir()
    made = Paths(str(tmp_path))
    write_want(made, Want.UP)
    return made


@pytest.fixture
def dog(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    monkeypatch.delenv("AUTOMATIONS_TICK_S", raising=False)
    return Watchdog(paths)


def leave_pid_file(paths: Paths, pid: int = PID) -> None:
    Path(paths.log("scheduler.pid")).write_text(f"{pid}\n")


# Timing


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (8, 60), (9, 60), (20, 60), (10_000, 60)],
)
def test_the_first_restart_is_at_once_and_the_next_ones_wait_ever_longer_up_to_a_minute(failures: int, delay_s: float):
    assert Timing(60).delay_s(failures) == delay_s


@given(st.floats(0.1, 600), st.integers(1, 100))
def test_the_wait_never_gets_shorter_and_never_longer_than_a_tick(tick_s: float, failures: int):
    timing = Timing(tick_s)
    assert timing.delay_s(failures) <= timing.delay_s(failures + 1) <= tick_s


@given(st.floats(0.1, 600))
def test_all_spans_follow_from_the_tick(tick_s: float):
    timing, usual = Timing(tick_s), Timing(60)
    for span in ("poll_s", "hang_s", "first_delay_s", "longest_delay_s"):
        assert getattr(timing, span) == pytest.approx(getattr(usual, span) * tick_s / 60)


def test_a_hang_is_two_and_a_half_ticks():
    assert Timing(60).hang_s == 150


def test_the_tick_is_taken_from_the_environment(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTOMATIONS_TICK_S", "2")
    assert Watchdog(paths)._timing.hang_s == 5


# Watching one scheduler to its end


def test_a_scheduler_that_ended_on_purpose_is_let_be(dog: Watchdog, clock: Clock):
    assert dog._watch_closely(Watched(clock, ends_at=10 * MINUTE)) is None


def test_a_scheduler_that_ended_and_left_its_pid_file_crashed(dog: Watchdog, clock: Clock, paths: Paths):
    leave_pid_file(paths)
    assert dog._watch_closely(Watched(clock, ends_at=10 * MINUTE)) == "crashed"


def test_the_pid_file_of_another_scheduler_is_no_sign_of_a_crash(dog: Watchdog, clock: Clock, paths: Paths):
    leave_pid_file(paths, pid=PID + 1)
    assert dog._watch_closely(Watched(clock, ends_at=10 * MINUTE)) is None


def test_a_scheduler_without_a_tick_for_two_and_a_half_minutes_hung_and_is_killed(dog: Watchdog, clock: Clock):
    hung = Watched(clock, hangs_at=10 * MINUTE)
    cause = dog._watch_closely(hung)
    assert cause.startswith("hung, no tick for 1")
    assert cause.endswith(" s: busy without end")
    assert 12.5 * MINUTE < hung.killed_at <= 13.5 * MINUTE


def test_a_scheduler_that_hung_from_its_first_moment_is_noticed_too(dog: Watchdog, clock: Clock):
    hung = Watched(clock, hangs_at=0)
    dog._watch_closely(hung)
    assert hung.killed_at <= 3.5 * MINUTE


def test_a_scheduler_that_ticks_slowly_but_ticks_is_left_alone(dog: Watchdog, clock: Clock):
    slow = Watched(clock, ends_at=1000 * MINUTE)
    slow.tick_s = 2.2 * MINUTE
    assert (dog._watch_closely(slow), slow.killed_at) == (None, None)


def test_a_hung_scheduler_that_is_not_wanted_any_more_is_left_to_the_one_who_stops_it(
    dog: Watchdog, clock: Clock, paths: Paths
):
    write_want(paths, Want.DOWN)
    hung = Watched(clock, ends_at=60 * MINUTE, hangs_at=0)
    assert (dog._watch_closely(hung), hung.killed_at) == (None, None)


def test_where_no_progress_can_be_seen_nobody_is_judged(dog: Watchdog, clock: Clock):
    class Unseen(Watched):
        def progress(self) -> int | None:
            return None

    unseen = Unseen(clock, ends_at=1000 * MINUTE)
    assert (dog._watch_closely(unseen), unseen.killed_at) == (None, None)


class Napping(Watched):
    """A scheduler on a machine that stands still for an hour, now and then, with all that runs on it."""

    naps_at = (30 * MINUTE, 200 * MINUTE, 400 * MINUTE)

    def ended_within(self, seconds: float) -> bool:
        before = self._clock.now
        ended = super().ended_within(seconds)
        if any(before < nap <= self._clock.now for nap in self.naps_at):
            self._clock.now += 60 * MINUTE
        return ended

    def progress(self) -> int | None:
        """It has not come to its tick yet when the watchdog wakes up."""
        return int((self._clock.now - 1) // self.tick_s)


def test_a_machine_that_slept_for_an_hour_hung_nobody(dog: Watchdog, clock: Clock):
    napping = Napping(clock, ends_at=600 * MINUTE)
    assert (dog._watch_closely(napping), napping.killed_at) == (None, None)


class Frozen(Napping):
    """The same, and the scheduler needs another minute to come to its senses."""

    def progress(self) -> int | None:
        waking = [nap + 60 * MINUTE for nap in self.naps_at if nap <= self._clock.now]
        if waking and self._clock.now < waking[-1] + 1.2 * MINUTE:
            return int((waking[-1] - 60 * MINUTE) // self.tick_s)
        return super().progress()


def test_a_scheduler_that_wakes_up_slowly_did_not_hang(dog: Watchdog, clock: Clock):
    frozen = Frozen(clock, ends_at=600 * MINUTE)
    assert (dog._watch_closely(frozen), frozen.killed_at) == (None, None)


@pytest.mark.parametrize(("lived_s", "failures"), [(0.5 * MINUTE, 5), (1.5 * MINUTE, 5), (3 * MINUTE, 0)])
def test_a_scheduler_that_ticked_twice_starts_the_count_afresh(
    dog: Watchdog, clock: Clock, lived_s: float, failures: int
):
    dog._failures = 5
    dog._watch_closely(Watched(clock, ends_at=lived_s))
    assert dog._failures == failures


def test_a_scheduler_that_hung_from_its_first_moment_does_not_start_the_count_afresh(dog: Watchdog, clock: Clock):
    dog._failures = 5
    dog._watch_closely(Watched(clock, hangs_at=0))
    assert dog._failures == 5


# Mending


class Door:
    """`run_automations.sh` with its answers known beforehand; the last one again and again."""

    def __init__(self, *codes: int) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._codes = list(codes)

    def __call__(self, *arguments: str) -> int:
        self.calls.append(arguments)
        return self._codes.pop(0) if len(self._codes) > 1 else self._codes[0]


Mend = Callable[..., tuple[bool, list[tuple[str, ...]]]]


@pytest.fixture
def mend(dog: Watchdog, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Mend:
    """Mend a crash at a door that answers with these codes: was it mended, and how was the door used?"""

    def call(*codes: int) -> tuple[bool, list[tuple[str, ...]]]:
        door = Door(*codes)
        monkeypatch.setattr(dog, "_door", door)
        return dog._mend("crashed"), door.calls

    return call


def test_a_crashed_scheduler_is_revived_at_once(mend: Mend, clock: Clock):
    assert mend(0) == (True, [("revive", "crashed", "1")])
    assert clock.now == 0


def test_a_revival_that_fails_is_tried_again_after_ever_longer_waits(mend: Mend, clock: Clock):
    mended, calls = mend(1, 1, 75, 0)
    assert (mended, [attempt for _, _, attempt in calls]) == (True, ["1", "2", "3", "4"])
    assert clock.now == 0 + 1 + 2 + 4


def test_a_scheduler_that_the_door_says_is_not_wanted_is_left_down(mend: Mend):
    assert mend(3) == (False, [("revive", "crashed", "1")])


def test_a_scheduler_that_is_not_wanted_is_not_even_tried(mend: Mend, paths: Paths):
    write_want(paths, Want.DOWN)
    assert mend(0) == (False, [])


def test_a_want_that_goes_down_during_a_wait_ends_the_watch_without_another_try(
    mend: Mend, clock: Clock, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 2:
            write_want(paths, Want.DOWN)

    monkeypatch.setattr(clock, "sleep", sleep)
    mended, calls = mend(1)
    assert (mended, [attempt for _, _, attempt in calls]) == (False, ["1", "2"])


def test_a_refused_job_file_is_given_up_at_once_and_named(mend: Mend):
    give_up = ("give-up", "crashed; automations.toml is refused", "1")
    assert mend(78) == (False, [("revive", "crashed", "1"), give_up])


def test_after_twenty_tries_in_a_row_it_gives_up_and_says_so_once(mend: Mend):
    mended, calls = mend(1)
    assert (mended, len(calls)) == (False, 21)
    assert calls[-1] == ("give-up", "crashed", "20")


def test_the_count_goes_on_from_one_crash_to_the_next(mend: Mend, clock: Clock):
    mend(0)
    assert mend(0) == (True, [("revive", "crashed", "2")])
    assert clock.now == 1


# From one scheduler to the next


def run(dog: Watchdog, monkeypatch: pytest.MonkeyPatch, *codes: int) -> list[tuple[str, ...]]:
    """Run the watchdog to its end; how it used its door."""
    door = Door(*codes)
    monkeypatch.setattr(dog, "_door", door)
    dog.run()
    return door.calls


def test_with_nobody_there_and_no_pid_file_it_ends(dog: Watchdog, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    assert run(dog, monkeypatch, 0) == []


def test_a_pid_file_without_a_scheduler_is_a_crash(
    dog: Watchdog, clock: Clock, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    leave_pid_file(paths)
    assert run(dog, monkeypatch, 3) == [("revive", "crashed", "1")]


def test_while_the_scheduler_is_not_wanted_it_does_nothing(
    dog: Watchdog, clock: Clock, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    leave_pid_file(paths)
    write_want(paths, Want.DOWN)
    assert run(dog, monkeypatch, 0) == []


def test_it_stays_until_the_scheduler_cannot_be_brought_back(
    dog: Watchdog, clock: Clock, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    leave_pid_file(paths)
    calls = run(dog, monkeypatch, 0, 0, 0, 78)
    assert [arguments[0] for arguments in calls] == ["revive"] * 4 + ["give-up"]


def test_a_second_watchdog_ends_itself(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTOMATIONS_HOME", paths.home)
    monkeypatch.setattr(Watchdog, "run", lambda _: pytest.fail("it watches as well"))
    umask = os.umask(0o077)
    with Lock(paths.log("watchdog.lock")) as first:
        first.acquire()
        watchdog.main()
    os.umask(umask)


# The real door


def test_the_door_is_the_script_and_its_exit_code_the_answer(paths: Paths, tmp_path: Path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "run_automations.sh").write_text(f'echo "$*" >{tmp_path}/called; exit 78\n')
    code = Watchdog(Paths(paths.home, project=str(tmp_path)))._door("revive", "it's gone", "3")
    assert (code, (tmp_path / "called").read_text()) == (78, "revive it's gone 3\n")


# A real process

HOLDER = f"""
import signal, sys
sys.path.insert(0, {PROJECT!r})
from automations.locks import Lock
lock = Lock(sys.argv[1])
lock.acquire()
lock.sign()
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
print("held", flush=True)
"""
SLEEP, SPIN = "signal.pause()", "while True: pass"


@pytest.fixture
def begin(paths: Paths) -> Iterator[Callable[[str], tuple[subprocess.Popen[bytes], Scheduler]]]:
    """A process that holds the scheduler's lock and then does what it is told, and the watchdog's hold of it."""

    def call(then: str) -> tuple[subprocess.Popen[bytes], Scheduler]:
        command = [sys.executable, "-I", "-c", f"{HOLDER}\n{then}", paths.log("scheduler.lock")]
        process = leave.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        leave.callback(process.kill)
        assert process.stdout.readline() == b"held\n"
        watched = Scheduler(Identity.of(process.pid), paths.log("scheduler.lock"))
        leave.callback(watched.close)
        return process, watched

    with contextlib.ExitStack() as leave:
        yield call


Begin = Callable[[str], tuple[subprocess.Popen[bytes], Scheduler]]


def test_a_living_process_has_not_ended(begin: Begin):
    _, watched = begin(SLEEP)
    assert not watched.ended_within(0.05)


@pytest.mark.timeout(30)
def test_an_end_is_noticed_at_once(begin: Begin):
    process, watched = begin(SLEEP)
    process.kill()
    assert watched.ended_within(60)


def test_a_touch_of_the_lock_is_progress(begin: Begin, paths: Paths):
    _, watched = begin(SLEEP)
    before = watched.progress()
    os.utime(paths.log("scheduler.lock"), (1, 1))
    assert watched.progress() != before


def test_without_a_lock_file_no_progress_can_be_seen(begin: Begin, paths: Paths):
    _, watched = begin(SLEEP)
    Path(paths.log("scheduler.lock")).unlink()
    assert watched.progress() is None


@pytest.mark.parametrize(
    ("then", "state", "cause"), [(SLEEP, "S", "asleep and not woken"), (SPIN, "R", "busy without end")]
)
def test_a_hung_process_is_killed_and_the_cause_is_named(begin: Begin, then: str, state: str, cause: str):
    process, watched = begin(then)
    until(lambda: proc_stat(process.pid)[0] == state)
    said = watched.kill_hung()
    assert process.wait() == -signal.SIGKILL
    assert (said.startswith(cause), said.endswith("; its stack is in scheduler.out")) == (True, True)


def test_a_stopped_process_is_killed_without_being_asked_for_its_stack(begin: Begin):
    process, watched = begin(SLEEP)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert watched.kill_hung().startswith("stopped by a signal")
    assert process.wait() == -signal.SIGKILL


def test_the_new_owner_of_a_recycled_pid_is_not_killed(begin: Begin, paths: Paths):
    process, _ = begin(SLEEP)
    other = Scheduler(Identity(process.pid, "1", "-"), paths.log("scheduler.lock"))
    other._signal(signal.SIGKILL)
    other.close()
    assert process.poll() is None
