"""How the scheduler is at this moment, as its files and the system tell: one reading for all faces. Changes nothing.

Rules:
- Who holds `scheduler.lock` lives; the pid file is for people. A pid file that nobody stands behind means a crash.
- Stalled: it lives, and has made no progress for 2.5 ticks; the watchdog judges by the same sign, with more patience.
- What cannot be read is said to be so; an error never becomes "stopped".
"""

import os
import time
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from automations import clock, locks
from automations.files import read_tail
from automations.locks import Identity
from automations.paths import Paths
from automations.process import read_want

STALL_TICKS = 2.5
_TAIL_BYTES = 16 * 1024


class State(StrEnum):
    """How it is. `no_signal` says which of them are trouble."""

    RUNNING = "running"
    STALLED = "stalled"
    STOPPED = "stopped"
    DEAD = "dead"
    NEVER_STARTED = "never_started"
    UNREADABLE = "unreadable"

    @property
    def no_signal(self) -> bool:
        return self in (State.STALLED, State.DEAD, State.UNREADABLE)


class Vitals(Struct, frozen=True):
    """One look. `memory_bytes` and `cpu_percent` (of one core) are of the scheduler, None when nobody measured."""

    state: State
    pid: int | None = None
    started: datetime | None = None
    last_activity: datetime | None = None
    want: str = "down"
    watchdog: bool = False
    reason: str = ""
    cpu_percent: float | None = None
    memory_bytes: int | None = None


def look(paths: Paths, tick_s: float) -> Vitals:
    """Look now. Raises nothing: what cannot be read is the state `unreadable`."""
    try:
        return _look(paths, tick_s)
    except OSError as error:
        return Vitals(State.UNREADABLE, reason=f"{error.filename or paths.logs}: {error.strerror}")


def _look(paths: Paths, tick_s: float) -> Vitals:
    os.listdir(paths.logs) if os.path.isdir(paths.logs) else os.stat(paths.home)
    lock = paths.log("scheduler.lock")
    holder = locks.holder(lock)
    last = last_activity(paths)
    facts = {
        "last_activity": last,
        "want": str(read_want(paths)),
        "watchdog": locks.is_held(paths.log("watchdog.lock")),
    }
    if holder is None:
        return Vitals(*_absent(paths, last), **facts)  # type: ignore[arg-type]
    still_s = time.time() - os.stat(lock).st_mtime
    state = State.STALLED if still_s > STALL_TICKS * tick_s else State.RUNNING
    reason = f"no tick for {still_s:.0f} s" if state is State.STALLED else ""
    return Vitals(state, holder.pid, _started(holder), reason=reason, **facts)  # type: ignore[arg-type]


def _absent(paths: Paths, last: datetime | None) -> tuple[State]:
    if os.path.exists(paths.log("scheduler.pid")):
        return (State.DEAD,)
    if last is None and not os.path.exists(paths.want):
        return (State.NEVER_STARTED,)
    return (State.STOPPED,)


def last_activity(paths: Paths) -> datetime | None:
    """The time of the journal's last whole line that has one."""
    for line in reversed(read_tail(paths.journal, _TAIL_BYTES).split(b"\n")[:-1]):
        if line.startswith(b'{"ts":"'):
            try:
                return clock.parse_iso(line[7:31].decode("ascii", "replace"))
            except ValueError:
                continue
    return None


def _started(holder: Identity) -> datetime | None:
    """When this process began, from its start in clock ticks since boot; None where the system does not tell."""
    if not holder.start.isdigit():
        return None
    now = clock.read()
    age_s = now.boot_s - int(holder.start) / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(now.utc.timestamp() - age_s, UTC)
