"""A window of lines on something long that is read by place: a journal, an output. Knows no screen and reads no file.

Rules:
- Bytes come in pieces, before the window's start or after its end; whoever shows it fetches them.
- The window is bounded in lines and bytes: what is added at one end drops off at the other.
- A line is kept up to 4 kB. A line longer than a piece is handed on in parts.
- With a filter only the lines that fit are kept; `start` and `end` tell what was looked at all the same.
- Lines in a row that `folds` are kept as one, with their count: a thousand heartbeats are one line.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from automations.output import Piece

PIECE_BYTES = 128 * 1024
MOST_LINES = 20_000
MOST_BYTES = 12 << 20
KEPT_BYTES = 4096


class Pages(Protocol):
    """Something read by place."""

    def read(self, start: int, limit: int) -> Piece:
        """Up to `limit` bytes from the place `start` on, and how many there are. Raises AutomationsError, OSError."""

    def turn(self, place: int) -> str:
        """Go on to what took its place, when all up to `place` was read. Says what happened; empty: nothing."""

    def close(self) -> None: ...


class Line(NamedTuple):
    """A line and where it begins; -1 where that is in no file that can be read any more.

    `times`: of how many alike lines in a row it is the last; `place` is that of the first.
    """

    place: int
    content: bytes
    times: int = 1


class Filter:
    """Which lines are shown: a text, or a regular expression between slashes; `!` inverts. Case is ignored."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._wanted = not text.startswith("!")
        pattern = text.removeprefix("!")
        is_regex = len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")
        source = pattern[1:-1] if is_regex else re.escape(pattern)
        try:
            self._pattern = re.compile(source.encode("utf-8", "surrogateescape"), re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{pattern}: not a regular expression: {error}") from None

    def __call__(self, line: bytes) -> bool:
        return bool(self._pattern.search(line)) is self._wanted


class Window:
    """Lines in order, and the places between which they were looked for."""

    def __init__(
        self,
        fits: Callable[[bytes], bool] | None = None,
        folds: Callable[[bytes], bool] | None = None,
        most_lines: int = MOST_LINES,
    ) -> None:
        self.lines: list[Line] = []
        self.start = 0
        self.end = 0
        self.rest = b""  # after the last newline: part of a line that goes on
        self._fits = fits
        self._folds = folds
        self._most_lines = most_lines
        self._bytes = 0

    def reset(self, place: int) -> None:
        """Begin anew at a place."""
        self.lines, self.start, self.end, self.rest, self._bytes = [], place, place, b"", 0

    def append(self, piece: Piece, is_middle: bool = False) -> int:
        """Take in what follows the end. Returns how many lines that made. `is_middle`: it begins inside a line."""
        content, place = piece.content, piece.start
        if is_middle:
            cut = content.find(b"\n") + 1
            content, place = content[cut:], place + cut
            self.start = place
        found, self.rest, used = _split(content, place)
        if not found and len(self.rest) >= PIECE_BYTES // 2:  # a line longer than a piece
            found, self.rest, used = [Line(place, self.rest[:KEPT_BYTES])], b"", len(content)
        self.end = piece.next if not self.rest and used == len(content) else place + used
        kept, before = self._kept(found), len(self.lines)
        if kept and self.lines and self._is_one(self.lines[-1], kept[0]):
            self.lines[-1:] = [_joined(self.lines[-1], kept.pop(0))]
        self.lines += kept
        self._weigh(kept)
        return len(self.lines) - before

    def prepend(self, piece: Piece) -> int:
        """Take in what lies before the start: a piece that ends there. Returns how many lines that made."""
        content = piece.content
        cut = content.find(b"\n") + 1 if piece.start > 0 else 0
        if cut == len(content):  # not one whole line: part of one that is longer than a piece
            cut = 0
        found, rest, _ = _split(content[cut:], piece.start + cut)
        if rest:
            found.append(Line(piece.start + len(content) - len(rest), rest[:KEPT_BYTES]))
        self.start = piece.start + cut
        kept = self._kept(found)
        if kept and self.lines and self._is_one(kept[-1], self.lines[0]):
            self.lines[0] = _joined(kept.pop(), self.lines[0])
        self.lines[:0] = kept
        self._weigh(kept)
        return len(kept)

    def turn(self, words: str) -> None:
        """Another file takes the place of the one that was read: its lines stay, a word of ours comes after them."""
        self.lines = [Line(-1, line.content) for line in self.lines]
        self.lines.append(Line(-1, words.encode()))
        self.start, self.end, self.rest = 0, 0, b""

    def trim_start(self) -> int:
        """Drop the oldest lines beyond the bounds. Returns how many."""
        count = self._surplus(self.lines)
        if count:
            self._weigh(self.lines[:count], -1)
            del self.lines[:count]
            self.start = next((line.place for line in self.lines if line.place >= 0), self.end)
        return count

    def trim_end(self) -> int:
        """Drop the newest lines beyond the bounds. Returns how many."""
        count = self._surplus(self.lines[::-1])
        if count:
            self._weigh(self.lines[-count:], -1)
            dropped = next((line.place for line in self.lines[-count:] if line.place >= 0), self.end)
            del self.lines[-count:]
            self.end, self.rest = dropped, b""
        return count

    def place_at(self, place: int) -> int:
        """The number of the last line that begins at or before `place`."""
        low, high = 0, len(self.lines)
        while low < high:
            middle = (low + high) // 2
            if self.lines[middle].place <= place:
                low = middle + 1
            else:
                high = middle
        return max(0, low - 1)

    def _kept(self, found: list[Line]) -> list[Line]:
        kept = [line for line in found if self._fits(line.content)] if self._fits else found
        if self._folds is None:
            return kept
        folded: list[Line] = []
        for line in kept:
            if folded and self._is_one(folded[-1], line):
                folded[-1] = _joined(folded[-1], line)
            else:
                folded.append(line)
        return folded

    def _is_one(self, before: Line, after: Line) -> bool:
        return bool(self._folds and before.place >= 0 and self._folds(before.content) and self._folds(after.content))

    def _weigh(self, lines: list[Line], sign: int = 1) -> None:
        self._bytes += sign * sum(len(line.content) for line in lines)

    def _surplus(self, lines: list[Line]) -> int:
        count = max(0, len(lines) - self._most_lines)
        left = self._bytes - sum(len(line.content) for line in lines[:count])
        while left > MOST_BYTES and count < len(lines) - 1:
            left -= len(lines[count].content)
            count += 1
        return count


def _joined(before: Line, after: Line) -> Line:
    return Line(before.place, after.content, before.times + after.times)


def _split(content: bytes, place: int) -> tuple[list[Line], bytes, int]:
    """Whole lines with their places, the rest after the last newline, and how many bytes the lines took."""
    *whole, rest = content.split(b"\n")
    found = []
    at = place
    for line in whole:
        found.append(Line(at, line[:KEPT_BYTES]))
        at += len(line) + 1
    return found, rest, at - place
