"""The pen of whoever must go on when the journal cannot be written."""

import contextlib
import os
from datetime import datetime

from automations import clock
from automations.errors import JournalError
from automations.journal import Entry, Journal

MAX_LATE = 1000


class Recorder:
    """The scheduler's pen: goes on when the journal cannot be written, and owns up when it can again.

    With `echo`, every entry also goes to standard output, so that a terminal, a container log or
    `scheduler.out` shows it.
    """

    def __init__(self, journal: Journal, echo: bool = True) -> None:
        self._journal = journal
        self._echo = echo
        self._lost: dict[str, int] = {}
        self._late: list[Entry] = []
        self._lost_since: datetime | None = None
        self._reason = ""

    def record(self, event: str, at: datetime | None = None, **fields: object) -> bool:
        """Write one entry; False when it could not be written and was kept or counted instead."""
        return self.record_all([Entry(event, fields, at or clock.read().utc)])

    def record_all(self, entries: list[Entry]) -> bool:
        """Write these entries, each with its time, as one batch; False as with `record`."""
        try:
            lines = self._journal.append(*self._owning_up(), *self._late, *entries)
        except JournalError as error:
            for entry in entries:
                self._miss(entry, str(error))
            return False
        self._lost, self._late, self._lost_since = {}, [], None
        if self._echo:
            say(b"\n".join(lines))
        return True

    def _owning_up(self) -> list[Entry]:
        if self._lost_since is None:
            return []
        gap = {
            "since": clock.iso(self._lost_since),
            "lost": self._lost,
            "late": len(self._late),
            "reason": self._reason,
        }
        return [Entry("journal_gap", gap)]

    def _miss(self, entry: Entry, reason: str) -> None:
        """What tells of a run is kept and written late, with its own time; a tick is only counted."""
        if self._lost_since is None:
            self._lost_since, self._reason = entry.at, reason
            if self._echo:
                say(f"{reason}; going on, what cannot be written is kept or counted".encode())
        if entry.event.startswith("run_") and len(self._late) < MAX_LATE:
            self._late.append(entry)
        else:
            self._lost[entry.event] = self._lost.get(entry.event, 0) + 1


def say(line: bytes) -> None:
    """Print one line now, past Python's buffer: a closed pipe or a full disk behind it must not end the scheduler."""
    with contextlib.suppress(OSError):
        os.write(1, line + b"\n")
