"""The runs: a list with filters and search over all output, and one run with its details and its output as it grows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Footer

from automations import clock
from automations.errors import AutomationsError
from automations.history import Filters, Row
from automations.model import Outcome
from tui import words
from tui.base import LOG_KEYS, Page
from tui.dialogs import Confirm
from tui.lines import Span
from tui.messages import Filtered
from tui.widgets.filterline import FilterLine
from tui.widgets.log import LogView
from tui.widgets.toned import Toned
from tui.work import begin

if TYPE_CHECKING:
    from automations.overview import Overview

OUTCOMES = ["", *map(str, Outcome), "running", "waiting"]
PAGE_ROWS = 200
COLUMNS = (("Outcome", 13), ("Job", 16), ("When", 16), ("Took", 11), ("Exit", 4), ("", 0))
LOOK_S = 1.0


class RunTable(DataTable[Text], Toned):
    """Runs, newest first."""

    BINDINGS = [Binding("j", "cursor_down", "Down", show=False), Binding("k", "cursor_up", "Up", show=False)]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", cell_padding=1)
        self.rows_shown: list[Row] = []

    def fill(self, rows: list[tuple[Row, str]], now: datetime) -> None:
        """Show these rows, each with what is to be said of it; the cursor stays on its run."""
        before = self.chosen
        self.clear(columns=True)
        used = sum(width + 2 for _, width in COLUMNS[:-1])
        for title, width in COLUMNS:
            self.add_column(title, width=width or max(10, (self.size.width or 80) - used - 4))
        self.rows_shown = [row for row, _ in rows]
        for row, said in rows:
            self.add_row(*(self.text(spans) for spans in _cells(row, said, now)))
        ids = [row.run_id for row in self.rows_shown]
        if before and before.run_id in ids:
            self.move_cursor(row=ids.index(before.run_id))

    @property
    def chosen(self) -> Row | None:
        return self.rows_shown[self.cursor_row] if 0 <= self.cursor_row < len(self.rows_shown) else None


def _cells(row: Row, said: str, now: datetime) -> list[list[Span]]:
    outcome = words.outcome_of(row.outcome, row.started)
    many = f" ×{row.slots}" if row.slots > 1 else ""
    return [
        [Span(f"{words.MARKS.get(outcome, '•')} {outcome.replace('_', ' ')}{many}", words.TONES.get(outcome, "plain"))],
        [Span(row.job, "job")],
        [Span(words.wall(row.started or row.due or row.ended, now))],
        [Span(words.took(row.duration_s), "dim")],
        [Span("" if row.exit is None else str(row.exit), "dim" if not row.exit else "bad")],
        [Span(said)],
    ]


class Runs(Page):
    """The list. It looks again when the journal says that something began or ended."""

    AUTO_FOCUS = "RunTable"
    BINDINGS = [
        Binding("escape,q", "app.pop_screen", "Back"),
        Binding("slash", "filter", "Search output"),
        Binding("o", "outcome", "Outcome"),
        Binding("a", "all_jobs", "All jobs"),
        Binding("x", "stop_run", "Stop run"),
        Binding("w", "why", "Why"),
        Binding("m", "more", "More", show=False),
    ]

    def __init__(self, job: str | None) -> None:
        super().__init__()
        self._job = job
        self._only = job
        self._outcome = ""
        self._text = ""
        self._limit = PAGE_ROWS
        self._seen: object = None

    def compose(self) -> ComposeResult:
        yield RunTable()
        yield FilterLine("words in the output of any run; enter keeps, esc takes back")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._look()

    def show(self, seen: Overview | None, now: datetime) -> None:  # noqa: ARG002
        """Look again when a run began or ended."""
        state = [(job.last, job.running) for job in seen.jobs] if seen else None
        if state != self._seen:
            self._seen = state
            self._look()

    async def catch_up(self) -> bool:
        """What is new comes with the overview."""
        return False

    def on_resize(self) -> None:
        self._look()

    def _look(self) -> None:
        begin(self, self._load, "runs", exclusive=True)

    async def _load(self) -> None:
        source, table = self.dashboard.source, self.query_one(RunTable)
        asked = Filters(job=self._only, outcome=self._outcome or None, text=self._text or None, limit=self._limit)
        table.entitle(f" Runs ─ {self._told()} ─ looking … ")
        try:
            if self._text:
                hits = await self.dashboard.history(lambda: source.search(asked))
                rows = [(hit.row, hit.snippet.replace("\x02", "").replace("\x03", "")) for hit in hits]
            else:
                rows = [(row, row.reason or "") for row in await self.dashboard.history(lambda: source.runs(asked))]
        except (AutomationsError, OSError) as error:
            table.entitle(f" Runs ─ {self._told()} ─ {error} ")
            return
        table.fill(rows, clock.read().utc)
        more = ", m: more" if len(rows) == self._limit else ""
        table.entitle(f" Runs ─ {self._told()} ─ {words.plural(len(rows), 'row')}{more} ")

    def _told(self) -> str:
        parts = [self._only or "all jobs", self._outcome.replace("_", " ") or "any outcome"]
        return " ─ ".join([*parts, *([f"“{self._text}” in the output"] if self._text else [])])

    def action_filter(self) -> None:
        self.query_one(FilterLine).ask(self._text)

    def filter_by(self, message: Filtered) -> None:
        if message.text != self._text:
            self._text = message.text
            self._look()
        if message.is_final:
            self.query_one(RunTable).focus()

    def action_outcome(self) -> None:
        self._outcome = OUTCOMES[(OUTCOMES.index(self._outcome) + 1) % len(OUTCOMES)]
        self._look()

    def action_all_jobs(self) -> None:
        chosen = self.query_one(RunTable).chosen
        self._only = None if self._only else self._job or (chosen.job if chosen else None)
        self._look()

    def action_more(self) -> None:
        self._limit += PAGE_ROWS
        self._look()

    def on_data_table_row_selected(self) -> None:
        chosen = self.query_one(RunTable).chosen
        if chosen and chosen.started:
            self.app.push_screen(Run(chosen.run_id))
        elif chosen:
            self.action_why()

    def action_stop_run(self) -> None:
        chosen = self.query_one(RunTable).chosen
        if chosen:
            ask_stop(self, chosen)

    def action_why(self) -> None:
        chosen = self.query_one(RunTable).chosen
        if chosen:
            self.dashboard.explain(chosen.job, words.as_time(chosen.due or chosen.started))


def ask_stop(page: Page, row: Row) -> None:
    """Ask before a run is ended."""
    if row.outcome or not row.started:
        page.app.notify(f"{row.run_id} does not run", severity="warning", markup=False)
        return
    asked = Confirm(f"Stop {row.run_id}?", "TERM to all that it started, KILL five seconds later.", "Stop the run")
    page.app.push_screen(asked, lambda is_yes: page.dashboard.do("stop-run", row.run_id) if is_yes else None)


class RunHead(Toned):
    """What is known of the run, in three lines."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[list[Span]] = []

    def show(self, row: Row, usual: float | None, now: datetime) -> None:
        shown = [_first(row, usual, now), _second(row, now), [Span(row.reason or "", "warn")]]
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Text:
        return Text("\n").join(self.text(line) for line in self._shown)


def _first(row: Row, usual: float | None, now: datetime) -> list[Span]:
    outcome = words.outcome_of(row.outcome, row.started)
    began = words.as_time(row.started)
    elapsed = (now - began).total_seconds() if began and not row.ended else None
    took = words.took(row.duration_s) if elapsed is None else words.span(elapsed)
    of = f" (usually {words.took(usual)})" if usual is not None else ""
    code = "" if row.exit is None else f"  exit {row.exit}"
    return [
        Span(f"{words.MARKS.get(outcome, '•')} {outcome.replace('_', ' ')}", words.TONES.get(outcome, "plain")),
        Span(f"  {row.run_id}", "job"),
        Span(f"  {took}{of}{code}"),
    ]


def _second(row: Row, now: datetime) -> list[Span]:
    parts = [f"{row.trigger or '–'}, attempt {row.attempt}", f"began {words.wall(row.started, now)}"]
    if row.due:
        parts.append(f"due {words.wall(row.due, now)}")
    if row.ended:
        parts.append(f"ended {words.wall(row.ended, now)}")
    if row.output_bytes is not None:
        parts.append(f"printed {words.size(row.output_bytes)}")
    if row.retry_at:
        parts.append(f"next attempt {words.wall(row.retry_at, now)}")
    return [Span(" · ".join(parts), "dim")]


class Run(Page):
    """One run and what it prints."""

    AUTO_FOCUS = "LogView"
    BINDINGS = [
        Binding("escape,q", "app.pop_screen", "Back"),
        Binding("x", "stop_run", "Stop run"),
        Binding("w", "why", "Why"),
        *LOG_KEYS,
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id
        self._row: Row | None = None

    def compose(self) -> ComposeResult:
        yield RunHead()
        yield LogView("Output", self.dashboard.near, is_journal=False)
        yield FilterLine("part of a line, /regular expression/, ! inverts; enter keeps, esc takes back")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        begin(self, self._open, "open")
        self.set_interval(LOOK_S, self._look)

    async def _open(self) -> None:
        await self._load()
        try:
            await self.log_view.open(self.dashboard.source.output(self._run_id))
        except (AutomationsError, OSError) as error:
            self.app.notify(str(error), severity="warning", markup=False)

    def _look(self) -> None:
        """While it runs, and once more after its end."""
        if self._row is None or not self._row.outcome:
            begin(self, self._load, "look", exclusive=True)

    async def _load(self) -> None:
        source = self.dashboard.source
        try:
            self._row = await self.dashboard.history(lambda: source.run(self._run_id))
        except (AutomationsError, OSError) as error:
            self.app.notify(str(error), severity="warning", markup=False)
            return
        job = next(
            (job for job in (self.dashboard.seen.jobs if self.dashboard.seen else ()) if job.name == self._row.job),
            None,
        )
        self.query_one(RunHead).show(self._row, words.usual(job.durations_s) if job else None, clock.read().utc)
        await self.log_view.catch_up()

    def action_stop_run(self) -> None:
        if self._row:
            ask_stop(self, self._row)

    def action_why(self) -> None:
        if self._row:
            self.dashboard.explain(self._row.job, words.as_time(self._row.due or self._row.started))
