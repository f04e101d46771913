"""A run through the control API, as `make run-brief` asks for it; by hand where no server answers."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple

import pytest

from automations import trigger
from automations.errors import AutomationsError
from automations.paths import Paths
from tests.conftest import Home, free_port

KEY = "correct-horse-battery-staple"
RUN_ID = "brief/20261122T080000.000Z"


class Asked(NamedTuple):
    """What a fake API was asked."""

    verb: str
    path: str
    key: str | None


@contextmanager
def api(answer: Callable[[Asked], tuple[int, str]]) -> Iterator[tuple[int, list[Asked]]]:
    """An API on a free port that answers (status, body); the port and what it was asked."""
    asked: list[Asked] = []

    class Face(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(Asked(self.command, self.path, self.headers["X-Dash-Key"]))
            status, body = answer(asked[-1])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Face) as face:
        thread = threading.Thread(target=face.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield face.server_port, asked
        finally:
            face.shutdown()
            thread.join()


def honest(asked: Asked) -> tuple[int, str]:
    """As the real one answers."""
    if asked.key != KEY:
        return 401, '{"ok": false, "error": "the key in X-Dash-Key is wrong"}'
    return 202, json.dumps({"ok": True, "run_id": RUN_ID})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the caller's settings."""
    for name in [name for name in os.environ if name.startswith("AUTOMATIONS_") or name == "DASHBOARD_KEY"]:
        monkeypatch.delenv(name)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A home with the key in its `.env`."""
    file = tmp_path / ".env"
    file.write_text(f"DASHBOARD_KEY={KEY}\n")
    file.chmod(0o600)
    return Paths(str(tmp_path))


def test_the_api_is_at_port_5000_of_this_machine_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trigger.address() == ("127.0.0.1", 5000)
    monkeypatch.setenv("AUTOMATIONS_HOST", "192.0.2.1")
    monkeypatch.setenv("AUTOMATIONS_PORT", "8080")
    assert trigger.address() == ("192.0.2.1", 8080)


def test_empty_settings_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMATIONS_HOST", "")
    monkeypatch.setenv("AUTOMATIONS_PORT", "")
    assert trigger.address() == ("127.0.0.1", 5000)


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_port_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("AUTOMATIONS_PORT", port)
    with pytest.raises(AutomationsError, match="AUTOMATIONS_PORT"):
        trigger.address()


def test_a_server_is_asked_with_the_key_and_its_answer_printed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with api(honest) as (port, asked):
        monkeypatch.setenv("AUTOMATIONS_PORT", str(port))
        assert trigger.run(paths, "brief") == 0
    assert asked == [Asked("POST", "/api/automations/jobs/brief/run", KEY)]
    said = capsys.readouterr()
    assert json.loads(said.out) == {"ok": True, "run_id": RUN_ID}
    assert said.err == f"its output: {paths.runs}/{RUN_ID}.log\n"


@pytest.mark.parametrize("key", ["wrong", ""])
def test_a_wrong_key_or_none_is_a_failure_and_no_reason_to_run_by_hand(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    Path(paths.key_file).write_text(f"DASHBOARD_KEY={key}\n")
    with api(honest) as (port, _):
        monkeypatch.setenv("AUTOMATIONS_PORT", str(port))
        assert trigger.run(paths, "brief") != 0
    assert json.loads(capsys.readouterr().out) == {"ok": False, "error": "the key in X-Dash-Key is wrong"}
    assert not Path(paths.logs).exists()


@pytest.mark.parametrize("status", [200, 404, 409, 500, 503, 504])
def test_only_an_accepted_run_is_a_success(paths: Paths, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with api(lambda _: (status, '{"ok": false, "error": "no"}')) as (port, _):
        monkeypatch.setenv("AUTOMATIONS_PORT", str(port))
        assert trigger.run(paths, "brief") != 0


def test_a_key_beyond_ascii_is_sent_as_its_bytes(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(paths.key_file).write_text("DASHBOARD_KEY=schlüssel\n")
    with api(honest) as (port, asked):
        monkeypatch.setenv("AUTOMATIONS_PORT", str(port))
        trigger.run(paths, "brief")
    assert str(asked[0].key).encode("latin-1") == "schlüssel".encode()


# Through the script, as make does


def triggered(home: Home, job: str, port: int) -> "CompletedProcess[str]":
    home.environment["AUTOMATIONS_PORT"] = str(port)
    return home.door("trigger", job)


def test_without_a_server_it_says_so_and_runs_by_hand(home: Home) -> None:
    home.jobs('[jobs.hello]\nevery = "6h"\ncommand = "echo hi; exit 7"\n')
    port = free_port()
    done = triggered(home, "hello", port)
    assert done.returncode == 7
    assert done.stdout == "hi\n"
    assert done.stderr.startswith(f"no server answers at 127.0.0.1:{port}; running hello through the script\n")
    assert [entry["job"] for entry in home.entries("run_finished")] == ["hello"]


def test_with_a_server_nothing_is_run_by_hand(home: Home) -> None:
    home.environment["DASHBOARD_KEY"] = KEY
    with api(honest) as (port, asked):
        done = triggered(home, "brief", port)
    assert done.returncode == 0
    assert json.loads(done.stdout)["run_id"] == RUN_ID
    assert [question.key for question in asked] == [KEY]
    assert not (home.logs / "runs").exists()


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (404, "<html>"), (202, ""), (202, "[]")])
def test_something_else_at_the_port_is_an_honest_failure(home: Home, status: int, body: str) -> None:
    with api(lambda _: (status, body)) as (port, _):
        done = triggered(home, "brief", port)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"127.0.0.1:{port}" in done.stdout + done.stderr


def test_a_connection_that_breaks_is_not_called_a_full_disk(home: Home) -> None:
    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        done = triggered(home, "brief", port := listener.getsockname()[1])
        thread.join()
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"127.0.0.1:{port}" in done.stdout + done.stderr
    assert "free space" not in done.stdout


@pytest.mark.parametrize("job", ["two words", "a/../../stop", "brief?x", "é"])
def test_an_odd_job_name_is_refused_in_words(home: Home, job: str) -> None:
    with api(lambda _: (404, '{"ok": false, "error": "no such route"}')) as (port, asked):
        done = triggered(home, job, port)
    assert "Traceback" not in done.stderr
    assert all(question.path.endswith("/run") and question.path.count("/") == 5 for question in asked)
    assert done.returncode != 0
