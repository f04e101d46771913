"""The append-only truth: `logs/scheduler.log`, one NDJSON line per entry, each naming the line before it.

Rules:
- A line is UTF-8 JSON under 4,096 bytes, split on b"\\n" only. `ts` and `event` come first; `seq` counts entries
  and `prev` is the short hash of the bytes of the line before, so that a changed, missing or inserted line shows.
- Appending: take the journal lock, cut a torn tail (and say so in a `journal_recovered`), one write per batch,
  check the count, one fdatasync. What `append` returns is on the disk.
- A full disk is a short write: it is truncated away again and JournalError is raised.

Any number of processes may append. Nobody edits. Reading back for a start is in `replay`.
"""

import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from automations import clock
from automations.digest import short_hash
from automations.errors import JournalError
from automations.files import open_private, sync_data
from automations.paths import Paths

MAX_LINE_BYTES = 4095
FIRST_PREV = "0" * 16
_BLOCK = 64 * 1024
_LOCK_WAIT_S = 5.0
_SHORT = 16


class Entry(NamedTuple):
    """What a caller wants written: the event, its fields, and its time if that is not now."""

    event: str
    fields: Mapping[str, object] = {}
    at: datetime | None = None


class _Tail(NamedTuple):
    """Where the journal ends: identity and size of the file, the last sequence number and line hash."""

    inode: int
    size: int
    seq: int
    prev: str


class Journal:
    """An appender. One per process; cheap to make, opens its files at the first append."""

    def __init__(self, paths: Paths) -> None:
        self._path = paths.journal
        self._lock_path = paths.log("journal.lock")
        self._fd = -1
        self._lock_fd = -1
        self._tail: _Tail | None = None
        self._recovered: list[Entry] = []

    def append(self, *entries: Entry) -> list[bytes]:
        """Write these entries as one batch and return their lines, durable. Raises JournalError."""
        try:
            self._lock()
            try:
                return self._append_locked(entries)
            finally:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        except OSError as error:
            raise JournalError(f"{self._path}: cannot append: {error.strerror or error}") from error

    def _lock(self) -> None:
        """Wait for the other appenders, but not for ever: one of them may be frozen with the lock in its hand."""
        if self._lock_fd < 0:
            self._lock_fd = open_private(self._lock_path, os.O_RDWR)
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                return fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(errno.ETIMEDOUT, f"journal lock still taken after {_LOCK_WAIT_S:g} s") from None
                time.sleep(0.002)

    def _append_locked(self, entries: tuple[Entry, ...]) -> list[bytes]:
        self._follow()
        tail = self._find_tail()
        seq, prev, lines = tail.seq, tail.prev, []
        for entry in (*self._recovered, *entries):
            seq += 1
            line = encode(entry, seq, prev)
            prev = short_hash(line)
            lines.append(line)
        batch = b"".join(line + b"\n" for line in lines)
        self._write(batch, tail.size)
        self._tail = _Tail(tail.inode, tail.size + len(batch), seq, prev)
        self._recovered = []
        return lines

    def _follow(self) -> None:
        """Have the file open that has the journal's name now."""
        if self._fd >= 0:
            try:
                if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                    return
            except FileNotFoundError:
                pass
            os.close(self._fd)
            self._fd = -1
        self._fd = open_private(self._path, os.O_RDWR | os.O_APPEND)

    def _find_tail(self) -> _Tail:
        """The end of the last whole line; a torn rest is cut, and an entry that says so is due."""
        status = os.fstat(self._fd)
        if self._tail and (self._tail.inode, self._tail.size) == (status.st_ino, status.st_size):
            return self._tail
        if self._tail:
            self._notice_loss(self._tail, status.st_ino, status.st_size)
        last, torn = _last_line(self._fd, status.st_size)
        size = status.st_size - len(torn)
        if torn:
            os.ftruncate(self._fd, size)
            cut = {"bytes_cut": len(torn), "cut": torn[:200].decode("utf-8", "backslashreplace")}
            self._recovered.append(Entry("journal_recovered", cut))
        if last is None:
            return _Tail(status.st_ino, size, 0, FIRST_PREV)
        return _Tail(status.st_ino, size, _seq_before(self._fd, size), short_hash(last))

    def _notice_loss(self, before: _Tail, inode: int, size: int) -> None:
        """Others may append; nobody may shorten or replace what was written."""
        if inode != before.inode or size < before.size:
            reason = "the journal was cut or replaced by something else than this program"
            self._recovered.append(Entry("journal_gap", {"last_seq": before.seq, "reason": reason}))

    def _write(self, batch: bytes, size: int) -> None:
        """All of it or nothing."""
        try:
            written = os.write(self._fd, batch)
            if written != len(batch):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync_data(self._fd)
        except OSError:
            self._tail = None
            os.ftruncate(self._fd, size)
            raise


def encode(entry: Entry, seq: int, prev: str) -> bytes:
    """One entry as its line, without the newline. What would not fit is clipped, with a mark, the longest first."""
    head = {"ts": clock.iso(entry.at or clock.read().utc), "event": entry.event}
    fields = dict(entry.fields)
    while True:
        line = _dump({**head, **fields, "seq": seq, "prev": prev})
        if len(line) <= MAX_LINE_BYTES:
            return line
        name = max(fields, key=lambda name: len(_dump(fields[name])))
        text = fields[name] if isinstance(fields[name], str) else _dump(fields[name]).decode()
        if len(str(text)) > _SHORT:
            fields[name] = str(text)[: len(str(text)) // 2].removesuffix("…") + "…"
        else:
            del fields[name]


def _dump(value: object) -> bytes:
    """Compact JSON in UTF-8. A number that JSON does not know becomes its name; half a character is escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return _dump(_without_nan(value))
    return text.encode("utf-8", "backslashreplace")


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def decode(line: bytes) -> dict[str, object] | None:
    """One line as a dictionary with at least `ts`, `event`, `seq` and `prev`; None when it is not an entry."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("seq"), int):
        return None
    return entry if all(isinstance(entry.get(key), str) for key in ("ts", "event", "prev")) else None


def _last_line(fd: int, size: int) -> tuple[bytes | None, bytes]:
    """The last whole line (None when there is none) and the bytes after it."""
    content, start = b"", size
    while start > 0 and content.count(b"\n") < 2:
        start = max(0, start - _BLOCK)
        content = os.pread(fd, min(_BLOCK, size - start - len(content)), start) + content
    whole, newline, torn = content.rpartition(b"\n")
    return (whole.rpartition(b"\n")[2] if newline else None), torn


def _seq_before(fd: int, size: int) -> int:
    """The sequence number of the last readable entry before `size`; 0 when none is near."""
    content = os.pread(fd, _BLOCK, max(0, size - _BLOCK))
    for line in reversed(content.split(b"\n")):
        entry = decode(line)
        if entry:
            return int(str(entry["seq"]))
    return 0
