"""The history: an index that says what the journal says, whatever happened to it meanwhile."""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import clock, files, index, indexing
from automations.digest import short_hash
from automations.errors import AutomationsError, JournalError
from automations.history import Filters, History, Row
from automations.journal import FIRST_PREV, Entry, Journal, encode
from automations.paths import PROJECT, Paths, prepare_logs

DUE = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(str(tmp_path))
    prepare_logs(made)
    return made


def write(paths: Paths, *entries: Entry) -> None:
    Journal(paths).append(*entries)


def slot(hours: float) -> str:
    return clock.iso(DUE + timedelta(hours=hours))


def run_id(hours: float, job: str = "a") -> str:
    return f"{job}/{clock.slot_name(DUE + timedelta(hours=hours))}"


def started(hours: float, job: str = "a") -> Entry:
    names = {"job": job, "run_id": run_id(hours, job), "due": slot(hours)}
    return Entry("run_started", {**names, "trigger": "schedule", "attempt": 1}, DUE + timedelta(hours=hours))


def finished(hours: float, job: str = "a", outcome: str = "succeeded", **more: object) -> Entry:
    names = {"job": job, "run_id": run_id(hours, job), "due": slot(hours), "attempt": 1}
    result = {"outcome": outcome, "exit": 0, "duration_s": hours, "output_bytes": 3, **more}
    return Entry("run_finished", {**names, **result}, DUE + timedelta(hours=hours, minutes=1))


def skipped(hours: float, slots: int = 1, outcome: str = "missed", **more: object) -> Entry:
    span = {"due": slot(hours), "until": slot(hours + slots - 1), "slots": slots}
    return Entry("run_skipped", {"job": "a", **span, "outcome": outcome, "reason": "why", **more})


def tick(hours: float) -> Entry:
    return Entry("tick", {"next": {}}, DUE + timedelta(hours=hours))


def printed(paths: Paths, hours: float, text: str | bytes, job: str = "a") -> None:
    path = Path(paths.runs, f"{run_id(hours, job)}.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def rows(paths: Paths, **filters: object) -> list[Row]:
    with History(paths) as found:
        return found.runs(Filters(**filters))


def ids(paths: Paths, **filters: object) -> list[str]:
    return [row.run_id for row in rows(paths, **filters)]


def hits(paths: Paths, text: str) -> list[str]:
    with History(paths) as found:
        return [hit.row.run_id for hit in found.search(Filters(text=text))]


# What a row says


def test_a_run_that_ended_is_one_row(paths: Paths):
    write(paths, tick(0), started(0), finished(0, outcome="failed", exit=3, reason="why"))
    assert rows(paths) == [
        Row(run_id(0), "a", slot(0), "schedule", 1, slot(0), slot(1 / 60), "failed", 3, 0, 3, "why", 1, None, 2)
    ]


def test_a_run_that_has_not_ended_has_no_outcome_and_runs(paths: Paths):
    write(paths, started(0))
    assert [row.outcome for row in rows(paths)] == [None]
    assert ids(paths, outcome="running") == [run_id(0)]


def test_a_range_of_slots_that_did_not_run_is_one_row(paths: Paths):
    write(paths, skipped(0, slots=5))
    assert [(row.run_id, row.slots, row.outcome) for row in rows(paths)] == [(run_id(0), 5, "missed")]


def test_a_slot_that_waited_becomes_its_run(paths: Paths):
    waits = Entry("run_waiting", {"job": "a", "due": slot(0), "until": None, "attempt": 1, "reason": "group"})
    write(paths, waits)
    before = rows(paths)[0]
    write(paths, started(0), finished(0))
    assert (before.reason, before.started, [row.outcome for row in rows(paths)]) == ("group", None, ["succeeded"])


def test_a_retry_that_did_not_begin_leaves_the_attempt_before_as_it_was(paths: Paths):
    write(paths, started(0), finished(0, outcome="failed", retry_at=slot(1)), skipped(0, outcome="failed", attempt=2))
    assert [(row.run_id, row.outcome) for row in rows(paths)] == [(f"{run_id(0)}.2", "failed"), (run_id(0), "failed")]


def test_the_newest_outcome_of_each_job_is_its_last(paths: Paths):
    write(paths, started(0), finished(0), started(1), finished(1, outcome="failed"), started(2), started(0, "b"))
    with History(paths) as found:
        assert {job: row.outcome for job, row in found.last().items()} == {"a": "failed"}


def test_durations_come_with_the_newest_last(paths: Paths):
    write(paths, *itertools.chain.from_iterable((started(n), finished(n)) for n in range(1, 6)))
    with History(paths) as found:
        assert found.durations(3) == {"a": [3, 4, 5]}


def test_a_skipped_slot_that_runs_after_all_is_a_run_like_any_other(paths: Paths):
    write(paths, skipped(0, slots=3), started(0))
    row = rows(paths)[0]
    assert (row.outcome, row.ended, row.reason, row.slots, row.started) == (None, None, None, 1, slot(0))


def test_a_slot_that_waits_again_tells_its_last_reason(paths: Paths):
    write(paths, *(Entry("run_waiting", {"job": "a", "due": slot(0), "reason": why}) for why in ("group", "jitter")))
    assert [row.reason for row in rows(paths, outcome="waiting")] == ["jitter"]


def test_a_run_that_is_said_to_wait_runs_all_the_same(paths: Paths):
    waits = [Entry("run_waiting", {"job": "a", "due": slot(n), "reason": "still running"}) for n in range(2)]
    write(paths, started(0), started(1), finished(1), *waits)
    assert [(row.outcome, row.reason) for row in rows(paths)] == [("succeeded", None), (None, None)]


@pytest.mark.parametrize(
    "odd",
    [
        {"job": "a", "outcome": "failed"},
        {"run_id": "a/1", "outcome": "failed"},
        {"job": "a", "run_id": ["a"]},
        {"job": "a", "run_id": None},
        {"job": 5, "run_id": 5},
        {"job": "a", "run_id": ""},
    ],
)
@pytest.mark.parametrize("event", ["run_started", "run_finished", "run_skipped", "run_waiting"])
def test_an_entry_that_names_no_run_is_passed_over(paths: Paths, event: str, odd: dict[str, object]):
    write(
        paths, started(0), Entry(event, {"due": slot(2), **odd, **({"job": 5} if "skip" in event else {})}), started(1)
    )
    assert {run_id(0), run_id(1)} <= set(ids(paths))


@pytest.mark.parametrize(
    "name", ["a/\0", "a/\ud800", "../../etc/x", "/etc/x", "a/" + "x" * 3000, "a'; DROP TABLE runs"]
)
def test_whatever_a_run_is_called_it_is_a_row(paths: Paths, name: str):
    write(paths, Entry("run_finished", {"job": "a", "run_id": name, "outcome": "failed"}), started(0))
    assert len(ids(paths)) == 2


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "true", '"5"', "[]", "{}", str(2**70), "null"])
def test_a_number_that_is_none_is_not_told(paths: Paths, value: str):
    line = encode(finished(0), 1, FIRST_PREV)
    for name, was in (("duration_s", "0"), ("exit", "0"), ("output_bytes", "3"), ("attempt", "1")):
        line = line.replace(f'"{name}":{was}'.encode(), f'"{name}":{value}'.encode())
    Path(paths.journal).write_bytes(line + b"\n")
    row = rows(paths)[0]
    assert (row.duration_s, row.exit, row.output_bytes, row.attempt) == (None, None, None, 1)


def test_output_that_is_no_file_is_no_text(paths: Paths):
    Path(paths.runs, f"{run_id(0)}.log").mkdir(parents=True)
    os.mkfifo(Path(paths.runs, f"{run_id(1)}.log"))
    Path(paths.runs, f"{run_id(2)}.log").symlink_to(paths.journal)
    write(paths, *(finished(n) for n in range(3)))
    assert (hits(paths, "run"), len(rows(paths))) == ([], 3)


# Filters


@pytest.fixture
def full(paths: Paths) -> Paths:
    for hours, text in ((0, "disk full on sda"), (1, "all is well"), (2, "disk is well")):
        printed(paths, hours, text)
    write(paths, started(0), finished(0, outcome="failed"), started(1), finished(1), started(2), finished(2))
    write(paths, started(0, "b"), finished(0, "b"), skipped(3))
    return paths


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"job": "b"}, [run_id(0, "b")]),
        ({"outcome": "failed"}, [run_id(0)]),
        ({"outcome": "missed"}, [run_id(3)]),
        ({"since": DUE + timedelta(hours=2)}, [run_id(3), run_id(2)]),
        ({"until": DUE}, [run_id(0, "b"), run_id(0)]),
        ({"text": "disk"}, [run_id(2), run_id(0)]),
        ({"text": "disk", "outcome": "failed"}, [run_id(0)]),
        ({"limit": 1}, [run_id(3)]),
        ({"limit": 0}, []),
        ({"limit": 2**80, "job": "b"}, [run_id(0, "b")]),
        ({"before": 2**80, "job": "b"}, [run_id(0, "b")]),
        ({"before": -(2**80)}, []),
        ({"text": "—"}, []),
        ({"text": "", "job": "b"}, [run_id(0, "b")]),
        ({"job": "a", "outcome": "missed", "since": DUE}, [run_id(3)]),
        ({"outcome": "waiting"}, []),
        ({"job": "nobody"}, []),
    ],
)
def test_filters_combine(full: Paths, filters: dict[str, object], expected: list[str]):
    assert ids(full, **filters) == expected


def test_a_run_by_hand_is_placed_by_its_start_or_at_least_by_its_end(paths: Paths):
    by_hand = [Entry("run_started", {"job": "a", "run_id": "a/1", "due": None}, DUE)]
    by_hand += [Entry("run_finished", {"job": "a", "run_id": "a/2", "due": None, "outcome": "failed"}, DUE)]
    write(paths, *by_hand)
    assert ids(paths, since=DUE, until=DUE) == ["a/2", "a/1"]
    assert ids(paths, since=DUE + timedelta(seconds=1)) == []


def test_a_cursor_goes_through_all_rows_without_losing_any(full: Paths):
    seen: list[str] = []
    before = None
    while page := rows(full, limit=2, before=before):
        seen += [row.run_id for row in page]
        before = page[-1].seq
    assert seen == ids(full)


# Searching


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("disk full", [0]),
        ("full disk", []),
        ("well", [2, 1]),
        ("wel", [2, 1]),
        ("DISK", [2, 0]),
        ("isk", []),
        ("—", []),
    ],
)
def test_a_search_is_for_words_in_their_order_the_last_from_its_beginning(full: Paths, text: str, found: list[int]):
    assert hits(full, text) == [run_id(hours) for hours in found]


def test_a_hit_shows_its_place(full: Paths):
    with History(full) as found:
        assert found.search(Filters(text="full"))[0].snippet == "disk \x02full\x03 on sda"


def test_a_hit_shows_the_line_of_its_first_place_and_no_more(paths: Paths):
    printed(paths, 0, "one\n" + "before " * 20 + "the Needle, here\r" + "needle\n" * 9)
    write(paths, started(0), finished(0))
    with History(paths) as found:
        snippet = found.search(Filters(text="the need"))[0].snippet
    assert snippet == "…" + ("before " * 20)[-60:] + "\x02the Needle\x03, here"


def test_words_are_found_with_and_without_their_accents(paths: Paths):
    printed(paths, 0, "le cafe\u0301s ferme\n")
    write(paths, started(0), finished(0))
    with History(paths) as found:
        snippets = [found.search(Filters(text=text))[0].snippet for text in ("cafes", "cafés", "cafe\u0301s", "le caf")]
    assert snippets[0] == "le \x02cafe\u0301s\x03 ferme"
    assert all("\x02" in snippet and "ferme" in snippet for snippet in snippets)


def test_output_cannot_set_the_marks_itself(paths: Paths):
    printed(paths, 0, "a \x02fake\x03 needle \0 end")
    write(paths, started(0), finished(0))
    with History(paths) as found:
        assert found.search(Filters(text="needle"))[0].snippet == "a  fake  \x02needle\x03   end"


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(), max_size=40))
def test_no_text_is_taken_for_a_query_language(tmp_path_factory, text: str):
    paths = Paths(str(tmp_path_factory.getbasetemp() / "fuzz"))
    Path(paths.home).mkdir(exist_ok=True)
    prepare_logs(paths)
    if not Path(paths.journal).stat().st_size:
        printed(paths, 0, "words and numbers 1 2 3, a äöü ½ \N{GRINNING FACE}\n" * 20)
        write(paths, started(0), finished(0))
    hits(paths, text)
    hits(paths, f"wor{text}")
    rows(paths, text=text, job=text, outcome=text)
    with History(paths) as found:
        found.run(text)


@pytest.mark.parametrize("text", ['"', "a AND", "NEAR(", "*", "a*b", "col:x", "'; DROP TABLE runs; --", "\0", "\ud800"])
def test_the_words_of_the_query_language_are_words_like_others(full: Paths, text: str):
    hits(full, text)
    assert len(rows(full)) == 5


def test_of_a_long_output_the_beginning_and_the_end_can_be_found(paths: Paths):
    printed(paths, 0, b"alpha " + b"x\xff\0 " * 200_000 + b" omega")
    write(paths, started(0), finished(0))
    assert (hits(paths, "alpha"), hits(paths, "omega")) == ([run_id(0)], [run_id(0)])


def test_what_retention_deleted_is_no_longer_found(full: Paths):
    assert hits(full, "full") == [run_id(0)]
    Path(full.runs, f"{run_id(0)}.log").unlink()
    write(full, Entry("retention_done", {"files": 1, "bytes": 1}), Entry("error", {"message": "later"}), tick(9))
    assert (hits(full, "full"), len(rows(full))) == ([], 5)


# Belief


def test_a_line_that_was_slipped_in_is_no_row(full: Paths):
    forged = {
        "ts": slot(9),
        "event": "run_started",
        "job": "x",
        "run_id": "x/1",
        "due": None,
        "seq": 10,
        "prev": "0" * 16,
    }
    with open(full.journal, "a") as file:
        file.write(json.dumps(forged, separators=(",", ":")) + "\n")
    assert ids(full, job="x") == []


def test_a_first_line_that_claims_to_be_in_the_middle_is_no_row(paths: Paths):
    Path(paths.journal).write_bytes(encode(started(0), 5, FIRST_PREV) + b"\n")
    assert ids(paths) == []


def test_what_comes_after_a_line_beyond_all_measure_is_read(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(indexing, "_BLOCK", 1000)
    beyond = b"\0" * 50_000
    lines = [encode(started(0), 1, FIRST_PREV), beyond, encode(started(1), 2, short_hash(beyond))]
    for n in range(4):  # also with the line as the last one, and while it is torn
        Path(paths.journal).write_bytes(b"".join(line + b"\n" for line in lines[:n]) + beyond[: 10_000 * (n == 1)])
        assert len(ids(paths)) == min(1, n) + (n == 3)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_journal_that_is_no_file_is_a_clear_error(paths: Paths, make):
    os.unlink(paths.journal)
    make(paths.journal)
    with pytest.raises(JournalError, match=r"scheduler\.log: cannot be read"):
        rows(paths)


def test_where_there_is_no_journal_there_is_no_history(full: Paths):
    assert rows(full)
    os.unlink(full.journal)
    assert rows(full) == []


def test_output_that_looks_like_the_journal_is_output(paths: Paths):
    printed(paths, 0, Path(paths.journal).read_bytes() + b'{"event":"run_started","job":"x","run_id":"x/1"}\n')
    write(paths, started(0), finished(0))
    assert ids(paths) == [run_id(0)]


def test_a_torn_last_line_waits_until_it_is_whole(paths: Paths):
    write(paths, started(0), finished(0))
    whole = Path(paths.journal).read_bytes()
    Path(paths.journal).write_bytes(whole[:-10])
    before = rows(paths)[0].outcome
    Path(paths.journal).write_bytes(whole)
    assert (before, rows(paths)[0].outcome) == (None, "succeeded")


# Derived and disposable


@pytest.fixture
def long(paths: Paths) -> Paths:
    write(paths, *itertools.chain.from_iterable((started(n), finished(n)) for n in range(5000)))
    return paths


def test_deleting_it_loses_nothing(full: Paths):
    before = rows(full)
    for path in Path(full.logs).glob("history.db*"):
        path.unlink()
    assert rows(full) == before


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), max_size=10))
def test_caught_up_bit_by_bit_it_is_what_it_would_be_at_once(tmp_path_factory, steps: list[int]):
    paths = Paths(str(tmp_path_factory.mktemp("bits")))
    prepare_logs(paths)
    write(paths, *itertools.chain.from_iterable((tick(n), started(n), finished(n)) for n in range(8)))
    whole = Path(paths.journal).read_bytes()
    for end in itertools.accumulate(steps):
        Path(paths.journal).write_bytes(whole[:end])
        rows(paths)
    Path(paths.journal).write_bytes(whole)
    bit_by_bit = rows(paths)
    Path(paths.log("history.db")).unlink()
    assert bit_by_bit == rows(paths)


def test_another_journal_makes_another_history(full: Paths):
    rows(full)
    Path(full.journal).unlink()
    write(full, started(5, "new"))
    assert ids(full) == [run_id(5, "new")]


@pytest.mark.parametrize("content", [b"not a database, by far", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_file_is_built_anew(full: Paths, content: bytes):
    before = rows(full)
    for path in Path(full.logs).glob("history.db-*"):
        path.unlink()
    Path(full.log("history.db")).write_bytes(content)
    assert rows(full) == before


def test_an_index_of_another_make_is_built_anew(full: Paths):
    before = rows(full)
    db = sqlite3.connect(full.log("history.db"))
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    assert rows(full) == before


def content(paths: Paths) -> list[list[tuple[object, ...]]]:
    """All that the index holds."""
    with History(paths) as found:
        return [found._index.ask(f"SELECT rowid, * FROM {table}") for table in ("runs", "output", "at")]


def is_in_memory(found: History) -> bool:
    return not found._index.ask("PRAGMA database_list")[0][2]


happenings = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=30)


@settings(max_examples=40, deadline=None)
@given(story=happenings, steps=st.lists(st.integers(1, 2000), max_size=8))
def test_whatever_happened_the_index_is_a_pure_reading_of_the_journal(tmp_path_factory, story, steps):
    paths = Paths(str(tmp_path_factory.mktemp("story")))
    prepare_logs(paths)
    waits = [Entry("run_waiting", {"job": "a", "due": slot(n), "reason": "group"}) for n in range(5)]
    done = Entry("retention_done", {})
    for n in range(5):
        printed(paths, n, f"number {n}")
    kinds = (tick, started, finished, skipped, lambda n: waits[n], lambda n: done)
    write(paths, tick(0), *(kinds[kind](hours) for kind, hours in story))
    whole = Path(paths.journal).read_bytes()
    for end in itertools.accumulate(steps):
        Path(paths.journal).write_bytes(whole[:end])
        rows(paths)
    Path(paths.journal).write_bytes(whole)
    bit_by_bit = content(paths)
    Path(paths.log("history.db")).unlink()
    assert bit_by_bit == content(paths)


def test_it_says_how_much_it_took_in_and_takes_in_what_comes(paths: Paths):
    write(paths, started(0))
    with History(paths) as found:
        write(paths, tick(0), finished(0), tick(1))
        assert (found.catch_up(), found.catch_up()) == (1, 0)
        assert [row.outcome for row in found.runs(Filters())] == ["succeeded"]


@pytest.mark.parametrize("wound", ["garbled", "cut", "no place", "no table", "no text"])
def test_a_wound_inside_is_healed_once_it_hurts(long: Paths, wound: str):
    before = rows(long, limit=10_000)
    db = sqlite3.connect(long.log("history.db"))
    queries = {"no place": "DELETE FROM at", "no table": "DROP TABLE runs", "no text": "DROP TABLE output"}
    db.execute(queries.get(wound, "SELECT 1"))
    db.commit()
    db.close()
    with open(long.log("history.db"), "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if wound == "garbled":
            file.seek(3 * 4096)
            file.write(b"\xff" * (size - 3 * 4096))
        elif wound == "cut":
            file.truncate(size // 2)
    write(long, finished(5001, "b"))
    after = rows(long, limit=10_000)
    assert (len(after), after[1:]) == (5001, before)
    with History(long) as found:
        assert not is_in_memory(found)


def test_a_broken_file_that_others_have_open_is_left_to_them(full: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index, "_ALONE_WAIT_S", 0.0)
    with History(full):
        inode = os.stat(full.log("history.db")).st_ino
        with contextlib.closing(sqlite3.connect(full.log("history.db"))) as db:
            db.execute("PRAGMA user_version = 99")
        with History(full) as second:
            assert (is_in_memory(second), len(second.runs(Filters()))) == (True, 5)
        assert os.stat(full.log("history.db")).st_ino == inode
    with History(full) as alone:
        assert (is_in_memory(alone), len(alone.runs(Filters()))) == (False, 5)


def test_where_it_cannot_be_written_it_answers_from_memory(full: Paths):
    Path(full.log("history.db")).mkdir()
    assert len(rows(full)) == 5


@pytest.mark.parametrize("refused", ["history.lock", "history.db"])
def test_on_a_read_only_disk_it_answers_from_memory(full: Paths, monkeypatch: pytest.MonkeyPatch, refused: str):
    really_open, really_connect = os.open, sqlite3.connect

    def refuse(path: str, *arguments: object, **more: object) -> int:
        if str(path).endswith(refused):
            raise OSError(30, "Read-only file system")
        return really_open(path, *arguments, **more)

    def refuse_database(path: str, **more: object) -> sqlite3.Connection:
        if path.endswith(refused):
            return really_connect(f"file:{path}?mode=ro", uri=True, **more)
        return really_connect(path, **more)

    monkeypatch.setattr(files.os, "open", refuse)
    monkeypatch.setattr(index.sqlite3, "connect", refuse_database)
    with History(full) as found:
        assert (is_in_memory(found), len(found.runs(Filters()))) == (True, 5)
        write(full, started(4))
        assert (found.catch_up(), len(found.runs(Filters()))) == (1, 6)


def test_when_the_disk_becomes_full_it_goes_on_in_memory(long: Paths, monkeypatch: pytest.MonkeyPatch):
    really_connect = sqlite3.connect

    def small(path: str, **more: object) -> sqlite3.Connection:
        db = really_connect(path, **more)
        if path != ":memory:":
            db.execute("PRAGMA max_page_count = 60")
        return db

    monkeypatch.setattr(index.sqlite3, "connect", small)
    with History(long) as found:
        assert (is_in_memory(found), len(found.runs(Filters(limit=10_000)))) == (True, 5000)


def test_a_sqlite_without_full_text_search_is_a_clear_error(full: Paths, monkeypatch: pytest.MonkeyPatch):
    with History(full) as found:
        monkeypatch.setattr(index, "_ALONE_WAIT_S", 0.0)
        monkeypatch.setattr(indexing, "_TABLES", indexing._TABLES.replace("fts5", "fts5x"))
        monkeypatch.setattr(indexing, "SCHEMA", 99)
        with pytest.raises(AutomationsError, match=r"no full-text search \(FTS5\); next: "):
            rows(full)
        with pytest.raises(AutomationsError, match="FTS5"):
            found._index.ask("CREATE VIRTUAL TABLE other USING fts5x (text)")


def test_it_is_never_written_through_a_link(full: Paths, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    Path(full.log("history.db")).symlink_to(precious)
    assert len(rows(full)) == 5
    assert precious.read_bytes() == b"mine"


def test_it_is_for_its_owner_only(full: Paths):
    Path(full.log("history.db")).touch()
    Path(full.log("history.db")).chmod(0o644)
    umask = os.umask(0)
    try:
        with History(full):
            modes = {path.name: path.stat().st_mode & 0o777 for path in Path(full.logs).glob("history.*")}
    finally:
        os.umask(umask)
    assert modes == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm", "history.lock"), 0o600)


# Side by side

READER = f"""
import sys; sys.path.insert(0, {PROJECT!r})
from automations.history import Filters, History
from automations.paths import Paths
print("up", flush=True)
with History(Paths(sys.argv[1])) as found:
    print(len(found.runs(Filters(limit=100000))))
"""


def reader(paths: Paths) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-I", "-c", READER, paths.home], stdout=subprocess.PIPE, text=True)


def test_readers_that_catch_up_at_once_all_see_every_run_once(long: Paths):
    said = [process.communicate(timeout=60)[0] for process in [reader(long) for _ in range(4)]]
    assert said == ["up\n5000\n"] * 4


def test_a_reader_killed_while_it_catches_up_leaves_nothing_half_done(long: Paths):
    for _ in range(5):
        with reader(long) as process:
            assert process.stdout
            process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
    assert len(rows(long, limit=10_000)) == 5000


MORTAL = f"""
import os, sys; sys.path.insert(0, {PROJECT!r})
from automations import indexing
from automations.history import History
from automations.paths import Paths
left, really = [int(sys.argv[2])], indexing._index_output
def index_output(*given):
    left[0] -= 1
    return os.kill(os.getpid(), 9) if left[0] < 0 else really(*given)
indexing._index_output, indexing._BLOCK = index_output, 20_000
History(Paths(sys.argv[1]))
"""


@pytest.mark.parametrize("survives", [0, 1, 60, 3000, 4999])
def test_killed_in_the_middle_of_a_batch_it_is_taken_up_at_the_batch_before(long: Paths, survives: int):
    died = subprocess.run([sys.executable, "-I", "-c", MORTAL, long.home, str(survives)], timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    killed = content(long)
    for path in Path(long.logs).glob("history.*"):
        path.unlink()
    assert killed == content(long)


def test_a_journal_longer_than_a_block_is_read_to_its_end(long: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(indexing, "_BLOCK", 10_000)
    assert len(rows(long, limit=10_000)) == 5000


def test_whoever_finds_nothing_new_waits_for_nobody(full: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index, "WAIT_S", 0.0)
    with History(full), History(full) as second:
        writer = sqlite3.connect(full.log("history.db"), isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        assert (len(rows(full)), second.catch_up()) == (5, 0)
        writer.close()


def test_whoever_cannot_wait_longer_answers_from_memory(full: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index, "WAIT_S", 0.0)
    with History(full) as found:
        writer = sqlite3.connect(full.log("history.db"), isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        write(full, started(4))
        assert (len(rows(full)), len(found.runs(Filters()))) == (6, 5)
        assert (found.catch_up(), len(found.runs(Filters()))) == (0, 6)
        writer.close()


def test_as_long_as_another_gets_on_it_is_waited_for(full: Paths, monkeypatch: pytest.MonkeyPatch):
    with History(full), contextlib.closing(sqlite3.connect(full.log("history.db"), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        reader = sqlite3.connect(full.log("history.db"), isolation_level=None, timeout=0)
        places = itertools.count()
        monkeypatch.setattr(indexing, "_place", lambda db: next(places))
        assert not indexing._begin(reader)
        monkeypatch.setattr(indexing, "_place", lambda db: None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            indexing._begin(reader)
        reader.close()


def test_a_reader_that_comes_and_goes_takes_nothing_from_those_who_stay(full: Paths):
    """To close any descriptor of the file would drop the locks that this process has on it."""
    with History(full), History(full):
        assert reader(full).communicate(timeout=60)[0] == "up\n5\n"
        assert Path(full.log("history.db-wal")).exists()
