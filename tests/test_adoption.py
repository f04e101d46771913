"""Runs that a scheduler finds open: from the journal, and from their own files when they began before its end."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from automations import adoption, claim
from automations.clock import Reading, iso
from automations.locks import Identity, Lock
from automations.model import Job
from automations.paths import Paths, prepare_logs
from automations.replay import Past
from automations.schedule import AtStart

NOW = Reading(datetime(2026, 11, 22, 12, tzinfo=UTC), 50_000.0, 50_000.0)
RUN = "a/20261122T080000Z"
BEGAN = datetime(2026, 11, 22, 8, tzinfo=UTC)
FACTS = {"job": "a", "run_id": RUN, "due": iso(BEGAN), "attempt": 1, "timeout_s": 60.0, "by": "1 1 -", "ts": iso(BEGAN)}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(str(tmp_path))
    prepare_logs(made)
    Path(made.runs, "a").mkdir(parents=True)
    return made


def noted(paths: Paths, **facts: object) -> Path:
    path = Path(claim.file(paths, RUN, "run"))
    path.write_text(json.dumps({**FACTS, **facts}) + "\npid 1\n")
    return path


def found(paths: Paths, past: Past, jobs: dict[str, Job] = {}) -> list[str]:
    return [run.run_id for run in adoption.open_runs(paths, past, jobs, NOW)]


def test_a_run_that_began_before_what_was_read_of_the_journal_is_found_by_its_file(paths: Paths):
    noted(paths)
    assert found(paths, Past(None, {}, {}, {}, BEGAN + timedelta(hours=1))) == [RUN]


def test_a_run_that_the_journal_has_seen_end_is_not_and_what_is_left_of_it_goes(paths: Paths):
    path = noted(paths)
    assert found(paths, Past(None, {}, {}, {}, BEGAN - timedelta(hours=1))) == []
    assert not path.exists()


def test_what_is_still_locked_stays(paths: Paths):
    path = noted(paths)
    with Lock(str(path)) as lock:
        lock.acquire()
        assert found(paths, Past(None, {}, {}, {}, BEGAN - timedelta(hours=1))) == []
        assert path.exists()


def test_a_run_that_somebody_watches_is_left_to_them(paths: Paths):
    noted(paths, by=str(Identity.of(os.getpid())))
    assert found(paths, Past(None, {}, {}, {}, BEGAN + timedelta(hours=1))) == []


def test_an_adopted_run_follows_its_job_as_it_is_now_but_for_the_timeout_it_began_with(paths: Paths):
    job = Job("a", AtStart(), "", "true", timedelta(hours=9), timedelta(hours=1), "/", retries=2, ok_exit_codes=(3,))
    past = Past(None, {}, {RUN: FACTS}, {}, BEGAN)
    (run,) = adoption.open_runs(paths, past, {"a": job}, NOW)
    assert (run.job.retries, run.job.ok_exit_codes, run.job.timeout) == (2, (3,), timedelta(seconds=60))
    assert run.deadline == NOW.mono - 4 * 3600 + 60


def test_a_run_of_a_job_that_is_gone_is_seen_through_without_retries(paths: Paths):
    (run,) = adoption.open_runs(paths, Past(None, {}, {RUN: FACTS}, {}, BEGAN), {}, NOW)
    assert (run.job.name, run.job.retries) == ("a", 0)


@pytest.mark.parametrize("text", ["", "{", "pid x\n", "[]\n", '{"ts": 5}\n', "\0\0\n"])
def test_a_file_that_cannot_be_understood_stops_nobody(paths: Paths, text: str):
    Path(claim.file(paths, RUN, "run")).write_text(text)
    assert found(paths, Past(None, {}, {}, {}, BEGAN - timedelta(hours=1))) == []
