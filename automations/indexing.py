"""The index of the journal: `logs/history.db`, in SQLite, caught up by whoever reads.

Rules:
- Derived and disposable: deleting it loses nothing that the journal still holds. Nobody who writes waits for it.
- Only believable lines count: those that name the line before them rightly.
- A journal that was cut or replaced, an index of another make or a broken one: it is built anew.
- Where it cannot be written (full disk, read-only), it is built in memory, so that the answers stay true.

What it says is asked in `history`.
"""

import contextlib
import json
import os
import sqlite3
from datetime import datetime

from automations import claim, clock
from automations.digest import short_hash
from automations.errors import AutomationsError
from automations.files import open_private
from automations.journal import FIRST_PREV
from automations.paths import Paths
from automations.replay import believable

SCHEMA = 1
COLUMNS = (
    "run_id, job, due, trigger, attempt, started, ended, outcome, exit, duration_s, output_bytes, reason, slots, "
    "retry_at, seq"
)
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


def open_index(paths: Paths) -> sqlite3.Connection:
    """The index as the journal is now. Raises AutomationsError when this SQLite cannot hold it."""
    try:
        return _open(paths)
    except sqlite3.OperationalError:  # it cannot be written here
        return _caught_up(paths, ":memory:")
    except sqlite3.DatabaseError:  # it is broken: one more chance from the beginning
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(paths.log("history.db") + ending)
        return _open(paths)


def _open(paths: Paths) -> sqlite3.Connection:
    path = paths.log("history.db")
    try:
        os.close(open_private(path, os.O_RDWR))
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from error
    return _caught_up(paths, path)


def _caught_up(paths: Paths, path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is built again
        _catch_up(db, paths)
    except BaseException:
        db.close()
        raise
    return db


def _catch_up(db: sqlite3.Connection, paths: Paths) -> None:
    """Apply the journal's new lines, a block in each transaction, so that others get their turn."""
    if not os.path.exists(paths.journal):
        return _prepare(db)
    with open(paths.journal, "rb") as file:
        applied = True
        while applied:
            db.execute("BEGIN IMMEDIATE")
            try:
                applied = _apply_block(db, paths, file.fileno())
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
    return None


def _apply_block(db: sqlite3.Connection, paths: Paths, fd: int) -> bool:
    """Apply up to a block of whole lines; False when there was none."""
    _prepare(db, os.fstat(fd), fd)
    offset, prev = db.execute("SELECT offset, prev FROM at").fetchone()
    content = os.pread(fd, _BLOCK, offset)
    content = content[: content.rfind(b"\n") + 1]
    for line in content.split(b"\n")[:-1]:
        if not line.startswith(b'"event":"tick"', 33):  # of which there are twenty times as many as of all others
            _apply(db, paths, line, prev)
        prev = short_hash(line)
    db.execute("UPDATE at SET offset = ?, prev = ?", (offset + len(content), prev))
    return bool(content)


def _apply(db: sqlite3.Connection, paths: Paths, line: bytes, before: str) -> None:
    entry = next(believable(line + b"\n", before), None)
    if entry is None:
        return
    event, run_id = str(entry["event"]), str(entry.get("run_id"))
    if event in _WRITERS:
        row = {name: as_sql(entry.get(name)) for name in _FIELDS}
        db.execute(_WRITERS[event], _with_id(row, event))
    if event == "run_finished":
        _index_output(db, run_id, _ends_of(claim.file(paths, run_id, "log")))
    elif event == "retention_done":
        _prune(db, paths)


def _index_output(db: sqlite3.Connection, run_id: str, text: str) -> None:
    (place,) = db.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    db.execute("DELETE FROM output WHERE rowid = ?", (place,))
    if text:
        db.execute("INSERT INTO output (rowid, text) VALUES (?, ?)", (place, text))


def _prune(db: sqlite3.Connection, paths: Paths) -> None:
    """Forget the text of output that retention has deleted."""
    rows = db.execute("SELECT runs.id, run_id FROM runs JOIN output ON output.rowid = runs.id").fetchall()
    gone = [(place,) for place, run_id in rows if not os.path.exists(claim.file(paths, run_id, "log"))]
    db.executemany("DELETE FROM output WHERE rowid = ?", gone)


_FIELDS = (*(name for name in COLUMNS.split(", ") if name not in ("started", "ended")), "ts")
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


def as_sql(value: object) -> object:
    """What SQLite takes: a number, a text or nothing. A whole number beyond its reach is text."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
    return json.dumps(value)


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
