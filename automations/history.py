"""The history: what became of every run and slot, with the output of ended runs in full text.

It is asked here; the index behind it, `logs/history.db`, is made from the journal in `indexing` and caught up first.
A search is for the given words, one after the other, the last one from its beginning on; never for FTS syntax. A text
without any word (`—`) is found nowhere; a run list whose text is empty is not filtered by it.

The scheduler does not know this module.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Self

from msgspec import Struct

from automations import clock
from automations.index import Index
from automations.indexing import as_text
from automations.paths import Paths

_MOST = 2**63 - 1  # what SQLite can count to
_BEFORE, _AFTER = 60, 100  # characters of a line, around the place of a hit


class Row(Struct, frozen=True):
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


_COLUMNS = ", ".join(f"runs.{name}" for name in Row.__struct_fields__)


class Hit(NamedTuple):
    """A run whose output has the words, and the line of the first place, the words between \\x02 and \\x03."""

    row: Row
    snippet: str


class Total(NamedTuple):
    """All rows of one job with one outcome: how many runs and slots, when the last ended, how long they took."""

    job: str
    outcome: str
    runs: int
    slots: int
    last_ended: str | None
    timed: int
    duration_s: float
    within: tuple[int, ...]


class Filters(NamedTuple):
    """Which rows: all that are given must fit.

    `outcome` may also be `running` or `waiting`; `since` and `until` are about `due`, or the start of a run by hand;
    `before` is the seq of a row.
    """

    job: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    before: int | None = None
    limit: int = 50


class History:
    """What the journal says by now. Use it as a context manager; `catch_up` for what it says later."""

    def __init__(self, paths: Paths) -> None:
        self._index = Index(paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

    def catch_up(self) -> int:
        """Take in what was journalled since. Returns how many entries that were."""
        return self._index.catch_up()

    def runs(self, filters: Filters) -> list[Row]:
        """The rows that fit, newest first."""
        where, values = _where(filters)
        if filters.text:
            where += " AND runs.id IN (SELECT rowid FROM output WHERE output MATCH ?)"
            values.append(_phrase(filters.text))
        query = f"SELECT {_COLUMNS} FROM runs WHERE {where} ORDER BY runs.id DESC LIMIT ?"
        return [Row(*row) for row in self._index.ask(query, (*values, _count(filters.limit)))]

    def run(self, run_id: str) -> Row | None:
        """One run, or the slot that would have been it."""
        found = self._index.ask(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (as_text(run_id),))
        return Row(*found[0]) if found else None

    def last(self) -> dict[str, Row]:
        """Each job's newest row that has an outcome."""
        query = f"SELECT {_COLUMNS} FROM runs INDEXED BY by_job WHERE job = ? AND outcome IS NOT NULL"
        found = {job: self._index.ask(f"{query} ORDER BY id DESC LIMIT 1", (job,)) for job in self._jobs()}
        return {job: Row(*rows[0]) for job, rows in found.items() if rows}

    def durations(self, limit: int = 20) -> dict[str, list[float]]:
        """The last durations of each job's runs in seconds, the newest last."""
        query = "SELECT duration_s FROM runs INDEXED BY by_duration WHERE job = ? AND duration_s IS NOT NULL"
        query += " ORDER BY id DESC LIMIT ?"
        found = {job: self._index.ask(query, (job, _count(limit))) for job in self._jobs()}
        return {job: [duration_s for (duration_s,) in reversed(rows)] for job, rows in found.items() if rows}

    def totals(self, bounds_s: Sequence[float]) -> list[Total]:
        """What all rows of each job and outcome come to; `within` counts the runs that took at most so many seconds."""
        within = ", ".join(f"coalesce(sum(duration_s <= {float(bound_s)!r}), 0)" for bound_s in bounds_s)
        found = self._index.ask(
            "SELECT job, outcome, count(started), coalesce(sum(slots), 0), max(ended), count(duration_s), "
            f"coalesce(sum(duration_s), 0), {within} FROM runs WHERE outcome IS NOT NULL GROUP BY job, outcome"
        )
        return [Total._make((*row[:7], tuple(row[7:]))) for row in found]

    def search(self, filters: Filters) -> list[Hit]:
        """Runs whose output has `filters.text`, newest first."""
        text = filters.text or ""
        where, values = _where(filters)
        query = (
            f"SELECT runs.id, {_COLUMNS} FROM output CROSS JOIN runs ON runs.id = output.rowid "  # CROSS: in this order
            f"WHERE output MATCH ? AND {where} ORDER BY output.rowid DESC LIMIT ?"
        )
        found = self._index.ask(query, (_phrase(text), *values, _count(filters.limit)))
        return [Hit(Row(*row), self._snippet(place, text)) for place, *row in found]

    def _jobs(self) -> list[str]:
        """The names of all jobs on record: one look into the index for each, however many rows it has."""
        least = "SELECT min(job) FROM runs"
        each = f"SELECT ({least} WHERE job > names.job) FROM names WHERE names.job IS NOT NULL"
        found = self._index.ask(f"WITH RECURSIVE names (job) AS ({least} UNION ALL {each}) SELECT job FROM names")
        return [job for (job,) in found if job is not None]

    def _snippet(self, place: int, text: str) -> str:
        """The line of the first hit.

        Found by looking for the words as they were given, since FTS5 takes a second for an output full of hits; it is
        asked where the output has them in other letters, with an accent more or less.
        """
        found = self._index.ask("SELECT text FROM output WHERE rowid = ?", (place,))
        output = str(found[0][0]) if found else ""
        words = [re.escape(word) for word in re.findall(r"[^\W_]+", text)]
        pattern = r"(?<![^\W_])" + r"[\W_]+".join(words) + r"[^\W_]*"
        hit = re.search(pattern, output, re.IGNORECASE) if words else None
        if hit:
            return _line(output, *hit.span())
        query = "SELECT highlight(output, 0, char(2), char(3)) FROM output WHERE output MATCH ? AND rowid = ?"
        found = self._index.ask(query, (_phrase(text), place))
        before, _, rest = str(found[0][0]).partition("\x02") if found else ("", "", "")
        words_found, _, after = rest.partition("\x03")
        return _line(before + words_found + after, len(before), len(before) + len(words_found))


def _line(text: str, start: int, end: int) -> str:
    """What stands around a place on its line, the place between marks."""
    before = re.split(r"[\r\n]", text[max(0, start - _BEFORE) : start])[-1]
    after = re.split(r"[\r\n]", text[end : end + _AFTER].replace("\x02", "").replace("\x03", ""))[0]
    words = " ".join(text[start:end].split())
    is_cut = len(before) == _BEFORE, len(after) == _AFTER
    return f"{'…' if is_cut[0] else ''}{before}\x02{words}\x03{after}{'…' if is_cut[1] else ''}"


def _where(filters: Filters) -> tuple[str, list[object]]:
    """An SQL condition and its values."""
    moment = "coalesce(due, started, ended)"
    asked: list[tuple[str, object]] = [
        ("job = ?", as_text(filters.job)),
        (f"{moment} >= ?", clock.iso(filters.since) if filters.since else None),
        (f"{moment} <= ?", clock.iso(filters.until) if filters.until else None),
        ("seq < ?", None if filters.before is None else _count(filters.before)),
    ]
    states = {
        "running": "outcome IS NULL AND started IS NOT NULL AND ended IS NULL",
        "waiting": "outcome IS NULL AND started IS NULL AND ended IS NULL",
    }
    conditions = [condition for condition, value in asked if value is not None]
    values = [value for _, value in asked if value is not None]
    if filters.outcome in states:
        conditions.append(states[filters.outcome])
    elif filters.outcome:
        conditions.append("outcome = ?")
        values.append(as_text(filters.outcome))
    return " AND ".join(["true", *conditions]), values


def _count(number: int) -> int:
    return max(0, min(number, _MOST))


def _phrase(text: str) -> str:
    """A user's text as an FTS query: its words as a phrase, the last one as a prefix. What is a word, FTS says."""
    return '"' + text.encode("utf-8", "replace").decode().replace('"', " ").replace("\0", " ") + '"*'
