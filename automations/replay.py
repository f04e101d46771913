"""What a starting scheduler must know of the past, read back from the end of the journal. Pure but for one read.

Believes only lines whose chain holds: a line that somebody slipped in decides nothing.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from automations import clock
from automations.digest import short_hash
from automations.files import read_tail
from automations.journal import decode

REACH_BYTES = 4 * 1024 * 1024  # about a week of minutes
ONE_TICK = timedelta(minutes=1)


class Past(NamedTuple):
    """The last sign of life, each job's last settled slot, the runs that have no end yet, the slots that wait.

    `began`: the time of the first entry that was read; `waiting`: by job and due, the entry that says so.
    """

    last_tick: datetime | None
    settled: dict[str, datetime]
    open_runs: dict[str, dict[str, object]]
    waiting: dict[tuple[str, str], dict[str, object]] = {}
    began: datetime | None = None

    def owed_since(self, now: datetime) -> datetime:
        """From when on slots may be undecided: the last tick's minute, or now when there is nothing to go by.

        A tick is written before the slots of its minute are decided, hence one tick back. A tick that lies
        in the future means that the clock was set back: nothing is owed for that.
        """
        return min(self.last_tick - ONE_TICK, now) if self.last_tick else now


def read(path: str) -> Past:
    """Read the last `REACH_BYTES` of the journal at `path`."""
    return replay(believable(read_tail(path, REACH_BYTES)))


def believable(content: bytes, prev: str = "") -> Iterator[dict[str, object]]:
    """The entries of `content` that name the line before them rightly.

    `prev` is the short hash of the line before the first; without it the first one is believed only as the journal's
    very first. One at a time: all of them at once would cost the scheduler 20 MB for life.
    """
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        line = content[start:end]
        entry = decode(line)
        if entry and (entry["prev"] == prev if prev else entry["seq"] == 1):
            yield entry
        prev, start = short_hash(line), end + 1


def replay(entries: Iterable[dict[str, object]]) -> Past:
    """Fold entries into what they say of the past."""
    last_tick: datetime | None = None
    began: datetime | None = None
    settled: dict[str, datetime] = {}
    open_runs: dict[str, dict[str, object]] = {}
    waiting: dict[tuple[str, str], dict[str, object]] = {}
    for entry in entries:
        event, slot = entry["event"], (str(entry.get("job")), str(entry.get("due")))
        began = began or _time(entry, "ts")
        if event == "tick" or (event == "startup" and last_tick is None):
            last_tick = _time(entry, "ts")
        elif event == "run_started":
            open_runs[str(entry.get("run_id"))] = entry
            waiting.pop(slot, None)
            _settle(settled, entry, "due")
        elif event == "run_finished":
            open_runs.pop(str(entry.get("run_id")), None)
            if "retry_at" in entry:
                waiting[slot] = entry
        elif event == "run_waiting":
            waiting[slot] = entry
            _settle(settled, entry, "due")
        elif event == "run_skipped":
            waiting.pop(slot, None)
            _settle(settled, entry, "until")
    return Past(last_tick, settled, open_runs, waiting, began)


def _settle(settled: dict[str, datetime], entry: dict[str, object], key: str) -> None:
    due, job = _time(entry, key), str(entry.get("job"))
    if due and due > settled.get(job, due - ONE_TICK):
        settled[job] = due


def _time(entry: dict[str, object], key: str) -> datetime | None:
    try:
        return clock.parse_iso(str(entry.get(key)))
    except ValueError:
        return None


def entries_since(path: str, since: datetime) -> list[dict[str, object]]:
    """The believable entries not older than `since`, as far as the end of the journal reaches."""
    entries = believable(read_tail(path, REACH_BYTES))
    return [entry for entry in entries if (at := _time(entry, "ts")) and at >= since]
