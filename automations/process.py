"""State that outlives a process (`want`, pid file) and ending a process that was identified beyond doubt."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from typing import Protocol

from automations.files import open_private, read_text, replace
from automations.locks import Identity
from automations.model import Want
from automations.paths import Paths


class Target(Protocol):
    """A process that can be signalled and waited for without mistaking another one for it."""

    def send(self, number: int) -> None: ...
    def ended_within(self, seconds: float) -> bool: ...


def read_want(paths: Paths) -> Want:
    """What the user asked for last; `down` when nobody ever asked."""
    return Want.UP if read_text(paths.want, 64).strip() == Want.UP else Want.DOWN


def write_want(paths: Paths, want: Want) -> None:
    """Put what the user wants on the disk, durable when this returns.

    Five bytes in place, whichever word it is: never torn, and a `stop` works on a full disk.
    """
    fd = open_private(paths.want, os.O_WRONLY)
    try:
        os.pwrite(fd, f"{want:<4}\n".encode(), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_pid_file(path: str) -> None:
    """Publish this process's pid for people: temporary file, fsync, rename."""
    replace(path, f"{os.getpid()}\n".encode())


def remove_pid_file(path: str, pid: int) -> None:
    """Remove the pid file if it still names `pid`."""
    if read_text(path, 64).strip() == str(pid):
        with contextlib.suppress(OSError):
            os.unlink(path)


class _ByPidfd:
    """Through a pidfd: the kernel guarantees that it is the same process to the end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    def ended_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))


class _ByIdentity:
    """Where there is no pidfd (macOS): check the identity before each step."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def send(self, number: int) -> None:
        if self._identity.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._identity.pid, number)

    def ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._identity.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True


@contextlib.contextmanager
def opened(identity: Identity) -> Iterator[Target | None]:
    """Get hold of this very process; None when it has already ended."""
    if not hasattr(os, "pidfd_open"):
        yield _ByIdentity(identity) if identity.is_alive() else None
        return
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # Looked at again after the descriptor is held: from here on the pid cannot change its owner.
        yield _ByPidfd(fd) if identity.is_alive() else None
    finally:
        os.close(fd)


def end(identity: Identity, patience_s: float) -> str:
    """TERM (and CONT, for a stopped one), then KILL after `patience_s`.

    Returns how it ended: `gone` (it had already), `terminated` or `killed`; `still there` when even KILL did
    not end it within two seconds (a process stuck in the kernel).
    """
    with opened(identity) as target:
        if target is None:
            return "gone"
        target.send(signal.SIGTERM)
        target.send(signal.SIGCONT)
        if target.ended_within(patience_s):
            return "terminated"
        target.send(signal.SIGKILL)
        return "killed" if target.ended_within(2.0) else "still there"
