"""The job table: what is due when, how it went last, what runs now. Sorted and filtered; made for two hundred jobs."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.text import Text
from textual.binding import Binding
from textual.widgets import DataTable

from automations.overview import JobView, Overview
from tui import words
from tui.lines import Span
from tui.messages import JobChosen
from tui.widgets.toned import Toned

DETAIL_FROM, DETAIL_WIDTH = 132, 44  # as in app.tcss
_FAR = "9999"
SORTS: dict[str, Callable[[JobView], object]] = {
    "file": lambda job: 0,  # noqa: ARG005  (a stable sort keeps the file's order)
    "name": lambda job: job.name,
    "next": lambda job: job.next or _FAR,
    "trouble": lambda job: (not _is_in_trouble(job), not job.running, job.name),
}


def _is_in_trouble(job: JobView) -> bool:
    return job.last is not None and words.TONES.get(job.last.outcome or "") == "bad"


class JobTable(DataTable[Text], Toned):
    """One row for each job; cells are written anew only where their text changed."""

    BINDINGS = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_top", "Top", show=False),
        Binding("G", "scroll_bottom", "Bottom", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._seen: Overview | None = None
        self._cells: dict[str, list[list[Span]]] = {}
        self._order: list[str] = []
        self._columns_shown: list[str] = []
        self.sort_by = "file"
        self.filter_text = ""

    def show(self, seen: Overview, now: datetime) -> None:
        """Draw the jobs of this overview as of `now`."""
        self._seen = seen
        shown = self._chosen(seen.jobs)
        columns = _columns(self._width)
        order = [job.name for job in shown]
        if order != self._order or list(columns) != self._columns_shown:
            self._build(shown, columns, now)
            return
        for job in shown:
            cells = _cells(job, columns, now)
            for key, spans, before in zip(columns, cells, self._cells[job.name], strict=True):
                if spans != before:
                    self.update_cell(job.name, key, self.text(spans))
            self._cells[job.name] = cells

    def redraw(self, now: datetime) -> None:
        """Draw them again: sort, filter, size or theme have changed."""
        self._columns_shown = []
        if self._seen:
            self.show(self._seen, now)

    @property
    def _width(self) -> int:
        """Its own, or before the first layout the one it will have."""
        whole = self.app.size.width
        return self.size.width or (whole - DETAIL_WIDTH if whole >= DETAIL_FROM else whole)

    @property
    def chosen(self) -> str | None:
        """The job under the cursor."""
        return self._order[self.cursor_row] if 0 <= self.cursor_row < len(self._order) else None

    def choose(self, name: str) -> None:
        """Put the cursor on a job."""
        if name in self._order:
            self.move_cursor(row=self._order.index(name))

    def job(self, name: str | None) -> JobView | None:
        jobs: Sequence[JobView] = self._seen.jobs if self._seen else ()
        return next((job for job in jobs if job.name == name), None)

    def _chosen(self, jobs: Sequence[JobView]) -> list[JobView]:
        fits = {job.name: job for job in jobs if self._fits(job)}
        return sorted(fits.values(), key=SORTS[self.sort_by])  # type: ignore[arg-type]

    def _fits(self, job: JobView) -> bool:
        wanted = self.filter_text.lower()
        is_wanted = not wanted.startswith("!")
        text = f"{job.name} {job.description} {job.schedule} {job.group} {_state(job)}".lower()
        return (wanted.removeprefix("!") in text) is is_wanted

    def _build(self, shown: list[JobView], columns: dict[str, tuple[str, int]], now: datetime) -> None:
        before, at = self.chosen, self.cursor_row
        self.clear(columns=True)
        for key, (title, width) in columns.items():
            self.add_column(title, key=key, width=width)
        self._order = [job.name for job in shown]
        self._columns_shown = list(columns)
        self._cells = {job.name: _cells(job, columns, now) for job in shown}
        for name, cells in self._cells.items():
            self.add_row(*(self.text(spans) for spans in cells), key=name)
        if before in self._order:
            at = self._order.index(before)
        if shown:
            self.move_cursor(row=min(at, len(shown) - 1))
        self._tell()

    def _tell(self) -> None:
        total = len(self._seen.jobs) if self._seen else 0
        parts = [f"{len(self._order)} of {total}" if self.filter_text else f"{total}"]
        if self.filter_text:
            parts.append(f"only {self.filter_text}")
        if self.sort_by != "file":
            parts.append(f"by {self.sort_by}")
        self.entitle(f" Jobs ─ {', '.join(parts)} ")
        self.post_message(JobChosen(self.chosen))

    def on_data_table_row_highlighted(self) -> None:
        self.post_message(JobChosen(self.chosen))


def _columns(width: int) -> dict[str, tuple[str, int]]:
    """Columns by key, with title and width; where it is narrow the schedule as written, where it is wide in words."""
    is_wide = width >= 100
    columns = {
        "name": ("Job", 18 if is_wide else 15),
        "next": ("Next", 16 if is_wide else 15),
        "last": ("Last", 22 if is_wide else 18),
    }
    if is_wide:
        columns["took"] = ("Took", 11)
    if width >= 70:
        columns["spark"] = ("Durations", 10 if is_wide else 9)
    left = width - sum(size + 2 for _, size in columns.values()) - 3
    if not is_wide:
        return {**columns, "written": ("Schedule", max(4, left))}
    if left < 40:
        return {**columns, "words": ("Schedule", max(4, left))}
    return {**columns, "words": ("Schedule", left - 18), "written": ("As written", 16)}


def _cells(job: JobView, columns: dict[str, tuple[str, int]], now: datetime) -> list[list[Span]]:
    drawers: dict[str, list[Span]] = {
        "name": [Span(job.name, "job" if job.enabled else "dim")],
        "next": _next(job, now),
        "last": _last(job, now),
        "took": [Span(words.took(job.last.duration_s) if job.last else "–", "dim")],
        "spark": [Span(words.sparkline(job.durations_s, columns["spark"][1]) if "spark" in columns else "", "accent")],
        "words": [Span(job.in_words, "dim")],
        "written": [Span(job.schedule, "dim")],
    }
    return [drawers[key] for key in columns]


def _next(job: JobView, now: datetime) -> list[Span]:
    if job.running:
        return _running(job, now)
    if job.paused:
        end = f"until {words.wall(job.paused.until, now)}" if job.paused.until else "paused"
        return [Span(f"‖ {end}", "warn")]
    if not job.enabled:
        return [Span("disabled", "dim")]
    return [Span(words.until(job.next, now))] if job.next else [Span("–", "dim")]


def _running(job: JobView, now: datetime) -> list[Span]:
    """How long it has run, against what it usually takes."""
    began = words.as_time(_began(job.running[0]))
    elapsed = (now - began).total_seconds() if began else 0
    usual = words.usual(job.durations_s)
    is_long = usual is not None and elapsed > max(60, 3 * usual)
    of = f" of ~{words.took(usual)}" if usual is not None and usual >= 1 else ""
    return [Span(f"▶ {words.span(elapsed)}{of}", "warn" if is_long else "accent")]


def _began(run_id: str) -> str | None:
    """A run's id carries when it was due or began: `brief/20261122T080000Z`."""
    name = run_id.rpartition("/")[2]
    if len(name) < 16 or not name[:8].isdigit():
        return None
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}+00:00"


def _last(job: JobView, now: datetime) -> list[Span]:
    if job.last is None:
        return [Span("never ran", "dim")]
    outcome = words.outcome_of(job.last.outcome, job.last.started)
    tone = words.TONES.get(outcome, "plain")
    ended = words.as_time(job.last.ended or job.last.due)
    mark = words.MARKS.get(outcome, "•")
    word = "" if outcome == "succeeded" else f"{outcome.replace('_', ' ')} "
    units = 1 if word else 2  # there is little room
    when = words.span(words.coarse((now - ended).total_seconds()), units) if ended else "–"
    return [Span(f"{mark} {word}", tone), Span(f"{when} ago")]


def _state(job: JobView) -> str:
    """Words that a filter finds: paused, disabled, running, and the last outcome."""
    words_of = [job.last.outcome or "" if job.last else "", "running" if job.running else ""]
    return " ".join([*words_of, "paused" if job.paused else "", "" if job.enabled else "disabled"])
