"""The same request twice is one run: at once, later, and after the server was started anew."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import server
from automations.idempotency import KEPT_S, Requests
from automations.route import Refused
from tests.conftest import kill, until
from tests.site import Site, alone, serving

RUN = "/api/automations/jobs/brief/run"
COUNTING_DOOR = """
printf '%s\\n' "$*" >>"$AUTOMATIONS_HOME/calls"
printf '{"ok":true,"run_id":"%s/%s"}\\n' "$4" "$(wc -l <"$AUTOMATIONS_HOME/calls" | tr -d ' ')"
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.door(COUNTING_DOOR)
    yield site
    for pid in site.processes():  # a door's session outlives a server that was killed
        kill(pid)


def run(site: Site, key: str | None = "a", job: str = "brief") -> object:
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    answer = site.ask("POST", f"/api/automations/jobs/{job}/run", **headers)
    assert answer.status == 202, answer
    return answer.said["run_id"]


def folder(site: Site) -> Path:
    return site.home / "logs" / "requests"


def test_a_repeated_request_is_told_the_run_of_the_first(site: Site):
    assert [run(site) for _ in range(3)] == ["brief/1"] * 3
    assert len(site.calls()) == 1


def test_without_a_key_each_request_is_a_run(site: Site):
    assert [run(site, None) for _ in range(2)] == ["brief/1", "brief/2"]
    assert not folder(site).exists()


def test_another_key_and_another_job_are_other_requests(site: Site):
    assert [run(site, "a"), run(site, "b"), run(site, "a", "tidy"), run(site, "a")] == [
        "brief/1",
        "brief/2",
        "tidy/3",
        "brief/1",
    ]


def test_it_is_remembered_by_the_next_server(site: Site):
    first = run(site)
    site.app = server.create_app(site.paths)
    assert run(site) == first
    assert len(site.calls()) == 1


def test_ten_at_the_same_time_are_one_run(site: Site):
    site.door(COUNTING_DOOR + "sleep 0.2\n")
    together = threading.Barrier(10)

    def ask(_: int) -> object:
        together.wait(10)
        return run(site)

    with ThreadPoolExecutor(10) as crowd:
        assert set(crowd.map(ask, range(10))) == {"brief/1"}
    assert len(site.calls()) == 1


def test_a_request_that_was_refused_may_be_tried_again(site: Site):
    site.door("""echo '{"ok":false,"error":"still running"}'; exit 75""")
    assert site.ask("POST", RUN, HTTP_IDEMPOTENCY_KEY="a").status == 409
    assert list(folder(site).iterdir()) == []
    site.door(COUNTING_DOOR)
    assert run(site) == "brief/1"


@pytest.mark.parametrize("script", ["kill -9 $$", "echo gibberish"])
def test_a_request_of_which_nobody_knows_what_became_is_not_carried_out_again(site: Site, script: str):
    site.door(script)
    assert site.ask("POST", RUN, HTTP_IDEMPOTENCY_KEY="a").status == 502
    site.door(COUNTING_DOOR)
    answer = site.ask("POST", RUN, HTTP_IDEMPOTENCY_KEY="a")
    assert answer.status == 409
    assert "not known" in answer.said["error"]
    assert site.calls() == []


def test_a_server_that_dies_in_between_begins_no_second_run(site: Site):
    """What it leaves behind is the request without a run."""
    run(site)
    (file,) = folder(site).iterdir()
    file.write_text("")
    site.app = server.create_app(site.paths)
    assert site.ask("POST", RUN, HTTP_IDEMPOTENCY_KEY="a").status == 409
    assert len(site.calls()) == 1


def test_a_server_that_is_killed_while_it_begins_a_run_begins_no_second_one(site: Site):
    site.door(COUNTING_DOOR + "sleep 30\n")
    line = "Idempotency-Key: a"
    with serving(site) as live, socket.create_connection(("127.0.0.1", live.port), timeout=10) as client:
        client.sendall(live.head(f"POST {RUN} HTTP/1.1", line, "Content-Length: 0"))
        until(site.calls, what="the run is being begun")
    site.door(COUNTING_DOOR)
    with serving(site) as second:
        answer = second.send(second.head(f"POST {RUN} HTTP/1.1", line, "Content-Length: 0", "Connection: close"))
    assert answer.status == 409
    assert "not known" in answer.said["error"]
    assert len(site.calls()) == 1


def test_after_a_day_the_same_key_is_another_request(site: Site):
    run(site)
    (file,) = folder(site).iterdir()
    before = time.time() - KEPT_S - 1
    os.utime(file, (before, before))
    assert run(site) == "brief/2"


def test_what_is_older_than_a_day_is_deleted(site: Site):
    for number in range(3):
        run(site, f"old {number}")
    before = time.time() - KEPT_S - 1
    for file in folder(site).iterdir():
        os.utime(file, (before, before))
    site.app = server.create_app(site.paths)
    run(site, "new")
    assert len(list(folder(site).iterdir())) == 1


def test_the_key_itself_is_not_written_down(site: Site):
    run(site, "a-customer-s-name")
    (file,) = folder(site).iterdir()
    assert "customer" not in file.name + file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder(site).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_of_no_or_of_too_many_characters_is_refused(site: Site, key: str):
    assert site.ask("POST", RUN, HTTP_IDEMPOTENCY_KEY=key).status == 400
    assert site.calls() == []


def test_a_request_that_cannot_be_remembered_is_not_carried_out(site: Site):
    folder(site).write_text("not a folder")
    answer = site.ask("POST", RUN, HTTP_IDEMPOTENCY_KEY="a")
    assert answer.status == 507
    assert site.calls() == []


def test_an_odd_failure_leaves_the_key_free_for_whoever_waits(site: Site):
    requests = Requests(site.paths)

    def broken() -> str:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        requests.once("brief", "a", broken)
    with pytest.raises(Refused, match="not known"):
        requests.once("brief", "a", lambda: "brief/1")
