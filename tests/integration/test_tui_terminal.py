"""The dashboard on a real terminal, through the real door: however it ends, the terminal is left as it was found."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from automations.errors import Exit
from tests.conftest import DOOR, PROJECT, Home, kill, made, until

COLUMNS, ROWS = 120, 40
TUI = ["/bin/sh", str(DOOR), "tui"]
ALTERNATE, CURSOR, PASTE = (
    (b"\x1b[?1049h", b"\x1b[?1049l"),
    (b"\x1b[?25l", b"\x1b[?25h"),
    (b"\x1b[?2004h", b"\x1b[?2004l"),
)
MOUSE = [(b"\x1b[?%dh" % mode, b"\x1b[?%dl" % mode) for mode in (1000, 1003, 1006, 1015)]
RAISES = f"""
import sys; sys.path.insert(0, {str(PROJECT)!r})
from tui import __main__ as program
from tui.dashboard import Main
def action_zoom(self):
    raise ZeroDivisionError("injected")
Main.action_zoom = action_zoom
sys.exit(program.main([]))
"""


class Terminal:
    """A program on a terminal of its own, which is its controlling one, and all that it has written to it."""

    def __init__(self, home: Home, argv: list[str], **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        whole = {**home.environment, "TERM": "xterm-256color", "XDG_CONFIG_HOME": str(home.folder), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ADOPT, *argv],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=whole,
            start_new_session=True,
        )

    def shows(self, pattern: str) -> None:
        """Wait until this has been written since the last key."""

        def is_shown() -> bool:
            self._pump()
            return bool(re.search(pattern.encode(), self.written))

        until(is_shown, 20, f"{pattern}: {self.written[-900:]!r}")

    def press(self, keys: str) -> None:
        self.written = b""
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """Wait for its end; its exit code."""

        def has_ended() -> bool:
            self._pump()
            return self.process.poll() is not None

        until(has_ended, 20, "it does not end")
        while self._pump():
            pass
        return self.process.wait()

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    @property
    def text(self) -> str:
        """What was written, as it is without a screen."""
        return self.written.decode().replace("\r\n", "\n")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)

    def _pump(self) -> bool:
        """Take in what is written. Was there anything?"""
        if self.master < 0 or not select.select([self.master], [], [], 0.02)[0]:
            return False
        self.written += os.read(self.master, 1 << 16)
        return True


_ADOPT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@contextmanager
def terminal(home: Home, *arguments: str, argv: list[str] = TUI, **environment: str) -> Iterator[Terminal]:
    found = Terminal(home, [*argv, *arguments], **environment)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose scheduler runs; for tests that change nothing there."""
    with contextmanager(made)(tmp_path_factory.mktemp("home"), 1.0) as home:
        home.start()
        yield home


def left_as_found(found: Terminal, since: bytes) -> None:
    """Every mode that was set is unset, last of all, and the line discipline is as before."""
    whole = since + found.written
    for begin, end in (ALTERNATE, CURSOR, PASTE, *MOUSE):
        assert whole.rfind(end) > whole.rfind(begin), f"{begin!r} was not taken back"
    assert termios.tcgetattr(found.slave) == found.before


# However it ends


def test_q_leaves_the_terminal_as_it_was_found(running: Home):
    with terminal(running) as found:
        found.shows("RUNNING")
        begin = found.written
        found.press("q")
        assert found.ended() == Exit.OK
        left_as_found(found, begin)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was_found(running: Home, number: signal.Signals):
    with terminal(running) as found:
        found.shows("RUNNING")
        begin, found.written = found.written, b""
        found.process.send_signal(number)
        assert found.ended() == 128 + number
        left_as_found(found, begin)


def test_an_exception_leaves_the_terminal_as_it_was_found_and_is_told(running: Home):
    with terminal(running, argv=[sys.executable, "-c", RAISES]) as found:
        found.shows("RUNNING")
        begin = found.written
        found.press("z")
        assert found.ended() == Exit.FAILED
        left_as_found(found, begin)
        assert "injected" in found.text.rpartition(ALTERNATE[1].decode())[2]


def test_a_terminal_that_is_closed_ends_it(running: Home):
    with terminal(running) as found:
        found.shows("RUNNING")
        found.hang_up()
        assert found.ended() in (128 + signal.SIGHUP, 120)  # 120: Python could not write its last words


def test_nothing_is_printed_after_it_was_left(running: Home):
    with terminal(running) as found:
        found.shows("RUNNING")
        found.press("q")
        found.ended()
        assert re.sub(r"\x1b\[[0-9;?<>=]*[a-z]", "", found.text.rpartition(ALTERNATE[1].decode())[2]).strip() == ""


# What it shows


def test_what_the_scheduler_writes_appears(running: Home):
    with terminal(running) as found:
        found.shows("RUNNING")
        found.press("v")
        found.shows('"event":"tick"')
        found.press("v")
        found.shows("ticks")


def test_another_size_is_drawn_anew(running: Home):
    with terminal(running) as found:
        found.shows("RUNNING")
        found.written = b""
        fcntl.ioctl(found.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.kill(found.process.pid, signal.SIGWINCH)
        found.shows("RUNNING")


def test_with_no_color_nothing_has_a_colour(running: Home):
    with terminal(running, NO_COLOR="1") as found:
        found.shows("Journal")
        colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", found.written)
        assert [colour for colour in colours if len(set(colour)) > 1] == []


def test_home_may_be_given_as_an_argument(running: Home):
    with terminal(running, "--home", str(running.folder), AUTOMATIONS_HOME="/nowhere") as found:
        found.shows("RUNNING")


# Without a screen


def test_on_a_dumb_terminal_the_facts_are_text(running: Home):
    with terminal(running, TERM="dumb") as found:
        assert found.ended() == Exit.OK
        assert "● RUNNING" in found.text
        assert "\x1b" not in found.text


def test_without_a_terminal_the_facts_are_text(running: Home):
    done = running.door("tui")
    assert (done.returncode, "● RUNNING" in done.stdout, "\x1b" in done.stdout) == (Exit.OK, True, False)


def test_without_a_terminal_a_stopped_scheduler_is_exit_3(home: Home):
    done = home.door("tui")
    assert (done.returncode, "○ NEVER STARTED" in done.stdout) == (Exit.STOPPED, True)


def test_without_a_terminal_a_dead_scheduler_is_exit_1(home: Home):
    home.start()
    home.kill_everything()
    done = home.door("tui")
    assert (done.returncode, "✗ NO SIGNAL (dead)" in done.stdout) == (Exit.FAILED, True)


# Control, for real


def test_s_starts_and_x_stops_the_real_scheduler(home: Home):
    with terminal(home) as found:
        found.shows("NEVER STARTED")
        found.press("s")
        found.shows("● RUNNING")
        assert home.status()["running"] is True
        found.press("x")
        found.shows("Stop the scheduler")
        found.press("y")
        found.shows("○ STOPPED")
        assert home.status()["running"] is False


def test_r_runs_a_real_job_whose_output_can_be_opened(home: Home):
    home.jobs('[jobs.greet]\nschedule = "@yearly"\ncommand = "echo from the job"\n')
    home.start()
    with terminal(home) as found:
        found.shows("greet")
        found.press("r")
        found.shows("greet succeeded|succeeded")
        found.press("h")
        found.shows("any outcome ─ 1 row")
        found.press("\r")
        found.shows("from the job")


def test_a_scheduler_that_is_killed_shows_no_signal_and_s_brings_it_back(home: Home):
    home.start()
    with terminal(home) as found:
        found.shows("● RUNNING")
        found.written = b""
        dashboard = {found.process.pid}
        for pid, line in home.processes().items():  # the watchdog first, which would have it back at once
            if pid not in dashboard and "watchdog" in line:
                kill(pid)
        for pid in home.schedulers():
            kill(pid)
        found.shows(r"NO SIGNAL \(dead\)")
        found.press("s")
        found.shows("● RUNNING")


def test_a_scheduler_that_is_killed_is_revived_before_the_reader_s_eyes(home: Home):
    pid = home.start()
    with terminal(home) as found:
        found.shows("● RUNNING")
        found.written = b""
        kill(pid)
        found.shows("the watchdog restarted it")
        found.shows("● RUNNING|scheduler started")
        assert home.status()["pid"] != pid
