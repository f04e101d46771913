"""One run from claim to outcome: claim, record, spawn, watch, settle.

Rules:
- Claim: the output file `runs/<job>/<slot>.log` is created exclusively; a slot is so claimed once, by whoever
  comes first.
- Record before spawn: `run_started` is in the journal before the process exists.
- The command runs under a small `sh` that holds the job's lock while the command lives (and does not pass it
  on) and leaves the exit status in `<slot>.exit`; so a run outlives a crashed scheduler, and the next one finds
  out how it ended.
- A job's environment is built from nothing, the same for the scheduler and for a run by hand; the key of the
  control API is not in it.
- Deadlines are monotonic: TERM to the whole group, five seconds, KILL.

Decides nothing about when: that is `plan`.
"""

import contextlib
import os
import pwd
import signal
import sys
from datetime import datetime

from automations import clock, locks
from automations.clock import Reading
from automations.errors import LockBusy, RunRefused
from automations.files import open_private, read_text
from automations.journal import Recorder
from automations.locks import Identity
from automations.model import Job, Outcome, Trigger
from automations.paths import Paths

KILL_AFTER_S = 5.0
ADOPTED_POLL_S = 1.0
_LOCK_FD = 9  # the highest one that every sh can close
_SHIM = """
exit_file=$1; folder=$2; shift 2
trap : HUP INT TERM
umask 022
if cd "$folder"; then "$@" 9>&-; else (exit 126); fi
code=$?
echo "$code" >"$exit_file"
exit "$code"
"""
_DEFAULTS = [n for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP) and n < 32]


class Run:
    """A run that has begun; `outcome` and exit `code` are None until it has ended."""

    __slots__ = (
        "adopted",
        "code",
        "deadline",
        "due",
        "identity",
        "job",
        "kill_at",
        "outcome",
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
        self.identity: Identity | None = None
        self.adopted = False
        self.outcome: Outcome | None = None
        self.code: int | None = None


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
        os.makedirs(os.path.join(self._paths.runs, job.name), mode=0o700, exist_ok=True)
        lock = self._take_lock(job)
        try:
            out_fd = self._claim(run)
            try:
                self._begin(run, job, lock, out_fd)
            finally:
                os.close(out_fd)
        finally:
            lock.release()  # the shim keeps it
        return run

    def _take_lock(self, job: Job) -> locks.Lock:
        lock = locks.Lock(os.path.join(self._paths.runs, job.name, "lock"))
        try:
            lock.acquire()
        except LockBusy:
            raise RunRefused(f"{job.name} is still running") from None
        return lock

    def _claim(self, run: Run) -> int:
        try:
            return open_private(self.file(run.run_id, "log"), os.O_WRONLY | os.O_APPEND | os.O_EXCL)
        except FileExistsError:
            raise RunRefused(f"{run.run_id} was claimed before, by a scheduler that died at once") from None
        except OSError as error:
            raise RunRefused(f"{run.run_id}: no output file: {error.strerror}") from error

    def _begin(self, run: Run, job: Job, lock: locks.Lock, out_fd: int) -> None:
        trigger = Trigger.SCHEDULE if run.due else Trigger.MANUAL
        due = clock.iso(run.due) if run.due else None
        ids = {"job": job.name, "run_id": run.run_id, "due": due}
        self._record("run_started", run.started.utc, **ids, trigger=trigger, attempt=1, by=self._by)
        self.open[run.run_id] = run
        try:
            pid = self._spawn(run, job, lock.fd, out_fd)
        except OSError as error:
            self._finish(run, clock.read(), Outcome.FAILED, None, f"no process: {error.strerror}")
            return
        run.identity = Identity.of(pid) or Identity(pid, "-", "-")
        with contextlib.suppress(OSError):  # serves adoption only; the child may be done already
            lock.sign(pid)

    def _spawn(self, run: Run, job: Job, lock_fd: int, out_fd: int) -> int:
        return os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", _SHIM, "run", self.file(run.run_id, "exit"), job.cwd, *job.argv],
            environment(self._paths, job, run),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_fd, 1),
                (os.POSIX_SPAWN_DUP2, out_fd, 2),
                (os.POSIX_SPAWN_DUP2, lock_fd, _LOCK_FD),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULTS,
        )

    def adopt(self, open_runs: dict[str, dict[str, object]], jobs: dict[str, Job], now: Reading) -> None:
        """Take over the runs that were left without an outcome by a process that is no more."""
        for run_id, entry in open_runs.items():
            by = Identity.parse(str(entry.get("by")))
            if by and by.is_alive():
                continue  # a run by hand, and the hand is still on it
            job_name = str(entry["job"])
            timeout_s = jobs[job_name].timeout.total_seconds() if job_name in jobs else 0.0
            due = clock.parse_iso(str(entry["due"])) if entry.get("due") else None
            began = clock.parse_iso(str(entry["ts"]))
            elapsed_s = max(0.0, (now.utc - began).total_seconds())
            run = Run(job_name, run_id, due, Reading(began, now.mono - elapsed_s, 0.0), timeout_s)
            run.adopted = True
            run.identity = Identity.parse(read_text(self._lock_path(run), 256))
            self.open[run_id] = run

    def watch(self, now: Reading) -> None:
        """Settle what has ended and press what is past its deadline. Never waits."""
        for run in list(self.open.values()):
            ended, code = self._poll(run)
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

    def wake_in(self, now: Reading) -> float | None:
        """Seconds until `watch` has something to do by the clock; None when nothing is open."""
        moments = [run.kill_at or run.deadline for run in self.open.values() if run.kill_at or not run.stopping_as]
        moments += [now.mono + ADOPTED_POLL_S for run in self.open.values() if run.adopted]
        return max(0.0, min(moments) - now.mono) if moments else None

    def file(self, run_id: str, kind: str) -> str:
        """The run's `log` (its output) or `exit` (the status that the shim left)."""
        return os.path.join(self._paths.runs, f"{run_id}.{kind}")

    def _lock_path(self, run: Run) -> str:
        return os.path.join(self._paths.runs, run.job, "lock")

    def _ask_to_end(self, run: Run, now: Reading, outcome: Outcome) -> None:
        run.stopping_as = outcome
        run.kill_at = now.mono + KILL_AFTER_S
        self._signal(run, signal.SIGTERM)
        self._signal(run, signal.SIGCONT)

    def _signal(self, run: Run, number: int) -> None:
        """To the run's whole group. Its leader is our unreaped child, or an adopted one whose identity fits."""
        if run.identity and (not run.adopted or run.identity.is_alive()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(run.identity.pid, number)

    def _poll(self, run: Run) -> tuple[bool, int | None]:
        """Has it ended, and with which code (None: unknowable)?"""
        if run.adopted:
            return (False, None) if locks.is_held(self._lock_path(run)) else (True, self._left_code(run))
        assert run.identity is not None  # set at the spawn
        pid, status = os.waitpid(run.identity.pid, os.WNOHANG)
        return pid != 0, os.waitstatus_to_exitcode(status) if pid else None

    def _left_code(self, run: Run) -> int | None:
        text = read_text(self.file(run.run_id, "exit"), 16)
        return int(text) if text.endswith("\n") and text.strip().isdigit() else None

    def _settle(self, run: Run, now: Reading, code: int | None) -> None:
        if run.stopping_as:
            self._finish(run, now, run.stopping_as, code, _STOP_REASONS[run.stopping_as])
        elif code is None:
            self._finish(run, now, Outcome.ABANDONED, None, "it ended while no scheduler watched, and left no status")
        else:
            self._finish(run, now, Outcome.SUCCEEDED if code == 0 else Outcome.FAILED, code, None)

    def _finish(self, run: Run, now: Reading, outcome: Outcome, code: int | None, reason: str | None) -> None:
        self.open.pop(run.run_id, None)
        run.outcome, run.code = outcome, code
        fields: dict[str, object] = {
            "job": run.job,
            "run_id": run.run_id,
            "due": clock.iso(run.due) if run.due else None,
            "outcome": outcome,
            "exit": code,
            "duration_s": round(now.mono - run.started.mono, 3),
            "output_bytes": _size(self.file(run.run_id, "log")),
        }
        if run.adopted:
            fields["adopted"] = True
        if reason:
            fields["reason"] = reason
        self._record("run_finished", now.utc, **fields)
        with contextlib.suppress(OSError):
            os.unlink(self.file(run.run_id, "exit"))


_STOP_REASONS = {Outcome.TIMED_OUT: "longer than its timeout", Outcome.STOPPED: "it was told to stop"}


def environment(paths: Paths, job: Job, run: Run) -> dict[str, str]:
    """All that a job's process gets: nothing is inherited, so that it is the same however the run began."""
    user = pwd.getpwuid(os.getuid())
    return {
        "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        **dict(job.env),
        "AUTOMATIONS_HOME": paths.home,
        "AUTOMATIONS_JOB": job.name,
        "AUTOMATIONS_RUN_ID": run.run_id,
        "AUTOMATIONS_DUE": clock.iso(run.due or run.started.utc),
    }


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
