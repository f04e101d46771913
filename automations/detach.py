"""Launch a program that outlives us, and believe that it lives only when it has proved it.

The proof has two parts. First the program speaks: it writes `ready` (or the reason why not) into the descriptor
named by READY_FD, after it holds its lock and has written its journal line. Then it survives a settle time:
hosted platforms kill detached processes a second after the launch, and a start that answers before that lies.
Source of the protocol: s6 notification-fd; of the 1.5 s: measured, alive after 0.2 s was wrong in 77 of 100.

Signals are blocked across the exec and unblocked by the program once its handlers stand; a TERM in the first
moments is then not lost.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence

from automations.errors import StartFailed
from automations.files import open_private, read_tail

READY_FD = "READY_FD"
SETTLE_S = 1.5
PROOF_WAIT_S = 10.0
HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
            env={**os.environ, READY_FD: str(writer)} if notifies else None,
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
            raise StartFailed(_why_not(child, word, wait_s, out, said_before))
        _settle(child, settle_s, out, said_before)
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        os.close(reader)
    child.returncode = 0  # it is meant to outlive us: no ResourceWarning about a running child
    return child.pid, word.removeprefix("ready").strip()


def announce(word: str) -> None:
    """Tell the launcher, if there is one: `ready`, `ready WORDS`, or the reason why it will not be."""
    fd = os.environ.pop(READY_FD, "")
    if fd.isdigit():
        try:
            os.write(int(fd), word.encode()[:4000])
            os.close(int(fd))
        except OSError:
            pass  # the launcher gave up waiting


def _first_word(reader: int, deadline: float) -> str:
    """All that the program says until it closes its end."""
    said = b""
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(reader, 4096)
        if not piece:
            break
        said += piece
    return said.decode("utf-8", "backslashreplace")


def _settle(child: "subprocess.Popen[bytes]", settle_s: float, out: str, said_before: int) -> None:
    try:
        child.wait(settle_s)
    except subprocess.TimeoutExpired:
        return
    raise StartFailed(f"started and died within {settle_s:g} s: {_ending(child)}{_tail(out, said_before)}")


def _why_not(child: "subprocess.Popen[bytes]", word: str, wait_s: float, out: str, said_before: int) -> str:
    if word:
        return word.strip()
    try:
        child.wait(0.5)
    except subprocess.TimeoutExpired:
        return f"gave no sign of life within {wait_s:g} s and was killed{_tail(out, said_before)}"
    return f"died before it was ready: {_ending(child)}{_tail(out, said_before)}"


def _ending(child: "subprocess.Popen[bytes]") -> str:
    code = child.returncode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def _tail(out: str, said_before: int) -> str:
    """What the program itself printed, last lines only."""
    fresh = max(0, os.stat(out).st_size - said_before)
    lines = read_tail(out, min(fresh, 2000)).decode("utf-8", "backslashreplace").strip().split("\n")[-8:]
    return f"; the end of {os.path.basename(out)}:\n" + "\n".join(lines) if lines != [""] else f"; {out} is empty"
