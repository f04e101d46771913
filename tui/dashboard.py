"""The first screen: status, verdict, coverage, jobs, the job under the cursor, and the journal as it grows."""

from datetime import datetime, timedelta

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer

from automations import clock
from automations.coverage import Coverage
from automations.history import Filters, Row
from automations.overview import Overview
from tui import words
from tui.base import LOG_KEYS, Page
from tui.messages import Filtered, JobChosen, MomentChosen
from tui.widgets.detail import Detail
from tui.widgets.filterline import FilterLine
from tui.widgets.jobs import SORTS, JobTable
from tui.widgets.log import LogView
from tui.widgets.status import StatusBar, VerdictLine
from tui.widgets.strip import CoverageStrip
from tui.work import begin

DAY, WEEK = timedelta(days=1), timedelta(days=7)
DETAIL_RUNS = 8


class Box(Vertical):
    """A room of its own, drawn blank: with each update Textual draws all that shares a container with what changed."""

    BLANK = True


class Columns(Horizontal):
    """Boxes side by side."""

    BLANK = True


class Main(Page):
    """The dashboard's own screen."""

    AUTO_FOCUS = "JobTable"
    BLANK = True
    BINDINGS = [
        Binding("s", "start", "Start"),
        Binding("x", "stop", "Stop"),
        Binding("R", "restart", "Restart", show=False),
        Binding("r", "run", "Run"),
        Binding("p", "pause", "Pause"),
        Binding("w", "why", "Why"),
        Binding("h", "runs", "Runs"),
        *LOG_KEYS,
        Binding("v", "raw", "Raw", show=False),
        Binding("o", "sort", "Sort", show=False),
        Binding("z", "zoom", "Zoom", show=False),
        Binding("escape", "clear", "Clear", show=False),
    ]

    def compose(self) -> ComposeResult:
        with Box(id="head"):
            yield StatusBar()
            yield VerdictLine()
            yield CoverageStrip()
        with Columns(id="middle"):
            with Box(id="left"):
                with Box(id="table"):
                    yield JobTable()
                yield LogView("Journal", self.dashboard.near)
            with Box(id="right"):
                yield Detail()
        yield FilterLine("part of a line, /regular expression/, ! inverts; enter keeps, esc takes back")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        settings = self.dashboard.settings
        self.jobs.sort_by = settings.sort if settings.sort in SORTS else "file"
        self.log_view.raw = settings.raw
        self._week: Coverage | None = None
        self._detail_of: tuple[str | None, object] = (None, None)
        if self.dashboard.near:
            self.log_view.open_now(self.dashboard.source.journal())
        else:
            begin(self, lambda: self.log_view.open(self.dashboard.source.journal()), "journal")
        self.show(self.dashboard.seen, clock.read().utc)
        if settings.week:
            begin(self, self._load_week, "week", exclusive=True)

    @property
    def jobs(self) -> JobTable:
        return self.query_one(JobTable)

    def show(self, seen: Overview | None, now: datetime) -> None:
        lost, note = self.dashboard.lost, self.dashboard.under_way
        self.query_one(StatusBar).show(seen, now, lost)
        self.query_one(VerdictLine).show(seen, lost, note)
        if seen is None:
            return
        is_week = self.dashboard.settings.week and self._week is not None
        shown = (self._week, WEEK) if is_week else (seen.coverage, DAY)
        self.query_one(CoverageStrip).show(*shown, now)
        self.jobs.show(seen, now)
        self._show_detail(seen)

    def on_resize(self) -> None:
        self.call_after_refresh(self.dashboard.draw)

    def redraw(self) -> None:
        super().redraw()
        self.jobs.redraw(clock.read().utc)
        for widget in (self.query_one(StatusBar), self.query_one(VerdictLine), self.query_one(Detail)):
            widget.forget()
        self.query_one(CoverageStrip).refresh()
        self.show(self.dashboard.seen, clock.read().utc)

    # The job under the cursor

    def on_job_chosen(self, message: JobChosen) -> None:
        if self.dashboard.seen:
            self._show_detail(self.dashboard.seen, message.name)

    def _show_detail(self, seen: Overview, name: str | None = None) -> None:
        if not self.query_one("#right").display:
            return
        job = self.jobs.job(name or self.jobs.chosen)
        asked = (job.name if job else None, (job.last, job.running, job.paused, job.next) if job else None)
        if asked != self._detail_of:
            self._detail_of = asked
            begin(self, lambda: self._load_detail(seen, asked[0]), "detail", exclusive=True)

    async def _load_detail(self, seen: Overview, name: str | None) -> None:
        source, job = self.dashboard.source, self.jobs.job(name)
        rows: list[Row] = []
        now = clock.read().utc
        not_kept = [promise for promise in seen.promises.not_kept if promise.job == name]
        self.query_one(Detail).show(job, rows, not_kept, now)
        if job:
            rows = await self.dashboard.history(lambda: source.runs(Filters(job=job.name, limit=DETAIL_RUNS)))
        self.query_one(Detail).show(job, rows, not_kept, now)

    def on_data_table_row_selected(self) -> None:
        self.action_runs(self.jobs.chosen)

    # Coverage

    async def on_moment_chosen(self, message: MomentChosen) -> None:
        at = message.at
        if at is not None:
            begin(self, lambda: self._tell_moment(at), "moment", exclusive=True)

    async def _tell_moment(self, at: datetime) -> None:
        source, minute = self.dashboard.source, timedelta(minutes=1)
        asked = Filters(until=at + minute, since=at - DAY, limit=200)
        rows = await self.dashboard.history(lambda: source.runs(asked))
        found = []
        for row in rows:
            began, ended = words.as_time(row.started or row.due), words.as_time(row.ended)
            if began and began < at + minute and (ended is None or ended >= at):
                outcome = words.outcome_of(row.outcome, row.started)
                found.append(f"{words.MARKS.get(outcome, '•')} {row.job} {outcome.replace('_', ' ')}")
        self.query_one(CoverageStrip).tell(at, " · ".join(found[:6]) or "no run")

    def action_zoom(self) -> None:
        settings = self.dashboard.settings
        settings.week = not settings.week
        begin(self, self._load_week, "week", exclusive=True)

    async def _load_week(self) -> None:
        if self.dashboard.settings.week:
            self._week = await self.dashboard.looking(self.dashboard.source.week)
        self.show(self.dashboard.seen, clock.read().utc)

    # The journal, and what is filtered

    def action_raw(self) -> None:
        self.log_view.raw = not self.log_view.raw
        self.dashboard.settings.raw = self.log_view.raw

    def action_sort(self) -> None:
        order = list(SORTS)
        self.jobs.sort_by = order[(order.index(self.jobs.sort_by) + 1) % len(order)]
        self.dashboard.settings.sort = self.jobs.sort_by
        self.jobs.redraw(clock.read().utc)

    def action_filter(self) -> None:
        self._filters_jobs = self.jobs.has_focus
        line = self.query_one(FilterLine)
        line.ask(self.jobs.filter_text if self._filters_jobs else self.log_view.filter_text)

    def filter_by(self, message: Filtered) -> None:
        if self._filters_jobs:
            self.jobs.filter_text = message.text
            self.jobs.redraw(clock.read().utc)
        else:
            self._filter_log(message.text)
        if message.is_final:
            (self.jobs if self._filters_jobs else self.log_view).focus()

    def action_clear(self) -> None:
        """Take back what is filtered; leave the strip."""
        if self.jobs.filter_text:
            self.jobs.filter_text = ""
            self.jobs.redraw(clock.read().utc)
        if self.log_view.filter_text:
            self._filter_log("")
        self.jobs.focus()

    # Control

    def action_start(self) -> None:
        self.dashboard.do("start")

    def action_stop(self) -> None:
        from tui.dialogs import Confirm

        seen = self.dashboard.seen
        running = sum(len(job.running) for job in seen.jobs) if seen else 0
        more = f" {words.plural(running, 'run')} under way will be told to end." if running else ""
        asked = Confirm("Stop the scheduler?", f"Nothing will run until it is started again.{more}", "Stop")
        self.app.push_screen(asked, lambda is_yes: self.dashboard.do("stop") if is_yes else None)

    def action_restart(self) -> None:
        from tui.dialogs import Confirm

        asked = Confirm(
            "Restart the scheduler?", "It stops and starts again; slots due meanwhile are caught up.", "Restart"
        )
        self.app.push_screen(asked, lambda is_yes: self.dashboard.do("restart") if is_yes else None)

    def action_run(self) -> None:
        if self.jobs.chosen:
            self.dashboard.do("run", self.jobs.chosen)

    def action_pause(self) -> None:
        """Pause the job, or resume it."""
        job = self.jobs.job(self.jobs.chosen)
        if job and job.paused:
            self.dashboard.do("resume", job.name)
        elif job:
            self.ask_pause(job.name)

    def ask_pause(self, job: str) -> None:
        """Ask for how long, then pause it."""
        from tui.dialogs import AskPause

        def pause(wish: tuple[str, str] | None) -> None:
            if wish is None:
                return
            end, note = wish
            kind = "until" if end[:4].isdigit() and "-" in end else "for"
            given = [f"--{kind}={end}"] if end else []
            self.dashboard.do("pause", job, *given, *([f"--note={note}"] if note else []))

        self.app.push_screen(AskPause(job), pause)

    def action_why(self) -> None:
        """Of the job under the cursor: the last slot that was not kept, else its last one; on the strip: its minute."""
        job, seen = self.jobs.chosen, self.dashboard.seen
        if job and seen:
            missed = [promise.due for promise in seen.promises.not_kept if promise.job == job]
            self.dashboard.explain(job, self.query_one(CoverageStrip).at or max(missed, default=None))

    def action_runs(self, job: str | None = None) -> None:
        from tui.runs import Runs

        self.app.push_screen(Runs(job))
