"""The server on a port under load: streams, a crowd, half-open connections, guessers; and what it writes down."""

import http.client
import re
import resource
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from automations import events
from automations.access import A_MINUTE as A_MINUTE_OF_LINES
from automations.access import AccessLog
from automations.guesses import A_MINUTE
from automations.journal import Entry
from tests.conftest import until
from tests.site import KEY, LIFE, Live, Site, alone, answers, exchange, serving

STATUS = "/api/automations/status"
EVENTS = "/api/automations/events"
P99_S = 0.1


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    site = Site(tmp_path)
    site.live_in()
    with serving(site) as live:
        yield live


# Streams


class Listening:
    """One reader of the stream."""

    def __init__(self, live: Live, query: str = "", **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
        self._connection.request("GET", EVENTS + query, headers={"X-Dash-Key": KEY, **headers})
        self.response = self._connection.getresponse()
        self.status = self.response.status

    def next(self) -> dict[str, str]:
        """The next event, heartbeats and the like left out."""
        fields: dict[str, str] = {}
        while not fields.get("id"):
            fields = {}
            while line := self.response.readline().decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
        return fields

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()


def test_a_stream_tells_of_an_entry_as_soon_as_it_is_written(own: Live) -> None:
    with Listening(own) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        began = time.monotonic()
        own.site.journal(Entry("tick", {"next": {}}))
        told = stream.next()
        assert time.monotonic() - began < 2
    assert (told["id"], told["event"]) == (str(len(LIFE) + 1), "tick")
    assert told["data"].encode() + b"\n" == Path(own.site.paths.journal).read_bytes().splitlines(keepends=True)[-1]


def test_a_stream_is_taken_up_again_where_it_broke_off(own: Live) -> None:
    with Listening(own, "?after=0") as stream:
        assert [stream.next()["id"] for _ in range(2)] == ["1", "2"]
    with Listening(own, **{"Last-Event-ID": "2"}) as stream:
        assert [stream.next()["id"] for _ in range(3)] == ["3", "4", "5"]
    with Listening(own, "?after=1", **{"Last-Event-ID": "4"}) as stream:  # what the browser says comes last
        assert stream.next()["id"] == "5"


def test_one_stream_too_many_is_told_to_come_back_and_the_rest_is_served(own: Live) -> None:
    with ExitStack() as stack:
        for _ in range(events.SEATS):
            assert stack.enter_context(Listening(own)).status == 200
        answer = own.ask("GET", EVENTS)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.said["error"]
        with ThreadPoolExecutor(16) as crowd:
            assert {own.ask("GET", STATUS).status for _ in crowd.map(lambda _: None, range(16))} == {200}
    until(lambda: stream_status(own) == 200, 5, "a reader who has gone has left his seat")


def stream_status(live: Live) -> int:
    with Listening(live) as stream:
        return stream.status


def test_a_reader_who_only_closed_his_half_gets_his_answer(own: Live) -> None:
    """As `printf … | nc -N` does; to a stream he is gone."""
    (answer,) = answers(exchange(own.port, own.head(f"GET {STATUS} HTTP/1.1"), hang_up=True))
    assert answer.said["data"]["pid"] == 4711
    assert b"retry: " in exchange(own.port, own.head(f"GET {EVENTS} HTTP/1.1"), hang_up=True)


def test_a_reader_who_does_not_read_keeps_nobody_else_waiting(own: Live) -> None:
    own.site.journal(*(Entry("tick", {"pad": "x" * 4000}) for _ in range(1500)))
    with ExitStack() as stack:
        for _ in range(events.SEATS):
            deaf = stack.enter_context(socket.create_connection(("127.0.0.1", own.port), timeout=10))
            deaf.sendall(own.head(f"GET {EVENTS}?after=0 HTTP/1.1"))
        until(lambda: stream_status(own) == 503, 5, "all seats are taken")
        assert max(asking(own, 50)) < 1
    until(lambda: stream_status(own) == 200, 10, "their seats are free again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_do_not_hold_up_the_server_s_end(own: Live, number: int) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(Listening(own)) for _ in range(3)]
        began = time.monotonic()
        own.process.send_signal(number)
        assert own.process.wait(10) == 0
        assert time.monotonic() - began < 3
        for stream in streams:
            with suppress(http.client.IncompleteRead, ConnectionError):
                stream.response.read()
    assert "Traceback" not in own.heard()


# A crowd


def asking(live: Live, count: int, path: str = STATUS) -> list[float]:
    """How many seconds each of so many honest requests took, one after the other, each on a connection of its own."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        assert live.ask("GET", path).status == 200
        took.append(time.perf_counter() - began)
    return took


def p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


def test_twenty_who_ask_for_the_status_at_once_are_all_told(own: Live) -> None:
    together = threading.Barrier(20)

    def ask(_: int) -> object:
        together.wait(10)
        return own.ask("GET", STATUS).said["data"]["pid"]

    with ThreadPoolExecutor(20) as crowd:
        assert list(crowd.map(ask, range(20))) == [4711] * 20


@contextmanager
def half_open(live: Live, count: int) -> Iterator[None]:
    """So many clients that have begun a request and go no further; one that is hung up on comes back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    raw, is_over = live.head("POST /api/automations/start HTTP/1.1", "Content-Length: 9"), threading.Event()
    halves: list[socket.socket] = []

    def begin(number: int) -> socket.socket:
        half = socket.create_connection(("127.0.0.1", live.port), timeout=10)
        half.sendall(raw[: 20 + number % (len(raw) - 20)])
        half.setblocking(False)
        return half

    def keep_up() -> None:
        while not is_over.wait(0.5):
            for place, half in enumerate(halves):
                with suppress(BlockingIOError):
                    if not half.recv(4096):
                        half.close()
                        halves[place] = begin(place)

    halves += [begin(number) for number in range(count)]
    keeper = threading.Thread(target=keep_up)
    keeper.start()
    try:
        yield
    finally:
        is_over.set()
        keeper.join()
        for half in halves:
            half.close()


@pytest.mark.storm
def test_800_half_open_connections_do_not_keep_an_honest_request_waiting(own: Live) -> None:
    with half_open(own, 800):
        took = asking(own, 600)
    assert p99(took) < P99_S, statistics.median(took)
    assert set(own.site.calls()) == {"status"}


@pytest.mark.storm
def test_more_clients_than_select_can_count_do_not_end_the_server(own: Live) -> None:
    with half_open(own, 1500):
        assert len(asking(own, 50)) == 50
    assert own.process.poll() is None
    assert "Traceback" not in own.heard()


@pytest.mark.storm
def test_a_storm_of_guesses_keeps_nobody_who_has_the_key_waiting(own: Live) -> None:
    is_over, heard = threading.Event(), [0] * 1000

    def guess(number: int) -> None:
        while not is_over.is_set():
            heard[own.ask("GET", STATUS, key=f"guess {number}").status] += 1

    with ThreadPoolExecutor(8) as crowd:
        for number in range(8):
            crowd.submit(guess, number)
        took = asking(own, 300)
        is_over.set()
    assert p99(took) < 5 * P99_S, statistics.median(took)  # the guessers live in this process and on its cores
    assert heard[401] <= A_MINUTE * 2  # a storm may last for a second minute
    assert heard[429] > heard[401]
    assert sum(heard) == heard[401] + heard[429]


# What it writes down


def test_each_request_is_one_line_without_its_secrets(own: Live) -> None:
    own.ask("GET", f"{STATUS}?key={KEY}&text=private-words")
    own.ask("POST", "/api/automations/start", key="a-guess-that-is-nearly-it")
    own.send(own.head("GET /odd%0apath%20here%1b[31m HTTP/1.1", "Cookie: secret-cookie", "Connection: close"))
    until(lambda: "odd" in own.heard())
    first, *lines = own.heard().splitlines()
    assert first.startswith("serving http://")
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ \S+ \d{3} \d+\.\d ms 127\.0\.0\.1"
    assert all(re.fullmatch(line, one) for one in lines), lines
    told = [one.split()[1:4] for one in lines]
    odd = "/odd\N{REPLACEMENT CHARACTER}path\N{REPLACEMENT CHARACTER}here\N{REPLACEMENT CHARACTER}[31m"
    assert told == [["GET", STATUS, "400"], ["POST", "/api/automations/start", "401"], ["GET", odd, "404"]]
    assert not re.search(f"{KEY}|private-words|nearly|secret-cookie", own.heard())


def test_what_never_came_as_far_as_a_route_is_on_record_too(own: Live) -> None:
    own.send(b"GARBAGE\r\n\r\n")
    own.send(own.head("POST /api/automations/start HTTP/1.1", "Content-Length: 70000"))
    until(lambda: " 413 " in own.heard())
    assert re.search(r"Z - - 400 0\.0 ms 127\.0\.0\.1\n.*Z - - 413 0\.0 ms 127\.0\.0\.1\n", own.heard())


def test_a_stranger_cannot_fill_the_disk_with_lines_nor_hide_what_others_do(own: Live) -> None:
    for _ in range(A_MINUTE_OF_LINES + 50):
        own.ask("GET", "/healthz")
    for _ in range(3):
        own.ask("GET", STATUS)
    lines = own.heard().splitlines()
    assert sum("/healthz" in line for line in lines) <= 2 * A_MINUTE_OF_LINES  # a minute may end meanwhile
    assert sum(STATUS in line for line in lines) == 3


def test_lines_left_out_are_counted_once_the_minute_is_over() -> None:
    lines: list[str] = []
    record = AccessLog({"/healthz"}, lines.append)
    minute = datetime(2026, 11, 22, 8, tzinfo=UTC)
    for _ in range(A_MINUTE_OF_LINES + 5):
        record.note(minute, "GET", "/x", "404", 0.0, "192.0.2.1")
    record.note(minute, "POST", "/api/automations/start", "200", 0.0512, "192.0.2.2")
    record.note(minute + timedelta(minutes=1), "GET", "/healthz", "200", 0.0, "192.0.2.1")
    assert len(lines) == A_MINUTE_OF_LINES + 3
    assert lines[-3] == "2026-11-22T08:00:00.000Z POST /api/automations/start 200 51.2 ms 192.0.2.2"
    assert lines[-2].startswith("5 more requests")
    assert lines[-1].startswith("2026-11-22T08:01:00.000Z GET /healthz")


def test_a_server_whose_output_nobody_takes_answers_all_the_same(tmp_path: Path) -> None:
    with serving(Site(tmp_path), ["-c", FULL]) as live:
        assert live.ask("GET", STATUS).status == 200


FULL = """
import os, runpy, sys
os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
