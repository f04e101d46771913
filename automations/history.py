"""The history: what became of every run and slot, with the output of ended runs in full text.

It is asked here; the index behind it, `logs/history.db`, is made from the journal in `indexing` and caught up first.
A search is for the given words, one after the other, the last one from its beginning on; never for FTS syntax.

The scheduler does not know this module.
"""

import re
from datetime import datetime
from typing import NamedTuple, Self

from automations import clock, indexing
from automations.indexing import COLUMNS, as_sql
from automations.paths import Paths


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
        self._db = indexing.open_index(paths)

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
        query = f"SELECT {COLUMNS} FROM runs WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        return [Row(*row) for row in self._db.execute(query, (*values, max(0, filters.limit)))]

    def run(self, run_id: str) -> Row | None:
        """One run, or the slot that would have been it."""
        found = self._db.execute(f"SELECT {COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return Row(*found) if found else None

    def last(self) -> dict[str, Row]:
        """Each job's newest row that has an outcome."""
        newest = "SELECT max(seq) FROM runs WHERE outcome IS NOT NULL GROUP BY job"
        found = self._db.execute(f"SELECT {COLUMNS} FROM runs WHERE seq IN ({newest})")
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
        columns = ", ".join(f"runs.{name}" for name in COLUMNS.split(", "))
        query = (
            f"SELECT {columns}, snippet(output, 0, char(2), char(3), '…', 16) FROM output "
            f"JOIN runs ON runs.id = output.rowid WHERE output MATCH ? AND {' AND '.join(where)} "
            "ORDER BY seq DESC LIMIT ?"
        )
        found = self._db.execute(query, (words, *values, max(0, filters.limit)))
        return [Hit(Row(*values[:-1]), values[-1]) for values in found]


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
            values.append(as_sql(value))
    if filters.outcome == "running":
        where.append("outcome IS NULL AND started IS NOT NULL")
    elif filters.outcome:
        where.append("outcome = ?")
        values.append(as_sql(filters.outcome))
    return where, values


def _words(text: str) -> str:
    """A user's text as an FTS query: its words as a phrase, the last one as a prefix; empty when it has no word."""
    words = re.findall(r"[^\W_]+", text.encode("utf-8", "ignore").decode())
    return f'"{" ".join(words)}"*' if words else ""
