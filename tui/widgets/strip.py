"""The coverage strip: each cell some minutes, each gap with a letter of its own, a cursor that says what was when."""

from datetime import datetime, timedelta

from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.strip import Strip

from automations.coverage import Coverage
from tui import words
from tui.lines import Span
from tui.messages import MomentChosen
from tui.widgets.toned import Toned

COVERED, BEFORE = "▇", "·"
HINTS = {timedelta(days=1): "24 h", timedelta(days=7): "7 d"}


class CoverageStrip(Toned, can_focus=True):
    """A line of words, a line of cells, and where there is room a line of hours."""

    BINDINGS = [
        Binding("left", "move(-1)", "Earlier", show=False),
        Binding("right", "move(1)", "Later", show=False),
        Binding("shift+left", "step(-1)", "A minute earlier", show=False),
        Binding("shift+right", "step(1)", "A minute later", show=False),
        Binding("left_square_bracket", "gap(-1)", "Gap before", show=False),
        Binding("right_square_bracket", "gap(1)", "Gap after", show=False),
        Binding("home", "move(-9999)", "Begin", show=False),
        Binding("end", "move(9999)", "End", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._coverage: Coverage | None = None
        self._span = timedelta(days=1)
        self._now: datetime | None = None
        self._at: datetime | None = None
        self._told = ""

    def show(self, coverage: Coverage | None, span: timedelta, now: datetime) -> None:
        """Draw this coverage over the last `span`."""
        same = coverage == self._coverage and span == self._span and self._now and now < self._now + self._minute
        if not same:
            self._coverage, self._span, self._now = coverage, span, now
            self.refresh()

    def tell(self, at: datetime, told: str) -> None:
        """What ran at the cursor's minute."""
        if at == self._at and told != self._told:
            self._told = told
            self.refresh()

    @property
    def at(self) -> datetime | None:
        """The minute under the cursor."""
        return self._at

    @property
    def _minute(self) -> timedelta:
        return timedelta(seconds=self._coverage.tick_s if self._coverage else 60)

    @property
    def _cell(self) -> timedelta:
        return self._span / max(1, self.size.width)

    def _start(self) -> datetime:
        assert self._now is not None
        return self._now - self._span

    def action_move(self, cells: int) -> None:
        if self._now:
            self._choose((self._at or self._now) + self._cell * max(-self.size.width, min(cells, 9999)))

    def action_step(self, minutes: int) -> None:
        if self._now:
            self._choose((self._at or self._now) + self._minute * minutes)

    def action_gap(self, direction: int) -> None:
        """To the beginning of the next gap in this direction."""
        if not self._coverage or not self._now:
            return
        at = self._at or (self._now if direction < 0 else self._start())
        starts = [gap.since for gap in self._coverage.gaps]
        found = [since for since in starts if (since < at if direction < 0 else since > at)]
        if found:
            self._choose(max(found) if direction < 0 else min(found))

    def on_click(self, event: events.Click) -> None:
        if self._now:
            self._choose(self._start() + self._cell * (event.x + 0.5))

    def on_blur(self) -> None:
        self._at = None
        self.post_message(MomentChosen(None))
        self.refresh()

    def _choose(self, at: datetime) -> None:
        if self._now is None:
            return
        self._at, self._told = min(max(at, self._start()), self._now), ""
        self.post_message(MomentChosen(self._at))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._coverage is None or self._now is None:
            return self.strip([Span("  coverage: nothing read yet", "dim")] if y == 0 else []).crop_extend(
                0, width, self.rich_style
            )
        line = (self._words(), self._cells(width), self._hours(width))[min(y, 2)]
        return line.crop_extend(0, width, self.rich_style)

    def _words(self) -> Strip:
        return self.strip(self._moment() if self._at else self._summary())

    def _summary(self) -> list[Span]:
        assert self._coverage is not None
        percent, gaps = self._coverage.percent, self._coverage.gaps
        told = "no minute on record yet" if percent is None else f"{percent:g} % of {self._counted()}"
        tone = "good" if percent == 100 else "dim" if percent is None else "warn"
        found = [Span(f"{HINTS[self._span]}  ", "job"), Span(told, tone)]
        for gap in sorted(gaps, key=lambda gap: gap.until - gap.since, reverse=True)[:3]:
            found += [Span(f"  {words.CAUSE_MARKS[gap.cause]} ", "bad"), Span(words.gap(gap, self._now or gap.until))]
        if len(gaps) > 3:
            found.append(Span(f"  and {words.plural(len(gaps) - 3, 'more gap')}", "dim"))
        return found

    def _counted(self) -> str:
        assert self._coverage is not None
        whole = self._span.total_seconds() / self._coverage.tick_s
        if self._coverage.minutes >= whole - 2:
            return "all minutes"
        return f"{words.plural(self._coverage.minutes, 'minute')} on record"

    def _moment(self) -> list[Span]:
        """What was at the cursor's minute."""
        assert self._coverage is not None
        assert self._at is not None
        found = [Span(f"{self._at.astimezone():%a %d %b %H:%M}  ", "job")]
        gap = self._coverage.gap_at(self._at)
        if gap:
            found += [
                Span(f"{words.CAUSE_MARKS[gap.cause]} ", "bad"),
                Span(f"{words.gap(gap, self._at)}: {gap.detail}"),
            ]
        elif self._at < self._coverage.since:
            found.append(Span("before the first entry that was read", "dim"))
        else:
            found.append(Span("alive", "good"))
        return [*found, Span(f"  {self._told}")]

    def _cells(self, width: int) -> Strip:
        cells = [self._cell_at(place) for place in range(width)]
        cursor = int((self._at - self._start()) / self._cell) if self._at else -1
        base = self.rich_style
        segments = [Segment(mark, base + self.tone(tone)) for mark, tone in cells]
        if min(cursor, width - 1) >= 0 and cells:
            place = min(cursor, width - 1)
            segments[place] = Segment(cells[place][0], base + self.tone("cursor"))
        return Strip(segments)

    def _cell_at(self, place: int) -> tuple[str, str]:
        assert self._coverage is not None
        first = self._start() + self._cell * place
        last = first + self._cell
        if last <= self._coverage.since or not self._coverage.minutes:
            return BEFORE, "dim"
        gaps = [gap for gap in self._coverage.gaps if gap.since < last and gap.until > first]
        if not gaps:
            return COVERED, "good"
        worst = max(gaps, key=lambda gap: min(gap.until, last) - max(gap.since, first))
        return words.CAUSE_MARKS[worst.cause], "bad"

    def _hours(self, width: int) -> Strip:
        """Hours, or days, below the cells in which they begin."""
        line = [" "] * width
        step = timedelta(hours=3 if width >= 120 else 6) if self._span <= timedelta(days=1) else timedelta(days=1)
        local = self._start().astimezone().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        while local < (self._now or local).astimezone():
            is_mark = local.hour % (step.total_seconds() / 3600) == 0 if step < timedelta(days=1) else local.hour == 0
            if is_mark:
                place = int((local - self._start()) / self._cell)
                label = f"{local:%H:%M}" if step < timedelta(days=1) else f"{local:%a %d}"
                if place + len(label) < width:
                    line[place : place + len(label)] = label
            local += timedelta(hours=1)
        return self.strip([Span("".join(line), "dim")])
