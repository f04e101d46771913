"""The scheduler process: the visible loop.

    clock; tick; watch; owe; serve; reload; wait

One thread, one wait. Signal handlers only wake it. Whatever goes wrong in one pass is journalled and the next
pass goes on. Usage: exec_scheduler.py [--foreground] [--revived]; started by `run_automations.sh`, or by systemd, a
container or a Procfile as `run_automations.sh foreground`.
"""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from automations import __version__, adoption, clock, config, locks, plan, readiness, replay
from automations.clock import Reading
from automations.dispatch import Dispatcher
from automations.errors import AutomationsError, ConfigError, Exit, JournalError, LockBusy
from automations.files import replace, stamp
from automations.journal import Journal
from automations.keeper import Keeper
from automations.model import OnStop
from automations.paths import Paths, prepare_logs, tick_s
from automations.process import remove_pid_file, write_pid_file
from automations.recorder import Recorder
from automations.runner import Runner
from automations.signals import Signals

LOOK_EVERY_S = 10.0  # how often the job file and the clocks are looked at between ticks
LOCK_WAIT_S = 2.0  # others probe the lock for a moment
DRAIN_S = 4.0  # stop gives five seconds in all


class Scheduler:
    """The loop's state: the agenda, the open runs, the job file in force, and the minute last ticked."""

    def __init__(self, paths: Paths, foreground: bool, revived: bool) -> None:
        self._paths = paths
        self._revived = revived
        self._tick_s = tick_s()
        self._recorder = Recorder(Journal(paths))
        self._record = self._recorder.record
        self._runner = Runner(paths, self._recorder)
        self._signals = Signals()
        self._keeper = None if foreground else Keeper(paths)
        self._lock = locks.Lock(paths.log("scheduler.lock"))
        self._before = clock.read()
        self._minute = int(self._before.utc.timestamp() // self._tick_s)
        self._looked_at: tuple[int, ...] | None = None
        self._refused = False

    def run(self) -> int:
        """Be the scheduler until told to stop. Returns the exit code."""
        faulthandler.register(signal.SIGUSR2, all_threads=True, chain=False)  # the watchdog asks where we hang
        self._signals.install()
        self._lock.acquire(LOCK_WAIT_S)
        try:
            self._lock.sign()
            self._begin()
        except AutomationsError as error:
            self._record("shutdown", pid=os.getpid(), reason=str(error).split("\n")[0])
            self._leave()
            raise
        self._loop()
        self._leave()  # not after an exception: that is a crash, and the watchdog knows it by the pid file
        return Exit.OK

    def _leave(self) -> None:
        """Leave no sign of life: this end was on purpose."""
        remove_pid_file(self._paths.log("scheduler.pid"), os.getpid())
        self._lock.unsign()

    def _begin(self) -> None:
        now = clock.read()
        self._first_config()
        jobs = self._jobs.jobs
        past = replay.read(self._paths.journal)
        self._agenda = plan.Agenda(jobs, past.owed_since(now.utc), past.settled)
        self._dispatcher = Dispatcher(self._paths, self._recorder, self._runner, past.settled)
        write_pid_file(self._paths.log("scheduler.pid"))
        started = {"pid": os.getpid(), "version": __version__, "boot": locks.boot_id(), "config": self._jobs.hash}
        if not self._record("startup", now.utc, **started, mono=round(now.mono, 3), boot_s=round(now.boot_s, 3)):
            raise JournalError(f"{self._paths.logs}: cannot be written; free some space or make it writable")
        self._record("config_loaded", config=self._jobs.hash, jobs=len(jobs))
        self._runner.adopt(adoption.open_runs(self._paths, past, jobs, now))
        self._dispatcher.restore(past.waiting, jobs)
        readiness.announce("ready")

    def _loop(self) -> None:
        self._attempt(self._first_things, clock.read())
        while True:
            if self._signals.stop:
                return self._shut_down(self._signals.stop)
            now = clock.read()
            self._attempt(self._pass, now)
            self._signals.wait(self._wake_in(now))

    def _pass(self, now: Reading) -> None:
        self._tick(now)
        self._mind_the_clock(now)
        self._runner.watch(now)
        self._dispatcher.owe(self._agenda.take_due(now.utc), now)
        self._dispatcher.serve(now)
        self._reload(now)

    def _attempt(self, step: Callable[[Reading], None], now: Reading) -> None:
        """One bad pass must not end the scheduler, nor become a hot loop."""
        try:
            step(now)
        except Exception as error:
            self._fault(error)
            self._signals.wait(1.0)

    def _first_things(self, now: Reading) -> None:
        """What is due at every start: a watchdog, and the jobs that say `@reboot`."""
        if self._keeper:
            self._keeper.revive()
        self._dispatcher.at_start(self._jobs.jobs.values(), now)

    def _tick(self, now: Reading) -> None:
        """One journal line for each minute, at its beginning, before anything of that minute is decided."""
        minute = int(now.utc.timestamp() // self._tick_s)
        if minute == self._minute:
            return
        self._minute = minute
        upcoming = {job: clock.iso(due) if due else None for job, due in self._agenda.upcoming().items()}
        self._record("tick", now.utc, next=upcoming, mono=round(now.mono, 3), boot_s=round(now.boot_s, 3))
        self._lock.touch()
        self._dispatcher.end_pauses(now)
        if self._keeper:
            self._keeper.revive()

    def _reload(self, now: Reading) -> None:
        """Take a changed job file into force, or keep the last good one and say why."""
        due = self._agenda.soonest()
        if due and due <= now.utc:
            return  # what is owed by the old job file is decided first
        if not self._signals.hangup and stamp(self._paths.config) == self._looked_at:
            return
        self._signals.hangup = False
        in_force = self._jobs.hash
        try:
            self._load_config()
        except ConfigError:
            return
        if self._jobs.hash != in_force or self._refused:
            self._refused = False
            self._record("config_loaded", config=self._jobs.hash, jobs=len(self._jobs.jobs))
            self._agenda = self._agenda.changed(self._jobs.jobs, now.utc)
            self._dispatcher.change_jobs(self._jobs.jobs)

    def _first_config(self) -> None:
        """A person who starts is told of a faulty job file; a revival has nobody to tell, and takes the last good."""
        try:
            self._load_config()
        except ConfigError:
            if not self._revived:
                raise
            self._jobs, _ = config.load_last_good(self._paths.config, self._paths.project, self._paths.log("configs"))

    def _load_config(self) -> None:
        """Read the job file and keep a copy of it. Raises ConfigError, journalled, with the old jobs in force."""
        self._looked_at = stamp(self._paths.config)
        try:
            self._jobs, content = config.load(self._paths.config, self._paths.project)
        except ConfigError as error:
            self._refused = True
            self._record("config_rejected", faults=error.faults[:20], count=len(error.faults))
            raise
        try:
            os.makedirs(self._paths.log("configs"), mode=0o700, exist_ok=True)
            replace(self._paths.log("configs", f"{self._jobs.hash}.toml"), content)
        except OSError as error:
            self._record("error", where="configs", message=str(error))

    def _mind_the_clock(self, now: Reading) -> None:
        """A large step of the wall clock is a correction: new time, fresh agenda, no storm."""
        step = plan.clock_step((self._before.utc, self._before.boot_s), (now.utc, now.boot_s))
        self._before = now
        if abs(step) >= plan.CORRECTION:
            self._agenda = plan.Agenda(self._jobs.jobs, now.utc)

    def _wake_in(self, now: Reading) -> float:
        """Seconds until the next minute, slot, deadline or look, whichever comes first."""
        at = now.utc.timestamp()
        waits = [(self._minute + 1) * self._tick_s - at, LOOK_EVERY_S]
        if due := self._agenda.soonest():
            waits.append((due - now.utc) / timedelta(seconds=1))
        waits += [wait for wait in (self._runner.wake_in(now), self._dispatcher.wake_in(now)) if wait is not None]
        return max(0.0, min(waits) - (clock.read().mono - now.mono))

    def _fault(self, error: Exception) -> None:
        try:
            import traceback  # costs memory, and is needed when something is wrong

            trace = "".join(traceback.format_exception(error))
        except Exception:  # no descriptor or memory is left even for that
            trace = ""
        self._record("error", where="loop", message=f"{type(error).__name__}: {error}", trace=trace[-1500:])

    def _shut_down(self, reason: str) -> None:
        """Tell the open runs to stop, wait for them a little, and leave with a word. Some are to be left alone."""
        now = clock.read()
        self._runner.watch(now)  # what ended before we were told to stop was not stopped
        end = now.mono + DRAIN_S
        while runs := [run for run in self._runner.open.values() if run.job.on_stop is OnStop.TERMINATE]:
            self._runner.stop(runs, now)
            if now.mono > end:
                self._runner.kill(runs, now)
            self._runner.watch(now)
            if now.mono > end + 0.5:
                break
            self._signals.wait(min(0.1, self._runner.wake_in(now) or 0.0))
            now = clock.read()
        self._record("shutdown", pid=os.getpid(), reason=reason)


def main() -> int:
    os.umask(0o077)
    readiness.keep_ready_fd()
    paths = Paths.from_environment()
    try:
        prepare_logs(paths)
        return Scheduler(paths, "--foreground" in sys.argv[1:], "--revived" in sys.argv[1:]).run()
    except LockBusy as error:
        return _refuse(f"another scheduler lives: {error}", Exit.BUSY)
    except AutomationsError as error:
        return _refuse(str(error), error.exit_code)
    except OSError as error:
        return _refuse(f"{error.filename or paths.logs}: {error.strerror or error}", Exit.IO_ERROR)


def _refuse(reason: str, code: int) -> int:
    readiness.refuse("scheduler", reason)
    return code


if __name__ == "__main__":
    sys.exit(main())
