"""The user's own list, step by step, with real processes and a real HTTP client, and the evidence of each.

Usage: `make acceptance`. Works in a sandbox home of its own on a free port, with the real tick of 60 seconds,
so it takes about a minute. Exit 1 at the first step that fails.
"""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DOOR = str(PROJECT / "scripts" / "run_automations.sh")
TICK_WITHIN_S = 70


class Sandbox:
    """A home, a port and a key that nothing else uses."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "logs"
        self.port = free_port()
        self.key = secrets.token_urlsafe(16)
        self.environment = {
            "PATH": os.environ["PATH"],
            "AUTOMATIONS_HOME": str(folder),
            "AUTOMATIONS_PORT": str(self.port),
            "DASHBOARD_KEY": self.key,
        }
        shutil.copy(PROJECT / "automations.toml", folder)

    def run(self, *argv: str) -> str:
        """Run a command, show what it printed, and return that. Raises CalledProcessError."""
        print(f"  $ {' '.join(argv).replace(DOOR, 'run_automations.sh')}")
        done = subprocess.run(argv, env=self.environment, stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT)
        print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="")
        return done.stdout

    def api(self, verb: str, path: str) -> dict[str, object]:
        """One request with the key; the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=35)
        try:
            connection.request(verb, f"/api/automations/{path}", headers={"X-Dash-Key": self.key})
            answer = connection.getresponse()
            body: dict[str, object] = json.loads(answer.read())
        finally:
            connection.close()
        print(f"  {verb} /api/automations/{path} -> {answer.status} {json.dumps(body)}")
        return body

    def status(self) -> dict[str, object]:
        data = self.api("GET", "status")["data"]
        assert isinstance(data, dict)
        return data

    def entries(self, event: str) -> list[str]:
        lines = (self.logs / "scheduler.log").read_text().splitlines()
        return [line for line in lines if f'"event":"{event}"' in line]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def until(claim: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def walk(box: Sandbox) -> None:
    """The list. Raises AssertionError at the step that fails."""
    step("up: scheduler and API")
    box.run(DOOR, "up")

    step("start, from stopped: it runs, and the API names the pid of the pid file")
    box.api("POST", "stop")
    first = box.api("POST", "start")["pid"]
    status = box.status()
    assert (status["running"], status["pid"]) == (True, first)
    assert (box.logs / "scheduler.pid").read_text().strip() == str(first)

    step(f"a tick within {TICK_WITHIN_S} s")
    until(lambda: bool(box.entries("tick")), TICK_WITHIN_S, "a tick")
    print(f"  {box.entries('tick')[0]}")

    for job in ("brief", "selfheal"):
        step(f"make run-{job}: triggered by hand through the API")
        before = len(box.entries("run_finished"))
        run_id = json.loads(box.run("make", "--no-print-directory", "-s", f"run-{job}"))["run_id"]
        until(lambda before=before: len(box.entries("run_finished")) > before, 30, "the run's end")  # type: ignore[misc]
        finished = json.loads(box.entries("run_finished")[-1])
        print(f"  {run_id}: {finished['outcome']}, exit {finished['exit']}, {finished['duration_s']} s")
        assert (finished["run_id"], finished["outcome"]) == (run_id, "succeeded")

    step("stop: not running, no pid, no pid file")
    assert box.api("POST", "stop") == {"ok": True, "status": "Scheduler stopped"}
    status = box.status()
    assert (status["running"], status["pid"]) == (False, None)
    assert not (box.logs / "scheduler.pid").exists()
    print("  logs/scheduler.pid is gone")

    step("start again: a new pid")
    second = box.api("POST", "start")["pid"]
    assert second != first

    step("the last 10 lines of scheduler.log, the verifier's word, and the status")
    print("\n".join((box.logs / "scheduler.log").read_text().splitlines()[-10:]))
    box.run(DOOR, "verify")
    box.run(DOOR, "status")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="acceptance-") as folder:
        box = Sandbox(Path(folder))
        try:
            walk(box)
        except (AssertionError, subprocess.CalledProcessError, OSError, KeyError) as error:
            print(f"\nFAILED: {type(error).__name__}: {error}")
            return 1
        finally:
            step("down")
            subprocess.run([DOOR, "down"], env=box.environment, check=False, stdout=subprocess.DEVNULL)
    print("\nACCEPTED: every step passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
