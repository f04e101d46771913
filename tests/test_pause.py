"""Pausing a job: on record before it holds, with an end or without, and never lost by a file nobody can read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from automations import pause, replay
from automations.errors import JournalError
from automations.paths import Paths, prepare_logs
from automations.pause import Pauses

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(str(tmp_path))
    prepare_logs(made)
    return made


def events(paths: Paths) -> list[dict[str, object]]:
    return list(replay.believable(Path(paths.journal).read_bytes()))


def test_a_pause_is_read_back_as_it_was_made(paths: Paths):
    made = pause.pause(paths, "a", NOW, NOW + timedelta(hours=2), "moving house")
    assert pause.read(paths) == {"a": made}


def test_a_pause_is_in_the_journal(paths: Paths):
    pause.pause(paths, "a", NOW, None, "why")
    assert {name: events(paths)[0][name] for name in ("event", "job", "until", "note")} == {
        "event": "job_paused",
        "job": "a",
        "until": None,
        "note": "why",
    }


def test_what_cannot_be_recorded_is_not_paused(paths: Paths):
    Path(paths.journal).unlink()
    Path(paths.journal).mkdir()
    with pytest.raises(JournalError):
        pause.pause(paths, "a", NOW, None, "")
    assert pause.read(paths) == {}


def test_a_pause_covers_what_is_due_before_its_end():
    until = NOW + timedelta(hours=1)
    found = pause.Pause(NOW, until, "")
    assert (found.covers(until - timedelta(seconds=1)), found.covers(until)) == (True, False)


def test_a_pause_without_an_end_covers_everything():
    assert pause.Pause(NOW, None, "").covers(NOW + timedelta(days=9999))


def test_resuming_ends_it_and_says_so(paths: Paths):
    pause.pause(paths, "a", NOW, None, "")
    assert pause.resume(paths, "a", "by hand") is True
    assert (pause.read(paths), events(paths)[-1]["event"]) == ({}, "job_resumed")


def test_resuming_what_is_not_paused_changes_nothing(paths: Paths):
    assert pause.resume(paths, "a", "by hand") is False
    assert events(paths) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"until": 5}', '{"since": "x", "until": null, "note": ""}', "\x00"])
def test_a_file_that_cannot_be_understood_pauses_until_somebody_resumes(paths: Paths, text: str):
    Path(paths.log("paused")).mkdir()
    Path(paths.log("paused", "a")).write_text(text)
    assert pause.read(paths)["a"].until is None


def test_the_scheduler_sees_a_change_at_its_next_look(paths: Paths):
    pauses = Pauses(paths)
    before = pauses.current()
    pause.pause(paths, "a", NOW, None, "")
    during = list(pauses.current())
    pause.resume(paths, "a", "by hand")
    assert (before, during, pauses.current()) == ({}, ["a"], {})
