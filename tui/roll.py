"""Reading a long text around a reader's place: its end as it grows, what lies before and after, and what is looked for.

Rules:
- What is new is counted while the reader is elsewhere.
- One reading at a time: at once where the file is near, in the backroom where an answer takes its time.
- A search that is overtaken by another one ends. How far it is stands in `note`.
- What cannot be read is said once, and tried again with the next change.

Knows no screen: whoever shows it sets `height`, and is told by `changed` to draw.
"""

import asyncio
from collections.abc import Awaitable, Callable

from automations.errors import AutomationsError
from automations.output import Piece
from tui import lines
from tui.backroom import Backroom
from tui.pages import PIECE_BYTES, Filter, Pages, Window
from tui.reader import Reader

FIRST_BYTES = 64 * 1024
JUMP_BYTES = 1 << 20  # a follower that is farther behind than this goes straight to the end
SCAN_BYTES = 1 << 20
_TROUBLE = (b"error", b"fail", b"exception", b"traceback", b"fatal")  # what a line of an output has that tells of it


class Roll(Reader):
    """A reader of pages, which moves the window along them."""

    def __init__(
        self, is_near: bool, is_journal: bool, changed: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        super().__init__(Window(), has_rest=not is_journal)
        self._is_near = is_near
        self._is_journal = is_journal
        self._changed = changed
        self._failed = failed
        self._room = Backroom("pages")
        self._reading = asyncio.Lock()
        self._pages: Pages | None = None
        self._seen_to = 0  # up to where new lines were counted while the reader was elsewhere
        self._search = 0
        self.raw = False
        self.note = ""
        self.window = self._fresh()

    # Opening

    def open_now(self, pages: Pages) -> None:
        """Be at the end of these pages at once, read in this thread: for the first frame, from a near file."""
        self._pages = pages
        try:
            start = max(0, pages.read(0, 1).written - FIRST_BYTES)
            self.window.reset(start)
            self._take_end(pages.read(start, FIRST_BYTES))
        except (AutomationsError, OSError) as error:
            self._cannot(error)

    async def open(self, pages: Pages) -> None:
        """Be at the end of these pages."""
        async with self._reading:
            self._pages = pages
            await self._guarded(self._load_end)

    def close(self) -> None:
        if self._pages:
            self._pages.close()

    async def filter_by(self, wanted: Filter | None) -> None:
        """Keep only the lines that fit; all of them for None."""
        self.filter = wanted
        await self.follow()

    async def show_raw(self, raw: bool) -> None:
        """Raw or for people: other lines, around the same place."""
        if raw == self.raw:
            return
        self.raw = raw
        if not self._pages:
            return
        self._search += 1
        line = self.line_at_cursor()
        async with self._reading:
            if self.following or line is None:
                await self._guarded(self._load_end)
                return
            place = max(0, line.place)
            await self._guarded(lambda: self._load_around(place))
            self.cursor = self.window.place_at(place)
            self.show_cursor(self.height // 3)
        await self.look_around()

    def _fresh(self) -> Window:
        """An empty window; ticks in a row are one line in it, unless lines are shown as they are."""
        return Window(self.filter, lines.is_tick if self._is_journal and not self.raw else None)

    # Following

    async def catch_up(self) -> bool:
        """Take in what is new, or count it for a reader who is elsewhere. Was there anything?"""
        if self._reading.locked() or not self._pages:
            return False  # whoever reads goes on until there is nothing new
        async with self._reading:
            before = self._depends_on()
            await self._guarded(self._follow if self.following else self._count_new, tells=False)
            is_new = self._depends_on() != before
            if is_new:
                self._changed()
            return is_new

    async def follow(self) -> None:
        """Back to the end, and stay there."""
        self._search += 1
        async with self._reading:
            await self._guarded(self._load_end)
        await self._fill()

    def _depends_on(self) -> tuple[object, ...]:
        """What the screen depends on: nobody draws for a look that found nothing new."""
        return self.window.end, self.window.rest, len(self.window.lines), self.new, self.note, self.written

    async def _follow(self) -> None:
        """Read on to the end."""
        while True:
            window = self.window
            piece = await self._read(window.end, PIECE_BYTES)
            if self.filter is None and piece.written - window.end > JUMP_BYTES:
                await self._load_end()
                continue
            window.append(piece)
            window.trim_start()
            if self.following:
                self.to_end()
            if self.is_at_end:
                if not await self._turned(window.end + len(window.rest)):
                    self._seen_to = piece.written
                    return
            elif not piece.content:
                return

    async def _count_new(self) -> None:
        """Count lines for a reader who is elsewhere."""
        while True:
            piece = await self._read(self._seen_to, SCAN_BYTES)
            if piece.written < self._seen_to or (not piece.content and await self._turned(self._seen_to)):
                self._seen_to = 0
                continue
            cut = piece.content.rfind(b"\n") + 1
            if not cut and piece.next >= piece.written:
                return
            fits = self.filter
            new = piece.content[:cut].split(b"\n")[:-1]
            self.new += len(new) if fits is None else sum(fits(line) for line in new)
            self._seen_to = self._seen_to + cut if 0 < cut < len(piece.content) else piece.next

    async def _turned(self, place: int) -> bool:
        """Did another file take the place of this one, of which all up to `place` was read?"""
        pages = self._pages
        assert pages is not None
        said = pages.turn(place) if self._is_near else await self._room.ask(lambda: pages.turn(place))
        if said:
            self.window.turn(said)
            self._seen_to = 0
        return bool(said)

    # Reading

    async def _guarded(self, step: Callable[[], Awaitable[object]], tells: bool = True) -> None:
        try:
            await step()
            self.note = ""
        except (AutomationsError, OSError) as error:
            self._cannot(error)
        if tells:
            self._changed()

    def _cannot(self, error: Exception) -> None:
        if self.note != str(error):
            self.note = str(error)
            self._failed(self.note)

    async def _read(self, start: int, limit: int) -> Piece:
        pages = self._pages
        assert pages is not None
        piece = pages.read(start, limit) if self._is_near else await self._room.ask(lambda: pages.read(start, limit))
        self.written = piece.written
        return piece

    async def _load_end(self) -> None:
        size = (await self._read(0, 1)).written
        start = max(0, size - FIRST_BYTES)
        self.window = self._fresh()
        self.window.reset(start)
        self._take_end(await self._read(start, FIRST_BYTES))

    def _take_end(self, piece: Piece) -> None:
        self.written = piece.written
        self.window.append(piece, is_middle=piece.start > 0)
        self.following, self.new, self._seen_to = True, 0, piece.written
        self.to_end()

    async def _load_around(self, place: int) -> None:
        start = max(0, place - PIECE_BYTES // 2)
        self.window = self._fresh()
        self.window.reset(start)
        self.window.append(await self._read(start, PIECE_BYTES), is_middle=start > 0)
        self._seen_to = max(self._seen_to, self.window.end)

    async def look_around(self) -> None:
        """Read on where the reader comes near an end of the window."""
        if self._reading.locked() or not self._pages:
            return
        search = self._search
        async with self._reading:
            while search == self._search and await self._read_on():
                await asyncio.sleep(0)
            self._changed()

    async def _read_on(self) -> bool:
        """Read one more piece where the screen needs it. Is there any use in going on?"""
        window = self.window
        before = window.start, window.end, window.rest
        if self.top < self.height and window.start > 0:
            await self._guarded(self._back)
            window.trim_end()
        elif not self.following and self.top + 2 * self.height >= len(window.lines) and not self.is_at_end:
            await self._guarded(self._forward)
        return (window.start, window.end, window.rest) != before

    async def to_beginning(self) -> None:
        """To the first line of all."""
        self._search += 1
        async with self._reading:
            self.following = False
            self.window = self._fresh()
            self.window.reset(0)
            await self._guarded(self._forward)
            self.top = self.cursor = 0
            self._changed()
        await self.look_around()

    async def _back(self) -> None:
        """Read what lies before the window."""
        window = self.window
        start = max(0, window.start - PIECE_BYTES)
        found = await self._pieces(start, window.start)
        if not found:  # it was cut down meanwhile: nothing is there any more
            window.start = start
        added = sum(window.prepend(piece, is_whole) for piece, is_whole in reversed(found))
        self.cursor += added
        self.top += added

    async def _pieces(self, start: int, end: int) -> list[tuple[Piece, bool]]:
        """What lies between two places; several pieces where something was cut. Each with: does it begin after that?"""
        found: list[tuple[Piece, bool]] = []
        while start < end:
            piece = await self._read(start, end - start)
            if not piece.content or (piece.next > end and found):
                break
            found.append((piece, bool(found)))
            start = piece.next
        return found

    async def _forward(self) -> None:
        """Read what lies after the window."""
        self.window.append(await self._read(self.window.end, PIECE_BYTES))
        dropped = self.window.trim_start()
        self.cursor, self.top = max(0, self.cursor - dropped), max(0, self.top - dropped)

    async def _fill(self) -> None:
        """With a filter, read back until the screen is full of lines that fit."""
        search = self._search
        async with self._reading:
            while self.filter and search == self._search and self.window.start > 0:
                if len(self.window.lines) >= 2 * self.height:
                    break
                await self._guarded(self._back)
                if self.following:
                    self.to_end()
                await self._tell_search(f"looking back: {self.share(self.window.start)} left")
            self.note = ""
            self._changed()

    async def _tell_search(self, note: str) -> None:
        self.note = note
        self._changed()
        await asyncio.sleep(0)

    # Looking for trouble

    async def seek_error(self, direction: int) -> None:
        """Move the cursor to the next line that tells of something gone wrong, however far it is."""
        self._search += 1
        search = self._search
        async with self._reading:
            await self._guarded(lambda: self._seek(direction, search))
        await self.look_around()

    async def _seek(self, direction: int, search: int) -> None:
        found = self._error_in_window(direction)
        while found is None and search == self._search:
            place = await self._scan(direction)
            if place is None:
                break
            await self._load_around(place)
            found = self.window.place_at(place)
        if search != self._search:
            return
        if found is None:
            self._failed("no error after this line" if direction > 0 else "no error before this line")
            return
        self.following = False
        self.cursor = found
        self.show_cursor(self.height // 3)

    def _error_in_window(self, direction: int) -> int | None:
        held = self.window.lines
        numbers = range(self.cursor + 1, len(held)) if direction > 0 else range(self.cursor - 1, -1, -1)
        return next((number for number in numbers if self._is_error(held[number].content)), None)

    def _is_error(self, line: bytes) -> bool:
        if self.filter and not self.filter(line):
            return False
        if self._is_journal:
            return lines.is_error(line)
        folded = line.lower()
        return any(word in folded for word in _TROUBLE)

    async def _scan(self, direction: int) -> int | None:
        """The place of the nearest error beyond the window; None when there is none."""
        edge = self.window.end if direction > 0 else self.window.start
        while (direction > 0 and edge < self.written) or (direction < 0 and edge > 0):
            if direction > 0:
                pieces = [(await self._read(edge, SCAN_BYTES), True)]
            else:
                pieces = (await self._pieces(max(0, edge - SCAN_BYTES), edge))[::-1]
            await self._tell_search(f"looking for an error: {self.share(edge)}")
            for piece, is_whole in pieces:
                window = Window(self._is_error)
                window.reset(piece.start)
                if window.append(piece, is_middle=piece.start > 0 and not is_whole):
                    return window.lines[0 if direction > 0 else -1].place
                ahead = window.end if window.end > edge else piece.next
                edge = ahead if direction > 0 else min(edge - 1, window.start)
            if not any(piece.content for piece, _ in pieces):
                return None
        return None
