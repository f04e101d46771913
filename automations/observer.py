"""Keeps up with one home and says what is to be seen there, for the screens and for the API. Changes nothing.

Rules:
- The first look reads the end of the journal only, so that it costs the same however long the journal is; `reach`
  then reads the last 24 hours, once. After that each look reads what is new, and what is older is let go of.
- A journal that is replaced is read to its end first; one that was cut is begun anew.
- Only believable lines count; lines that do not hold are counted.
- What the history knows is handed in: it may have to be built first, and no look waits for that.

One thread at a time.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from automations import clock, config, coverage, locks, pause, promises, verdict, vitals, why
from automations.config import in_force
from automations.coverage import Coverage, Life, Present
from automations.errors import ConfigError, JournalError, UnknownJob
from automations.files import stamp
from automations.model import Job
from automations.overview import ConfigView, HostView, JournalView, Overview, Record, jobs
from automations.paths import Paths, tick_s
from automations.pause import Pause
from automations.promises import Ledger, Promises
from automations.reading import Chain, JournalFile, entries_from
from automations.verdict import Ends, Facts
from automations.vitals import State, Vitals
from automations.why import Answer

FIRST_BYTES = 64 * 1024
DAY = timedelta(hours=24)
WEEK = timedelta(days=7)
_EVENTS = coverage.EVENTS | promises.EVENTS | verdict.EVENTS
_BEFORE = timedelta(minutes=30)  # of a slot, from where on its entries are looked for …
_AFTER = timedelta(hours=26)  # … and until when, counted from the first entry since it was due
_FORGET_EVERY = timedelta(hours=1)
_WHY_BYTES = 256 << 20
_MOST_BYTES = 1 << 40


class Observer:
    """What one home looks like, look by look."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._tick_s = tick_s()
        self._file: JournalFile | None = None
        self._chain = Chain()
        self._looked_at: tuple[tuple[int, ...] | None, ...] = ()
        self._known: Mapping[str, Job] = {}
        self._config = ConfigView("")
        self._host = HostView()
        self._usage: tuple[float | None, int | None] = (None, None)
        self._first_place = 0
        self._read_by: tuple[object, ...] = ()
        self._reading: tuple[Coverage, Promises]
        self._runs = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._life, self._ledger, self._ends = Life(), Ledger(), Ends()

    def look(self, now: datetime, record: Record = Record()) -> Overview:  # noqa: B008  (it is immutable)
        """What is to be seen now."""
        unreadable = self._unreadable()
        first = self._life.first()
        if first and first < now - DAY - _FORGET_EVERY:
            self.forget(now)
        self._read_jobs()
        paused, refused = self._pauses()
        unreadable = unreadable or refused
        seen = vitals.look(self._paths, self._tick_s)
        seen = _with_usage(seen, *self._usage) if unreadable is None else _unreadable(seen, unreadable)
        covered, kept = self._readings(now, seen)
        breaks = len(self._chain.breaks)
        facts = Facts(seen, covered, kept, self._ends.since(now - DAY), list(self._known), self._config.faults, breaks)
        return Overview(
            at=now,
            vitals=seen,
            verdict=verdict.judge(facts),
            coverage=covered,
            promises=kept,
            jobs=jobs(self._known, paused, record, now),
            config=self._config,
            journal=JournalView(self._file.size() if self._file and self._file.is_current() else 0, breaks, self._runs),
            host=self._host,
        )

    def _readings(self, now: datetime, seen: Vitals) -> tuple[Coverage, Promises]:
        """Coverage and promises: read anew when something was written, the state changed, or a minute went by."""
        known_by = (self._chain.place, id(self._life), seen.state, int(now.timestamp() // self._tick_s))
        if known_by != self._read_by:
            covered = self._life.coverage(now - DAY, now, self._tick_s, self._present(seen))
            self._read_by, self._reading = known_by, (covered, self._ledger.promises(now - DAY))
        return self._reading

    def reach(self, now: datetime) -> None:
        """Read the last 24 hours, when the first look did not go back so far."""
        if self._file is None or not self._started_within(now - DAY):
            return
        self._begin_anew()
        self._chain = Chain(place=self._file.place_of(now - DAY))
        self._first_place = 0  # there is no more to be reached
        self._read_on()

    def _started_within(self, moment: datetime) -> bool:
        first = self._life.first()
        return self._first_place > 0 and (first is None or first > moment)

    def forget(self, now: datetime) -> None:
        """Let go of what is older than a day."""
        for memory in (self._life, self._ledger, self._ends):
            memory.forget_before(now - DAY)

    def week(self, now: datetime) -> Coverage:
        """The coverage of the last seven days."""
        return self.covered(now - WEEK, now)

    def covered(self, since: datetime, now: datetime) -> Coverage:
        """The coverage from `since` on, read from the journal anew."""
        life = Life()
        if self._file:
            for entry in entries_from(self._file, since, coverage.EVENTS, _MOST_BYTES):
                life.take(entry)
        present = self._present(vitals.look(self._paths, self._tick_s))
        return life.coverage(since, now, self._tick_s, present)

    def why(self, name: str, at: datetime, now: datetime) -> Answer:
        """Why the job ran, or did not, at its last slot before `at`. Raises UnknownJob."""
        job = self.job(name)
        if job is None:
            raise UnknownJob(f"no job {name!r} in {self._paths.config}; there are: {' '.join(self._known) or 'none'}")
        due = why.slot_before(job, at)
        life, around = Life(), []
        since = clock.iso(due - _BEFORE) if due else ""
        for entry in self._entries_around(due) if due else ():
            life.take(entry)
            if str(entry["event"]).encode() in why.EVENTS and str(entry["ts"]) >= since:
                around.append(entry)
        present = self._present(vitals.look(self._paths, self._tick_s))
        covered = life.coverage(due - _BEFORE if due else now, now, self._tick_s, present)
        asked = why.Question(job, at, now, covered, self._pauses()[0].get(name))
        return why.explain(asked, due, around)

    def _entries_around(self, due: datetime) -> Iterator[dict[str, object]]:
        """The entries from before a slot to a day after the first one that came when it was due, however late."""
        if self._file is None:
            return
        end = ""
        for entry in entries_from(self._file, due - _BEFORE, coverage.EVENTS | why.EVENTS, _WHY_BYTES):
            at = str(entry["ts"])
            if end and at > end:
                return
            if not end and at >= clock.iso(due):
                end = clock.iso(clock.parse_iso(at) + _AFTER)
            yield entry

    def measure(self, host: HostView, cpu_percent: float | None, memory_bytes: int | None) -> None:
        """Take over what somebody else measured."""
        self._host, self._usage = host, (cpu_percent, memory_bytes)

    def job(self, name: str) -> Job | None:
        """A job of the job file in force."""
        self._read_jobs()
        return self._known.get(name)

    def _present(self, seen: Vitals) -> Present:
        alive = None if seen.state is State.UNREADABLE else seen.state in (State.RUNNING, State.STALLED)
        return Present(alive, locks.boot_id(), clock.read().boot_s)

    def _pauses(self) -> tuple[Mapping[str, Pause], str | None]:
        """The pauses, or why they cannot be read."""
        try:
            return pause.read(self._paths), None
        except OSError as error:
            return {}, f"{error.filename or self._paths.log('paused')}: {error.strerror}"

    def _unreadable(self) -> str | None:
        """Read what is new in the journal. Returns why it cannot be read; None when it can."""
        try:
            self._follow()
        except JournalError as error:
            if os.path.lexists(self._paths.journal):
                return str(error)
        return None

    def _follow(self) -> None:
        if self._file is None:
            self._open()
        assert self._file is not None
        if self._file.size() < self._chain.place:  # cut: what was read is not there any more
            self._file.close()
            self._file = None
            self._begin_anew()
            return self._follow()
        was_replaced = not self._file.is_current()
        self._read_on()  # after that question: what is replaced is written no more
        if was_replaced:
            before = self._file
            self._open(self._chain.prev)  # raises while there is none; the one before is kept until then
            before.close()
            self._read_on()
        return None

    def _open(self, prev: str = "") -> None:
        """Open the journal at its last part; at its beginning when it takes the place of one that was followed."""
        self._file = JournalFile(self._paths.journal)
        place = 0 if prev else self._file.line_from(self._file.size() - FIRST_BYTES)
        self._first_place = place
        breaks = self._chain.breaks if prev else []
        self._chain = Chain(prev, place)
        self._chain.breaks = breaks

    def _read_on(self) -> None:
        assert self._file is not None
        while content := self._file.whole_lines(self._chain.place):
            for entry in self._chain.entries(content, _EVENTS):
                self._runs += str(entry["event"]).startswith("run_")
                for memory in (self._life, self._ledger, self._ends):
                    memory.take(entry)

    def _read_jobs(self) -> None:
        """Read the job file when it has changed; what is in force, when that one is refused."""
        paths = self._paths
        looked_at = (stamp(paths.config), stamp(paths.log("configs")))
        if looked_at == self._looked_at:
            return
        self._looked_at = looked_at
        try:
            found, _ = config.load(paths.config, paths.project)
            self._known, self._config = found.jobs, ConfigView(found.hash)
        except ConfigError as error:
            good = in_force(paths.config, paths.project, paths.log("configs"))
            self._known = good.jobs if good else {}
            self._config = ConfigView(good.hash if good else "", tuple(error.faults))


def _with_usage(seen: Vitals, cpu_percent: float | None, memory_bytes: int | None) -> Vitals:
    return replace(seen, cpu_percent=cpu_percent, memory_bytes=memory_bytes)


def _unreadable(seen: Vitals, reason: str) -> Vitals:
    return Vitals(State.UNREADABLE, seen.pid, want=seen.want, watchdog=seen.watchdog, reason=reason)
