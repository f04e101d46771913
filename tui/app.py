"""The dashboard: keeps the overview fresh, hands it to the screen on top, and does what it is told through the source.

Rules:
- One immutable overview at a time; a worker never writes what a screen reads.
- What takes time is done in backrooms: looks at the home, the history, commands. The loop only draws.
- What is not needed for the first frame is imported when it is needed.
- An end by SIGTERM or SIGHUP is an ordinary one, so that the terminal is left as it was found.
"""

import asyncio
import signal
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar, TypeVar

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.notifications import SeverityLevel
from textual.screen import Screen

from automations import clock
from automations.errors import AutomationsError
from automations.overview import Overview
from automations.text import clean
from tui.backroom import Backroom
from tui.base import Page
from tui.dashboard import Main
from tui.messages import OpenRun
from tui.settings import Settings, save
from tui.source import Source
from tui.tones import tones
from tui.watch import Watcher
from tui.work import begin, told

LOOK_S = 1.0
LEAST_DRAW_S = 0.3  # between two drawings of what is written
LEAST_LOOK_S = 0.9  # between two looks: a busy journal is read for its lines, not for the overview
THEMES = ("textual-dark", "textual-light", "ansi-dark", "ansi-light")  # the last two are the terminal's own colours
_Result = TypeVar("_Result")


class Dashboard(App[int]):
    """The terminal dashboard of one home."""

    CSS_PATH = "app.tcss"
    TITLE = "EchoPilot Automations"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (132, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    BINDINGS: ClassVar = [
        Binding("t", "next_theme", "Theme", show=False),
        Binding("question_mark", "help", "Help"),
        Binding("ctrl+p", "command_palette", "Palette", show=False),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, source: Source, settings: Settings, readonly: bool = False) -> None:
        super().__init__()
        self.source = source
        self.settings = settings
        self.readonly = readonly
        self.near = source.paths is not None
        self.seen: Overview | None = source.first() if self.near else None
        self.lost = ""
        self.under_way = ""
        self._looks, self._past, self._doing = Backroom("looks"), Backroom("history"), Backroom("commands")
        self._is_looking = False
        self._looked_at = self._drawn_at = 0.0
        self._catching_up: asyncio.TimerHandle | None = None
        self._showing: asyncio.Task[None] | None = None
        self._runs = -1
        self._watcher: Watcher | None = None
        if settings.theme in self.available_themes:
            self.theme = settings.theme
        self.tones = tones(self.get_css_variables())

    def get_default_screen(self) -> Screen[None]:
        return Main()

    def _watch_theme(self, theme: str) -> None:
        super()._watch_theme(theme)
        self.tones = tones(self.get_css_variables())
        self.call_after_refresh(self._redraw)

    def on_load(self) -> None:
        """Before the terminal is touched."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave, 128 + number)

    async def on_mount(self) -> None:
        self.set_interval(LOOK_S, self._tick)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """What is left to do once the first frame is there."""
        if self.source.paths:
            paths, loop = self.source.paths, asyncio.get_running_loop()
            names = {"scheduler.log", "scheduler.pid", "scheduler.want", "automations.toml"}

            def is_ours(path: str) -> bool:
                return path.rpartition("/")[2] in names or "/paused/" in path

            def changed(found: set[str]) -> None:
                loop.call_soon_threadsafe(self._changed, found)

            self._watcher = Watcher([paths.logs, paths.home, paths.log("paused")], is_ours, changed)
        begin(self, self._first_things, "first")

    async def _first_things(self) -> None:
        await self._attempt(self.source.reach)
        await self._look()  # the first one has the history asked too

    def _leave(self, code: int) -> None:
        self.exit(return_code=code)

    def on_unmount(self) -> None:
        if self._watcher:
            self._watcher.close()
        self.settings.theme = self.theme
        save(self.settings)

    # Looking

    async def looking(self, question: Callable[[], _Result]) -> _Result:
        """Ask about the home as it is."""
        return await self._looks.ask(question)

    async def history(self, question: Callable[[], _Result]) -> _Result:
        """Ask about what was."""
        return await self._past.ask(question)

    def _tick(self) -> None:
        """Ages and countdowns move by themselves; a crash leaves no notice, so it is looked for."""
        self.draw()
        self._changed(set())

    def _changed(self, names: set[str]) -> None:
        if not names or "scheduler.log" in names:
            self._catch_up_soon()
        is_due = clock.read().mono - self._looked_at >= LEAST_LOOK_S
        if not self._is_looking and (is_due or names - {"scheduler.log"}):
            begin(self, self._look, "look")

    def _catch_up_soon(self) -> None:
        """Show what was written: at once, and under a steady stream a few times a second."""
        if self._catching_up is not None:
            return
        loop = asyncio.get_running_loop()
        self._catching_up = loop.call_at(max(loop.time(), self._drawn_at + LEAST_DRAW_S), self._catch_up)

    def _catch_up(self) -> None:
        self._catching_up = None
        if page := self._page():
            self._showing = asyncio.create_task(self._show_new(page))

    async def _show_new(self, page: Page) -> None:
        if await page.catch_up():
            self._drawn_at = asyncio.get_running_loop().time()

    def _page(self) -> Page | None:
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Page)), None)

    async def _look(self) -> None:
        self._is_looking = True
        try:
            seen = await self._attempt(self.source.look)
            if seen is not None:
                before, self.seen, self.lost = self.seen, seen, ""
                if seen.journal.runs != self._runs:
                    self._runs = seen.journal.runs
                    begin(self, self._record, "record", exclusive=True)
                if before and _is_same(before, seen):
                    return  # but for ages, which move with the next second
            self.draw()
        finally:
            self._is_looking, self._looked_at = False, clock.read().mono

    async def _attempt(self, question: Callable[[], _Result]) -> _Result | None:
        """Ask; an answer that does not come is told, and the last one stays on screen."""
        try:
            return await self.looking(question)
        except (AutomationsError, OSError) as error:
            self.lost = told(error)
            return None

    async def _record(self) -> None:
        """Have the history caught up, a little later, so that many entries at once cost one look."""
        await asyncio.sleep(0.2)
        await self.history(self.source.record)

    def draw(self) -> None:
        """Have every page show what is known now."""
        now = clock.read().utc
        for page in self._pages():
            page.show(self.seen, now)

    def _pages(self) -> list[Page]:
        """The pages to draw: none any more while the app is taken apart."""
        pages = [screen for screen in self.screen_stack if isinstance(screen, Page) and screen.is_mounted]
        return pages if self.is_running else []

    # Doing

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """As in the base class, but what comes from elsewhere is cleaned, and is no markup."""
        shown = "\n".join(clean(line) for line in message.split("\n"))
        super().notify(shown, title=title, severity=severity, timeout=timeout, markup=markup)

    def do(self, *words: str) -> None:
        """Have the door do this, say so meanwhile, and tell what came of it."""
        if self.readonly:
            self.notify("This dashboard was started with --readonly", severity="warning", markup=False)
            return
        begin(self, lambda: self._do(words), "do")

    async def _do(self, words: tuple[str, ...]) -> None:
        self.under_way = f"{' '.join(words[:2])}: under way"
        self.draw()
        try:
            done = await self._doing.ask(lambda: self.source.command(*words))
            severity = "information" if done.ok else "error"
            self.notify(done.words, severity=severity, markup=False, timeout=5 if done.ok else 15)  # type: ignore[arg-type]
        except (AutomationsError, OSError) as error:
            self.notify(told(error), severity="error", markup=False, timeout=15)
        finally:
            self.under_way, self._looked_at = "", 0.0
            self._changed(set())

    def explain(self, job: str, at: datetime | None) -> None:
        """Show why the job ran, or did not."""
        from tui.dialogs import Why

        async def ask() -> None:
            self.push_screen(Why(await self.looking(lambda: self.source.why(job, at))))

        begin(self, ask, "why", exclusive=True)

    def on_open_run(self, message: OpenRun) -> None:
        from tui.runs import Run

        self.push_screen(Run(message.run_id))

    def action_next_theme(self) -> None:
        place = THEMES.index(self.theme) if self.theme in THEMES else -1
        self.theme = THEMES[(place + 1) % len(THEMES)]
        self.notify(f"Theme: {self.theme}", timeout=2)

    def _redraw(self) -> None:
        for page in self._pages():
            page.redraw()

    def action_help(self) -> None:
        from tui.dialogs import Help
        from tui.help import keys_and_marks

        self.push_screen(Help(keys_and_marks()))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """All that the keys do, and the jobs by name."""
        from tui.help import commands

        yield from super().get_system_commands(screen)
        yield from commands(self, screen)


def _is_same(before: Overview, after: Overview) -> bool:
    """Is there nothing new that a person waits for?"""
    return (before.vitals.state, before.verdict, before.jobs, before.config) == (
        after.vitals.state,
        after.verdict,
        after.jobs,
        after.config,
    )
