"""A machine with a scheduler on it, as the scheduler's journal tells of them: for the tests of what is read there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from automations import clock
from automations.journal import Entry, Journal
from automations.paths import Paths, prepare_logs
from automations.reading import Chain

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    """`12:05` or `12:05:30` of the day; hours from 24 on are the days after, negative ones the days before."""
    hours, minutes, seconds = (*map(float, text.split(":")), 0.0)[:3]
    return NOON.replace(hour=0) + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def made_home(folder: Path) -> Paths:
    paths = Paths(str(folder))
    prepare_logs(paths)
    return paths


class Machine:
    """Three clocks that run, stand or are set, and the entries of a scheduler by them, from noon on."""

    def __init__(self, paths: Paths, now: datetime = NOON) -> None:
        self.paths = paths
        self.now = now
        self.mono = self.boot_s = 50_000.0
        self.boot = "boot-1"
        self._journal = Journal(paths)

    def passes(self, minutes: float) -> None:
        self.sleeps(minutes)
        self.mono += minutes * 60

    def sleeps(self, minutes: float) -> None:
        self.is_set(minutes)
        self.boot_s += minutes * 60

    def is_set(self, minutes: float) -> None:
        """The wall clock alone."""
        self.now += timedelta(minutes=minutes)

    def is_off(self, minutes: float) -> None:
        self.is_set(minutes)
        self.boot, self.mono, self.boot_s = f"{self.boot}+", 10.0, 10.0

    def starts(self, pid: int = 100, config: str = "c1") -> None:
        self.says("startup", pid=pid, boot=self.boot, config=config, mono=self.mono, boot_s=self.boot_s)

    def ticks(self, count: int = 1, **upcoming: str) -> None:
        """A minute passes and a tick is written, so many times."""
        entries = []
        for _ in range(count):
            self.passes(1)
            fields = {"next": {job: clock.iso(at(due)) for job, due in upcoming.items()}}
            entries.append(Entry("tick", {**fields, "mono": self.mono, "boot_s": self.boot_s}, self.now))
        self._journal.append(*entries)

    def says(self, event: str, **fields: object) -> None:
        self._journal.append(Entry(event, fields, self.now))

    def entries(self, events: frozenset[bytes]) -> list[dict[str, object]]:
        """What a reader believes of its journal."""
        return list(Chain().entries(Path(self.paths.journal).read_bytes(), events))
