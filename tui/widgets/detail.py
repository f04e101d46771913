"""What is known of the job under the cursor, beside the table where there is room for it."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from automations.history import Row
from automations.overview import JobView
from automations.promises import Promise
from tui import words
from tui.lines import Span
from tui.widgets.toned import Toned


class Detail(Toned):
    """Description, schedule, durations, the last runs, and what was not kept."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[list[Span]] = []

    def forget(self) -> None:
        """Draw it anew: the theme has changed."""
        self.refresh()

    def show(self, job: JobView | None, runs: Sequence[Row], not_kept: Sequence[Promise], now: datetime) -> None:
        """Draw this job."""
        shown = [] if job is None else [*_about(job, now), *_runs(runs, now), *_promises(not_kept, now)]
        self.entitle(f" {job.name} " if job else " Job ")
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> RenderableType:
        return Group(*(_wrapped(self.text(line)) for line in self._shown)) if self._shown else Text("")


def _wrapped(text: Text) -> Text:
    text.no_wrap, text.overflow = False, "fold"
    return text


def _about(job: JobView, now: datetime) -> list[list[Span]]:
    lines = [[Span(job.description)]] if job.description else []
    zone = f" {job.timezone}" if job.timezone != "UTC" else ""
    lines += [[Span(job.in_words, "accent")], [Span(f"{job.schedule}{zone}", "dim")]]
    if job.paused:
        end = f"until {words.wall(job.paused.until, now)}" if job.paused.until else "until it is resumed"
        lines.append([Span(f"‖ paused {end}", "warn"), Span(f": {job.paused.note}" if job.paused.note else "")])
    if job.next:
        lines.append(
            [Span("next ", "dim"), Span(f"{words.wall(job.next, now)}  "), Span(words.until(job.next, now), "dim")]
        )
    if job.group:
        lines.append([Span("group ", "dim"), Span(job.group)])
    if job.durations_s:
        usual = words.took(words.usual(job.durations_s))
        longest = words.took(max(job.durations_s))
        lines.append([Span("usually ", "dim"), Span(usual), Span("  longest ", "dim"), Span(longest)])
        lines.append([Span(words.sparkline(job.durations_s, 20), "accent")])
    return lines


def _runs(runs: Sequence[Row], now: datetime) -> list[list[Span]]:
    lines = [[Span("")], [Span("Last runs", "job")]] if runs else [[Span("")], [Span("It has not run yet.", "dim")]]
    return lines + [_run(row, now) for row in runs]


def _run(row: Row, now: datetime) -> list[Span]:
    outcome = words.outcome_of(row.outcome, row.started)
    when = words.wall(row.started or row.due or row.ended, now)
    why = row.reason or (f"exit {row.exit}" if row.exit else "")
    many = f" ×{row.slots}" if row.slots > 1 else ""
    return [
        Span(f"{words.MARKS.get(outcome, '•')} {outcome.replace('_', ' ')}{many}", words.TONES.get(outcome, "plain")),
        Span(f"  {when}"),
        Span(f"  {words.took(row.duration_s)}" if row.duration_s is not None else "", "dim"),
        Span(f"  {why}" if why else "", "dim"),
    ]


def _promises(not_kept: Sequence[Promise], now: datetime) -> list[list[Span]]:
    if not not_kept:
        return []
    lines = [[Span("")], [Span("Not kept in 24 h", "job"), Span("  w: why", "dim")]]
    for promise in not_kept[:6]:
        many = f" ×{promise.slots}" if promise.slots > 1 else ""
        lines.append(
            [
                Span(f"{promise.state}{many} ", "warn"),
                Span(f"{words.wall(promise.due, now)}  "),
                Span(promise.reason, "dim"),
            ]
        )
    return lines
