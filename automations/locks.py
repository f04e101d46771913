"""Who is alive: an flock held for life, with the holder's identity written inside.

A pid is no identity: it is recycled. A lock held by the process itself is, and the kernel drops it however the
process ends. The identity (`PID START BOOT_ID`) tells *which* process holds it, in a form that a shell can read
and check without a lock call. Lock files are never unlinked: a second file of that name would be a second lock.

Imports almost nothing, because the watchdog lives on it.
"""

import fcntl
import os
import time

from automations.errors import LockBusy
from automations.files import open_private, read_text

_boot_id: list[str] = []


class Identity:
    """One process for all time: pid, start time in clock ticks since boot, boot id (`-` where unknown)."""

    __slots__ = ("boot", "pid", "start")

    def __init__(self, pid: int, start: str, boot: str) -> None:
        self.pid = pid
        self.start = start
        self.boot = boot

    def __str__(self) -> str:
        return f"{self.pid} {self.start} {self.boot}"

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a process that runs now; None when it has ended, zombies included."""
        stat = proc_stat(pid)
        if stat is None:
            return cls(pid, "-", "-") if not os.path.isdir("/proc/self") and _answers(pid) else None
        return None if stat[0] in "ZX" else cls(pid, stat[19], boot_id())

    @classmethod
    def parse(cls, text: str) -> "Identity | None":
        words = text.partition("\n")[0].split()
        return cls(int(words[0]), words[1], words[2]) if len(words) == 3 and is_pid(words[0]) else None

    def is_alive(self) -> bool:
        """Is it this very process that has this pid now?"""
        return str(Identity.of(self.pid)) == str(self)


class Lock:
    """An flock on one file, or on a folder that exists: exclusive, or shared among those who ask for no more."""

    def __init__(self, path: str, *, shared: bool = False, folder: bool = False) -> None:
        self.path = path
        self._open = _open_folder if folder else _open_lock
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self.fd = -1

    def acquire(self, wait_s: float = 0.0) -> None:
        """Take the lock, waiting at most `wait_s` seconds. Raises LockBusy.

        Polls, since a blocking flock cannot be given a deadline without a signal handler.
        """
        fd = self._open(self.path)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, self._kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    raise LockBusy(f"{self.path}: {self._busy_with()}") from None
                time.sleep(0.01)
            else:
                self.fd = fd
                return

    def release(self) -> None:
        """Let go. The file stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def sign(self, note: str = "") -> Identity:
        """Write this process's identity into the lock it holds, and below it a line for whoever reads."""
        identity = Identity.of(os.getpid())
        assert identity is not None  # we are running
        text = f"{identity}\n{note}\n" if note else f"{identity}\n"
        os.pwrite(self.fd, text.encode(), 0)
        os.ftruncate(self.fd, len(text.encode()))
        return identity

    def touch(self) -> None:
        """Show progress: the lock file's modification time is the holder's last sign of life.

        Changing a time needs no space, so a full disk does not look like a hang. On a read-only one it fails,
        and the watchdog knows not to judge there.
        """
        try:
            os.utime(self.fd)
        except OSError:
            pass

    def unsign(self) -> None:
        """Take the identity out: this process ends on purpose."""
        os.ftruncate(self.fd, 0)

    def _busy_with(self) -> str:
        is_signed = self._open is _open_lock  # a folder is not
        identity = Identity.parse(read_text(self.path, 256)) if is_signed else None
        return f"held by pid {identity.pid}" if identity else "held by another process"


def _open_lock(path: str) -> int:
    """Open for writing, or at least for locking: a `stop` must work where the disk became read-only."""
    try:
        return open_private(path, os.O_RDWR)
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _open_folder(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def holder(path: str) -> Identity | None:
    """The living process that holds the lock at `path`, or None.

    A lock is taken a moment before it is signed, so an unsigned lock is given half a second.
    """
    for _ in range(50):
        if not is_held(path):
            return None
        identity = Identity.parse(read_text(path, 256))
        if identity and identity.is_alive():
            return identity
        time.sleep(0.01)
    return None


def note(path: str) -> str:
    """The line that the lock's holder left for readers; empty when there is none."""
    return read_text(path, 1024).partition("\n")[2].strip()


def is_held(path: str) -> bool:
    """Does any process hold the lock? Reads only: a shared probe, dropped at once."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def is_pid(text: str) -> bool:
    """Is this text a process id as this program writes it?"""
    return text.isascii() and text.isdigit() and len(text) < 10


def proc_stat(pid: int) -> list[str] | None:
    """Fields 3 and up of /proc/PID/stat (state first, start time at index 19), or None. Source: proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().decode("latin-1").rpartition(") ")[2].split()
    except OSError:
        return None


def boot_id() -> str:
    """The kernel's id of this boot; `-` where the system has none."""
    if not _boot_id:  # it stays the same as long as we do
        _boot_id.append(read_text("/proc/sys/kernel/random/boot_id", 64).strip() or "-")
    return _boot_id[0]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
