"""The dashboard without a terminal: a home with a day of history, a door that only writes down what it is told, and a
pilot who presses keys and reads the screen.
"""

import asyncio
import atexit
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot
from textual.worker import Worker, WorkerState

from automations import clock, locks
from automations.journal import Entry, Journal
from automations.paths import PROJECT, Paths
from tests import sample
from tui import settings
from tui.app import Dashboard
from tui.source import Local, Source

PATIENCE_S = 10.0
ONE_JOB = '[jobs.only]\nschedule = "@yearly"\ncommand = "true"\n'
RUN_ID = "backup/20261122T080000.000Z"
WIDE, NARROW = (140, 42), (80, 24)
DOOR = """
printf '%s\\n' "$*" >>"$AUTOMATIONS_HOME/calls"
case $1 in
start | restart) echo '{"ok":true,"status":"Scheduler started","pid":4711}' ;;
stop) echo '{"ok":true,"status":"Scheduler stopped","pid":4711}' ;;
run) echo '{"ok":true,"run_id":"brief/20261122T080000.000Z"}' ;;
*) echo '{"ok":true,"status":"Done"}' ;;
esac
"""


class View:
    """What the pilot sees and does."""

    def __init__(self, pilot: Pilot[object]) -> None:
        self.pilot = pilot

    @property
    def app(self) -> Dashboard:
        return self.pilot.app  # type: ignore[return-value]

    def rows(self) -> list[str]:
        """The screen, row by row."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.rows())

    def row_of(self, job: str) -> str:
        """The job's row in the table; empty while there is none."""
        return next((row for row in self.rows() if row.startswith(f" {job} ")), "")

    async def shown(self, *texts: str) -> None:
        """Wait until all of these are on screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"not shown: {texts}")

    async def gone(self, *texts: str) -> None:
        """Wait until none of these is on screen any more."""
        await self.until(lambda: not any(text in self.text for text in texts), f"still shown: {texts}")

    async def until(self, claim: Callable[[], object], why: str = "") -> None:
        """Wait for this to become true; the screen when it does not."""
        deadline = time.monotonic() + PATIENCE_S
        while not claim():
            assert time.monotonic() < deadline, f"{why or claim}\n{self.text}"
            await asyncio.sleep(0.05)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Write text into what has the focus."""
        names = {"/": "slash", "!": "exclamation_mark", " ": "space", "-": "minus", ":": "colon", ".": "full_stop"}
        await self.pilot.press(*(names.get(char, char) for char in text))


Steps = Callable[[View], Awaitable[None]]


def fly(app: App[object], steps: Steps, size: tuple[int, int] = WIDE) -> None:
    """Run an app, do these steps, leave it; a worker of it that failed unseen fails the test."""
    failed: list[BaseException | None] = []

    def hear(message: Message) -> None:
        if isinstance(message, Worker.StateChanged) and message.state is WorkerState.ERROR:
            failed.append(message.worker.error)

    async def go() -> None:
        async with app.run_test(size=size, notifications=True, message_hook=hear) as pilot:
            await steps(View(pilot))
            assert not failed, f"a worker failed: {failed!r}"

    asyncio.run(asyncio.wait_for(go(), 3 * PATIENCE_S))


class Site:
    """A home, and a project whose door is fake and all else real."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "project"
        (self.project / "scripts").mkdir(parents=True)
        for name in ("automations", "automations.toml", "server.py", "tui"):
            (self.project / name).symlink_to(Path(PROJECT, name))
        self.door(DOOR)
        self.home.mkdir()
        self.paths = Paths(str(self.home), str(self.project))
        self._living = ExitStack()

    def door(self, script: str) -> None:
        """Have the door do this from now on."""
        Path(self.project, "scripts", "run_automations.sh").write_text(script)

    def calls(self) -> list[str]:
        """With which words the door was called, call by call."""
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def live(self) -> None:
        """From now on this process stands in for its scheduler and watchdog: it holds their locks."""
        for name in ("scheduler.lock", "watchdog.lock"):
            lock = self._living.enter_context(locks.Lock(self.paths.log(name)))
            lock.acquire()
            if name == "scheduler.lock":
                lock.sign()

    def die(self) -> None:
        """Let go of the locks."""
        self._living.close()

    def append(self, *lines: bytes) -> None:
        """Write to the journal, as it stands."""
        with open(self.paths.journal, "ab") as journal:
            journal.write(b"".join(line + b"\n" for line in lines))

    def fly(
        self,
        steps: Steps,
        size: tuple[int, int] = WIDE,
        readonly: bool = False,
        source: Source | None = None,
    ) -> None:
        """Open the dashboard of this home, or of another source."""
        fly(Dashboard(source or Local(self.paths), settings.load(), readonly), steps, size)


@cache
def a_day() -> Path:
    """A home with a day of history up to now; made once, to be copied."""
    folder = Path(mkdtemp(prefix="day-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = sample.day(folder, clock.read().utc)
    for output in Path(made.paths.runs).glob("*/*.log"):
        if output.parent.name != "report":  # the others are many, and nobody here looks into them
            output.unlink()
    return folder


@contextmanager
def site_in(folder: Path, of: Path | None = None, alive: bool = True) -> Iterator[Site]:
    """A site whose home is a copy of this one; it stands empty without."""
    made = Site(folder)
    if of:
        shutil.copytree(of, made.home, dirs_exist_ok=True)
    if alive:
        made.live()
    try:
        yield made
    finally:
        made.die()


def settle_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Nothing of the caller's settings, and nothing written to his home."""
    for name in [name for name in os.environ if name.startswith(("AUTOMATIONS_", "DASHBOARD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.delenv("NO_COLOR", raising=False)


def small(folder: Path, jobs: str) -> AbstractContextManager[Site]:
    """A site whose scheduler started some minutes ago and had nothing to do; alive."""
    now = clock.read().utc
    made = sample.Sample(folder / "made", now, jobs)
    made.start(now - timedelta(minutes=5), os.getpid())
    made.minutes(now - timedelta(minutes=5), now)
    made.write()
    return site_in(folder, folder / "made")


def record(site: Site, event: str, **fields: object) -> None:
    """An entry of this moment."""
    Journal(site.paths).append(Entry(event, fields, clock.read().utc))


def begin_run(site: Site, output: str = "") -> Path:
    """A run of backup begins; the file of its output."""
    by = f"{os.getpid()} 1 -"
    names = {"job": "backup", "run_id": RUN_ID, "trigger": "manual"}
    record(site, "run_started", **names, due=None, attempt=1, timeout_s=60.0, by=by)
    file = Path(site.paths.runs, f"{RUN_ID}.log")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(output)
    return file


async def focus(view: View, widget: type) -> None:
    """Go from pane to pane until this one has the focus."""
    for _ in range(6):
        if view.app.screen.query_one(widget).has_focus:
            return
        await view.press("tab")
    raise AssertionError(f"{widget.__name__} is not reached with tab")


async def called(view: View, site: Site, *words: str) -> None:
    """Wait until the door was called with these words, and with no others."""
    await view.until(lambda: site.calls() == list(words), f"calls: {site.calls()}")
