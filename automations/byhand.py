"""Runs by hand: the same claim, record, environment and outcome as the scheduler's, in a process of their own.

They need no scheduler, so that a person can run a job while it is down. A run begun with `run_detached` is seen
through by a process that has proved, by the run's journal line, that it began.
"""

import contextlib
import os
import sys
import time
from typing import BinaryIO

from automations import claim, clock, config, detach, readiness
from automations.errors import AutomationsError, Exit, NotRunning, StopFailed, UnknownJob
from automations.files import open_private
from automations.journal import Journal
from automations.model import Job, Slot
from automations.paths import Paths, prepare_logs
from automations.recorder import Recorder
from automations.runner import Runner
from automations.signals import Signals

_DETACHED = "AUTOMATIONS_DETACHED"
_LOOK_S = 0.05
_STOP_WAIT_S = 12.0  # a look a second, five seconds to listen, three to be killed


def run(paths: Paths, job_name: str) -> int:
    """Run a job now, copy its output to stdout as it comes, and return its exit code (1 if it was ended)."""
    readiness.keep_ready_fd()
    prepare_logs(paths)
    quiet = os.environ.pop(_DETACHED, None) is not None
    runner = Runner(paths, Recorder(Journal(paths), echo=False))
    signals = Signals()
    signals.install()
    try:
        begun = runner.begin_one(Slot(find(paths, job_name), None), clock.read())
    except AutomationsError as refused:
        readiness.announce(str(refused))
        raise
    readiness.announce(f"ready {begun.run_id}")
    with open(claim.file(paths, begun.run_id, "log"), "rb") as output:
        while begun.outcome is None:
            signals.wait(_LOOK_S if not quiet else runner.wake_in(clock.read()) or 0.0)
            now = clock.read()
            runner.watch(now)
            if begun.outcome is None and (signals.stop or signals.hangup):
                runner.stop([begun], now)
            if not quiet:
                _copy(output)
    if not quiet:
        print(f"{begun.run_id}: {begun.outcome}, exit {begun.code}{_because(begun.reason)}", file=sys.stderr)
    if begun.code is None:
        return Exit.FAILED
    return begun.code if begun.code >= 0 else 128 - begun.code  # as a shell tells of a signal


def _because(reason: str | None) -> str:
    return f", {reason}" if reason else ""


def run_detached(paths: Paths, job_name: str) -> str:
    """Begin a run that outlives this process; its run id once its start is in the journal."""
    prepare_logs(paths)
    find(paths, job_name)
    os.environ[_DETACHED] = "1"
    main = os.path.join(paths.project, "automations", "__main__.py")
    argv = (sys.executable, "-I", main, "run", job_name)
    return detach.launch(argv, paths.log("scheduler.out"), settle_s=0.0)[1]


def stop_run(paths: Paths, run_id: str) -> None:
    """Have an open run ended by whoever watches it, and wait for its outcome. Raises RunRefused, StopFailed."""
    if not claim.is_open(paths, run_id):
        raise NotRunning(f"{run_id} does not run")
    os.close(open_private(claim.file(paths, run_id, "stop"), os.O_WRONLY))
    deadline = time.monotonic() + _STOP_WAIT_S
    while os.path.exists(claim.file(paths, run_id, "run")):
        if time.monotonic() > deadline:
            raise StopFailed(f"{run_id} was told to stop and has not ended; does anybody watch it? next: make start")
        time.sleep(_LOOK_S)
    with contextlib.suppress(FileNotFoundError):  # it ended by itself at the same moment
        os.unlink(claim.file(paths, run_id, "stop"))


def known_jobs(paths: Paths) -> dict[str, Job]:
    """The jobs of the job file; of the last good one, with a warning, when it is faulty."""
    found, refused = config.load_last_good(paths.config, paths.project, paths.log("configs"))
    if refused:
        print(f"warning: {refused.faults[0]}; the last good job file is used", file=sys.stderr)
    return found.jobs


def find(paths: Paths, job_name: str) -> Job:
    """The job of this name in the job file. Raises UnknownJob with the names there are."""
    known = known_jobs(paths)
    if job_name not in known:
        raise UnknownJob(f"no job {job_name!r} in {paths.config}; there are: {' '.join(known) or 'none'}")
    return known[job_name]


def _copy(output: BinaryIO) -> None:
    """Pass on what the run has printed since the last look."""
    while piece := output.read(1 << 16):
        try:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            return  # the reader left; the run goes on
