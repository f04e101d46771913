"""Where a dashboard gets what it shows and sends what it is told: this machine's files, or another one's API.

Rules: nothing is signalled or written from here; what is to be done goes through `run_automations.sh`. Calls may take
time and are made by a `Backroom`, one thread for each kind. Errors are `AutomationsError` with words for a person.
"""

import os
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from automations import claim, clock
from automations.errors import AutomationsError, JournalError, UnknownRun
from automations.observer import Observer
from automations.output import Piece
from automations.overview import HostView, Overview, Record
from automations.paths import Paths
from automations.reading import JournalFile
from automations.why import Answer
from tui.pages import Pages

if TYPE_CHECKING:
    from automations.coverage import Coverage
    from automations.history import Filters, Hit, Row

CUT = "── the file was cut to its beginning by something else; what follows was written since ──"
MEASURE_S = 2.0
REPLACED = "── the file was replaced; what follows is the new one ──"


class Done(NamedTuple):
    """What came of a command, for a person."""

    ok: bool
    words: str
    run_id: str = ""


class Source(Protocol):
    """One installation, near or far. Each group of calls is made by one thread."""

    title: str
    paths: Paths | None  # None: it is on another machine

    def first(self) -> Overview | None:
        """A quick look, for the first frame; None where there is no quick one."""

    def look(self) -> Overview: ...
    def reach(self) -> None: ...
    def week(self) -> "Coverage": ...
    def why(self, job: str, at: datetime | None) -> Answer: ...

    def record(self) -> None:
        """Have what the history knows in the next look."""

    def runs(self, filters: "Filters") -> "list[Row]": ...
    def run(self, run_id: str) -> "Row": ...
    def search(self, filters: "Filters") -> "list[Hit]": ...

    def journal(self) -> Pages: ...
    def output(self, run_id: str) -> Pages: ...
    def command(self, *words: str) -> Done: ...


class Local:
    """The files of a home on this machine."""

    def __init__(self, paths: Paths) -> None:
        self.title = paths.home
        self.paths: Paths | None = paths
        self._paths = paths
        self._observer = Observer(paths)
        self._record = Record()
        self._measured: _Measured | None = None

    def first(self) -> Overview | None:
        return self._observer.look(clock.read().utc)

    def look(self) -> Overview:
        found = self._observer.look(clock.read().utc, self._record)
        self._measured = self._measured or _Measured(self._paths)
        self._observer.measure(*self._measured.take(found.vitals.pid))
        return found

    def reach(self) -> None:
        self._observer.reach(clock.read().utc)

    def week(self) -> "Coverage":
        return self._observer.week(clock.read().utc)

    def why(self, job: str, at: datetime | None) -> Answer:
        now = clock.read().utc
        return self._observer.why(job, at or now, now)

    def record(self) -> None:
        from automations import overview
        from automations.history import History

        with History(self._paths) as history:
            self._record = overview.record(history)  # one reference, set at once: another thread reads it

    def runs(self, filters: "Filters") -> "list[Row]":
        from automations.history import History

        with History(self._paths) as history:
            return history.runs(filters)

    def run(self, run_id: str) -> "Row":
        from automations.history import History

        with History(self._paths) as history:
            row = history.run(run_id)
        if row is None:
            raise UnknownRun(f"no run {run_id} on record")
        return row

    def search(self, filters: "Filters") -> "list[Hit]":
        from automations.history import History

        with History(self._paths) as history:
            return history.search(filters)

    def journal(self) -> Pages:
        return _JournalPages(self._paths.journal)

    def output(self, run_id: str) -> Pages:
        return _OutputPages(self._paths, run_id)

    def command(self, *words: str) -> Done:
        """Call the door; what it says, in one line."""
        from automations import control

        try:
            said = control.call(self._paths, *_arguments(words)).said
        except AutomationsError as error:
            return Done(False, str(error))
        return done(words, said)


def _arguments(words: tuple[str, ...]) -> tuple[str, ...]:
    verb, *rest = words
    if verb == "run":
        return "run", "--detach", "--", *rest
    if verb in ("pause", "resume", "stop-run"):
        return verb, "--json", *rest[1:], "--", rest[0]
    return words


def done(words: tuple[str, ...], said: dict[str, object]) -> Done:
    """The door's answer, or the API's, for a person."""
    if said.get("ok") is not True:
        return Done(False, f"{' '.join(words[:2])}: {said.get('error')}")
    run_id = said.get("run_id")
    if words[0] == "run":
        return Done(True, f"Run started: {run_id}", str(run_id))
    if words[0] in ("pause", "resume"):
        return Done(True, f"{words[1]} {words[0]}d")
    pid = f", pid {said['pid']}" if said.get("pid") else ""
    return Done(True, f"{said.get('status')}{pid}")


class _JournalPages:
    """The journal by place, whatever is renamed or cut under us."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: JournalFile | None = None

    def read(self, start: int, limit: int) -> Piece:
        file = self._opened()
        if file is None:
            return Piece(b"", start, start, 0)
        size, content = file.size(), file.read(start, limit)
        return Piece(content, start, start + len(content), max(size, start + len(content) if content else 0))

    def turn(self, place: int) -> str:
        file = self._file
        if file is None:
            return ""
        if file.size() < place:
            return CUT
        if file.size() == place and not file.is_current() and os.path.exists(self._path):
            file.close()
            self._file = None
            return REPLACED
        return ""

    def _opened(self) -> JournalFile | None:
        if self._file is None:
            try:
                self._file = JournalFile(self._path)
            except JournalError:
                if os.path.lexists(self._path):
                    raise
        return self._file

    def close(self) -> None:
        if self._file:
            self._file.close()


class _OutputPages:
    """A run's output by place."""

    def __init__(self, paths: Paths, run_id: str) -> None:
        from automations.output import Output

        self._output = Output(paths, run_id)
        self._missing = not os.path.exists(claim.file(paths, run_id, "log"))

    def read(self, start: int, limit: int) -> Piece:
        try:
            return self._output.read(start, limit)
        except FileNotFoundError:
            raise UnknownRun("its output is gone: retention prunes it by age and size") from None

    def turn(self, place: int) -> str:  # noqa: ARG002  (an output is never replaced)
        return ""

    def close(self) -> None:
        pass


class _Measured:
    """CPU and memory of the scheduler, and the state of the machine; at most every two seconds."""

    def __init__(self, paths: Paths) -> None:
        from automations.host import Meter  # it loads psutil: after the first frame

        self._paths = paths
        self._meter = Meter()
        self._at = float("-inf")
        self._last: tuple[HostView, float | None, int | None] = (HostView(), None, None)

    def take(self, pid: int | None) -> tuple[HostView, float | None, int | None]:
        from automations import host

        now_s = clock.read().mono
        if now_s - self._at >= MEASURE_S:
            self._at, self._last = now_s, (host.view(self._paths), *self._meter.usage(pid))
        return self._last
