"""One home, looked at by many threads: an `Observer` behind a lock, with what the system and the history know added.

Rules:
- One thread looks at a time. A question that reads far back (`why`, a week's coverage) has an observer of its own,
  so that no look waits for it.
- The first look reads the last 24 hours, so that no answer is about less than it says.
"""

import threading
import time
from datetime import datetime, timedelta

from automations import clock, host, locks, overview
from automations.coverage import Coverage
from automations.errors import JournalError
from automations.history import History
from automations.observer import Observer
from automations.overview import Overview, Record
from automations.paths import Paths
from automations.why import Answer

_MEASURE_S = 1.0  # CPU use over less than this says little


class Lookout:
    """The home as any number of threads may ask for it."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._near, self._near_lock = Observer(paths), threading.Lock()
        self._far, self._far_lock = Observer(paths), threading.Lock()
        self._turn = threading.Lock()
        self._latest: Overview | None = None
        self._latest_s = 0.0  # when that look began
        self._meter = host.Meter()
        self._has_reached = False
        self._measured_s = float("-inf")
        self._measured_pid: int | None = None

    def overview(self) -> Overview:
        """All that a screen needs, as it is now. Raises AutomationsError when the history cannot be asked.

        Who had to wait for his turn is given what somebody else began to look at after he had asked.
        """
        asked_s = time.monotonic()
        with self._turn:
            if self._latest is None or self._latest_s < asked_s:
                began_s = time.monotonic()
                self._latest, self._latest_s = self._overview(), began_s
            return self._latest

    def _overview(self) -> Overview:
        try:
            with History(self._paths) as history:
                record = overview.record(history)
        except JournalError:  # the look finds the same, and shows it
            record = Record()
        return self.look(record)

    def look(self, record: Record = Record()) -> Overview:  # noqa: B008  (it is immutable)
        """The same without the history, or with what is already known of it."""
        with self._near_lock:
            now = clock.read().utc
            self._measure()
            self._reach(now)
            return self._near.look(now, record)

    def why(self, job: str, at: datetime | None = None) -> Answer:
        """Why the job ran, or did not, at its last slot before `at` (None: now). Raises UnknownJob."""
        with self._far_lock:
            now = clock.read().utc
            self._far.look(now)  # so that it has the journal open that is there now
            return self._far.why(job, at or now, now)

    def coverage(self, span: timedelta) -> Coverage:
        """The coverage of so long until now."""
        with self._far_lock:
            now = clock.read().utc
            self._far.look(now)
            return self._far.covered(now - span, now)

    def _measure(self) -> None:
        """Measure once a second, and whenever another scheduler lives."""
        pid, now_s = self._pid(), time.monotonic()
        if pid == self._measured_pid and now_s - self._measured_s < _MEASURE_S:
            return
        self._measured_s, self._measured_pid = now_s, pid
        self._near.measure(host.view(self._paths), *self._meter.usage(pid))

    def _pid(self) -> int | None:
        try:
            holder = locks.holder(self._paths.log("scheduler.lock"))
        except OSError:  # the look finds the same, and shows it
            return None
        return holder.pid if holder else None

    def _reach(self, now: datetime) -> None:
        """Read back a day before the first look."""
        if not self._has_reached:
            self._near.look(now)
            self._near.reach(now)
            self._has_reached = True
