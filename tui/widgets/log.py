"""A long text, line by line: the journal or a run's output. Draws the part of a `Roll` that is on screen; keys move it.

Rules:
- What it draws are the lines on screen, nothing else, and what a line looks like is kept: with each new line all
  move up, and most were there before.
- The first row is a title that says in which state it is; the bar on the right where in the whole text the screen is.
"""

from datetime import date

from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip

from automations import clock
from tui import lines
from tui.lines import Span
from tui.messages import Failed, OpenRun
from tui.pages import KEPT_BYTES, Filter, Line, Pages
from tui.roll import Roll
from tui.widgets.toned import Toned
from tui.work import begin

OURS = "──".encode()  # what a line of ours begins with, which stands in no file
_CACHED = 2000


class LogView(Toned, can_focus=True):
    """The lines, a cursor among them, and whether it follows."""

    BINDINGS = [
        Binding("up,k", "cursor(-1)", "Up", show=False),
        Binding("down,j", "cursor(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("home,g", "beginning", "To the beginning", show=False),
        Binding("end,G", "follow", "To the end", show=False),
        Binding("left", "sideways(-8)", "Left", show=False),
        Binding("right", "sideways(8)", "Right", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    raw = reactive(False)

    def __init__(self, title: str, is_near: bool, is_journal: bool = True) -> None:
        super().__init__()
        self._title = title
        self._is_journal = is_journal
        self._left = 0
        self._drawn: dict[tuple[Line, str, bool], Strip] = {}
        self._titled: tuple[object, Strip] = (None, Strip([]))
        self._looks: tuple[int, int, bool, date | None] = (0, 0, False, None)
        self.roll = Roll(is_near, is_journal, self._draw, self._cannot)

    def open_now(self, pages: Pages) -> None:
        """Show the end of these pages at once: for the first frame, from a near file."""
        self.roll.open_now(pages)

    async def open(self, pages: Pages) -> None:
        """Show the end of these pages."""
        await self.roll.open(pages)
        self._draw()

    async def catch_up(self) -> bool:
        """Show what is new, or count it for a reader who is elsewhere. Was there anything?"""
        return await self.roll.catch_up()

    async def set_filter(self, text: str) -> None:
        """Show only the lines that fit; all of them for an empty text. Raises ValueError."""
        await self.roll.filter_by(Filter(text) if text else None)

    @property
    def filter_text(self) -> str:
        return self.roll.filter.text if self.roll.filter else ""

    async def seek_error(self, direction: int) -> None:
        """Move the cursor to the next line that tells of something gone wrong, however far it is."""
        await self.roll.seek_error(direction)

    def line_at_cursor(self) -> Line | None:
        """The line under the cursor."""
        return self.roll.line_at_cursor()

    # Keys and mouse

    def action_cursor(self, step: int) -> None:
        self.roll.move(step)
        self._moved()

    def action_page(self, pages: int) -> None:
        self.roll.turn_page(pages)
        self._moved()

    def action_follow(self) -> None:
        begin(self, self.roll.follow, "follow")

    def action_beginning(self) -> None:
        begin(self, self.roll.to_beginning, "follow")

    def action_sideways(self, columns: int) -> None:
        self._left = max(0, self._left + columns)
        self._draw()

    def action_open(self) -> None:
        line = self.line_at_cursor()
        run_id = lines.run_id_of(line.content) if line and self._is_journal else None
        if run_id:
            self.post_message(OpenRun(run_id))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.roll.scroll(-3)
        self._moved()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.roll.scroll(3)
        self._moved()

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= self.roll.height:
            self.roll.point_at(event.y - 1)
            self._moved()
            if event.chain > 1:
                self.action_open()

    def _moved(self) -> None:
        self._draw()
        begin(self, self.roll.look_around, "edge")

    def on_focus(self) -> None:
        self._draw()

    def on_blur(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self.roll.fit(self.size.height - 1)  # the first row is the title
        self._moved()

    async def watch_raw(self, raw: bool) -> None:
        await self.roll.show_raw(raw)

    # Drawing

    def redraw(self) -> None:
        """The theme has changed."""
        self._drawn.clear()
        self._titled = (None, Strip([]))
        self.refresh()

    def _cannot(self, told: str) -> None:
        self.post_message(Failed(told))

    def _draw(self) -> None:
        looks = (self.size.width, self._left, self.raw, clock.read().utc.astimezone().date())
        if looks != self._looks or len(self._drawn) > _CACHED:
            self._looks = looks
            self._drawn.clear()
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        """As the base class, without its work for borders and paddings, of which there are none here."""
        background = self.background_colors[1]
        strips = [self.render_line(y) for y in crop.line_range]
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        is_whole = crop.column_span == (0, self.size.width)
        return strips if is_whole else [strip.crop(*crop.column_span) for strip in strips]

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self._title_line()
        number, held = self.roll.top + y - 1, self.roll.window
        if number < len(held.lines):
            line = held.lines[number]
        else:
            line = Line(-1, held.rest[:KEPT_BYTES] if number < self.roll.count else self._instead(y))
        key = (line, self._bar(y - 1), number == self.roll.cursor and self.has_focus)
        strip = self._drawn.get(key)
        if strip is None:
            strip = self._drawn[key] = self._drawing_of(*key)
        return strip

    def _instead(self, y: int) -> bytes:
        """What stands where there is no line: a word on why, in the first row of an empty text."""
        if y > 1 or self.roll.count:
            return b""
        told = self.roll.note or ("no line fits the filter" if self.roll.filter else "nothing written yet")
        return OURS + f" {told}".encode("utf-8", "backslashreplace")

    def _drawing_of(self, line: Line, bar: str, is_chosen: bool) -> Strip:
        base, width = self.rich_style, self.size.width - 1
        shown = self.strip(self._spans(line)).crop_extend(self._left, self._left + width, base)
        if is_chosen:
            shown = shown.apply_style(self.tone("cursor"))
        return Strip([*shown, Segment(bar, base + self.tone("bar" if bar == "█" else "dim"))], width + 1)

    def _spans(self, line: Line) -> list[Span]:
        if not line.content:
            return []
        if line.place < 0 and line.content.startswith(OURS):
            return [Span(line.content.decode(), "warn")]
        if self.raw or not self._is_journal:
            return lines.raw(line.content)
        return lines.entry(line.content, self._looks[3], line.times)

    def _bar(self, y: int) -> str:
        roll = self.roll
        if roll.window.start == 0 and roll.count <= roll.height and not roll.filter:
            return " "
        return "█" if y == min(roll.height - 1, int(roll.place_of_top() * roll.height)) else "│"

    def _title_line(self) -> Strip:
        """What it is, and in which state; a line across, in the colour of the focus."""
        key = (f"{self._title} ─ {self._state()}", self.has_focus)
        if key != self._titled[0]:
            tone = "focus" if self.has_focus else "line"
            words_of = Span(f" {key[0]} ", "job" if self.has_focus else "dim")
            rest = max(0, self.size.width - len(words_of.text) - 1)
            self._titled = (key, self.strip([Span("─", tone), words_of, Span("─" * rest, tone)]))
        return self._titled[1].crop_extend(0, self.size.width, self.rich_style)

    def _state(self) -> str:
        roll = self.roll
        state = "following" if roll.following else f"paused, {roll.new} new" if roll.new else "paused"
        parts = [state, *(["raw"] if self.raw else []), *([f"only {roll.filter.text}"] if roll.filter else [])]
        if not roll.following and roll.written:
            held = roll.window.lines
            parts.append(roll.share(held[roll.top].place if roll.top < len(held) else 0))
        return ", ".join([*parts, *([roll.note] if roll.note else [])])
