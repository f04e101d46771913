"""Where a reader is in a window of lines: the cursor, the lines on screen, and whether it follows. Pure.

Rules: going up ends the following, reaching the very end takes it up again; a reader who went up is never moved.
"""

from tui import words
from tui.pages import Filter, Line, Window


class Reader:
    """The lines on screen from `top` on, the one under `cursor`; `new` lines were written since it left the end."""

    def __init__(self, window: Window, has_rest: bool) -> None:
        self.window = window
        self._has_rest = has_rest  # is a last line without an end shown?
        self.filter: Filter | None = None
        self.following = True
        self.height = 1
        self.top = self.cursor = 0
        self.new = 0
        self.written = 0

    @property
    def count(self) -> int:
        """Lines, and an unfinished last one of an output."""
        return len(self.window.lines) + (self._has_rest and bool(self.window.rest))

    @property
    def is_at_end(self) -> bool:
        """Does the window hold all that is written?"""
        return self.window.end + len(self.window.rest) >= self.written

    def to_end(self) -> None:
        """Put cursor and screen at the last line."""
        self.cursor = max(0, self.count - 1)
        self.top = max(0, self.count - self.height)

    def move(self, step: int) -> None:
        """Move the cursor by so many lines."""
        self._leave_end(step)
        self.cursor += step
        self.show_cursor()

    def turn_page(self, pages: int) -> None:
        """Move cursor and screen by so many screens."""
        step = pages * max(1, self.height - 1)
        self._leave_end(step)
        self.cursor, self.top = self.cursor + step, max(0, min(self.top + step, self.count - self.height))
        self.show_cursor()

    def scroll(self, step: int) -> None:
        """Move the screen by so many lines; the cursor stays on it."""
        self._leave_end(step)
        self.top = max(0, min(self.top + step, self.count - self.height))
        if self.following:
            self.to_end()
        else:
            self.cursor = max(self.top, min(self.cursor, self.top + self.height - 1))

    def point_at(self, row: int) -> None:
        """Put the cursor on a row of the screen."""
        self.cursor = self.top + row
        self.following = self.following and self.cursor >= self.count - 1
        self.show_cursor()

    def show_cursor(self, above: int = 0) -> None:
        """Have the cursor on screen, at least so many rows from its edges."""
        self.cursor = max(0, min(self.cursor, self.count - 1))
        low, high = self.cursor - self.height + 1 + above, self.cursor - above
        self.top = max(0, min(max(self.top, low), max(0, high)))

    def fit(self, height: int) -> None:
        """The screen has so many rows now."""
        self.height = max(1, height)
        if self.following:
            self.to_end()
        else:
            self.show_cursor()

    def line_at_cursor(self) -> Line | None:
        """The line under the cursor."""
        held = self.window.lines
        return held[self.cursor] if 0 <= self.cursor < len(held) else None

    def share(self, place: int) -> str:
        """Where in the whole text a place is."""
        return f"{100 * max(0, place) / self.written:.0f} % of {words.size(self.written)}" if self.written else ""

    def place_of_top(self) -> float:
        """Where in the whole text the screen begins, from 0 to 1; 1 while it follows."""
        held = self.window.lines
        if self.following or not self.written or self.top >= len(held):
            return 1.0
        return min(1.0, max(0, held[self.top].place) / self.written)

    def _leave_end(self, step: int) -> None:
        """Going up ends the following; reaching the very end takes it up again."""
        if step < 0:
            self.following = False
        elif self.cursor + step >= self.count - 1 and self.is_at_end:
            self.following = True
            self.new = 0
