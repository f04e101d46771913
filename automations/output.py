"""Reading back what a run printed: by place in what it wrote, whatever was cut from the middle since, and with times.

A place is counted in bytes as the run wrote them. So a reader who follows a run goes on at its place when the file is
cut, or written anew at the run's end. See `capture` for how the file and its sidecar come to be.
"""

import bisect
import os
from collections.abc import Iterator
from typing import NamedTuple

from automations import claim
from automations.files import read_text
from automations.paths import Paths

PIECE_BYTES = 1 << 16
_MARKS_BYTES = 32 << 20


class Cut(NamedTuple):
    """Bytes `start` to `end` are gone; `words` bytes of the file stand for them (0: a hole of their own length)."""

    start: int
    end: int
    words: int

    def __str__(self) -> str:
        return f"\n[… {self.end - self.start} bytes cut here …]\n"


class Piece(NamedTuple):
    """Bytes of the output from a place on, the place after them, and how many the run has written so far.

    A place in what was cut: `start` is where the cut begins, and the words that stand for all of it are the content.
    """

    content: bytes
    start: int
    next: int
    written: int


class Output:
    """One run's output, as it is now."""

    def __init__(self, paths: Paths, run_id: str) -> None:
        self._path = claim.file(paths, run_id, "log")
        self._marks_path = claim.file(paths, run_id, "at")

    def read(self, start: int = 0, limit: int = PIECE_BYTES) -> Piece:
        """Up to `limit` bytes from the place `start` on; none at the end. Raises FileNotFoundError."""
        fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            while True:
                _, cut = self._sidecar()
                piece = _read(fd, cut, max(0, start), limit)
                if self._sidecar()[1] == cut:
                    return piece
        finally:
            os.close(fd)

    def pieces(self) -> Iterator[Piece]:
        """All of it, piece by piece."""
        start = 0
        while (piece := self.read(start)).content:
            yield piece
            start = piece.next

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Each line with the time at which it was noticed, to within a second; empty where none is known."""
        marks, _ = self._sidecar()
        offsets = [offset for offset, _ in marks]

        def timed(place: int) -> str:
            found = bisect.bisect_right(offsets, place) - 1
            return marks[found][1] if found >= 0 else ""

        rest, at = b"", 0
        for piece in self.pieces():
            at = at if rest else piece.start
            *whole, rest = (rest + piece.content).split(b"\n")
            for line in whole:
                yield timed(at), line
                at += len(line) + 1
            at = piece.next - len(rest)
            if len(rest) > PIECE_BYTES:  # a line without end is handed out in parts
                yield timed(at), rest
                rest = b""
        if rest:
            yield timed(at), rest

    def _sidecar(self) -> tuple[list[tuple[int, str]], Cut | None]:
        marks, cut = [], None
        for line in read_text(self._marks_path, _MARKS_BYTES).split("\n"):
            words = line.split(" ")
            if len(words) == 2 and words[0].isdigit():
                marks.append((int(words[0]), words[1]))
            elif len(words) == 4 and words[0] == "cut" and all(word.isdigit() for word in words[1:]):
                cut = Cut(*(int(word) for word in words[1:]))
        return marks, cut


def _read(fd: int, cut: Cut | None, start: int, limit: int) -> Piece:
    size = os.fstat(fd).st_size
    if cut is None:
        return _piece(os.pread(fd, limit, start), start, size)
    shift = cut.end - cut.start - cut.words if cut.words else 0
    if start < cut.start:
        return _piece(os.pread(fd, min(limit, cut.start - start), start), start, size + shift)
    if start < cut.end:
        return Piece(str(cut).encode(), cut.start, cut.end, size + shift)
    return _piece(os.pread(fd, limit, start - shift), start, size + shift)


def _piece(content: bytes, start: int, written: int) -> Piece:
    return Piece(content, start, start + len(content), written)


def as_text(piece: Piece) -> tuple[str, int]:
    """A piece as text, and the place to go on at: a character that the piece's end cuts in two waits for the next."""
    whole = piece.content
    if piece.next < piece.written:
        for length in range(1, min(4, len(whole))):
            if 0xC2 <= whole[-length] <= 0xF4:  # the first byte of a character of two, three or four bytes
                needed = 2 if whole[-length] < 0xE0 else 3 if whole[-length] < 0xF0 else 4
                whole = whole[:-length] if needed > length else whole
                break
    return whole.decode("utf-8", "backslashreplace"), piece.next - (len(piece.content) - len(whole))
