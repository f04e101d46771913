"""What the scheduler and the machine use just now: CPU, memory, load, disk. psutil is known here alone.

The scheduler never imports this module: psutil is memory that it does without. What cannot be measured is None.
"""

import os
from typing import NamedTuple

import psutil

from automations.overview import HostView
from automations.paths import Paths


class Usage(NamedTuple):
    """CPU in per cent of one core since the last look, and resident memory in bytes; None where it is not known."""

    cpu_percent: float | None = None
    memory_bytes: int | None = None


class Meter:
    """Measures one process, look by look: what it used of the CPU is told from the second look on."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None

    def usage(self, pid: int | None) -> Usage:
        """What the process of this pid uses."""
        if pid is None:
            self._process = None
            return Usage()
        try:
            if self._process is None or self._process.pid != pid or not self._process.is_running():
                self._process = psutil.Process(pid)
                self._process.cpu_percent()  # the first is always 0, since there is nothing to compare with
                return Usage(None, self._process.memory_info().rss)
            with self._process.oneshot():
                return Usage(self._process.cpu_percent(), self._process.memory_info().rss)
        except (psutil.Error, OSError):
            self._process = None
            return Usage()


def view(paths: Paths) -> HostView:
    """The machine as it is now."""
    return HostView(_load(), _disk_free_bytes(paths.logs), _memory_free_bytes())


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _disk_free_bytes(folder: str) -> int | None:
    """What a user who is not root may still fill."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _memory_free_bytes() -> int | None:
    try:
        return int(psutil.virtual_memory().available)
    except (psutil.Error, OSError, ValueError):
        return None
