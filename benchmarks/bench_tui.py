"""The terminal dashboard on a real pseudo-terminal: first frame, append to screen, idle cost, a flood, memory.

Usage: bench_tui.py [GIGABYTES]    (default 1: the size of the large journal, in a temporary folder). Linux only.
The floor of the first frame is a bare Textual app with one table, one log and a footer, in the same run, in turn.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from automations import clock  # noqa: E402
from automations.journal import Entry, Journal  # noqa: E402
from tests import sample  # noqa: E402

ROUNDS, APPENDS, COLUMNS, LINES = 7, 40, 120, 40
BARE = """
from textual.app import App
from textual.widgets import DataTable, Footer, Log
class Bare(App):
    BINDINGS = [("q", "quit", "Quit")]
    def compose(self):
        yield DataTable()
        yield Log()
        yield Footer()
    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns("job", "next", "last")
        for number in range(9):
            table.add_row(f"job-{number}", "in 5 min", "ok")
        self.query_one(Log).write_lines(f"line {number} of the log" for number in range(40))
Bare().run()
"""


class Screen:
    """A program on a terminal of its own, and what it has drawn since."""

    def __init__(self, argv: list[str], home: str) -> None:
        environment = {**os.environ, "AUTOMATIONS_HOME": home, "TERM": "xterm-256color", "XDG_CONFIG_HOME": home}
        self._fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=PROJECT, start_new_session=True
        )
        os.close(slave)
        self.drawn = b""

    def until(self, pattern: bytes, seconds: float = 30.0) -> float:
        """Wait until it has drawn this; the moment. What was drawn before does not count."""
        deadline = time.perf_counter() + seconds
        while not re.search(pattern, self.drawn):
            if time.perf_counter() > deadline:
                raise SystemExit(f"not drawn within {seconds} s: {pattern!r}; last: {self.drawn[-500:]!r}")
            self.pump(0.5)
        return time.perf_counter()

    def pump(self, seconds: float) -> None:
        """Take in what it draws; returns with the first of it."""
        if select.select([self._fd], [], [], seconds)[0]:
            with contextlib.suppress(OSError):  # EIO: it has ended
                self.drawn += os.read(self._fd, 1 << 16)

    def idle(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.pump(left)

    def press(self, keys: bytes) -> None:
        self.drawn = b""
        os.write(self._fd, keys)

    def cpu_s(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9 + sum(
            int(Path(f"/proc/{self.process.pid}/task/{task}/schedstat").read_text().split()[0]) / 1e9
            for task in os.listdir(f"/proc/{self.process.pid}/task")
            if int(task) != self.process.pid
        )

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        while self.process.poll() is None:
            self.pump(0.1)
        os.close(self._fd)


@contextmanager
def running(argv: list[str], home: str) -> Iterator[Screen]:
    screen = Screen(argv, home)
    try:
        yield screen
    finally:
        screen.close()


TUI = [sys.executable, "-I", str(PROJECT / "tui" / "__main__.py")]


def first_frame(argv: list[str], home: str, pattern: bytes) -> float:
    with running(argv, home) as screen:
        return screen.until(pattern) - screen.began


def compare(home: str, label: str) -> None:
    """Ours, with a job of the home and a line of its journal on screen, and the bare app, in turn."""
    ours, bare = [], []
    for number in range(ROUNDS + 1):
        found = (
            first_frame(TUI, home, rb"(?s)sync-mail.*ticks"),
            first_frame([sys.executable, "-I", "-c", BARE], home, rb"(?s)job-8.*line 39|line 39.*job-8"),
        )
        if number:  # the first round warms the caches
            ours.append(found[0])
            bare.append(found[1])
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    print(
        f"first frame, {label:<22} {1000 * statistics.median(ours):5.0f} ms   bare Textual "
        f"{1000 * statistics.median(bare):5.0f} ms   ratio {ratio:.2f}"
    )


def append_to_screen(home: sample.Sample) -> None:
    journal = Journal(home.paths)
    with running(TUI, home.paths.home) as screen:
        screen.until(rb"RUNNING")
        screen.idle(4)
        delays = []
        for number in range(APPENDS):
            screen.drawn = b""
            journal.append(Entry("error", {"where": "bench", "message": f"marker-{number:03d}-end"}))
            began = time.perf_counter()
            delays.append(screen.until(f"{number:03d}-end".encode(), 5) - began)
            screen.idle(0.4)  # nearer together they are a stream, of which only so many are drawn a second
    delays.sort()
    median, most = statistics.median(delays), delays[int(0.95 * len(delays))]
    print(f"append to screen       median {1000 * median:.0f} ms, 95 % within {1000 * most:.0f} ms")


def idle_cost(home: sample.Sample, seconds: float = 20.0) -> None:
    journal = Journal(home.paths)
    with running(TUI, home.paths.home) as screen:
        screen.until(rb"RUNNING")
        screen.idle(5)
        before = screen.cpu_s()
        screen.idle(seconds)
        quiet = screen.cpu_s() - before
        before, began = screen.cpu_s(), time.perf_counter()
        for number in range(int(10 * seconds)):
            journal.append(Entry("error", {"where": "bench", "message": f"line {number}"}))
            screen.idle(max(0.0, began + (number + 1) / 10 - time.perf_counter()))
        busy = screen.cpu_s() - before
        print(f"idle                   {100 * quiet / seconds:.2f} % of a core")
        print(f"with 10 lines/s        {100 * busy / seconds:.2f} % of a core, {screen.memory_mb():.0f} MB")


def flood(home: sample.Sample) -> None:
    """20,000 lines in a second, and the keys meanwhile."""
    journal = Journal(home.paths)
    entries = [Entry("error", {"where": "bench", "message": f"flood {number}"}) for number in range(1000)]
    with running(TUI, home.paths.home) as screen:
        screen.until(rb"RUNNING")
        screen.idle(4)
        began, answers = time.perf_counter(), []
        for batch in range(20):
            journal.append(*entries)
            if batch % 2 == 0:
                screen.press(b"?")
                pressed = time.perf_counter()
                answers.append(screen.until(rb"Control", 5) - pressed)
                screen.press(b"\r")
            screen.idle(max(0.0, began + (batch + 1) / 20 - time.perf_counter()))
        took = time.perf_counter() - began
        median, most = statistics.median(answers), max(answers)
        print(
            f"20,000 lines in {took:.1f} s   a key is answered in {1000 * median:.0f} ms, {1000 * most:.0f} ms at worst"
        )


def large(folder: Path, gigabytes: float) -> sample.Sample:
    """A home whose journal has that many gigabytes of older lines before its day."""
    home = sample.day(folder, clock.read().utc)
    day, begin = Path(home.paths.journal).read_bytes(), clock.read().utc - timedelta(days=40)
    tick = (
        '{{"ts":"{}:00.001Z","event":"tick","next":{{}},"mono":1.0,"boot_s":1.0,"seq":1,"prev":"0000000000000000"}}\n'
    )
    with open(home.paths.journal, "wb") as file:
        for number in range(int(gigabytes * 1024)):
            line = tick.format((begin + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M")).encode()
            file.write(line * ((1 << 20) // len(line)))
        file.write(day)
    return home


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory() as folder:
        home = sample.day(Path(folder), clock.read().utc)
        with sample.alive(home):
            compare(home.paths.home, "a day's journal")
            append_to_screen(home)
            idle_cost(home)
            flood(home)
    with tempfile.TemporaryDirectory() as folder:
        home = large(Path(folder), gigabytes)
        with sample.alive(home):
            compare(home.paths.home, f"a journal of {gigabytes:g} GB")
            with running(TUI, home.paths.home) as screen:
                screen.until(rb"RUNNING")
                screen.idle(20)
                print(f"memory                 {screen.memory_mb():.0f} MB after 20 s with {gigabytes:g} GB")


if __name__ == "__main__":
    main()
