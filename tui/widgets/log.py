"""A long text, line by line: the journal or a run's output, followed as it grows and reachable to its beginning.

Rules:
- It shows a `Window`, which it moves along the pages; what it draws are the lines on screen, nothing else.
- A reader who scrolled up is never moved: what is new is counted, and `f` goes back to following.
- The bar on the right shows where in the whole file the lines on screen are.
- One reading at a time: at once where the file is near, in the backroom where an answer takes its time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date

from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip

from automations import clock
from automations.errors import AutomationsError
from automations.output import Piece
from tui import lines, words
from tui.backroom import Backroom
from tui.lines import Span
from tui.messages import Failed, OpenRun
from tui.pages import KEPT_BYTES, PIECE_BYTES, Filter, Line, Pages, Window
from tui.widgets.toned import Toned

FIRST_BYTES = 64 * 1024
JUMP_BYTES = 1 << 20  # a follower that is farther behind than this goes straight to the end
SCAN_BYTES = 1 << 20
_CACHED = 2000
_NO_LINE = b""  # where there are fewer lines than rows


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

    following = reactive(True)
    raw = reactive(False)

    def __init__(self, title: str, is_near: bool, is_journal: bool = True) -> None:
        super().__init__()
        self._is_near = is_near
        self._title = title
        self._is_journal = is_journal
        self._filter: Filter | None = None
        self._room = Backroom("pages")
        self._reading = asyncio.Lock()
        self._pages: Pages | None = None
        self._window = self._fresh()
        self._drawn: dict[tuple[Line, str, bool], Strip] = {}
        self._titled: tuple[object, Strip] = (None, Strip([]))
        self._looks: tuple[int, int, bool, date | None] = (0, 0, False, None)
        self._top = self._cursor = self._left = 0
        self._new = 0
        self._written = 0
        self._seen_to = 0  # up to where new lines were counted while the reader was elsewhere
        self._note = ""
        self._search = 0  # a search that is overtaken by another one ends

    # What it shows

    def open_now(self, pages: Pages) -> None:
        """Show the end of these pages at once, read in this thread: for the first frame, from a near file."""
        self._pages = pages
        size = pages.read(0, 1).written
        start = max(0, size - FIRST_BYTES)
        self._window.reset(start)
        self._take_end(pages.read(start, FIRST_BYTES))

    async def open(self, pages: Pages) -> None:
        """Show the end of these pages."""
        async with self._reading:
            self._pages = pages
            await self._load_end()

    def close(self) -> None:
        if self._pages:
            self._pages.close()

    async def catch_up(self) -> None:
        """Show what is new, or count it for a reader who is elsewhere."""
        if self._reading.locked() or not self._pages:
            return  # whoever reads goes on until there is nothing new
        async with self._reading:
            await self._guarded(self._follow if self.following else self._count_new)

    async def set_filter(self, text: str) -> None:
        """Show only the lines that fit; all of them for an empty text. Raises ValueError."""
        self._filter = Filter(text) if text else None
        self._search += 1
        async with self._reading:
            await self._guarded(self._load_end)
        await self._fill()

    @property
    def filter_text(self) -> str:
        return self._filter.text if self._filter else ""

    def _fresh(self) -> Window:
        """An empty window; ticks in a row are one line in it, unless lines are shown as they are."""
        return Window(self._filter, lines.is_tick if self._is_journal and not self.raw else None)

    # Reading

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> None:
        """What cannot be read is said, and tried again with the next change."""
        try:
            await step()
            self._note = ""
        except (AutomationsError, OSError) as error:
            if self._note != str(error):
                self._note = str(error)
                self.post_message(Failed(str(error)))
        self._draw()

    async def _read(self, start: int, limit: int) -> Piece:
        pages = self._pages
        assert pages is not None
        piece = pages.read(start, limit) if self._is_near else await self._room.ask(lambda: pages.read(start, limit))
        self._written = piece.written
        return piece

    async def _load_end(self) -> None:
        size = (await self._read(0, 1)).written
        start = max(0, size - FIRST_BYTES)
        self._window = self._fresh()
        self._window.reset(start)
        self._take_end(await self._read(start, FIRST_BYTES))

    def _take_end(self, piece: Piece) -> None:
        self._written = piece.written
        self._window.append(piece, is_middle=piece.start > 0)
        self.following, self._new, self._seen_to = True, 0, piece.written
        self._to_end()

    async def _follow(self) -> None:
        """Read on to the end."""
        while True:
            window = self._window
            piece = await self._read(window.end, PIECE_BYTES)
            if self._filter is None and piece.written - window.end > JUMP_BYTES:
                await self._load_end()
                continue
            window.append(piece)
            window.trim_start()
            if self.following:
                self._to_end()
            if window.end + len(window.rest) >= piece.written and not await self._turned():
                self._seen_to = piece.written
                return
            if not piece.content and piece.written > window.end:
                return

    async def _turned(self) -> bool:
        """Did another file take this one's place?"""
        said = await self._turn_at(self._window.end + len(self._window.rest))
        if said:
            self._seen_to = 0
        return said

    async def _turn_at(self, place: int) -> bool:
        pages = self._pages
        assert pages is not None
        said = pages.turn(place) if self._is_near else await self._room.ask(lambda: pages.turn(place))
        if said:
            self._window.turn(said)
        return bool(said)

    async def _count_new(self) -> None:
        """Count lines for a reader who is elsewhere; take them in only while the window has room for them."""
        while True:
            piece = await self._read(self._seen_to, SCAN_BYTES)
            if piece.written < self._seen_to or (not piece.content and await self._turn_at(self._seen_to)):
                self._seen_to = 0
                continue
            cut = piece.content.rfind(b"\n") + 1
            if not cut:
                return
            fits = self._filter
            new = piece.content[:cut].split(b"\n")[:-1]
            self._new += len(new) if fits is None else sum(fits(line) for line in new)
            self._seen_to += cut

    async def _back(self) -> int:
        """Read what lies before the window. Returns how many lines that made."""
        window = self._window
        start, content = max(0, window.start - PIECE_BYTES), b""
        place = start
        while place < window.start:
            piece = await self._read(place, window.start - place)
            if not piece.content:
                break
            content, place = content + piece.content, piece.next
        added = window.prepend(Piece(content, start, window.start, self._written))
        self._cursor += added
        self._top += added
        return added

    async def _forward(self) -> int:
        """Read what lies after the window. Returns how many lines that made."""
        window = self._window
        added = window.append(await self._read(window.end, PIECE_BYTES))
        dropped = window.trim_start()
        self._cursor, self._top = max(0, self._cursor - dropped), max(0, self._top - dropped)
        return added

    async def _fill(self) -> None:
        """With a filter, read back until the screen is full of lines that fit."""
        search = self._search
        async with self._reading:
            while self._filter and search == self._search and self._window.start > 0:
                if len(self._window.lines) >= 2 * self._height:
                    break
                await self._guarded_back()
                self._note = f"looking back: {self._share(self._window.start)} left"
                self._keep_end()
                await asyncio.sleep(0)
            self._note = ""
            self._draw()

    def _keep_end(self) -> None:
        if self.following:
            self._to_end()
        self._draw()

    async def _guarded_back(self) -> None:
        async def step() -> None:
            await self._back()

        await self._guarded(step)

    async def _near_an_edge(self) -> None:
        """Read on where the reader comes near an end of the window."""
        if self._reading.locked():
            return
        async with self._reading:
            if self._top < self._height and self._window.start > 0:
                await self._guarded_back()
                self._window.trim_end()
            at_end = self._top + 2 * self._height >= len(self._window.lines)
            if not self.following and at_end and not self._is_at_end:
                await self._guarded(self._step_forward)
            self._draw()

    async def _step_forward(self) -> None:
        await self._forward()

    async def seek_error(self, direction: int) -> None:
        """Move the cursor to the next line that tells of something gone wrong, however far it is."""
        self._search += 1
        search = self._search
        async with self._reading:
            await self._guarded(lambda: self._seek(direction, search))

    async def _seek(self, direction: int, search: int) -> None:
        window = self._window
        numbers = range(self._cursor + 1, len(window.lines)) if direction > 0 else range(self._cursor - 1, -1, -1)
        found = next((number for number in numbers if self._is_error(window.lines[number].content)), None)
        while found is None and search == self._search and self._filter is None:
            place = await self._scan(direction)
            if place is None:
                break
            await self._load_around(place)
            found = self._window.place_at(place)
        if found is None:
            self._note = "no error after this line" if direction > 0 else "no error before this line"
            self.post_message(Failed(self._note))
            return
        self.following = False
        self._cursor = found
        self._show_cursor(self._height // 3)

    def _is_error(self, line: bytes) -> bool:
        if self._is_journal:
            return lines.is_error(line)
        folded = line.lower()
        return any(word in folded for word in (b"error", b"fail", b"exception", b"traceback", b"fatal"))

    async def _scan(self, direction: int) -> int | None:
        """The place of the nearest error beyond the window; None when there is none."""
        edge = self._window.end if direction > 0 else self._window.start
        while (direction > 0 and edge < self._written) or (direction < 0 and edge > 0):
            start = edge if direction > 0 else max(0, edge - SCAN_BYTES)
            piece = await self._read(start, SCAN_BYTES if direction > 0 else edge - start)
            if not piece.content:
                return None
            window = Window(self._is_error)
            used = window.append(piece, is_middle=direction < 0 and start > 0) or 0
            self._note = f"looking for an error: {self._share(edge)}"
            self._draw()
            await asyncio.sleep(0)
            if used:
                return window.lines[0 if direction > 0 else -1].place
            edge = max(window.end, edge + 1) if direction > 0 else min(edge - 1, window.start)
        return None

    async def _load_around(self, place: int) -> None:
        start = max(0, place - PIECE_BYTES // 2)
        self._window = self._fresh()
        self._window.reset(start)
        self._window.append(await self._read(start, PIECE_BYTES), is_middle=start > 0)
        self._seen_to = max(self._seen_to, self._window.end)

    # Moving

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 1)  # the first row is the title

    def _to_end(self) -> None:
        self._cursor = max(0, self._count - 1)
        self._top = max(0, self._count - self._height)

    @property
    def _count(self) -> int:
        """Lines, and an unfinished last one of an output."""
        return len(self._window.lines) + (not self._is_journal and bool(self._window.rest))

    def _show_cursor(self, above: int = 0) -> None:
        self._cursor = max(0, min(self._cursor, self._count - 1))
        low, high = self._cursor - self._height + 1 + above, self._cursor - above
        self._top = max(0, min(max(self._top, low), max(0, high)))
        self._draw()
        self._look_around()

    def _look_around(self) -> None:
        self.run_worker(self._near_an_edge(), group="edge", exit_on_error=False)

    def action_cursor(self, step: int) -> None:
        self._leave_end(step)
        self._cursor += step
        self._show_cursor()

    def action_page(self, pages: int) -> None:
        self._leave_end(pages)
        step = pages * max(1, self._height - 1)
        self._cursor, self._top = self._cursor + step, self._top + step
        self._top = max(0, min(self._top, self._count - self._height))
        self._show_cursor()

    def _leave_end(self, step: int) -> None:
        """Going up ends the following; reaching the very end takes it up again."""
        if step < 0 and self.following:
            self.following = False
        elif (
            step > 0
            and self._cursor + step >= self._count - 1
            and self._window.end + len(self._window.rest) >= self._written
        ):
            self.following = True
            self._new = 0

    @property
    def _is_at_end(self) -> bool:
        """Does the window hold all that is written?"""
        return self._window.end + len(self._window.rest) >= self._written

    def action_follow(self) -> None:
        self.run_worker(self.follow(), group="follow", exit_on_error=False)

    async def follow(self) -> None:
        """Back to the end, and stay there."""
        self._search += 1
        async with self._reading:
            await self._guarded(self._load_end)
        await self._fill()

    def action_beginning(self) -> None:
        self.run_worker(self._to_beginning(), group="follow", exit_on_error=False)

    async def _to_beginning(self) -> None:
        async with self._reading:
            self.following = False
            self._window = self._fresh()
            self._window.reset(0)
            await self._guarded(self._step_forward)
            self._top = self._cursor = 0
            self._draw()

    def action_sideways(self, columns: int) -> None:
        self._left = max(0, self._left + columns)
        self._draw()

    def action_open(self) -> None:
        line = self.line_at_cursor()
        run_id = lines.run_id_of(line.content) if line and self._is_journal else None
        if run_id:
            self.post_message(OpenRun(run_id))

    def line_at_cursor(self) -> Line | None:
        """The line under the cursor."""
        if 0 <= self._cursor < len(self._window.lines):
            return self._window.lines[self._cursor]
        return None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    def _scroll(self, step: int) -> None:
        self._leave_end(step)
        self._top = max(0, min(self._top + step, self._count - self._height))
        if not self.following:
            self._cursor = max(self._top, min(self._cursor, self._top + self._height - 1))
            self._draw()
            self._look_around()
        else:
            self._to_end()
            self._draw()

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= self._height:
            self._cursor = self._top + event.y - 1
            self.following = self.following and self._cursor >= self._count - 1
            self._show_cursor()
            if event.chain > 1:
                self.action_open()

    def on_focus(self) -> None:
        self._draw()

    def on_blur(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        if self.following:
            self._to_end()
        else:
            self._show_cursor()

    # Drawing

    async def watch_raw(self) -> None:
        """Raw or for people: other lines, around the same place."""
        if not self._pages:
            return
        line = self.line_at_cursor()
        async with self._reading:
            if self.following or line is None:
                await self._guarded(self._load_end)
                return
            place = max(0, line.place)
            await self._guarded(lambda: self._load_around(place))
            self._cursor = self._window.place_at(place)
            self._show_cursor(self._height // 3)

    def redraw(self) -> None:
        """The theme has changed."""
        self._drawn.clear()
        self._titled = (None, Strip([]))
        self.refresh()

    def _draw(self) -> None:
        """Draw anew. What a line looks like is kept: most of the lines were on screen before."""
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
        return (
            strips if crop.column_span == (0, self.size.width) else [strip.crop(*crop.column_span) for strip in strips]
        )

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self._title_line()
        number = self._top + y - 1
        if number < len(self._window.lines):
            line = self._window.lines[number]
        else:
            line = Line(-1, self._window.rest[:KEPT_BYTES] if number < self._count else _NO_LINE)
        key = (line, self._bar(y - 1), number == self._cursor and self.has_focus)
        strip = self._drawn.get(key)
        if strip is None:
            strip = self._drawn[key] = self._drawing_of(*key)
        return strip

    def _drawing_of(self, line: Line, bar: str, is_chosen: bool) -> Strip:
        base, width = self.rich_style, self.size.width - 1
        shown = self.strip(self._spans(line)).crop_extend(self._left, self._left + width, base)
        if is_chosen:
            shown = shown.apply_style(self.tone("cursor"))
        return Strip([*shown, Segment(bar, base + self.tone("bar" if bar == "█" else "dim"))], width + 1)

    def _title_line(self) -> Strip:
        """What it is, and in which state; a line across, in the colour of the focus."""
        key = (f"{self._title} ─ {self._state()}", self.has_focus)
        if key != self._titled[0]:
            tone = "focus" if self.has_focus else "line"
            words_of = Span(f" {key[0]} ", "job" if self.has_focus else "dim")
            rest = max(0, self.size.width - len(words_of.text) - 1)
            strip = self.strip([Span("─", tone), words_of, Span("─" * rest, tone)])
            self._titled = (key, strip)
        return self._titled[1].crop_extend(0, self.size.width, self.rich_style)

    def _state(self) -> str:
        state = "following" if self.following else "paused"
        if not self.following and self._new:
            state = f"paused, {self._new} new"
        parts = [state, *(["raw"] if self.raw else [])]
        if self._filter:
            parts.append(f"only {self._filter.text}")
        if not self.following and self._written:
            parts.append(self._share(self._window.lines[self._top].place if self._top < len(self._window.lines) else 0))
        if self._note:
            parts.append(self._note)
        return ", ".join(parts)

    def _share(self, place: int) -> str:
        return f"{100 * max(0, place) / self._written:.0f} % of {words.size(self._written)}" if self._written else ""

    def _spans(self, line: Line) -> list[Span]:
        if line.content is _NO_LINE:
            told = "no line fits the filter" if self._filter else "nothing written yet"
            return [] if self._count else [Span(f"  {told}", "dim")]
        if line.place < 0 and line.content.startswith("──".encode()):
            return [Span(line.content.decode(), "warn")]
        if self.raw or not self._is_journal:
            return lines.raw(line.content)
        return lines.entry(line.content, self._looks[3], line.times)

    def _bar(self, y: int) -> str:
        """Where in the whole file the screen is."""
        height = self._height
        if self._window.start == 0 and self._count <= height and not self._filter:
            return " "
        at = 1.0
        if not self.following and self._written and self._top < len(self._window.lines):
            at = min(1.0, max(0, self._window.lines[self._top].place) / self._written)
        return "█" if y == min(height - 1, int(at * height)) else "│"
