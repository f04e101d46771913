"""The journal as a stream of server-sent events, one for each believable entry, from any entry on.

Rules:
- `id` is the entry's seq, `event` its event, `data` its line as it stands in the journal. Source: HTML, 9.2.
- A reader who says which entry he had last gets all after it; one whose last entry lies beyond the journal's end
  knows another journal, and gets this one from its beginning.
- A journal that is replaced is drained first. Only entries that name the line before them rightly are sent.
- A stream holds a thread for as long as it lives, so there are few seats; a gone reader shows at a heartbeat at the
  latest.

The file is looked at four times a second rather than watched: that costs nothing to speak of, and needs no thread of
its own for each reader.
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator

from automations.digest import short_hash
from automations.errors import JournalError
from automations.journal import decode
from automations.paths import Paths
from automations.reading import JournalFile, place_of_lines, place_of_seq
from automations.route import Refused

SEATS = 8
BEAT_S = 10.0
POLL_S = 0.25
_RETRY_MS = 2000
_EVENT = re.compile("[a-z_]{1,40}")


class Seats:
    """How many streams there may be at a time."""

    def __init__(self, most: int = SEATS) -> None:
        self._free = most
        self._lock = threading.Lock()
        self.is_closing = False  # set by a signal handler: all streams end, so that nobody waits for them

    def take(self) -> None:
        """Take a seat. Raises Refused when there is none."""
        with self._lock:
            if not self._free:
                raise Refused(503, f"{SEATS} streams are open, which is all there may be", retry_after_s=int(BEAT_S))
            self._free -= 1

    def give_back(self) -> None:
        with self._lock:
            self._free += 1


class Seated:
    """The pieces of one stream, which has a seat until it is closed, begun or not."""

    def __init__(self, seats: Seats, pieces: Generator[bytes]) -> None:
        seats.take()
        self._pieces = pieces
        self._leave: Callable[[], None] | None = seats.give_back

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        self._pieces.close()
        leave, self._leave = self._leave, None
        if leave:
            leave()


def stream(paths: Paths, after: int | None, is_over: Callable[[], bool]) -> Generator[bytes]:
    """The stream's pieces; `after` is the seq of the last entry known, None for only what is yet to come."""
    yield b"retry: %d\n\n" % _RETRY_MS
    follower, said_s = Follower(paths.journal, after), time.monotonic()
    with contextlib.closing(follower):
        while not is_over():
            if piece := b"".join(follower.fresh()):
                yield piece
            elif time.monotonic() - said_s >= BEAT_S:
                yield b": still here\n\n"
            else:
                time.sleep(POLL_S)
                continue
            said_s = time.monotonic()


class Follower:
    """Reads on in the journal, whatever becomes of its file."""

    def __init__(self, path: str, after: int | None) -> None:
        self._path = path
        self._after = after
        self._file: JournalFile | None = None
        self._place, self._prev = 0, ""

    def fresh(self) -> Iterator[bytes]:
        """The events of the next block of lines; none when there is nothing new."""
        with contextlib.suppress(JournalError):  # it is not there, or not for us: it may come back
            file = self._file or self._open()
            if file.size() < self._place:  # cut: what was read is not there any more
                self._begin_at_end(file)
            content = file.whole_lines(self._place)
            if not content and not file.is_current():
                content = file.whole_lines(self._place)  # what came between the two looks
                if not content:
                    self._replace(file)
            yield from self._events(content)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _open(self) -> JournalFile:
        self._file = file = JournalFile(self._path)
        if self._after is None:
            self._begin_at_end(file)
        elif self._after > self._last_seq(file):
            self._after = 0
        else:
            self._place = place_of_seq(file, self._after)
        return file

    def _begin_at_end(self, file: JournalFile) -> None:
        """Stand behind the last whole line, and know it."""
        self._place, self._prev = place_of_lines(file, 3), ""
        while content := file.whole_lines(self._place):
            for _ in self._events(content):
                pass

    def _replace(self, before: JournalFile) -> None:
        """Go on in the file that has the journal's name now; it may be the next one of the chain or another one."""
        file = JournalFile(self._path)
        before.close()
        first = decode(file.read(0, 4096).partition(b"\n")[0])
        self._file, self._place = file, 0
        if first and first["seq"] == 1:
            self._prev = ""

    def _last_seq(self, file: JournalFile) -> int:
        place = place_of_lines(file, 3)
        found = [decode(line) for line in file.read(place, file.size() - place).split(b"\n")]
        return max((int(str(entry["seq"])) for entry in found if entry), default=0)

    def _events(self, content: bytes) -> Iterator[bytes]:
        for line in content.split(b"\n")[:-1]:
            entry = decode(line)
            is_first = self._place == 0 and not self._prev
            is_believable = entry is not None and (entry["prev"] == self._prev or (is_first and entry["seq"] == 1))
            self._prev, self._place = short_hash(line), self._place + len(line) + 1
            if entry and is_believable and int(str(entry["seq"])) > (self._after or 0):
                self._after = 0  # from here on by place
                yield event(entry, line)


def event(entry: dict[str, object], line: bytes) -> bytes:
    """One entry as an event. An event's name that would break the frame is left out."""
    name = str(entry["event"])
    named = f"event: {name}\n" if _EVENT.fullmatch(name) else ""
    return f"id: {entry['seq']}\n{named}data: ".encode() + line.replace(b"\r", b"") + b"\n\n"
