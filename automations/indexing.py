"""From the journal's lines to the rows of the index, and from the output of ended runs to its full text.

Rules:
- Derived and disposable: deleting the index loses nothing that the journal still holds. Nobody who writes waits for it.
- Only believable lines count: those that name the line before them rightly. Of what they say of one run, the last
  word wins; what no row can be made of is passed over.
- Lines and the place behind them are committed together, so that several processes, killed or not, apply each line
  once. A batch is small, and whoever waits for its turn finds the work done.
- A journal that was cut or replaced: everything is made anew.

What the index says is asked in `history`; its file is the business of `index`.
"""

import json
import math
import os
import sqlite3
import stat
from typing import NamedTuple

from automations import claim, clock
from automations.digest import short_hash
from automations.errors import JournalError
from automations.paths import Paths
from automations.replay import believable

SCHEMA = 2
TEXT_BYTES = 128 * 1024  # of the beginning, and of the end, of each output
_BLOCK = 1 << 20
_BATCH_TEXT = 8 << 20  # characters of output in one batch
_NO_ROOM = bytes.maketrans(b"\0\x02\x03", b"   ")  # \x02 and \x03 mark a hit
_TABLES = f"""
CREATE TABLE at (offset INTEGER, prev TEXT, length INTEGER, prune INTEGER);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, seq INTEGER, run_id TEXT UNIQUE, job TEXT, due TEXT, trigger TEXT, attempt INTEGER,
    started TEXT, ended TEXT, outcome TEXT, exit INTEGER, duration_s REAL, output_bytes INTEGER, reason TEXT,
    slots INTEGER, retry_at TEXT
);
CREATE INDEX by_job ON runs (job);
CREATE INDEX by_outcome ON runs (outcome);
CREATE INDEX by_duration ON runs (job) WHERE duration_s IS NOT NULL;
CREATE VIRTUAL TABLE output USING fts5 (text);
INSERT INTO at VALUES (0, '', 0, 0);
PRAGMA user_version = {SCHEMA}"""


class _Place(NamedTuple):
    """Up to where the journal is applied, the last line before that, and whether deleted output is to be forgotten."""

    offset: int
    prev: str
    length: int
    prune: int


def catch_up(db: sqlite3.Connection, paths: Paths) -> int:
    """Apply the journal's new lines. Returns how many entries made or changed a row. Raises JournalError."""
    fd = _open_journal(paths.journal)
    try:
        applied = 0
        while not _is_done(_place(db), fd):
            if _begin(db):
                with db:  # commits, or rolls back
                    applied += _apply_batch(db, paths, fd)
        return applied
    finally:
        os.close(fd)


def _open_journal(path: str) -> int:
    """The journal for reading; an empty file when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise JournalError(f"{path}: cannot be read: not a regular file")
    return fd


def _place(db: sqlite3.Connection) -> _Place | None:
    """None when the tables are not there, or not of this make."""
    if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
        return None
    found = db.execute("SELECT offset, prev, length, prune FROM at").fetchone()
    return _Place(*found) if found else None


def _is_done(place: _Place | None, fd: int) -> bool:
    """Only reads: whoever finds nothing new takes no lock."""
    return bool(place and _follows(place, fd) and not place.prune and not _whole_lines(fd, place.offset))


def _follows(place: _Place, fd: int) -> bool:
    """Is the last line that was applied still where it was?"""
    if place.offset == 0:
        return True
    line = os.pread(fd, place.length + 1, place.offset - place.length - 1)
    return len(line) > place.length and line.endswith(b"\n") and short_hash(line[:-1]) == place.prev


def _whole_lines(fd: int, offset: int) -> bytes:
    """A block of whole lines, or one that is longer; empty at the end and before a torn line."""
    limit = _BLOCK
    while True:
        content = os.pread(fd, limit, offset)
        end = content.rfind(b"\n") + 1
        if end or len(content) < limit:
            return content[:end]
        limit *= 2


def _begin(db: sqlite3.Connection) -> bool:
    """Take the write lock; False when somebody else had it all the time and got on."""
    before = _place(db)
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        if _place(db) == before:
            raise
        return False
    return True


def _apply_batch(db: sqlite3.Connection, paths: Paths, fd: int) -> int:
    """Apply up to a block of lines; with nothing left to apply, prune. Returns how many entries counted."""
    place = _place(db)
    if place is None or not _follows(place, fd):
        place = _begin_anew(db, is_new=place is None)
    offset, prev, length, prune = place
    content = _whole_lines(fd, offset)
    if prune and not content:
        _prune(db, paths)
        prune = 0
    applied = text = 0
    for line in content.split(b"\n")[:-1]:
        if not line.startswith(b'"event":"tick"', 33):  # of which there are twenty times as many as of all others
            entry = next(believable(line + b"\n", prev), {})
            row = _row(entry)
            if row:
                db.execute(_WRITERS[str(entry["event"])], row)
                applied += 1
            if row and entry["event"] == "run_finished":
                text += _index_output(db, paths, str(row["run_id"]))
            prune |= entry.get("event") == "retention_done"
        offset, prev, length = offset + len(line) + 1, short_hash(line), len(line)
        if text > _BATCH_TEXT:
            break
    db.execute("UPDATE at SET offset = ?, prev = ?, length = ?, prune = ?", (offset, prev, length, prune))
    return applied


def _begin_anew(db: sqlite3.Connection, is_new: bool) -> _Place:
    """Make empty tables. Raises sqlite3.DatabaseError where others are in their place."""
    if is_new and db.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise sqlite3.DatabaseError(f"an index of another make; expected {SCHEMA}")
    for table in ("at", "runs", "output"):
        db.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _TABLES.split(";\n"):
        db.execute(statement)
    return _Place(0, "", 0, 0)


_WRITERS = {
    "run_started": """
        INSERT INTO runs (run_id, job, due, trigger, attempt, started, slots, seq)
        VALUES (:run_id, :job, :due, :trigger, :attempt, :ts, 1, :seq)
        ON CONFLICT (run_id) DO UPDATE SET started = :ts, trigger = :trigger, ended = NULL, outcome = NULL, exit = NULL,
            duration_s = NULL, output_bytes = NULL, reason = NULL, slots = 1, retry_at = NULL""",
    "run_finished": """
        INSERT INTO runs (run_id, job, due, attempt, ended, outcome, exit, duration_s, output_bytes, reason, slots,
            retry_at, seq)
        VALUES (:run_id, :job, :due, :attempt, :ts, :outcome, :exit, :duration_s, :output_bytes, :reason, 1,
            :retry_at, :seq)
        ON CONFLICT (run_id) DO UPDATE SET ended = :ts, outcome = :outcome, exit = :exit, duration_s = :duration_s,
            output_bytes = :output_bytes, reason = :reason, slots = 1, retry_at = :retry_at""",
    "run_skipped": """
        INSERT INTO runs (run_id, job, due, attempt, ended, outcome, reason, slots, seq)
        VALUES (:run_id, :job, :due, :attempt, :ts, :outcome, :reason, :slots, :seq)
        ON CONFLICT (run_id) DO UPDATE SET ended = :ts, outcome = :outcome, reason = :reason, slots = :slots,
            retry_at = NULL""",
    "run_waiting": """
        INSERT INTO runs (run_id, job, due, attempt, reason, slots, seq)
        VALUES (:run_id, :job, :due, :attempt, :reason, 1, :seq)
        ON CONFLICT (run_id) DO UPDATE SET reason = :reason, ended = NULL, outcome = NULL, slots = 1
            WHERE started IS NULL""",
}


def _row(entry: dict[str, object]) -> dict[str, object]:
    """The values of an entry's row; none when it is about no run, or names neither run nor job."""
    if entry.get("event") not in _WRITERS:
        return {}
    attempt = max(1, _number(entry.get("attempt")) or 1)  # old journals name none
    run_id = entry.get("run_id")
    if entry["event"] in ("run_skipped", "run_waiting"):
        run_id = _slot_id(entry, attempt)
    if not (run_id and isinstance(run_id, str) and entry.get("job") and isinstance(entry["job"], str)):
        return {}
    texts = {
        name: as_text(entry.get(name)) for name in ("job", "due", "trigger", "outcome", "reason", "retry_at", "ts")
    }
    numbers = {name: _number(entry.get(name)) for name in ("exit", "output_bytes", "slots", "seq")}
    ids = {"run_id": as_text(run_id), "attempt": attempt, "slots": numbers["slots"] or 1}
    return {**texts, **numbers, **ids, "duration_s": _seconds(entry.get("duration_s"))}


def _slot_id(entry: dict[str, object], attempt: int) -> str:
    """A slot that did not run has the id that its run would have."""
    job, due = entry.get("job"), entry.get("due")
    try:
        moment = clock.parse_iso(str(due))
        return f"{job}/{claim.run_name(moment, attempt, moment)}"
    except (ValueError, OverflowError):
        return f"{job}/{due}"


def as_text(value: object) -> str | None:
    """A text as SQLite takes it, half characters escaped; of anything else, its JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace").decode()


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, float) and math.isfinite(value) else _number(value)


def _index_output(db: sqlite3.Connection, paths: Paths, run_id: str) -> int:
    """Make a run's output searchable. Returns how many characters that were."""
    (place,) = db.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    db.execute("DELETE FROM output WHERE rowid = ?", (place,))
    is_ours = ".." not in run_id.split("/") and not run_id.startswith("/")
    text = _ends_of(claim.file(paths, run_id, "log")) if is_ours else ""
    if text:
        db.execute("INSERT INTO output (rowid, text) VALUES (?, ?)", (place, text))
    return len(text)


def _prune(db: sqlite3.Connection, paths: Paths) -> None:
    """Forget the text of output that retention has deleted."""
    rows = db.execute("SELECT runs.id, run_id FROM runs JOIN output ON output.rowid = runs.id").fetchall()
    gone = [(place,) for place, run_id in rows if not os.path.exists(claim.file(paths, run_id, "log"))]
    db.executemany("DELETE FROM output WHERE rowid = ?", gone)


def _ends_of(path: str) -> str:
    """The first and the last part of an output; empty when it is gone, or no file that can be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return ""
    try:
        size = os.fstat(fd).st_size
        content = os.pread(fd, TEXT_BYTES, 0)
        if size > TEXT_BYTES:
            start = max(TEXT_BYTES, size - TEXT_BYTES)
            content += (b"\n" if start > TEXT_BYTES else b"") + os.pread(fd, TEXT_BYTES, start)
    except OSError:
        return ""
    finally:
        os.close(fd)
    return content.translate(_NO_ROOM).decode("utf-8", "backslashreplace")
