"""What a run prints: watched from outside, since the job writes straight to its own file.

Once a second the scheduler looks at the size. In the sidecar `<run>.at` it notes `OFFSET TIME` marks, so that every
line has a time, to within that second. Of a file that outgrows its cap the head and the tail stay: a hole is punched in
the middle while the run goes on, and when it has ended the file is written anew as head, one line that says how many
bytes were cut, and tail. The sidecar then says `cut FROM TO WORDS`: bytes of the output gone, and the length of the
line that stands for them. Where no hole can be punched, the caller must stop the run.

Reading it back is in `output`.
"""

import contextlib
import os
import sys
from datetime import datetime

from automations import clock
from automations.files import open_private, sync_data, write_all

LOOK_S = 1.0
HURRY_S = 0.05  # a run that fills its cap within a few looks
HARD_LIMIT = 4  # times the cap: how far a file may grow whose middle cannot be freed
_BLOCK = 4096
_COPY_BYTES = 1 << 20
_PUNCH_HOLE, _KEEP_SIZE = 2, 1  # Source: linux/falloc.h


class Capture:
    """One run's output, looked at from time to time."""

    __slots__ = ("_cap", "_cut_to", "_marks", "_next", "_path", "_size", "hurries")

    def __init__(self, path: str, cap_bytes: int) -> None:
        self._path = path
        self._marks = path.removesuffix(".log") + ".at"
        self._cap = cap_bytes
        self._size = 0
        self._cut_to = 0
        self._next = 0.0
        self.hurries = False

    @property
    def head(self) -> int:
        """How many bytes of the beginning are kept: half the cap, in whole blocks."""
        return self._cap // 2 // _BLOCK * _BLOCK

    def look(self, mono: float, utc: datetime) -> bool:
        """Note growth and keep within the cap. False: its middle cannot be freed, and the run must be stopped."""
        if mono < self._next:
            return True
        try:
            size = os.stat(self._path).st_size
        except OSError:
            return True  # somebody removed it: the run goes on
        self.hurries = size - self._size > self._cap // 8
        self._next = mono + (HURRY_S if self.hurries else LOOK_S)
        if size <= self._size:
            return True
        self._mark(f"{self._size} {clock.iso(utc)}\n")
        self._size = size
        return size <= self._cap or self._free_middle(size)

    def wake_in(self, mono: float) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - mono)

    def close(self, utc: datetime) -> int:
        """The run has ended: bytes it has written in all. An outgrown file becomes head, a line, tail."""
        try:
            size = os.stat(self._path).st_size
        except OSError:
            return self._size
        if size > self._size:
            self._mark(f"{self._size} {clock.iso(utc)}\n")
        if size > self._cap:
            with contextlib.suppress(OSError):  # a full disk: the sparse file stays as it is
                self._rewrite(size)
        return size

    def _free_middle(self, size: int) -> bool:
        end = (size - self.head) // _BLOCK * _BLOCK
        start = self._cut_to or self.head
        if end - start < self.head // 2 and self._cut_to:
            return True  # not worth a call yet
        try:
            punch(self._path, start, end - start)
        except OSError:
            return size <= HARD_LIMIT * self._cap
        self._cut_to = end
        self._mark(f"cut {self.head} {end} 0\n")
        return True

    def _rewrite(self, size: int) -> None:
        cut_to = max(size - self.head, self._cut_to)
        words = f"\n[… {cut_to - self.head} bytes cut here …]\n".encode()
        fresh = self._path + ".tmp"
        source = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            target = open_private(fresh, os.O_WRONLY | os.O_TRUNC)
            try:
                _copy(source, target, 0, self.head)
                write_all(target, words)
                _copy(source, target, cut_to, size)
                sync_data(target)
            except OSError:
                os.unlink(fresh)
                raise
            finally:
                os.close(target)
        finally:
            os.close(source)
        self._mark(f"cut {self.head} {cut_to} {len(words)}\n")
        os.rename(fresh, self._path)

    def _mark(self, line: str) -> None:
        """Times are a service: a disk that takes no mark takes nothing from the run."""
        with contextlib.suppress(OSError):
            fd = open_private(self._marks, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)


def punch(path: str, start: int, length: int) -> None:
    """Give the blocks of this range back to the file system; it then reads as NUL. Raises OSError where it cannot.

    Source: fallocate(2), which Python does not offer with its modes; ctypes is loaded when it is first needed.
    """
    if not sys.platform.startswith("linux"):
        raise OSError("holes can be punched on Linux only")
    import ctypes

    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        if length > 0 and fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, start, length) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(fd)


def _copy(source: int, target: int, start: int, end: int) -> None:
    """Copy the bytes of this range, a piece at a time."""
    while start < end:
        piece = os.pread(source, min(_COPY_BYTES, end - start), start)
        if not piece:
            return
        write_all(target, piece)
        start += len(piece)
