"""Watch the scheduler; bring it back after a crash or a hang; never after a stop.

Rules:
- A crash is a scheduler that ended and left its pid file; one that ended on purpose removed it, and is let be.
- A hang is 2.5 ticks without progress (the modification time of `scheduler.lock` stands still) while this
  process itself was awake: a machine that slept, or a frozen container, hung nobody.
- It acts only while the want is `up`, and through `run_automations.sh revive`, which asks again under the
  transition lock.
- Restarts: at once, then after 1, 2, 4 … 60 s; a scheduler that ticked twice starts the count afresh.
  After 20 in a row, or where no good job file is left, it gives up and says so in the journal.

Imports little, since it lives for months. Usage: watchdog.py, started by the scheduler.
"""

import os
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from automations.errors import Exit, LockBusy
from automations.files import read_text
from automations.locks import Identity, Lock, holder, proc_stat
from automations.paths import Paths, tick_s

SIGKILL, SIGUSR2 = 9, 12 if sys.platform == "linux" else 31  # the signal module would bring enum with it
HANG_TICKS = 2.5
HEALTHY_TICKS = 2
MAX_RESTARTS = 20


class Timing:
    """All spans follow from the tick, so that a test with a short tick has a quick watchdog."""

    def __init__(self, tick_s: float) -> None:
        self.poll_s = tick_s / 4 if hasattr(os, "pidfd_open") else tick_s / 30  # a pidfd wakes us by itself
        self.hang_s = tick_s * HANG_TICKS
        self.first_delay_s = tick_s / 60
        self.longest_delay_s = tick_s

    def delay_s(self, failures: int) -> float:
        """Seconds to wait before restart number `failures`, counted from 1: 0, 1, 2, 4 … 60 at the usual tick."""
        if failures <= 1:
            return 0.0
        return min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(failures - 2, 16))


class Scheduler:
    """The watched process, held by a pidfd where the system has one."""

    def __init__(self, identity: Identity, lock_path: str) -> None:
        self.identity = identity
        self._lock_path = lock_path
        self._fd = os.pidfd_open(identity.pid) if hasattr(os, "pidfd_open") else -1

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def ended_within(self, seconds: float) -> bool:
        """Wait for its end, at most so long."""
        if self._fd >= 0:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        time.sleep(seconds)
        return not self.identity.is_alive()

    def progress(self) -> int | None:
        """A number that changes with each tick; None where none can be seen, on a read-only disk."""
        try:
            if os.statvfs(self._lock_path).f_flag & os.ST_RDONLY:
                return None
            return os.stat(self._lock_path).st_mtime_ns
        except OSError:
            return None

    def kill_hung(self) -> str:
        """Name the cause, ask for a stack dump in `scheduler.out`, kill. Returns the cause in words."""
        stat = proc_stat(self.identity.pid)
        state = stat[0] if stat else "?"
        where = read_text(f"/proc/{self.identity.pid}/wchan", 64).strip("0 \n") if stat else ""
        cause = STATES.get(state, f"in state {state}") + (f" in {where}" if where else "")
        if state not in "TtD":
            self._signal(SIGUSR2)
            time.sleep(0.3)
            cause += "; its stack is in scheduler.out"
        self._signal(SIGKILL)
        self.ended_within(5.0)
        return cause

    def _signal(self, number: int) -> None:
        if self.identity.is_alive():
            try:
                os.kill(self.identity.pid, number)
            except ProcessLookupError:
                pass


STATES = {
    "R": "busy without end",
    "S": "asleep and not woken",
    "D": "stuck in the kernel, on a disk or a mount",
    "T": "stopped by a signal",
    "t": "held by a debugger",
}


class Watchdog:
    """Waits for trouble, mends it, and counts."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock_path = paths.log("scheduler.lock")
        self._timing = Timing(tick_s())
        self._failures = 0

    def run(self) -> None:
        """Watch until the scheduler ends on purpose, is not wanted any more, or cannot be brought back."""
        while self._wanted():
            identity = holder(self._lock_path)
            if identity is None:
                cause = "crashed" if os.path.exists(self._paths.log("scheduler.pid")) else None
            else:
                cause = self._watch(identity)
            if cause is None or not self._mend(cause):
                return

    def _watch(self, identity: Identity) -> str | None:
        """Stay with this scheduler to its end. Returns what ended it; None when that was on purpose."""
        try:
            scheduler = Scheduler(identity, self._lock_path)
        except ProcessLookupError:
            return "crashed"
        try:
            return self._watch_closely(scheduler)
        finally:
            scheduler.close()

    def _watch_closely(self, scheduler: Scheduler) -> str | None:
        seen, still_s, ticks, looked = scheduler.progress(), 0.0, 0, time.monotonic()
        while not scheduler.ended_within(self._timing.poll_s):
            now = time.monotonic()
            awake_s, looked = min(now - looked, 2 * self._timing.poll_s), now
            progress = scheduler.progress()
            if progress == seen and progress is not None:
                still_s += awake_s
            else:
                ticks += progress is not None
                seen, still_s = progress, 0.0
            if ticks >= HEALTHY_TICKS:
                self._failures = 0
            if still_s > self._timing.hang_s and self._wanted():
                return f"hung, no tick for {still_s:.0f} s: {scheduler.kill_hung()}"
        return "crashed" if self._left_its_pid_file(scheduler.identity) else None

    def _left_its_pid_file(self, identity: Identity) -> bool:
        return read_text(self._paths.log("scheduler.pid"), 64).strip() == str(identity.pid)

    def _mend(self, cause: str) -> bool:
        """Restart until it lives. False when it is not wanted, or not to be had."""
        code = Exit.OK
        while self._wanted():
            if self._failures >= MAX_RESTARTS and code != Exit.IO_ERROR:  # a full disk passes, and a try is cheap
                break
            self._failures += 1
            if not self._pause(self._timing.delay_s(self._failures)):
                return False
            code = self._door("revive", cause, str(self._failures))
            if code in (Exit.OK, Exit.STOPPED):
                return code == Exit.OK
            if code == Exit.CONFIG:
                cause += "; automations.toml is refused"
                break
        else:
            return False
        self._door("give-up", cause, str(self._failures))
        return False

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try; False as soon as the scheduler is not wanted any more."""
        end = time.monotonic() + seconds
        while self._wanted():
            left = end - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, self._timing.poll_s))
        return False

    def _door(self, *arguments: str) -> int:
        """Call `run_automations.sh`; its exit code."""
        pid = os.posix_spawn("/bin/sh", ["/bin/sh", self._paths.door, *arguments], os.environ)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _wanted(self) -> bool:
        return read_text(self._paths.want, 64).strip() == "up"


def main() -> None:
    os.umask(0o077)
    paths = Paths.from_environment()
    lock = Lock(paths.log("watchdog.lock"))
    try:
        lock.acquire()
    except LockBusy:
        return  # another one watches
    lock.sign()
    Watchdog(paths).run()
    lock.unsign()


if __name__ == "__main__":
    main()
