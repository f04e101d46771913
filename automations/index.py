"""The file of the index, `logs/history.db`: opened, caught up, and mended when it is broken.

Rules:
- For its owner only, never through a link. It is looked at, not opened, before SQLite opens it: to close any
  descriptor of it drops every lock that this process has on it, and another process then deletes the write-ahead
  log under a reader. Source: sqlite.org/howtocorrupt.html, 2.2.
- Broken, or of another make: it is deleted and built anew, once, and only while nobody has it open. Who has it open
  shares `history.lock`.
- Where it cannot be written or deleted, it is built in memory, so that the answers stay true.

What goes into it is decided in `indexing`.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from automations import indexing
from automations.errors import AutomationsError, LockBusy
from automations.locks import Lock
from automations.paths import Paths

WAIT_S = 10.0  # for whoever else writes
_ALONE_WAIT_S = 1.0
_ENDINGS = ("-wal", "-shm", "")  # the file itself last: without it, SQLite takes a log for left-over
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FOREIGN = {*_BROKEN, sqlite3.SQLITE_ERROR}  # while it is caught up, also: a table is not there or not as expected
_NOT_HERE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_Answer = TypeVar("_Answer")


class Index:
    """A caught-up index to put questions to. Raises AutomationsError where SQLite cannot do full-text search."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._path = paths.log("history.db")
        self._lock = Lock(paths.log("history.lock"), shared=True)
        self._db = self._open()

    def ask(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of the answer."""
        return self._try(lambda db: db.execute(query, values).fetchall(), _BROKEN)

    def catch_up(self) -> int:
        """Apply what the journal says by now. Returns how many entries that were."""
        return self._try(lambda db: indexing.catch_up(db, self._paths), _FOREIGN)

    def close(self) -> None:
        self._db.close()
        self._lock.release()

    def _try(self, question: Callable[[sqlite3.Connection], _Answer], broken: set[int]) -> _Answer:
        try:
            return question(self._db)
        except sqlite3.DatabaseError as error:
            _refuse_without_search(error)
            if _code(error) not in broken | _NOT_HERE:
                raise
            self.close()
            self._db = self._open_after(error, broken)
        return question(self._db)

    def _open(self) -> sqlite3.Connection:
        try:
            return self._open_file()
        except (OSError, LockBusy):
            return _connect(":memory:", self._paths)
        except sqlite3.DatabaseError as error:
            return self._open_after(error, _FOREIGN)

    def _open_after(self, error: sqlite3.DatabaseError, broken: set[int]) -> sqlite3.Connection:
        with contextlib.suppress(OSError, LockBusy, sqlite3.DatabaseError):
            if _code(error) in broken:
                self._delete()
                return self._open_file()
        return _connect(":memory:", self._paths)

    def _open_file(self) -> sqlite3.Connection:
        self._lock.acquire(WAIT_S)
        try:
            for ending in _ENDINGS:
                _refuse_stranger(self._path + ending)
            return _connect(self._path, self._paths)
        except BaseException:
            self._lock.release()
            raise

    def _delete(self) -> None:
        """Delete the file, unless somebody has it open: the log that he writes would be taken for that of the next."""
        with Lock(self._lock.path) as alone:
            alone.acquire(_ALONE_WAIT_S)
            for ending in _ENDINGS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path + ending)


def _connect(path: str, paths: Paths) -> sqlite3.Connection:
    """A connection to the index at `path`, caught up."""
    db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    try:
        db.execute("PRAGMA schema_version")  # the file is there from now on, still empty
        if path != ":memory:":
            _make_private(path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is built again
        indexing.catch_up(db, paths)
    except BaseException as error:
        db.close()
        _refuse_without_search(error)
        raise
    return db


def _refuse_without_search(error: BaseException) -> None:
    if "no such module: fts5" in str(error):
        raise AutomationsError(
            f"the SQLite {sqlite3.sqlite_version} of this Python has no full-text search (FTS5); next: run it with a "
            "Python whose sqlite3 has it, such as Debian's python3"
        ) from error


def _refuse_stranger(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(f"{path}: not a regular file")


def _make_private(path: str) -> None:
    for ending in _ENDINGS:
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(path + ending).st_mode & 0o077:
                os.chmod(path + ending, 0o600)


def _code(error: sqlite3.DatabaseError) -> int:
    """SQLite's primary result code; that of a plain error where there is none."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
