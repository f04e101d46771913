"""A launched program is believed to live only when it has said so and then goes on living."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automations import detach
from automations.errors import Exit, StartFailed
from automations.locks import Identity
from automations.paths import PROJECT
from automations.readiness import HELD_BACK
from tests.conftest import until

BEGIN = f"""
import os, signal, subprocess, sys, time
sys.path.insert(0, {PROJECT!r})
from automations.readiness import HELD_BACK, announce, keep_ready_fd
"""
LIVE = "\ntime.sleep(60)\n"

Launch = Callable[..., tuple[int, str]]


def program(body: str) -> list[str]:
    """A Python program that may speak the READY_FD protocol."""
    return [sys.executable, "-I", "-c", BEGIN + body]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "x.out"


@pytest.fixture
def launch(out: Path) -> Iterator[Launch]:
    """`detach.launch`, with a short settle time, and an end for whatever it launched."""
    pids = []

    def call(argv: list[str], **options: object) -> tuple[int, str]:
        pid, words = detach.launch(argv, str(out), **{"settle_s": 0.05, **options})
        pids.append(pid)
        return pid, words

    yield call
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def why(launch: Launch, argv: list[str], **options: object) -> str:
    with pytest.raises(StartFailed) as caught:
        launch(argv, **options)
    return str(caught.value)


# The proof


def test_a_program_that_says_ready_and_lives_is_believed(launch: Launch):
    pid, words = launch(program("announce('ready brief/20261122T080000.000Z')" + LIVE))
    assert (Identity.of(pid) is not None, words) == (True, "brief/20261122T080000.000Z")


def test_a_program_that_dies_at_once_failed_and_its_last_words_are_shown(launch: Launch):
    reason = why(launch, program("sys.exit('no such thing')"))
    assert reason == "died before it was ready: exit 1; the end of x.out:\nno such thing"


def test_a_program_that_is_killed_at_once_failed_by_that_signal(launch: Launch, out: Path):
    reason = why(launch, program("os.kill(os.getpid(), signal.SIGKILL)"))
    assert reason == f"died before it was ready: killed by SIGKILL; {out} is empty"


def test_a_program_that_was_ready_and_died_a_moment_later_failed(launch: Launch):
    body = "announce('ready'); time.sleep(0.3); print('reaped', flush=True); os._exit(4)"
    reason = why(launch, program(body), settle_s=detach.SETTLE_S)
    assert reason == "started and died within 1.5 s: exit 4; the end of x.out:\nreaped"


def test_a_program_that_says_why_not_is_quoted(launch: Launch):
    assert why(launch, program("announce('another scheduler lives'); sys.exit(75)")) == "another scheduler lives"


def test_a_program_that_stays_silent_failed(launch: Launch):
    reason = why(launch, ["sh", "-c", "echo thinking; exec sleep 60"], wait_s=0.5)
    assert reason == "gave no sign of life within 0.5 s and was killed; the end of x.out:\nthinking"


def test_a_program_that_closes_its_descriptor_without_a_word_and_lives_failed(launch: Launch):
    reason = why(launch, program("os.close(int(os.environ['READY_FD']))" + LIVE))
    assert "gave no sign of life" in reason


def test_a_program_that_does_not_exist_failed(launch: Launch):
    assert why(launch, ["/no/such/program"]) == "/no/such/program: No such file or directory"


@pytest.mark.parametrize(("code", "exit_code"), [(75, 75), (78, 78), (1, 1), (0, 1)])
def test_the_failure_has_the_exit_code_of_the_program(launch: Launch, code: int, exit_code: int):
    with pytest.raises(StartFailed) as caught:
        launch(program(f"announce('no'); sys.exit({code})"))
    assert caught.value.exit_code == exit_code


def test_the_failure_of_a_killed_program_has_the_general_exit_code(launch: Launch):
    with pytest.raises(StartFailed) as caught:
        launch(program("os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGKILL)"))
    assert caught.value.exit_code == Exit.FAILED


def test_only_what_the_program_itself_printed_is_shown(launch: Launch, out: Path):
    out.write_text("of an earlier start\n")
    assert "earlier" not in why(launch, program("sys.exit('now')"))


def test_of_long_last_words_the_end_is_shown(launch: Launch):
    reason = why(launch, program("print('\\n'.join(map(str, range(5000)))); sys.exit(1)"))
    assert reason.endswith("\n4998\n4999")
    assert reason.count("\n") == 8


@pytest.mark.timeout(30)
def test_a_ready_program_is_believed_even_if_something_it_started_keeps_the_descriptor(launch: Launch):
    body = "subprocess.Popen(['sleep', '60'], close_fds=False); announce('ready')" + LIVE
    assert launch(program(body), wait_s=60)[1] == ""


def test_a_program_that_keeps_its_descriptor_for_itself_does_not_pass_it_on(launch: Launch, out: Path):
    body = "keep_ready_fd(); subprocess.run(['ls', '/proc/self/fd'], close_fds=False); announce('ready')" + LIVE
    launch(program(body))
    assert set(out.read_text().split()) == {"0", "1", "2", "3"}


# What failed does not run after all


def pid_in(out: Path) -> int:
    return int(out.read_text().split()[0])


def test_a_program_that_gave_no_proof_is_killed(launch: Launch, out: Path):
    why(launch, ["sh", "-c", "echo $$; exec sleep 60"], wait_s=0.5)
    assert Identity.of(pid_in(out)) is None


def test_a_program_that_said_why_not_is_killed(launch: Launch, out: Path):
    why(launch, program("print(os.getpid(), flush=True); announce('I would rather not')" + LIVE))
    assert Identity.of(pid_in(out)) is None


def test_what_a_failed_program_had_started_is_killed_with_it(launch: Launch, out: Path):
    why(launch, ["sh", "-c", "sleep 60 & echo $!; wait"], wait_s=0.5)
    child = Identity.of(pid_in(out))
    try:
        until(lambda: child is None or not child.is_alive(), 3, "the program's child is killed")
    finally:
        if child and child.is_alive():
            os.kill(child.pid, signal.SIGKILL)


# How it runs


def reported(launch: Launch, out: Path, expression: str, **options: object) -> str:
    """What an expression is worth inside of a launched program."""
    launch(program(f"print({expression}, flush=True); announce('ready')" + LIVE), **options)
    return out.read_text().strip()


def test_it_leads_a_session_of_its_own(launch: Launch, out: Path):
    assert reported(launch, out, "os.getpid() == os.getsid(0) == os.getpgrp()") == "True"


def test_its_standard_input_is_empty(launch: Launch, out: Path):
    assert reported(launch, out, "os.readlink('/proc/self/fd/0')") == "/dev/null"


def test_its_standard_output_and_error_are_appended_to_the_file(launch: Launch, out: Path):
    out.write_text("before\n")
    launch(program("print('to out', flush=True); print('to err', file=sys.stderr); announce('ready')" + LIVE))
    assert out.read_text() == "before\nto out\nto err\n"


def test_it_gets_no_descriptor_but_the_standard_ones_and_the_one_to_speak_into(launch: Launch, out: Path):
    expression = "sorted(set(os.listdir('/proc/self/fd')) - {'0', '1', '2', os.environ['READY_FD']}, key=int)[1:]"
    with open(os.devnull) as secret:
        os.set_inheritable(secret.fileno(), True)
        assert reported(launch, out, expression) == "[]"


def test_it_inherits_the_environment(launch: Launch, out: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLOUR", "blue")
    assert reported(launch, out, "os.environ['COLOUR']") == "blue"


def test_the_file_is_for_its_owner_only(launch: Launch, out: Path):
    launch(program("announce('ready')" + LIVE))
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_link_in_place_of_the_file_is_refused(launch: Launch, out: Path, tmp_path: Path):
    out.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        launch(program("announce('ready')" + LIVE))


def test_a_launch_leaves_no_open_file(launch: Launch):
    before = set(Path("/proc/self/fd").iterdir())
    launch(program("announce('ready')" + LIVE))
    why(launch, program("sys.exit(1)"))
    why(launch, ["/no/such/program"])
    assert set(Path("/proc/self/fd").iterdir()) == before


# Signals in the first moments


def test_a_term_before_the_handlers_stand_is_held_back_and_not_lost(launch: Launch):
    body = """
os.kill(os.getpid(), signal.SIGTERM)
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append("TERM"))
signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
announce(f"ready {' '.join(seen)}")
"""
    assert launch(program(body + LIVE))[1] == "TERM"


@pytest.mark.parametrize("number", HELD_BACK)
def test_each_of_the_signals_that_end_a_program_is_held_back(launch: Launch, number: signal.Signals):
    body = f"os.kill(os.getpid(), {number:d}); announce('ready')"
    pid, _ = launch(program(body + LIVE))
    assert Identity.of(pid)


def test_a_program_that_does_not_speak_is_started_with_an_open_ear(launch: Launch):
    pid, _ = launch(["sleep", "60"], notifies=False)
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM


def test_the_launcher_itself_hears_its_signals_again(launch: Launch):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    launch(program("announce('ready')" + LIVE))
    why(launch, program("sys.exit(1)"))
    why(launch, ["/no/such/program"])
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


# Programs that do not speak


def test_without_a_word_surviving_the_settle_time_is_the_proof(launch: Launch):
    began = time.monotonic()
    pid, words = launch(["sleep", "60"], notifies=False, settle_s=0.3)
    assert (Identity.of(pid) is not None, words) == (True, "")
    assert time.monotonic() - began >= 0.3


def test_without_a_word_dying_within_the_settle_time_is_a_failure(launch: Launch):
    reason = why(launch, ["sh", "-c", "echo no; exit 9"], notifies=False, settle_s=30)
    assert reason == "started and died within 30 s: exit 9; the end of x.out:\nno"


def test_it_is_not_told_of_a_descriptor(launch: Launch, out: Path):
    launch(["sh", "-c", 'echo "fd:$READY_FD"; exec sleep 60'], notifies=False)
    assert until(out.read_text) == "fd:\n"


def test_a_launch_from_a_program_that_was_itself_launched_has_a_descriptor_of_its_own(launch: Launch, out: Path):
    body = f"""
from automations import detach
pid, words = detach.launch([sys.executable, "-I", "-c", {BEGIN + "announce('ready inner')" + LIVE!r}], {str(out)!r})
os.kill(pid, 9)
announce("ready outer " + words)
"""
    assert launch(program(body + LIVE))[1] == "outer inner"


def test_a_program_that_was_ready_and_is_done_already_has_not_failed_where_no_settle_time_was_asked(launch: Launch):
    program = "import os; os.write(int(os.environ['READY_FD']), b'ready done\\0')"
    pid, said = launch([sys.executable, "-c", program], settle_s=0.0)
    assert (pid > 0, said) == (True, "done")
