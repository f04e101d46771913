"""The journal by place: its end, what comes next, what lay before, and the place of a moment. Reads only.

Rules:
- A place is a byte offset. A reader holds the file open, so that a journal that is replaced is drained to its end
  before the new one is begun.
- What is taken for true is `believable` (see `replay`); what is shown to a person may be anything.
- Nothing here reads more than it was asked for, however long the journal is.
"""

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import DecodeError
from msgspec.json import Decoder

from automations import clock
from automations.digest import short_hash
from automations.errors import JournalError

BLOCK_BYTES = 1 << 20
_BEFORE_BYTES = 64 * 1024  # what is read before a place that was looked for, to hold its line against the one before
_EVENT_AT = 42  # `{"ts":"2026-11-22T22:35:00.003Z","event":"tick"`
_DECODER = Decoder()
_SLACK = timedelta(hours=1)  # lines stand in the order of their writing, which a clock set back may belie


class JournalFile:
    """One file that has, or had, the journal's name. Raises JournalError where it cannot be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"{path}: cannot be read: {error.strerror}") from error
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._fd)
            raise JournalError(f"{path}: cannot be read: not a regular file")
        self.inode = found.st_ino

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, start: int, limit: int) -> bytes:
        """Up to `limit` bytes from `start` on."""
        return os.pread(self._fd, limit, start)

    def whole_lines(self, start: int) -> bytes:
        """A block of whole lines from `start` on, or one that is longer; empty at the end and before a torn line."""
        limit = BLOCK_BYTES
        while True:
            content = self.read(start, limit)
            end = content.rfind(b"\n") + 1
            if end or len(content) < limit:
                return content[:end]
            limit *= 2

    def line_from(self, start: int) -> int:
        """The place of the first line that begins at `start` or later; the journal's end when none does."""
        if start <= 0:
            return 0
        place = start - 1
        while content := self.read(place, _BEFORE_BYTES):
            if newline := content.find(b"\n") + 1:
                return place + newline
            place += len(content)
        return place

    def is_current(self) -> bool:
        """Does this file still have the journal's name?"""
        try:
            return os.stat(self.path).st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        os.close(self._fd)

    def place_of(self, moment: datetime) -> int:
        """The place of a line from which on all later than `moment` is found, and what was an hour before it.

        Halves the file.
        """
        wanted = clock.iso(moment - _SLACK).encode()
        low, high = 0, self.size()
        while high - low > BLOCK_BYTES // 4:
            middle = (low + high) // 2
            found = self._first_time(middle, high)
            if found is None or found[1] >= wanted:
                high = middle
            else:
                low = found[0]
        return self.line_from(low - _BEFORE_BYTES)

    def _first_time(self, start: int, end: int) -> tuple[int, bytes] | None:
        """Place and time of the first line after `start`; None when none is near."""
        content = self.read(start, min(64 * 1024, end - start))
        place = content.find(b"\n") + 1
        while 0 < place < len(content):
            if content[place : place + 7] == b'{"ts":"':
                return start + place, content[place + 7 : place + 31]
            place = content.find(b"\n", place) + 1
        return None


def place_of_seq(file: JournalFile, seq: int) -> int:
    """The place of a line at or before that of the entry `seq`. Halves the file."""
    low, high = 0, file.size()
    while high - low > BLOCK_BYTES // 4:
        middle = (low + high) // 2
        found = _first_seq(file, middle, high)
        if found is None or found[1] > seq:
            high = middle
        else:
            low = found[0]
    return low


def _first_seq(file: JournalFile, start: int, end: int) -> tuple[int, int] | None:
    """Place and seq of the first entry after `start`; None when none is near."""
    content = file.read(start, min(64 * 1024, end - start))
    place = content.find(b"\n") + 1
    while place > 0 and (after := content.find(b"\n", place)) >= 0:
        entry = _decoded(content[place:after])
        if entry:
            return start + place, int(str(entry["seq"]))
        place = after + 1
    return None


def place_of_lines(file: JournalFile, count: int) -> int:
    """The place of the last `count` lines, an unfinished one included, a few kibibytes a step."""
    start = end = file.size()
    wanted = count + (file.read(end - 1, 1) == b"\n" if end else 0)  # the newlines to pass, with the one at the end
    while start > 0:
        size = min(start, BLOCK_BYTES // 16)
        start -= size
        content = file.read(start, size)
        found = content.count(b"\n")
        if found < wanted:
            wanted -= found
            continue
        place = size
        for _ in range(wanted):
            place = content.rfind(b"\n", 0, place)
        return start + place + 1
    return 0


class Chain:
    """Entries out of consecutive blocks of whole lines; `breaks` are the places of lines that do not hold.

    `prev` is the short hash of the line before the next one; without it the next line is neither believed nor a break,
    unless it is the journal's very first. All lines are held against the one before, only what is wanted is decoded.
    """

    def __init__(self, prev: str = "", place: int = 0) -> None:
        self.prev = prev
        self.place = place
        self.breaks: list[int] = []

    def entries(self, content: bytes, events: frozenset[bytes]) -> Iterator[dict[str, object]]:
        """The believable entries of these events, in order."""
        start = 0
        while (end := content.find(b"\n", start)) >= 0:
            line = content[start:end]
            holds = line.endswith(b'"}') and line[-18:-2].decode("latin-1") == self.prev
            is_first = self.place == 0 and not self.prev
            if (holds or is_first) and line[_EVENT_AT : line.find(b'"', _EVENT_AT)] in events:
                entry = _decoded(line)
                if entry and (holds or entry["seq"] == 1):
                    yield entry
            if not holds and self.prev:
                self.breaks.append(self.place)
            self.prev = short_hash(line)
            self.place += len(line) + 1
            start = end + 1


def entries_from(
    file: JournalFile, since: datetime, events: frozenset[bytes], most_bytes: int
) -> Iterator[dict[str, object]]:
    """Believable entries of these events from an hour before `since` on, in at most about so many bytes.

    In the order of their writing: one whose clock ran ahead may come before an earlier one.
    """
    chain = Chain(place=file.place_of(since))
    end = chain.place + most_bytes
    while chain.place < end and (content := file.whole_lines(chain.place)):
        yield from chain.entries(content, events)


def _decoded(line: bytes) -> dict[str, object] | None:
    """As `journal.decode`, only faster: the scheduler does without the library that makes it so."""
    try:
        found = _DECODER.decode(line)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("seq"), int):
        return None
    return found if all(isinstance(found.get(key), str) for key in ("ts", "event", "prev")) else None
