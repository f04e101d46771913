"""A home with a fake door and all else real, and the API over it: through WSGI, or as a process on a port."""

import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import server
from automations.journal import Entry, Journal
from automations.paths import Paths
from tests.conftest import PROJECT, free_port

KEY = "correct-horse-battery-staple"
OUR_HOST = "127.0.0.1:5000"
GOOD_DOOR = """
printf '%s\\n' "$*" >>"$AUTOMATIONS_HOME/calls"
case $1 in
start) echo '{"ok":true,"status":"Scheduler started","pid":4711}' ;;
stop) echo '{"ok":true,"status":"Scheduler stopped","pid":4711}' ;;
status) echo '{"running":true,"pid":4711,"last_activity":"2026-11-22T22:35:00.003Z"}' ;;
run) echo '{"ok":true,"run_id":"brief/20261122T080000.000Z"}' ;;
stop-run) echo '{"ok":true,"run_id":"brief/20261122T080000.000Z","status":"Run stopped"}' ;;
pause) echo '{"ok":true,"job":"brief","paused":{"since":"2026-11-22T08:00:00.000Z","until":null,"note":""}}' ;;
resume) echo '{"ok":true,"job":"brief","was_paused":true}' ;;
esac
"""


RUN_NAME = "20241122T080000.000Z"
JOBS = """
[jobs.brief]
every = "6h"
command = "true"
[jobs.tidy]
schedule = "0 8 * * *"
command = "true"
"""
_BEGAN = datetime(2024, 11, 22, 7, 58, tzinfo=UTC)
_RUN = {"job": "brief", "run_id": f"brief/{RUN_NAME}", "due": None, "attempt": 1}
LIFE = (
    Entry("startup", {"pid": 4711, "boot": "b", "config": "c", "mono": 1.0, "boot_s": 1.0}, _BEGAN),
    *(Entry("tick", {"next": {}, "mono": 60.0 * n, "boot_s": 60.0 * n}, _BEGAN + timedelta(minutes=n)) for n in (1, 2)),
    Entry("run_started", {**_RUN, "trigger": "manual"}, _BEGAN + timedelta(minutes=2)),
    Entry(
        "run_finished",
        {**_RUN, "outcome": "succeeded", "exit": 0, "duration_s": 0.5, "output_bytes": 33},
        _BEGAN + timedelta(minutes=2, seconds=1),
    ),
)


class Answer(NamedTuple):
    """One response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        """The JSON of the contract, checked: the reason for a refusal and nothing else, or `ok` with what was asked."""
        assert self.headers["content-type"] == "application/json"
        said: dict[str, Any] = json.loads(self.body, parse_constant=_no_constant)
        if self.status < 400:
            assert said["ok"] is True
        else:
            assert said.keys() == {"ok", "error"}
            assert said["ok"] is False
            assert isinstance(said["error"], str)
            assert said["error"]
        return said


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


class Site:
    """A home, a project whose door is fake and all else real, and the application over them."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.home = folder / "home"
        (self.project / "scripts").mkdir(parents=True)
        (self.home / "logs").mkdir(parents=True)
        for name in ("server.py", "automations", "dashboard.html"):
            (self.project / name).symlink_to(PROJECT / name)
        self.door(GOOD_DOOR)
        self._serve(Paths(str(self.home), str(self.project)))

    @classmethod
    def of(cls, paths: Paths) -> "Site":
        """The application over a home that is there, its door the real one."""
        site = cls.__new__(cls)
        site.home = Path(paths.home)
        site._serve(paths)
        return site

    def _serve(self, paths: Paths) -> None:
        self.paths = paths
        self.app = server.create_app(paths)
        self.errors = io.StringIO()

    def door(self, script: str) -> None:
        """Have the door do this from now on."""
        (self.project / "scripts" / "run_automations.sh").write_text(script)

    def processes(self) -> list[int]:
        """Living processes that know this home."""
        ours, found = f"AUTOMATIONS_HOME={self.home}".encode(), []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and ours in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def key_file(self, text: str, mode: int = 0o600) -> None:
        file = self.home / ".env"
        file.write_text(text)
        file.chmod(mode)

    def live_in(self) -> None:
        """Leave behind what a home has: two jobs, a journal of some minutes, and a run with its output."""
        (self.home / "automations.toml").write_text(JOBS)
        self.journal(*LIFE)
        folder = self.home / "logs" / "runs" / "brief"
        folder.mkdir(parents=True)
        (folder / f"{RUN_NAME}.log").write_text("one\ntwo needles in it\nthree é\n")

    def journal(self, *entries: Entry) -> None:
        Journal(self.paths).append(*entries)

    def calls(self) -> list[str]:
        """With which words the door was called, call by call."""
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def ask(self, verb: str, path: str, key: str | None = KEY, body: bytes = b"", **variables: str) -> Answer:
        """Send one request through WSGI; `path` unquoted as a server does, `variables` as WSGI names them."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": verb,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "5000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": OUR_HOST,
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": self.errors,
            **({} if key is None else {"HTTP_X_DASH_KEY": key}),
            **variables,
        }
        started: list[tuple[str, list[tuple[str, str]]]] = []
        chunks = self.app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
        status, headers = started[-1]
        return Answer(int(status.split()[0]), {n.lower(): v for n, v in headers}, b"".join(chunks))


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known key and none of the caller's settings."""
    for name in [name for name in os.environ if name.startswith(("AUTOMATIONS_", "DASHBOARD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DASHBOARD_KEY", KEY)


class Live(NamedTuple):
    """A server that runs as a process of its own, behind it a fake door."""

    site: Site
    port: int
    process: "subprocess.Popen[bytes]"

    def heard(self) -> str:
        """What it printed."""
        return (self.site.home / "server.out").read_text()

    def ask(self, verb: str, path: str, key: str = KEY) -> Answer:
        """Ask as any client does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(verb, path, headers={"X-Dash-Key": key})
            response = connection.getresponse()
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def send(self, raw: bytes) -> Answer:
        """Send these bytes; the one answer to them."""
        (answer,) = answers(exchange(self.port, raw))
        return answer

    def head(self, first_line: str, *lines: str) -> bytes:
        """A request head with our Host and the key."""
        head = [first_line, f"Host: 127.0.0.1:{self.port}", f"X-Dash-Key: {KEY}", *lines, "", ""]
        return "\r\n".join(head).encode("latin-1")


def launch(site: Site, port: int | str, before: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Start server.py; returns once it has said that it is ready, or has ended."""
    reader, writer = os.pipe()
    environment = {
        "PATH": os.environ["PATH"],
        "AUTOMATIONS_HOME": str(site.home),
        "AUTOMATIONS_PORT": str(port),
        "DASHBOARD_KEY": KEY,
        "READY_FD": str(writer),
    }
    with open(site.home / "server.out", "ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-I", *before, str(site.project / "server.py")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(writer,),
            env=environment,
        )
    os.close(writer)
    with open(reader, "rb") as ready:
        ready.read()
    return process


@contextmanager
def serving(site: Site, before: Sequence[str] = ()) -> Iterator[Live]:
    live = Live(site, port := free_port(), launch(site, port, before))
    try:
        assert live.process.poll() is None, live.heard()
        yield live
    finally:
        live.process.kill()
        live.process.wait()


def refused(site: Site, port: int | str) -> int:
    """The exit code of a server that is expected not to come up."""
    process = launch(site, port)
    try:
        return process.wait(5)
    finally:
        process.kill()
        process.wait()


def exchange(port: int, raw: bytes, *, hang_up: bool = False) -> bytes:
    """All bytes that come back for these until the server closes; `hang_up`: tell it that no more will come."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        with suppress(ConnectionError):  # it may have heard enough before we are through
            connection.sendall(raw)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                heard += piece
    return heard


def answers(heard: bytes) -> Iterator[Answer]:
    """The responses in a stream, `100 Continue` left out; a body that was cut short is a failure."""
    while heard:
        head, end, heard = heard.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert end, head
        assert re.fullmatch(r"HTTP/1\.[01] \d{3} [ -~]+", first), first
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        if heard[:7] == b"HTTP/1." or not heard:
            length = 0  # to HEAD
        if headers.get("content-type") == "text/event-stream":
            length = len(heard)  # until it is closed
        body, heard = heard[:length], heard[length:]
        assert len(body) == length
        if " 100 " not in first:
            yield Answer(int(first.split()[1]), headers, body)
