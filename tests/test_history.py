"""The history: an index that says what the journal says, whatever happened to it meanwhile."""

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

from automations import clock, indexing
from automations.history import Filters, History, Row
from automations.journal import Entry, Journal
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
        ({"job": "nobody"}, []),
    ],
)
def test_filters_combine(full: Paths, filters: dict[str, object], expected: list[str]):
    assert ids(full, **filters) == expected


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


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=40))
def test_no_text_is_taken_for_a_query_language(tmp_path_factory, text: str):
    paths = Paths(str(tmp_path_factory.getbasetemp() / "fuzz"))
    Path(paths.home).mkdir(exist_ok=True)
    prepare_logs(paths)
    if not Path(paths.journal).stat().st_size:
        write(paths, started(0), finished(0))
    hits(paths, text)
    rows(paths, text=text, job=text, outcome=text)


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
    write(full, Entry("retention_done", {"files": 1, "bytes": 1}))
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


def test_an_index_of_another_make_is_built_anew(full: Paths, monkeypatch: pytest.MonkeyPatch):
    before = rows(full)
    db = sqlite3.connect(full.log("history.db"))
    db.execute("UPDATE at SET schema = 99")
    db.commit()
    db.close()
    assert rows(full) == before


def test_where_it_cannot_be_written_it_answers_from_memory(full: Paths):
    Path(full.log("history.db")).mkdir()
    assert len(rows(full)) == 5


def test_it_is_never_written_through_a_link(full: Paths, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    Path(full.log("history.db")).symlink_to(precious)
    assert len(rows(full)) == 5
    assert precious.read_bytes() == b"mine"


def test_it_is_for_its_owner_only(full: Paths):
    rows(full)
    assert Path(full.log("history.db")).stat().st_mode & 0o777 == 0o600


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


@pytest.fixture
def long(paths: Paths) -> Paths:
    write(paths, *itertools.chain.from_iterable((started(n), finished(n)) for n in range(5000)))
    return paths


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


def test_a_journal_longer_than_a_block_is_read_to_its_end(long: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(indexing, "_BLOCK", 10_000)
    assert len(rows(long, limit=10_000)) == 5000
