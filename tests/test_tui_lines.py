"""A line of the journal for people: every event in its own words, and nothing that a line may hold breaks it."""

import json
import re
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.journal import FIRST_PREV, Entry, encode
from automations.paths import PROJECT
from tests.machine import NOON
from tui import lines
from tui.lines import Span

TODAY = NOON.date()
EVENTS: list[tuple[str, dict[str, object], str]] = [
    (
        "startup",
        {"pid": 7, "version": "0.1.0", "config": "ab"},
        "▲ scheduler started  pid 7, version 0.1.0, job file ab",
    ),
    ("shutdown", {"pid": 7, "reason": "SIGTERM"}, "▼ scheduler ended  SIGTERM"),
    ("stopped", {"pid": 7, "how": "on TERM"}, "▼ stopped on request  pid 7, on TERM"),
    (
        "tick",
        {"next": {"b": "2026-11-22T13:00:00.000Z", "a": "2026-11-22T12:30:00.000Z"}},
        "· tick  next a 12:30",
    ),
    ("tick", {"next": {}}, "· tick  nothing is due"),
    ("tick", {"next": {"a": "soon"}}, "· tick  next a –"),
    ("error", {"message": "no more threads"}, "✗ error  no more threads"),
    ("retention_start", {"days": 30}, "• retention_start  days=30"),
    ("retention_done", {"files": 3, "bytes": 900}, "• retention_done  files=3  bytes=900"),
    ("run_started", {"job": "a", "trigger": "schedule", "attempt": 1}, "▶ a started (schedule)"),
    ("run_started", {"job": "a", "trigger": "retry", "attempt": 2}, "▶ a started (retry, attempt 2)"),
    ("run_finished", {"job": "a", "outcome": "succeeded", "exit": 0, "duration_s": 4.2}, "✓ a succeeded in 4.2 s"),
    ("run_finished", {"job": "a", "outcome": "failed", "exit": 78, "duration_s": 0.05}, "✗ a failed in 50 ms, exit 78"),
    ("run_finished", {"job": "a", "outcome": "timed_out", "reason": "60 s"}, "⧗ a timed out in –: 60 s"),
    (
        "run_finished",
        {"job": "a", "outcome": "failed", "duration_s": 1, "retry_at": "2026-11-22T12:01:00.000Z"},
        "✗ a failed in 1.0 s; again Sun 22 Nov 12:01:00",
    ),
    ("run_finished", {"job": "a", "outcome": "stopped", "duration_s": 1}, "■ a stopped in 1.0 s"),
    ("run_finished", {"job": "a", "outcome": "abandoned"}, "? a abandoned in –"),
    ("run_skipped", {"job": "a", "outcome": "skipped", "reason": "paused"}, "↷ a skipped: paused"),
    ("run_skipped", {"job": "a", "outcome": "missed", "slots": 9, "reason": "down"}, "∅ a missed 9 slots: down"),
    ("run_waiting", {"job": "a", "reason": "group disk"}, "… a waits: group disk"),
    ("job_paused", {"job": "a", "until": None, "note": ""}, "‖ a paused until resumed"),
    (
        "job_paused",
        {"job": "a", "until": "2026-11-25T08:00:00.000Z", "note": "away"},
        "‖ a paused until Wed 25 Nov 08:00:00: away",
    ),
    ("job_resumed", {"job": "a", "reason": "its pause ended"}, "▷ a resumed: its pause ended"),
    ("config_loaded", {"config": "ab", "jobs": 4}, "≡ job file in force  4 jobs, ab"),
    ("config_rejected", {"faults": ["a: b", "c: d"], "count": 2}, "✗ job file refused  a: b"),
    ("config_rejected", {"faults": []}, "✗ job file refused  []"),
    ("watchdog_restart", {"cause": "hung", "attempt": 1}, "✗ the watchdog restarted it  hung"),
    ("watchdog_gave_up", {"cause": "crash loop", "attempts": 9}, "✗ the watchdog gave up  crash loop"),
    ("selfheal", {"found": 2}, "• selfheal  found=2"),
    ("brief", {"path": "x.md"}, "• brief  path=x.md"),
    ("report", {"path": "x.html"}, "• report  path=x.html"),
    ("journal_recovered", {"bytes_cut": 9, "cut": '{"ts":"20'}, '! a torn line was cut  {"ts":"20'),
    ("journal_gap", {"lost": {"tick": 3}, "reason": "disk full"}, "! entries were lost  disk full"),
    ("journal_sealed", {"segment": "0001"}, "• journal_sealed  segment=0001"),
    ("something_new", {"x": [1, {"y": None}]}, "• something_new  x=[1, {'y': None}]"),
]
TROUBLE = [
    ("error", {}),
    ("config_rejected", {}),
    ("watchdog_restart", {}),
    ("watchdog_gave_up", {}),
    ("journal_recovered", {}),
    ("journal_gap", {}),
    ("run_finished", {"outcome": "failed"}),
    ("run_finished", {"outcome": "timed_out"}),
    ("run_finished", {"outcome": "abandoned"}),
    ("run_skipped", {"outcome": "missed"}),
]
QUIET = [
    ("tick", {}),
    ("startup", {}),
    ("shutdown", {}),
    ("run_started", {}),
    ("config_loaded", {}),
    ("job_paused", {}),
    ("run_finished", {"outcome": "succeeded"}),
    ("run_skipped", {"outcome": "skipped"}),
]


@pytest.fixture(autouse=True)
def local_time_is_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def line(event: str, **fields: object) -> bytes:
    """An entry as the scheduler writes it."""
    return encode(Entry(event, fields, NOON), 1, FIRST_PREV)


def told(content: bytes, today: date | None = TODAY, count: int = 1) -> str:
    return words_of(lines.entry(content, today, count))


def words_of(spans: list[Span]) -> str:
    return "".join(span.text for span in spans)


# Every event


@pytest.mark.parametrize(("event", "fields", "expected"), EVENTS)
def test_an_entry_is_told_in_words(event: str, fields: dict[str, object], expected: str):
    assert told(line(event, **fields)).endswith(expected)


def test_every_event_that_the_design_names_is_told_in_one_of_the_tests():
    source = Path(PROJECT, "tui", "lines.py").read_text()
    of_its_own = set(re.findall(r'^    "(\w+)": _', source, re.MULTILINE))
    assert of_its_own <= {event for event, _, _ in EVENTS}


def test_an_entry_of_today_is_told_with_its_time():
    assert told(line("brief")).startswith("12:00:00 ")


def test_an_entry_of_another_day_is_told_with_its_day():
    assert told(line("brief"), date(2026, 11, 23)).startswith("22 Nov 12:00:00 ")


def test_ticks_in_a_row_are_told_by_their_number_and_the_last_ones_next_slot():
    content = line("tick", next={"a": "2026-11-22T12:30:00.000Z"})
    assert told(content, count=512) == "12:00:00 · 512 ticks  next a 12:30"


def test_the_outcome_has_the_tone_of_its_kind():
    spans = lines.entry(line("run_finished", job="a", outcome="failed"))
    assert [span.tone for span in spans if span.text in ("✗ ", "failed")] == ["bad", "bad"]


# What is no entry


@pytest.mark.parametrize("content", [b"", b"not json", b"[1]", b'{"ts": 1}', b'{"event"', b"\xff\xfe", b"[" * 3000])
def test_what_is_no_entry_is_said_to_be_none_and_shown_as_it_is(content: bytes):
    assert told(content).startswith("⁇ not an entry  ")


def test_a_line_of_megabytes_is_clipped():
    assert len(told(b"x" * 2_000_000)) < 5000


@given(st.binary(max_size=300))
def test_no_bytes_break_it(content: bytes):
    assert told(content)


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANY = SIMPLE | st.lists(SIMPLE, max_size=2) | st.dictionaries(st.text(max_size=4), SIMPLE, max_size=2)
FIELDS = ["ts", "next", "job", "outcome", "exit", "duration_s", "reason", "retry_at", "slots", "until", "faults"]


@given(st.sampled_from([event for event, _, _ in EVENTS]), st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=5))
def test_no_field_of_another_type_breaks_it(event: str, fields: dict[str, object]):
    assert told(json.dumps({"event": event, **fields}).encode())


@pytest.mark.parametrize("duration", ["1e999", "-1e999", "NaN", "1" + 400 * "0"])
def test_a_duration_beyond_all_numbers_is_a_dash(duration: str):
    assert "in –" in told(b'{"event":"run_finished","duration_s":' + duration.encode() + b"}")


@pytest.mark.parametrize("ts", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00+23:00"])
def test_a_time_at_the_end_of_all_calendars_is_shown_as_written(ts: str):
    assert told(json.dumps({"ts": ts, "event": "brief"}).encode()).startswith(ts)


def test_a_nesting_of_any_depth_is_shown():
    depths = [*range(1, 900, 29), *range(900, 1000)]
    assert all(told(b'{"event":"x","y":' + b"[" * depth + b"]" * depth + b"}") for depth in depths)


# As it stands


def test_a_raw_line_is_the_line_with_its_tabs_as_blanks():
    assert words_of(lines.raw(b"a\tb")) == "a       b"


def test_bytes_that_are_no_text_are_shown_by_their_numbers():
    assert words_of(lines.raw(b"a\xffb")) == "a\\xffb"


# What n and N look for


@pytest.mark.parametrize(("event", "fields"), TROUBLE)
def test_trouble_is_an_error(event: str, fields: dict[str, object]):
    assert lines.is_error(line(event, **fields))


@pytest.mark.parametrize(("event", "fields"), QUIET)
def test_what_is_as_it_should_be_is_no_error(event: str, fields: dict[str, object]):
    assert not lines.is_error(line(event, **fields))


def test_what_is_no_entry_is_an_error():
    assert lines.is_error(b"garbage")


# What folds, and what opens


def test_a_tick_is_told_from_what_only_speaks_of_one():
    assert lines.is_tick(line("tick", next={}))
    assert not lines.is_tick(line("error", message='"event":"tick"'))


def test_a_line_about_a_run_names_it():
    assert lines.run_id_of(line("run_started", run_id="a/20261122T120000Z")) == "a/20261122T120000Z"


@pytest.mark.parametrize("content", [b"garbage", b'{"event":"x","run_id":7}', b'{"event":"tick"}'])
def test_a_line_about_no_run_names_none(content: bytes):
    assert lines.run_id_of(content) is None
