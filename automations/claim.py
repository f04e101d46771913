"""Claiming a run: its output file, made exclusively, and the locks that its shim will hold.

Rules:
- The output file `runs/<job>/<slot>.log` is created exclusively; a slot is so claimed once, by whoever comes first.
- The job's lock, its folder, keeps two runs of it apart; jobs that allow overlap share it. The group's lock keeps
  apart the jobs of one group.
- `<slot>.run`, the run's own lock, exists while the run is open. Line by line: the facts of its beginning as JSON,
  then from the shim `pid N` and at the end `exit N`. So a run outlives a crashed scheduler, and the next one finds
  out how it ended.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from automations import clock, locks
from automations.errors import AlreadyClaimed, GroupBusy, LockBusy, RunRefused, StillRunning
from automations.files import open_private, read_text
from automations.locks import Lock
from automations.model import Job, Overlap
from automations.paths import Paths


class Claim:
    """What a run holds before its process exists; `close` lets go of our side of it."""

    __slots__ = ("_locks", "out")

    def __init__(self, paths: Paths, job: Job, run_id: str) -> None:
        """Take everything, or nothing. Raises StillRunning, GroupBusy, AlreadyClaimed, or RunRefused for an OSError."""
        self.out = -1
        self._locks: list[Lock] = []
        try:
            self._take(paths, job, run_id)
        except OSError as error:
            self.close()
            place = error.filename or paths.runs
            raise RunRefused(f"{run_id}: {place}: {error.strerror or error}") from error
        except RunRefused:
            self.close()
            raise

    def _take(self, paths: Paths, job: Job, run_id: str) -> None:
        folder = os.path.join(paths.runs, job.name)
        job_lock = Lock(folder, shared=job.overlap is Overlap.ALLOW, folder=True)
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        try:
            job_lock.acquire()
        except LockBusy:
            raise StillRunning(f"{job.name} is still running") from None
        self._locks.append(job_lock)
        group_lock = self._take_group(paths, job)
        try:
            self.out = open_private(file(paths, run_id, "log"), os.O_WRONLY | os.O_APPEND | os.O_EXCL)
        except FileExistsError:
            raise AlreadyClaimed(f"{run_id} began before; what became of it could not be written") from None
        self._locks = [_run_lock(paths, job.name, run_id), job_lock, *group_lock]

    def _take_group(self, paths: Paths, job: Job) -> list[Lock]:
        if not job.group:
            return []
        os.makedirs(paths.log("groups"), mode=0o700, exist_ok=True)
        lock = Lock(paths.log("groups", job.group))
        try:
            lock.acquire()
        except LockBusy:
            raise GroupBusy(f"another job of its group {job.group} runs") from None
        self._locks.append(lock)
        return [lock]

    def note(self, facts: Mapping[str, object]) -> None:
        """Write the facts of the run's beginning for whoever may adopt it. A full disk takes only that chance."""
        with contextlib.suppress(OSError):
            os.write(self._locks[0].fd, json.dumps(facts).encode() + b"\n")

    @property
    def lock_fds(self) -> list[int]:
        """Descriptors of the run's, the job's and the group's lock."""
        return [lock.fd for lock in self._locks]

    def close(self) -> None:
        """Close our descriptors; what the shim has of them stays its own."""
        for lock in self._locks:
            lock.release()
        if self.out >= 0:
            os.close(self.out)
            self.out = -1


def _run_lock(paths: Paths, job: str, run_id: str) -> Lock:
    """The run's own lock file: a fresh one, or what an ended run left: to rename costs a tenth of to create."""
    lock = Lock(file(paths, run_id, "run"))
    with contextlib.suppress(FileNotFoundError):
        os.rename(_spare(paths, job), lock.path)
    try:
        lock.acquire()
    except LockBusy as error:
        raise RunRefused(f"{run_id}: {error}") from None
    os.ftruncate(lock.fd, 0)
    return lock


def release(paths: Paths, job: str, run_id: str) -> None:
    """The run has its outcome: its lock file is kept for the job's next run, and whoever wanted it stopped has it."""
    with contextlib.suppress(OSError):
        os.rename(file(paths, run_id, "run"), _spare(paths, job))
    with contextlib.suppress(OSError):
        os.unlink(file(paths, run_id, "stop"))


def _spare(paths: Paths, job: str) -> str:
    return os.path.join(paths.runs, job, "spare")


class Left(NamedTuple):
    """What a run's file tells: the facts of its beginning (empty: unknown), the shim's pid, the exit status."""

    facts: dict[str, object]
    pid: int | None
    code: int | None


def left(paths: Paths, run_id: str) -> Left:
    """Read a run's file."""
    facts: dict[str, object] = {}
    pid = code = None
    for line in read_text(file(paths, run_id, "run"), 8192).split("\n")[:-1]:
        word, _, number = line.partition(" ")
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                facts = json.loads(line)
        elif word == "pid" and locks.is_pid(number):
            pid = int(number)
        elif word == "exit" and locks.is_pid(number):
            code = int(number)
    return Left(facts, pid, code)


def is_open(paths: Paths, run_id: str) -> bool:
    """Does the run's shim live?"""
    return locks.is_held(file(paths, run_id, "run"))


def file(paths: Paths, run_id: str, kind: str) -> str:
    """The run's `log` (output), `at` (times), `run` (lock and facts) or `stop` (somebody wants it ended)."""
    return os.path.join(paths.runs, f"{run_id}.{kind}")


def run_name(due: datetime | None, attempt: int, now: datetime) -> str:
    """A run's name within its job: the slot, with the attempt from the second on; the moment of a run by hand."""
    if due is None:
        return clock.moment_name(now)
    return clock.slot_name(due) if attempt == 1 else f"{clock.slot_name(due)}.{attempt}"


def claimed(paths: Paths, job: str, first: datetime, last: datetime) -> list[datetime]:
    """The slots of a job from `first` to `last` that were begun, by their output files."""
    try:
        names = os.listdir(os.path.join(paths.runs, job))
    except FileNotFoundError:
        return []
    slots = (clock.parse_slot(name.removesuffix(".log")) for name in names if name.endswith(".log"))
    return sorted(slot for slot in slots if slot and first <= slot <= last)


def unfinished(paths: Paths) -> list[str]:
    """The ids of all runs that have a lock file: they were open when somebody looked last."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for folder in os.scandir(paths.runs):
            if folder.is_dir(follow_symlinks=False):
                names = os.listdir(folder.path)
                found += [f"{folder.name}/{name[:-4]}" for name in names if name.endswith(".run")]
    return sorted(found)
