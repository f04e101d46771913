"""Launch a program that outlives us, and believe that it lives only when it has proved it.

The proof has two parts. First the program speaks, as `readiness` tells, after it holds its lock and has written
its journal line. Then it survives a settle time: hosted platforms kill detached processes a second after the
launch, and a start that answers before that lies. Measured: alive after 0.2 s was wrong in 77 of 100 launches on
such a platform, after 1.5 s in none.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence

from automations.errors import Exit, StartFailed
from automations.files import open_private, read_tail
from automations.readiness import END, HELD_BACK, READY_FD, RUN_VARIABLES

SETTLE_S = 1.5
PROOF_WAIT_S = 10.0


def launch(
    argv: Sequence[str],
    out: str,
    *,
    notifies: bool = True,
    settle_s: float = SETTLE_S,
    wait_s: float = PROOF_WAIT_S,
) -> tuple[int, str]:
    """Start `argv` in a session of its own, stdin /dev/null, stdout and stderr appended to the file `out`.

    `notifies`: the program follows the READY_FD protocol; without it, only the settle time is proof.
    Returns the pid and what the program said after `ready`. Raises StartFailed with the reason and the end of
    `out`; a program that gave no proof in time is killed, so that what was called failed does not run after all.
    """
    out_fd = open_private(out, os.O_WRONLY | os.O_APPEND)
    said_before = os.fstat(out_fd).st_size
    reader, writer = os.pipe()
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK if notifies else ())
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out_fd,
            stderr=out_fd,
            start_new_session=True,
            pass_fds=(writer,) if notifies else (),
            env=_environment() | ({READY_FD: str(writer)} if notifies else {}),
        )
    except OSError as error:
        os.close(reader)
        raise StartFailed(f"{argv[0]}: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        os.close(writer)
        os.close(out_fd)
    try:
        word = _first_word(reader, time.monotonic() + wait_s) if notifies else "ready"
        if not word.startswith("ready"):
            raise _why_not(child, word, wait_s, out, said_before)
        if settle_s:  # 0: the word was the whole proof, and a short program may be done by now
            _settle(child, settle_s, out, said_before)
    except BaseException:
        _kill_all(child)
        raise
    finally:
        os.close(reader)
    child.returncode = 0  # it is meant to outlive us: no ResourceWarning about a running child
    return child.pid, word.removeprefix("ready").strip()


def _environment() -> dict[str, str]:
    """Ours, but for the run that may have called us: what is detached does not belong to it, nor end with it."""
    return {name: value for name, value in os.environ.items() if name not in RUN_VARIABLES}


def _first_word(reader: int, deadline: float) -> str:
    """What the program says until its end mark, or until it closes its end."""
    said = b""
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(reader, 4096)
        if not piece:
            break
        said += piece
        if said.endswith(END):
            break
    return said.rstrip(END).decode("utf-8", "backslashreplace")


def _settle(child: "subprocess.Popen[bytes]", settle_s: float, out: str, said_before: int) -> None:
    if _ended_within(child, settle_s):
        raise _failure(child, f"started and died within {settle_s:g} s: {_ending(child)}{_tail(out, said_before)}")


def _why_not(child: "subprocess.Popen[bytes]", word: str, wait_s: float, out: str, said_before: int) -> StartFailed:
    """The program's own reason if it gave one, else what became of it."""
    ended = _ended_within(child, 0.5)
    if word:
        return _failure(child, word.strip())
    if ended:
        return _failure(child, f"died before it was ready: {_ending(child)}{_tail(out, said_before)}")
    return StartFailed(f"gave no sign of life within {wait_s:g} s and was killed{_tail(out, said_before)}")


def _kill_all(child: "subprocess.Popen[bytes]") -> None:
    """End the program and whatever it has started in its session's first group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _failure(child: "subprocess.Popen[bytes]", reason: str) -> StartFailed:
    code = child.returncode or 0
    return StartFailed(reason, code if code > 0 else Exit.FAILED)


def _ended_within(child: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ending(child: "subprocess.Popen[bytes]") -> str:
    code = child.returncode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def _tail(out: str, said_before: int) -> str:
    """What the program itself printed, last lines only."""
    fresh = max(0, os.stat(out).st_size - said_before)
    lines = read_tail(out, min(fresh, 2000)).decode("utf-8", "backslashreplace").strip().split("\n")[-8:]
    return f"; the end of {os.path.basename(out)}:\n" + "\n".join(lines) if lines != [""] else f"; {out} is empty"
