"""One run from claim to outcome: claim, record, spawn, watch, settle.

Rules:
- Claim: the output file `runs/<job>/<slot>.log` is created exclusively; a slot is so claimed once, by whoever
  comes first.
- Record before spawn: `run_started` is in the journal before the process exists. Where the journal cannot be
  written, a slot runs all the same and is written late; a run by hand is refused, since there is somebody to tell.
- The command runs under a small `sh` that holds two locks while the command lives, and does not pass them on:
  the job's, so that two runs of it never overlap, and the run's own, `<slot>.run`. That file tells the shim's
  pid and, at the end, the exit status; so a run outlives a crashed scheduler, and the next one finds out
  how it ended.
- A job's environment is built from nothing, the same for the scheduler and for a run by hand; the key of the
  control API is not in it.
- Deadlines are monotonic: TERM to the whole group, five seconds, KILL.

Decides nothing about when: that is `plan`.
"""

import contextlib
import os
import signal
from datetime import datetime

from automations import clock, locks, spawn
from automations.clock import Reading
from automations.errors import AlreadyClaimed, JournalError, LockBusy, RunRefused, StillRunning
from automations.files import open_private, read_text
from automations.locks import Identity
from automations.model import Job, Outcome, Trigger
from automations.paths import Paths
from automations.recorder import Recorder

KILL_AFTER_S = 5.0
ADOPTED_POLL_S = 1.0
LINGERING_POLL_S = 0.1


class Run:
    """A run that has begun; `outcome` and exit `code` are None until it has ended."""

    __slots__ = (
        "adopted",
        "code",
        "deadline",
        "due",
        "job",
        "kill_at",
        "lingers",
        "outcome",
        "pid",
        "reason",
        "run_id",
        "started",
        "stopping_as",
    )

    def __init__(self, job: str, run_id: str, due: datetime | None, started: Reading, timeout_s: float) -> None:
        self.job = job
        self.run_id = run_id
        self.due = due
        self.started = started
        self.deadline = started.mono + timeout_s
        self.kill_at: float | None = None
        self.stopping_as: Outcome | None = None
        self.pid = 0
        self.adopted = False
        self.lingers = False
        self.outcome: Outcome | None = None
        self.code: int | None = None
        self.reason: str | None = None


class Runner:
    """Starts runs and sees them through. One mutable set of open runs, touched by one thread."""

    def __init__(self, paths: Paths, recorder: Recorder) -> None:
        self._paths = paths
        self._record = recorder.record
        self._by = str(Identity.of(os.getpid()))
        self.open: dict[str, Run] = {}

    def start(self, job: Job, due: datetime | None, now: Reading) -> Run:
        """Begin a run of `job`: of the slot `due`, or by hand when None. Raises RunRefused with the reason."""
        name = clock.slot_name(due) if due else clock.moment_name(now.utc)
        run = Run(job.name, f"{job.name}/{name}", due, now, job.timeout.total_seconds())
        try:
            self._start(run, job)
        except OSError as error:
            raise RunRefused(
                f"{run.run_id}: {error.filename or self._paths.runs}: {error.strerror or error}"
            ) from error
        return run

    def _start(self, run: Run, job: Job) -> None:
        folder = os.path.join(self._paths.runs, job.name)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with locks.Lock(os.path.join(folder, "lock")) as job_lock, locks.Lock(self.file(run.run_id, "run")) as run_lock:
            self._take(job, job_lock)
            out_fd = self._claim(run)
            try:
                run_lock.acquire()
                self._begin(run, job, (out_fd, job_lock.fd, run_lock.fd))
            finally:
                os.close(out_fd)  # the locks, too, are only the shim's from here on

    def _take(self, job: Job, lock: locks.Lock) -> None:
        try:
            lock.acquire()
        except LockBusy:
            raise StillRunning(f"{job.name} is still running") from None

    def _claim(self, run: Run) -> int:
        try:
            return open_private(self.file(run.run_id, "log"), os.O_WRONLY | os.O_APPEND | os.O_EXCL)
        except FileExistsError:
            raise AlreadyClaimed(f"{run.run_id} began before; what became of it could not be written") from None

    def _begin(self, run: Run, job: Job, fds: tuple[int, int, int]) -> None:
        trigger = Trigger.SCHEDULE if run.due else Trigger.MANUAL
        timeout_s = job.timeout.total_seconds()
        facts = {**_names(run), "trigger": trigger, "attempt": 1, "timeout_s": timeout_s, "by": self._by}
        if not self._record("run_started", run.started.utc, **facts) and trigger is Trigger.MANUAL:
            os.unlink(self.file(run.run_id, "log"))
            raise JournalError(f"{run.run_id} was not started: the journal cannot be written")
        self.open[run.run_id] = run
        try:
            run.pid = spawn.spawn(job.cwd, job.argv, self._environment(run, job), fds)
        except (OSError, ValueError) as error:  # no memory, no process slot, an argument that no program takes
            self._finish(
                run, clock.read(), Outcome.FAILED, None, f"no process: {getattr(error, 'strerror', None) or error}"
            )

    def _environment(self, run: Run, job: Job) -> dict[str, str]:
        return {
            **spawn.environment(),
            **dict(job.env),
            "AUTOMATIONS_HOME": self._paths.home,
            "AUTOMATIONS_JOB": job.name,
            "AUTOMATIONS_RUN_ID": run.run_id,
            "AUTOMATIONS_DUE": clock.iso(run.due or run.started.utc),
        }

    def adopt(self, open_runs: dict[str, dict[str, object]], now: Reading) -> None:
        """Take over the runs that were left without an outcome by a process that is no more."""
        for run_id, entry in open_runs.items():
            by = Identity.parse(str(entry.get("by")))
            if by and by.is_alive():
                continue  # a run by hand, and the hand is still on it
            due = clock.parse_iso(str(entry["due"])) if entry.get("due") else None
            began = clock.parse_iso(str(entry["ts"]))
            elapsed_s = max(0.0, (now.utc - began).total_seconds())
            started = Reading(began, now.mono - elapsed_s, 0.0)
            run = Run(str(entry["job"]), run_id, due, started, float(str(entry.get("timeout_s", 3600))))
            run.adopted = True
            self.open[run_id] = run

    def watch(self, now: Reading) -> None:
        """Settle what has ended and press what is past its deadline. Never waits."""
        for run in list(self.open.values()):
            try:
                ended, code = self._poll(run)
            except OSError as error:  # one run that cannot be looked at must not stop the others
                reason = f"it cannot be looked at: {error.strerror}"
                self._finish(run, now, Outcome.ABANDONED, None, reason)
                continue
            if ended:
                self._settle(run, now, code)
            elif run.stopping_as is None and now.mono >= run.deadline:
                self._ask_to_end(run, now, Outcome.TIMED_OUT)
            elif run.kill_at is not None and now.mono >= run.kill_at:
                run.kill_at = None
                self._signal(run, signal.SIGKILL)

    def stop(self, run: Run, now: Reading) -> None:
        """Ask a run to end; `watch` settles it as stopped, and kills it when it does not listen."""
        if run.stopping_as is None:
            self._ask_to_end(run, now, Outcome.STOPPED)

    def kill(self, run: Run) -> None:
        """End a run that was told to stop and did not."""
        self._signal(run, signal.SIGKILL)

    def claimed(self, job: str, first: datetime, last: datetime) -> list[datetime]:
        """The slots of a job from `first` to `last` that were begun, by their output files."""
        try:
            names = os.listdir(os.path.join(self._paths.runs, job))
        except FileNotFoundError:
            return []
        slots = (clock.parse_slot(name.removesuffix(".log")) for name in names if name.endswith(".log"))
        return sorted(slot for slot in slots if slot and first <= slot <= last)

    def reap_orphans(self) -> None:
        """As PID 1 of a container: what the jobs leave behind is ours to bury."""
        ours = {run.pid for run in self.open.values()}
        with contextlib.suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid in ours:
                    return
                os.waitpid(dead.si_pid, 0)

    def wake_in(self, now: Reading) -> float | None:
        """Seconds until `watch` has something to do by the clock; None when nothing is open."""
        moments = [run.kill_at or run.deadline for run in self.open.values() if run.kill_at or not run.stopping_as]
        moments += [now.mono + ADOPTED_POLL_S for run in self.open.values() if run.adopted]
        moments += [now.mono + LINGERING_POLL_S for run in self.open.values() if run.lingers]
        return max(0.0, min(moments) - now.mono) if moments else None

    def file(self, run_id: str, kind: str) -> str:
        """The run's `log` (its output) or `run` (its lock, with the shim's pid and then the exit status)."""
        return os.path.join(self._paths.runs, f"{run_id}.{kind}")

    def _ask_to_end(self, run: Run, now: Reading, outcome: Outcome) -> None:
        run.stopping_as = outcome
        run.kill_at = now.mono + KILL_AFTER_S
        self._signal(run, signal.SIGTERM)
        self._signal(run, signal.SIGCONT)

    def _signal(self, run: Run, number: int) -> None:
        """To the run's whole group, whose leader is the shim: our unreaped child, or the holder of the run's lock."""
        pid = run.pid or (self._left(run)[0] if self._is_held(run) else None)
        if pid and pid > 1:  # killpg(1) would be everybody
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)

    def _poll(self, run: Run) -> tuple[bool, int | None]:
        """Has it ended, and with which code (None: unknowable)?"""
        if run.adopted:
            return (False, None) if self._is_held(run) else (True, self._left(run)[1])
        if run.stopping_as and not self._group_is_done(run):
            return False, None
        pid, status = os.waitpid(run.pid, os.WNOHANG)
        return pid != 0, os.waitstatus_to_exitcode(status) if pid else None

    def _group_is_done(self, run: Run) -> bool:
        """Has the shim ended, and its children too or their time? While the shim is unreaped, the group's id is ours.

        Where there is no waitid (macOS before Python 3.13) the children get no time of their own.
        """
        if not hasattr(os, "waitid"):
            return True
        if os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        run.lingers = run.kill_at is not None and spawn.group_lives(run.pid)
        if not run.lingers:
            self._signal(run, signal.SIGKILL)
        return not run.lingers

    def _is_held(self, run: Run) -> bool:
        return locks.is_held(self.file(run.run_id, "run"))

    def _left(self, run: Run) -> tuple[int | None, int | None]:
        """What the shim wrote, line by line: its pid (or `-`), and the exit status once there is one."""
        lines = read_text(self.file(run.run_id, "run"), 64).split("\n")[:-1]
        numbers = [int(line) if locks.is_pid(line) else None for line in lines]
        return (numbers[0] if numbers else None), (numbers[1] if len(numbers) == 2 else None)

    def _settle(self, run: Run, now: Reading, code: int | None) -> None:
        if run.stopping_as:
            self._finish(run, now, run.stopping_as, code, _STOP_REASONS[run.stopping_as])
        elif code is None:
            self._finish(run, now, Outcome.ABANDONED, None, "it ended while no scheduler watched, and left no status")
        else:
            self._finish(run, now, Outcome.SUCCEEDED if code == 0 else Outcome.FAILED, code, None)

    def _duration_s(self, run: Run, now: Reading, code: int | None) -> float | None:
        """How long it took. An adopted run's end is when its shim wrote the status; None when nobody knows."""
        if not run.adopted:
            return round(now.mono - run.started.mono, 3)
        if code is None:
            return None
        return round(max(0.0, os.stat(self.file(run.run_id, "run")).st_mtime - run.started.utc.timestamp()), 3)

    def _finish(self, run: Run, now: Reading, outcome: Outcome, code: int | None, reason: str | None) -> None:
        self.open.pop(run.run_id, None)
        run.outcome, run.code, run.reason = outcome, code, reason
        fields: dict[str, object] = {
            **_names(run),
            "outcome": outcome,
            "exit": code,
            "duration_s": self._duration_s(run, now, code),
            "output_bytes": _size(self.file(run.run_id, "log")),
        }
        if run.adopted:
            fields["adopted"] = True
        if reason:
            fields["reason"] = reason
        self._record("run_finished", now.utc, **fields)
        with contextlib.suppress(OSError):
            os.unlink(self.file(run.run_id, "run"))


_STOP_REASONS = {Outcome.TIMED_OUT: "longer than its timeout", Outcome.STOPPED: "it was told to stop"}


def _names(run: Run) -> dict[str, str | None]:
    return {"job": run.job, "run_id": run.run_id, "due": clock.iso(run.due) if run.due else None}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
