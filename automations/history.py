"""The history: `logs/history.db`, an index of the journal in SQLite, with the output of ended runs in full text.

Rules:
- Derived and disposable: deleting it loses nothing that the journal still holds. Whoever reads catches it up first;
  nobody who writes waits for it.
- Only believable lines count: those that name the line before them rightly.
- A journal that was cut or replaced, an index of another make or a broken one: it is built anew.
- Where it cannot be written (full disk, read-only), it is built in memory, so that the answers stay true.
- A search is for the given words, one after the other, the last one from its beginning on; never for FTS syntax.

The scheduler does not know this module.
"""

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Self

from automations import claim, clock
from automations.digest import short_hash
from automations.errors import AutomationsError
from automations.files import open_private
from automations.journal import FIRST_PREV
from automations.paths import Paths
from automations.replay import believable

SCHEMA = 1
TEXT_BYTES = 128 * 1024  # of the beginning, and of the end, of each output
_BLOCK = 1 << 20
_TABLES = f"""
CREATE TABLE at (schema INTEGER, offset INTEGER, prev TEXT);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, run_id TEXT UNIQUE, job TEXT, due TEXT, trigger TEXT, attempt INTEGER, started TEXT,
    ended TEXT, outcome TEXT, exit INTEGER, duration_s REAL, output_bytes INTEGER, reason TEXT, slots INTEGER,
    retry_at TEXT, seq INTEGER
);
CREATE INDEX by_seq ON runs (seq);
CREATE INDEX by_job ON runs (job, seq);
CREATE VIRTUAL TABLE output USING fts5 (text);
INSERT INTO at VALUES ({SCHEMA}, 0, '{FIRST_PREV}');
"""


class Row(NamedTuple):
    """One run, or a range of slots that did not run. Times as in the journal; `outcome` is None until it has one."""

    run_id: str
    job: str
    due: str | None
    trigger: str | None
    attempt: int
    started: str | None
    ended: str | None
    outcome: str | None
    exit: int | None
    duration_s: float | None
    output_bytes: int | None
    reason: str | None
    slots: int
    retry_at: str | None
    seq: int


_COLUMNS = ", ".join(Row._fields)


class Hit(NamedTuple):
    """A run whose output has the words, and the place where."""

    row: Row
    snippet: str


class Filters(NamedTuple):
    """Which rows: all that are given must fit. `outcome` may also be `running`; `before` is the seq of a row."""

    job: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    before: int | None = None
    limit: int = 50


class History:
    """The index, caught up when it is opened. Use it as a context manager."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._path = paths.log("history.db")
        try:
            self._db = self._open()
        except sqlite3.OperationalError:  # it cannot be written here
            self._db = self._in_memory()
        except sqlite3.DatabaseError:  # it is broken: one more chance from the beginning
            self._remove()
            self._db = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def runs(self, filters: Filters) -> list[Row]:
        """The rows that fit, newest first."""
        where, values = _where(filters)
        if filters.text:
            words = _words(filters.text)
            if not words:
                return []
            where.append("id IN (SELECT rowid FROM output WHERE output MATCH ?)")
            values.append(words)
        query = f"SELECT {_COLUMNS} FROM runs WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        return [Row(*row) for row in self._db.execute(query, (*values, max(0, filters.limit)))]

    def run(self, run_id: str) -> Row | None:
        """One run, or the slot that would have been it."""
        found = self._db.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return Row(*found) if found else None

    def last(self) -> dict[str, Row]:
        """Each job's newest row that has an outcome."""
        newest = "SELECT max(seq) FROM runs WHERE outcome IS NOT NULL GROUP BY job"
        found = self._db.execute(f"SELECT {_COLUMNS} FROM runs WHERE seq IN ({newest})")
        return {row.job: row for row in (Row(*values) for values in found)}

    def durations(self, limit: int = 20) -> dict[str, list[float]]:
        """The last durations of each job's runs in seconds, the newest last."""
        ranked = (
            "SELECT job, duration_s, seq, row_number() OVER (PARTITION BY job ORDER BY seq DESC) AS place FROM runs"
        )
        query = f"SELECT job, duration_s FROM ({ranked} WHERE duration_s IS NOT NULL) WHERE place <= ? ORDER BY seq"
        found: dict[str, list[float]] = {}
        for job, duration_s in self._db.execute(query, (limit,)):
            found.setdefault(job, []).append(duration_s)
        return found

    def search(self, filters: Filters) -> list[Hit]:
        """Runs whose output has `filters.text`, newest first; in the snippet the match is between \\x02 and \\x03."""
        words = _words(filters.text or "")
        if not words:
            return []
        where, values = _where(filters)
        columns = ", ".join(f"runs.{name}" for name in _COLUMNS.split(", "))
        query = (
            f"SELECT {columns}, snippet(output, 0, char(2), char(3), '…', 16) FROM output "
            f"JOIN runs ON runs.id = output.rowid WHERE output MATCH ? AND {' AND '.join(where)} "
            "ORDER BY seq DESC LIMIT ?"
        )
        found = self._db.execute(query, (words, *values, max(0, filters.limit)))
        return [Hit(Row(*values[:-1]), values[-1]) for values in found]

    def _open(self) -> sqlite3.Connection:
        try:
            os.close(open_private(self._path, os.O_RDWR))
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        db = _connect(self._path)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is built again
            self._catch_up(db)
        except BaseException:
            db.close()
            raise
        return db

    def _in_memory(self) -> sqlite3.Connection:
        db = _connect(":memory:")
        self._catch_up(db)
        return db

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path + ending)

    def _catch_up(self, db: sqlite3.Connection) -> None:
        """Apply the journal's new lines, a block in each transaction, so that others get their turn."""
        if not os.path.exists(self._paths.journal):
            return _prepare(db)
        with open(self._paths.journal, "rb") as file:
            applied = True
            while applied:
                db.execute("BEGIN IMMEDIATE")
                try:
                    applied = self._apply_block(db, file.fileno())
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
        return None

    def _apply_block(self, db: sqlite3.Connection, fd: int) -> bool:
        """Apply up to a block of whole lines; False when there was none."""
        _prepare(db, os.fstat(fd), fd)
        offset, prev = db.execute("SELECT offset, prev FROM at").fetchone()
        content = os.pread(fd, _BLOCK, offset)
        content = content[: content.rfind(b"\n") + 1]
        if not content:
            return False
        lines = (line for line in content.split(b"\n")[:-1])
        for line, before in _chained(lines, prev):
            if not line.startswith(b'"event":"tick"', 33):  # of which there are twenty times as many as of all others
                self._apply(db, line, before)
            prev = short_hash(line)
        db.execute("UPDATE at SET offset = ?, prev = ?", (offset + len(content), prev))
        return True

    def _apply(self, db: sqlite3.Connection, line: bytes, before: str) -> None:
        entry = next(believable(line + b"\n", before), None)
        event = entry["event"] if entry else ""
        if entry and event in _WRITERS:
            row = {name: _plain(entry.get(name)) for name in _FIELDS}
            db.execute(_WRITERS[str(event)], _with_id(row, str(event)))
        if entry and event == "run_finished":
            self._index_output(db, str(entry.get("run_id")))
        elif event == "retention_done":
            self._prune(db)

    def _index_output(self, db: sqlite3.Connection, run_id: str) -> None:
        (place,) = db.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        db.execute("DELETE FROM output WHERE rowid = ?", (place,))
        text = _ends_of(claim.file(self._paths, run_id, "log"))
        if text:
            db.execute("INSERT INTO output (rowid, text) VALUES (?, ?)", (place, text))

    def _prune(self, db: sqlite3.Connection) -> None:
        """Forget the text of output that retention has deleted."""
        rows = db.execute("SELECT runs.id, run_id FROM runs JOIN output ON output.rowid = runs.id").fetchall()
        gone = [(place,) for place, run_id in rows if not os.path.exists(claim.file(self._paths, run_id, "log"))]
        db.executemany("DELETE FROM output WHERE rowid = ?", gone)


_FIELDS = (*(name for name in _COLUMNS.split(", ") if name not in ("started", "ended")), "ts")
_WRITERS = {
    "run_started": """
        INSERT INTO runs (run_id, job, due, trigger, attempt, started, slots, seq)
        VALUES (:run_id, :job, :due, :trigger, :attempt, :ts, 1, :seq)
        ON CONFLICT (run_id) DO UPDATE SET started = :ts, trigger = :trigger, outcome = NULL, reason = NULL""",
    "run_finished": """
        INSERT INTO runs (run_id, job, due, attempt, ended, outcome, exit, duration_s, output_bytes, reason, slots,
            retry_at, seq)
        VALUES (:run_id, :job, :due, :attempt, :ts, :outcome, :exit, :duration_s, :output_bytes, :reason, 1,
            :retry_at, :seq)
        ON CONFLICT (run_id) DO UPDATE SET ended = :ts, outcome = :outcome, exit = :exit, duration_s = :duration_s,
            output_bytes = :output_bytes, reason = :reason, retry_at = :retry_at""",
    "run_skipped": """
        INSERT INTO runs (run_id, job, due, attempt, ended, outcome, reason, slots, seq)
        VALUES (:run_id, :job, :due, :attempt, :ts, :outcome, :reason, :slots, :seq)
        ON CONFLICT (run_id) DO UPDATE SET ended = :ts, outcome = :outcome, reason = :reason, slots = :slots""",
    "run_waiting": """
        INSERT INTO runs (run_id, job, due, attempt, reason, slots, seq)
        VALUES (:run_id, :job, :due, :attempt, :reason, 1, :seq)
        ON CONFLICT (run_id) DO NOTHING""",
}


def _with_id(row: dict[str, object], event: str) -> dict[str, object]:
    """Old journals name no attempt; a slot that did not run has the id that its run would have."""
    attempt = row["attempt"] if isinstance(row["attempt"], int) else 1
    run_id = row["run_id"]
    if event in ("run_skipped", "run_waiting"):
        try:
            due = clock.parse_iso(str(row["due"]))
        except ValueError:
            due = None
        run_id = f"{row['job']}/{claim.run_name(due, attempt, datetime.min)}" if due else f"{row['job']}/{row['due']}"
    return {**row, "attempt": attempt, "run_id": run_id, "slots": row["slots"] or 1}


def _plain(value: object) -> object:
    """What SQLite takes: a number, a text or nothing. A whole number beyond its reach is text."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
    return json.dumps(value)


def _chained(lines: Iterator[bytes], prev: str) -> Iterator[tuple[bytes, str]]:
    """Each line with the hash of the line before it."""
    for line in lines:
        yield line, prev
        prev = short_hash(line)


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10.0, isolation_level=None)


def _prepare(db: sqlite3.Connection, journal: os.stat_result | None = None, fd: int = -1) -> None:
    """Have the tables, empty when they are of another make or of another journal."""
    try:
        found = db.execute("SELECT schema, offset, prev FROM at").fetchone()
    except sqlite3.OperationalError:
        found = None
    if found and found[0] == SCHEMA and (journal is None or _follows(journal, fd, found[1], found[2])):
        return
    for table in ("at", "runs", "output"):
        db.execute(f"DROP TABLE IF EXISTS {table}")
    try:
        for statement in _TABLES.split(";\n"):
            db.execute(statement)
    except sqlite3.OperationalError as error:
        if "fts5" in str(error):
            raise AutomationsError(f"this Python's SQLite has no FTS5 ({error}); next: use Debian's python3") from None
        raise


def _follows(journal: os.stat_result, fd: int, offset: int, prev: str) -> bool:
    """Is what was applied still what the journal says before `offset`? Looks at the last line of it."""
    if offset == 0:
        return True
    if journal.st_size < offset:
        return False
    before = os.pread(fd, min(offset, 8192), max(0, offset - 8192))
    return before.endswith(b"\n") and short_hash(before[:-1].rpartition(b"\n")[2]) == prev


def _where(filters: Filters) -> tuple[list[str], list[object]]:
    """SQL conditions and their values; there is always one."""
    asked: list[tuple[str, object]] = [
        ("job = ?", filters.job),
        ("coalesce(due, started) >= ?", clock.iso(filters.since) if filters.since else None),
        ("coalesce(due, started) <= ?", clock.iso(filters.until) if filters.until else None),
        ("seq < ?", filters.before),
    ]
    where, values = ["1"], []
    for condition, value in asked:
        if value is not None:
            where.append(condition)
            values.append(_plain(value))
    if filters.outcome == "running":
        where.append("outcome IS NULL AND started IS NOT NULL")
    elif filters.outcome:
        where.append("outcome = ?")
        values.append(_plain(filters.outcome))
    return where, values


def _words(text: str) -> str:
    """A user's text as an FTS query: its words as a phrase, the last one as a prefix; empty when it has no word."""
    words = re.findall(r"[^\W_]+", text.encode("utf-8", "ignore").decode())
    return f'"{" ".join(words)}"*' if words else ""


def _ends_of(path: str) -> str:
    """The first and the last part of an output; empty when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        size = os.fstat(fd).st_size
        content = os.pread(fd, TEXT_BYTES, 0)
        if size > TEXT_BYTES:
            start = max(TEXT_BYTES, size - TEXT_BYTES)
            content += (b"\n" if start > TEXT_BYTES else b"") + os.pread(fd, TEXT_BYTES, start)
    finally:
        os.close(fd)
    return content.decode("utf-8", "backslashreplace").replace("\0", " ")
