"""A home of its own for each test that runs real processes, and nothing left behind by any of them."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
DOOR = PROJECT / "scripts" / "run_automations.sh"


class Home:
    """One installation in a temporary folder, driven through the real script."""

    def __init__(self, folder: Path, tick_s: float) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.environment = {
            "PATH": os.environ["PATH"],
            "AUTOMATIONS_HOME": str(folder),
            "AUTOMATIONS_TICK_S": str(tick_s),
            "AUTOMATIONS_PORT": str(free_port()),
        }
        shutil.copy(PROJECT / "automations.toml", folder)

    def door(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(DOOR), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self) -> int:
        done = self.door("start")
        assert done.returncode == 0, done.stdout + done.stderr
        return int(json.loads(done.stdout)["pid"])

    def status(self) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self.door("status").stdout)
        return answer

    def jobs(self, text: str) -> None:
        """Put a job file in place at one stroke, as an editor does."""
        fresh = self.folder / "automations.toml.new"
        fresh.write_text(text)
        fresh.rename(self.folder / "automations.toml")

    def entries(self, event: str = "") -> list[dict[str, object]]:
        """The journal's whole lines; each must parse."""
        journal = self.logs / "scheduler.log"
        lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if not event or entry["event"] == event]

    def verify(self) -> str:
        """What the independent verifier says; empty when the chain holds."""
        done = self.door("verify")
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def processes(self) -> dict[int, str]:
        """Living processes of this home: pid to command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            ours = f"AUTOMATIONS_HOME={self.folder}".encode()
            if entry.name.isdigit() and ours in _read(entry / "environ").split(b"\0"):
                found[int(entry.name)] = _read(entry / "cmdline").replace(b"\0", b" ").decode()
        return found

    def kill_everything(self) -> None:
        """As an out-of-memory killer or a power cut would, those included that are just being started."""

        def none_left() -> bool:
            living = self.processes()
            for pid in living:
                kill(pid)
            return not living

        until(none_left)

    def schedulers(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if "exec_scheduler.py" in line and "-c" not in line]


def kill(pid: int) -> None:
    """SIGKILL, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> bytes:
    """A file of /proc; empty when its process has just ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(claim: Callable[[], object], seconds: float = 15.0, what: str = "") -> object:
    """Wait for `claim` to become true; the last word on why not when it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := claim():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what or claim}")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with a tick of one second; everything it started has ended when the test has."""
    yield from made(tmp_path, 1.0)


def made(folder: Path, tick_s: float) -> Iterator[Home]:
    home = Home(folder, tick_s)
    yield home
    home.door("down")
    left = home.processes()
    for pid in left:
        os.kill(pid, 9)
    assert not left, f"left behind: {left}"
