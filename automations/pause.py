"""Pausing a job: what the user wants of it, in a file of its own, and an entry in the journal each time it changes.

`logs/paused/JOB` holds one JSON object: `until` (null: until resumed), `note`, `since`. The journal is written first,
so that nothing is paused that is not on record. A pause that has ended by itself is resumed by the scheduler.
"""

import contextlib
import json
import os
from datetime import datetime
from typing import NamedTuple

from automations import clock
from automations.files import read_text, replace
from automations.journal import Entry, Journal
from automations.paths import Paths

SETTLED_S = 2.0  # a folder's time of change is too coarse to tell two changes within it apart


class Pause(NamedTuple):
    """From when to when a job does not run by its schedule, and what the user noted."""

    since: datetime
    until: datetime | None
    note: str

    def covers(self, due: datetime) -> bool:
        return self.until is None or due < self.until

    def __str__(self) -> str:
        end = f"until {clock.iso(self.until)}" if self.until else "until it is resumed"
        return f"paused {end}" + (f": {self.note}" if self.note else "")


def pause(paths: Paths, job: str, now: datetime, until: datetime | None, note: str) -> Pause:
    """Pause a job; a pause it has is replaced. Raises JournalError, OSError."""
    made = Pause(now, until, note)
    ends = clock.iso(until) if until else None
    Journal(paths).append(Entry("job_paused", {"job": job, "until": ends, "note": note}, now))
    os.makedirs(paths.log("paused"), mode=0o700, exist_ok=True)
    content = json.dumps({"since": clock.iso(now), "until": ends, "note": note})
    replace(paths.log("paused", job), content.encode("utf-8", "backslashreplace"))
    return made


def resume(paths: Paths, job: str, reason: str) -> bool:
    """Let a job run again; False when it was not paused."""
    if not os.path.exists(paths.log("paused", job)):
        return False
    Journal(paths).append(Entry("job_resumed", {"job": job, "reason": reason}))
    forget(paths, job)
    return True


def forget(paths: Paths, job: str) -> None:
    """Remove the pause's file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.log("paused", job))


def read(paths: Paths) -> dict[str, Pause]:
    """The pauses there are, by job. A file that cannot be understood is a pause without an end: the safe side."""
    try:
        names = [name for name in os.listdir(paths.log("paused")) if not name.endswith(".tmp")]
    except FileNotFoundError:
        return {}
    return {name: _parse(read_text(paths.log("paused", name), 1 << 16)) for name in names}


def _parse(text: str) -> Pause:
    try:
        said = json.loads(text)
        until = clock.parse_iso(said["until"]) if said["until"] else None
        return Pause(clock.parse_iso(said["since"]), until, str(said["note"]))
    except (ValueError, LookupError, TypeError):
        return Pause(clock.read().utc, None, "its file cannot be read; resume it to mend that")


class Pauses:
    """The pauses as the scheduler sees them: read again when the folder has changed."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._changed: int | None = None
        self._known: dict[str, Pause] = {}

    def current(self) -> dict[str, Pause]:
        """The pauses by job, as they are now."""
        try:
            changed = os.stat(self._paths.log("paused")).st_mtime_ns
        except OSError:
            self._changed, self._known = None, {}
            return self._known
        if changed != self._changed:
            self._known = read(self._paths)
            is_settled = clock.read().utc.timestamp() - changed / 1e9 > SETTLED_S
            self._changed = changed if is_settled else None
        return self._known
