"""The control API: its status beside the script that it calls, in turn; its other routes; and 800 half-open clients.

Usage: bench_api.py [ROUNDS]    (default 300). Prints medians and 99th percentiles in milliseconds.
"""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DOOR = PROJECT / "scripts" / "run_automations.sh"
KEY = "benchmark"
ROUTES = ("overview", "jobs", "runs", "why?job=brief", "coverage", "log?tail=100", "search?text=brief")
HALF_OPEN = 800


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder, home(Path(folder)) as (environment, port):

        def script() -> None:
            subprocess.run(["/bin/sh", str(DOOR), "status"], env=environment, stdout=subprocess.PIPE, check=True)

        def status() -> None:
            get(port, "/api/automations/status")

        alone, asked = in_turn(rounds, script, status)
        difference = statistics.median(b - a for a, b in zip(alone, asked, strict=True))
        print(f"status, the script itself   {told(alone)}")
        print(f"status, through the API     {told(asked)}; difference {1000 * difference:.2f} ms (median of the pairs)")
        for route in ROUTES:
            took = [timed(lambda route=route: get(port, f"/api/automations/{route}")) for _ in range(rounds)]  # type: ignore[misc]
            print(f"{route:<27} {told(took)}")
        print(f"metrics                     {told([timed(lambda: get(port, '/metrics')) for _ in range(rounds)])}")
        with half_open(port):
            took = [timed(status) for _ in range(rounds * 2)]
        print(f"status, {HALF_OPEN} half-open       {told(took)}")
        with ThreadPoolExecutor(16) as crowd:
            began = time.perf_counter()
            took = list(crowd.map(lambda _: timed(lambda: get(port, "/healthz")), range(rounds * 10)))
            print(f"healthz, 16 at once         {told(took)}; {len(took) / (time.perf_counter() - began):.0f} a second")


@contextmanager
def home(folder: Path) -> Iterator[tuple[dict[str, str], int]]:
    """A scheduler and a server of their own."""
    (folder / "automations.toml").write_bytes((PROJECT / "automations.toml").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "AUTOMATIONS_HOME": str(folder),
        "AUTOMATIONS_PORT": str(port),
        "DASHBOARD_KEY": KEY,
    }
    call = lambda *words: subprocess.run(["/bin/sh", str(DOOR), *words], env=environment, capture_output=True)  # noqa: E731
    assert call("up").returncode == 0
    try:
        call("run", "brief")
        yield environment, port
    finally:
        call("down")


@contextmanager
def half_open(port: int) -> Iterator[None]:
    raw = f"POST /api/automations/start HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
    halves = [socket.create_connection(("127.0.0.1", port)) for _ in range(HALF_OPEN)]
    for number, half in enumerate(halves):
        half.sendall(raw[: 1 + number % len(raw)])
    yield
    for half in halves:
        half.close()


def get(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"X-Dash-Key": KEY})
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 200, response.status


def in_turn(rounds: int, *calls: Callable[[], None]) -> list[list[float]]:
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for place, call in enumerate(calls):
            took[place].append(timed(call))
    return took


def timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def told(took: Sequence[float]) -> str:
    return f"{1000 * statistics.median(took):6.2f} ms, p99 {1000 * statistics.quantiles(took, n=100)[98]:.1f} ms"


if __name__ == "__main__":
    main()
