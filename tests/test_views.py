"""What the API shows of a home: overview, why, coverage, the log by place, searches; metrics and readiness."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from automations import coverage, host, overview, promises, verdict, vitals, why
from automations.journal import Entry
from automations.locks import Lock
from automations.observer import Observer
from automations.paths import Paths
from tests.conftest import Home, until
from tests.site import LIFE, RUN_NAME, Answer, Site, alone

API = "/api/automations"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.live_in()
    return site


def get(site: Site, path: str, query: str = "") -> dict[str, Any]:
    answer = site.ask("GET", f"{API}/{path}", QUERY_STRING=query)
    assert answer.status == 200, answer
    return answer.said


def refused(site: Site, path: str, query: str = "") -> tuple[int, str]:
    answer = site.ask("GET", f"{API}/{path}", QUERY_STRING=query)
    return answer.status, answer.said["error"]


def alive(site: Site) -> Lock:
    """Hold the scheduler's lock, as one that lives does."""
    lock = Lock(site.paths.log("scheduler.lock"))
    lock.acquire()
    lock.sign()
    return lock


# Overview


def test_the_overview_is_the_structure_that_the_screens_know(site: Site):
    told = msgspec.convert(get(site, "overview")["overview"], overview.Overview)
    assert isinstance(told.vitals, vitals.Vitals)
    assert [job.name for job in told.jobs] == ["brief", "tidy"]
    assert told.jobs[0].last
    assert told.jobs[0].last.outcome == "succeeded"
    assert told.journal.bytes == os.path.getsize(site.paths.journal)


def test_the_overview_tells_of_the_machine_and_of_the_scheduler(site: Site):
    with alive(site):
        told = msgspec.convert(get(site, "overview")["overview"], overview.Overview)
    assert told.vitals.pid == os.getpid()
    assert told.vitals.memory_bytes
    assert told.vitals.memory_bytes > 1 << 20
    assert told.host.load is not None
    assert told.host.load >= 0
    assert told.host.disk_free_bytes
    assert told.host.memory_free_bytes


def test_an_overview_keeps_up_with_the_journal(site: Site):
    before = get(site, "overview")["overview"]["promises"]["missed"]
    due = datetime.now(UTC) - timedelta(hours=1)
    told = {"job": "tidy", "outcome": "missed", "reason": "test", "due": due.isoformat(), "slots": 3}
    site.journal(Entry("run_skipped", told))
    after = get(site, "overview")["overview"]["promises"]["missed"]
    assert (before, after) == (0, 3)


def test_an_unreadable_journal_is_shown_and_no_failure(site: Site):
    os.unlink(site.paths.journal)
    os.mkdir(site.paths.journal)
    told = get(site, "overview")["overview"]
    assert told["vitals"]["state"] == "unreadable"
    assert told["verdict"]["level"] == "bad"


def test_a_home_where_nothing_ever_ran_has_an_overview(tmp_path: Path):
    told = get(Site(tmp_path), "overview")["overview"]
    assert (told["jobs"], told["vitals"]["state"]) == ([], "never_started")


def test_the_first_look_reaches_back_a_day_over_a_long_journal(site: Site):
    """More than the mebibyte that a first look of the screens reads."""
    now = datetime.now(UTC)
    first = now - timedelta(hours=20)
    minutes = (first + timedelta(minutes=n) for n in range(20 * 60))
    site.journal(*(Entry("tick", {"next": {}, "pad": "x" * 1000, "mono": 1.0, "boot_s": 1.0}, at) for at in minutes))
    assert os.path.getsize(site.paths.journal) > 1 << 20
    assert get(site, "overview")["overview"]["coverage"]["covered"] >= 1199


def test_many_who_ask_at_the_same_time_share_a_look_that_began_after_they_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    get(site, "overview")
    looks, look = [], Observer.look

    def slow(self: Observer, *given: Any) -> overview.Overview:
        looks.append(1)
        time.sleep(0.5)
        return look(self, *given)

    at_once = threading.Barrier(16)

    def ask(_: int) -> int:
        at_once.wait()
        return site.ask("GET", f"{API}/overview").status

    monkeypatch.setattr(Observer, "look", slow)
    with ThreadPoolExecutor(16) as crowd:
        assert list(crowd.map(ask, range(16))) == [200] * 16
    assert len(looks) < 8  # two, unless somebody was held up for half a second


def test_who_asks_after_a_change_is_told_of_it_however_many_ask(site: Site):
    """Each asks again and again while the journal grows; no answer is older than the question."""

    def is_fresh(_: int) -> bool:
        before = os.path.getsize(site.paths.journal)
        site.journal(Entry("tick", {"next": {}}))
        told: int = get(site, "overview")["overview"]["journal"]["bytes"]
        return told > before

    with ThreadPoolExecutor(8) as crowd:
        assert all(crowd.map(is_fresh, range(80)))


# Host


def test_what_a_process_used_is_told_from_the_second_look_on():
    meter = host.Meter()
    first, second = meter.usage(os.getpid()), meter.usage(os.getpid())
    assert (first.cpu_percent, first.memory_bytes is not None) == (None, True)
    assert second.cpu_percent is not None
    assert second.cpu_percent >= 0


@pytest.mark.parametrize("pid", [None, 2**22 + 1])
def test_of_a_process_that_is_not_there_nothing_is_known(pid: int | None):
    assert host.Meter().usage(pid) == (None, None)


def test_of_a_folder_that_is_not_there_no_free_space_is_known(tmp_path: Path):
    assert host.view(Paths(str(tmp_path / "nowhere"))).disk_free_bytes is None


# Why


def test_why_is_one_sentence_and_its_proof(site: Site):
    told = msgspec.convert(get(site, "why", "job=tidy&at=2024-11-22T08:30:00Z")["why"], why.Answer)
    assert told.job == "tidy"
    assert told.due == datetime(2024, 11, 22, 8, tzinfo=UTC)
    assert told.sentence


def test_without_a_moment_the_question_is_about_now(site: Site):
    assert get(site, "why", "job=brief")["why"]["due"] > "2024-11-22"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("job=nobody", 404),
        ("job=", 404),
        ("job=brief&at=yesterday", 400),
        ("job=brief&at=1999-12-31", 400),
        ("job=brief&at=9999-12-31T23:59:59Z", 400),
        ("job=brief&at=0001-01-01T00:00:00%2B12:00", 400),
        ("job=brief&when=now", 400),
    ],
)
def test_a_question_that_has_no_answer_is_refused(site: Site, query: str, status: int):
    assert refused(site, "why", query)[0] == status


def test_an_unknown_job_is_told_which_ones_there_are(site: Site):
    assert "brief tidy" in refused(site, "why", "job=nobody")[1]


# Coverage


def test_coverage_is_of_seven_days_or_of_as_many_as_are_asked_for(site: Site):
    now = datetime.now(UTC)
    for hours in (24 * 20, 24 * 5, 30, 2):
        at = now - timedelta(hours=hours)
        site.journal(Entry("tick", {"next": {}, "mono": 1.0, "boot_s": 1.0}, at))
    week = msgspec.convert(get(site, "coverage")["coverage"], coverage.Coverage)
    assert week.covered == 3
    assert [get(site, "coverage", f"days={days}")["coverage"]["covered"] for days in (1, 2, 7, 31)] == [1, 2, 3, 4]


@pytest.mark.parametrize("days", ["0", "32", "-1", "1.5", "x", ""])
def test_other_numbers_of_days_are_refused(site: Site, days: str):
    assert refused(site, "coverage", f"days={days}")[0] == 400


# The log


def test_the_log_s_last_lines_come_with_their_place(site: Site):
    content = Path(site.paths.journal).read_text()
    told = get(site, "log", "tail=2")
    lines = content.splitlines(keepends=True)
    assert told["log"] == "".join(lines[-2:])
    assert (told["from"], told["next"]) == (len("".join(lines[:-2]).encode()), len(content.encode()))
    assert (told["written"], told["file"]) == (len(content.encode()), os.stat(site.paths.journal).st_ino)


def test_the_log_is_read_on_from_where_it_was_left(site: Site):
    place, heard = 0, ""
    while (told := get(site, "log", f"from={place}&limit=100"))["log"]:
        assert told["from"] == place
        place, heard = told["next"], heard + told["log"]
    assert heard == Path(site.paths.journal).read_text()
    site.journal(Entry("tick", {"next": {}}))
    assert '"event":"tick"' in get(site, "log", f"from={place}")["log"]


def test_a_character_is_never_cut_in_two(site: Site):
    site.journal(Entry("brief", {"words": "é€😀" * 50}))
    place, heard = 0, ""
    while (told := get(site, "log", f"from={place}&limit=7"))["log"]:
        place, heard = told["next"], heard + told["log"]
    assert heard == Path(site.paths.journal).read_text()


def test_a_place_beyond_the_end_tells_that_the_file_is_shorter(site: Site):
    told = get(site, "log", "from=1000000")
    assert (told["log"], told["from"], told["next"]) == ("", 1000000, 1000000)
    assert told["written"] < 1000000


def test_without_a_question_the_log_is_its_last_hundred_lines(site: Site):
    site.journal(*(Entry("tick", {"n": n}) for n in range(200)))
    assert get(site, "log")["log"].count("\n") == 100
    assert get(site, "log", "tail=0")["log"] == ""
    assert get(site, "log", "tail=100000")["log"].count("\n") == 200 + len(LIFE)


@pytest.mark.parametrize(
    "query", ["tail=-1", "tail=x", "tail=null", "tail=", "from=-1", "tail=1&from=1", "limit=9999999", "lines=3"]
)
def test_an_odd_question_to_the_log_is_refused(site: Site, query: str):
    assert refused(site, "log", query)[0] == 400


def test_a_log_that_cannot_be_read_is_said_to_be_so(site: Site):
    os.unlink(site.paths.journal)
    os.symlink("/etc/passwd", site.paths.journal)
    status, error = refused(site, "log")
    assert status == 503
    assert "cannot be read" in error


# Search


def test_a_search_tells_the_run_the_line_and_the_place_of_the_words(site: Site):
    (hit,) = get(site, "search", "text=two+needles")["hits"]
    assert hit["run"]["run_id"] == f"brief/{RUN_NAME}"
    assert hit["snippet"][hit["start"] :][: hit["length"]] == "two needles"
    assert not {"\x02", "\x03"} & set(hit["snippet"])


def test_a_search_is_for_words_as_they_are_written(site: Site):
    (hit,) = get(site, "search", "text=%C3%A9")["hits"]
    assert hit["snippet"][hit["start"]] == "é"


def test_a_search_takes_the_filters_of_the_run_list(site: Site):
    assert get(site, "search", "text=needles&job=brief&outcome=succeeded")["hits"]
    assert get(site, "search", "text=needles&job=tidy")["hits"] == []
    assert get(site, "search", "text=needles&outcome=failed")["hits"] == []


@pytest.mark.parametrize("query", ["", "text=", "text=x&outcome=good", "text=x&limit=many", "q=x"])
def test_a_search_for_nothing_is_refused(site: Site, query: str):
    assert refused(site, "search", query)[0] == 400


def test_a_misspelt_filter_is_refused_rather_than_passed_over(site: Site):
    status, error = refused(site, "runs", "outcom=failed")
    assert status == 400
    assert "outcom" in error
    assert get(site, "runs", "outcome=&job=&since=")["runs"]  # an empty one is none


# Readiness


def ready(site: Site) -> Answer:
    return site.ask("GET", "/readyz", key=None)


def test_a_home_that_is_in_order_is_ready_and_tells_how_its_scheduler_is(site: Site):
    (site.home / "logs" / "scheduler.want").write_text("down\n")
    assert ready(site).said == {"ok": True, "scheduler": "stopped"}
    with alive(site):
        assert ready(site).said == {"ok": True, "scheduler": "running"}


def unreadable_journal(site: Site) -> None:
    os.unlink(site.paths.journal)


def faulty_jobs(site: Site) -> None:
    (site.home / "automations.toml").write_text("[jobs.x]")


def no_history(site: Site) -> None:
    os.unlink(site.paths.journal)
    os.mkdir(site.paths.journal)


def dead(site: Site) -> None:
    (site.home / "logs" / "scheduler.pid").write_text("4711\n")


def open_key_file(site: Site) -> None:
    os.environ.pop("DASHBOARD_KEY")
    site.key_file("DASHBOARD_KEY=x\n", 0o644)


def no_key(site: Site) -> None:
    os.environ.pop("DASHBOARD_KEY")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (unreadable_journal, "the journal cannot be read"),
        (faulty_jobs, "no job file can be used"),
        (no_history, "the history does not answer"),
        (dead, "the scheduler is dead"),
        (open_key_file, "the key cannot be read"),
        (no_key, "no key is configured"),
    ],
)
def test_what_is_not_in_order_is_a_reason(site: Site, act: Callable[[Site], object], words: str):
    act(site)
    answer = ready(site)
    assert answer.status == 503
    assert words in answer.said["error"]
    assert str(site.home) not in answer.said["error"]


def test_all_reasons_are_told_at_once(site: Site):
    faulty_jobs(site)
    no_key(site)
    assert ready(site).said["error"] == "not ready: no job file can be used; no key is configured"


def test_a_server_that_is_not_ready_lives(site: Site):
    no_key(site)
    assert site.ask("GET", "/healthz", key=None).said == {"ok": True}


# Metrics


def metrics(site: Site) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    answer = site.ask("GET", "/metrics")
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_metrics_count_what_is_on_record(site: Site):
    told = {"job": "tidy", "outcome": "missed", "reason": "test", "due": "2024-11-20T08:00:00.000Z", "slots": 3}
    site.journal(Entry("run_skipped", told))
    found = metrics(site)
    assert found["automations_runs_total"] == {(("job", "brief"), ("outcome", "succeeded")): 1}
    assert found["automations_missed_slots_total"] == {(("job", "tidy"),): 3}
    ended = datetime(2024, 11, 22, 8, 0, 1, tzinfo=UTC).timestamp()
    assert found["automations_last_success_timestamp_seconds"] == {(("job", "brief"),): ended}
    assert found["automations_journal_bytes"] == {(): os.path.getsize(site.paths.journal)}


def test_metrics_tell_how_long_runs_took(site: Site):
    found = metrics(site)
    buckets = {dict(labels)["le"]: count for labels, count in found["automations_run_duration_seconds_bucket"].items()}
    assert (buckets["0.1"], buckets["1.0"], buckets["+Inf"]) == (0, 1, 1)
    assert found["automations_run_duration_seconds_sum"] == {(("job", "brief"),): 0.5}


def test_metrics_tell_whether_the_scheduler_lives_and_makes_progress(site: Site):
    assert metrics(site)["automations_up"] == {(): 0}
    with alive(site) as lock:
        os.utime(lock.fd, (1, 1))
        assert metrics(site)["automations_tick_age_seconds"][()] > 1e6
        lock.touch()
        found = metrics(site)
        assert found["automations_tick_age_seconds"][()] < 60
        assert found["automations_up"] == {(): 1}
        assert found["automations_scheduler_resident_memory_bytes"][()] > 1 << 20


def test_metrics_tell_of_coverage_and_promises(site: Site):
    now = datetime.now(UTC)
    for minutes in (5, 3, 1):
        at = now - timedelta(minutes=minutes)
        site.journal(Entry("tick", {"next": {}, "mono": 1.0, "boot_s": 1.0}, at))
    found = metrics(site)
    assert 0 < found["automations_coverage_ratio"][()] < 1
    assert {dict(labels)["state"] for labels in found["automations_promises"]} == set(promises.State)
    assert set(verdict.counts(promises.Promises(now, 0, 0, 0, 0, 0, ()))) == set(promises.State)


def test_a_job_that_is_not_in_the_job_file_any_more_takes_its_series_along(site: Site):
    (site.home / "automations.toml").write_text('[jobs.tidy]\nevery = "6h"\ncommand = "true"\n')
    assert "automations_runs_total" not in metrics(site)


def test_a_count_that_takes_long_is_not_done_at_every_question(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("automations.metrics.LONG_S", -1.0)
    desk = site.app.desk
    metrics(site)
    desk.metrics._good_until_s += 60
    (site.home / "logs" / "history.db").unlink()
    site.journal(Entry("run_finished", {"job": "tidy", "run_id": "tidy/x", "outcome": "failed", "attempt": 1}))
    assert len(metrics(site)["automations_runs_total"]) == 1
    desk.metrics._good_until_s = 0.0
    assert metrics(site)["automations_runs_total"]


def test_no_label_tells_a_run_or_a_reason(site: Site):
    names = {name for samples in metrics(site).values() for labels in samples for name, _ in labels}
    assert names == {"job", "outcome", "state", "le", "version", "python"}


def test_metrics_need_a_key(site: Site):
    assert site.ask("GET", "/metrics", key=None).status == 401
    assert site.ask("GET", "/metrics", key="wrong").status == 401


# All of it over a real scheduler


def test_a_run_through_the_real_door_is_seen_by_every_view(home: Home):
    home.start()
    project = Paths(str(home.folder))
    site = Site.of(project)
    run_id = site.ask("POST", f"{API}/jobs/brief/run", HTTP_IDEMPOTENCY_KEY="once").said["run_id"]
    assert site.ask("POST", f"{API}/jobs/brief/run", HTTP_IDEMPOTENCY_KEY="once").said["run_id"] == run_id
    until(lambda: get(site, f"runs/{run_id}")["run"]["outcome"] == "succeeded", what="the run has ended")
    assert get(site, "overview")["overview"]["vitals"]["state"] == "running"
    assert metrics(site)["automations_up"] == {(): 1}
    assert ready(site).said["scheduler"] == "running"
    assert [hit["run"]["run_id"] for hit in get(site, "search", "text=brief&job=brief")["hits"]] == [run_id]
    assert f'"{run_id}"' in get(site, "log", "tail=1000")["log"]
    assert len([entry for entry in home.entries("run_started") if entry["job"] == "brief"]) == 1
