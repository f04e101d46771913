"""Start, stop and revive a service: the transitions, each under one lock, each ending in a proven state.

Rules:
- Every transition of a service is made under its transition lock; the last want written under it wins.
- `start` wants `up`, and says OK only after the proof of `detach`. A living holder of the lock is named, not
  replaced. A stale pid file is no obstacle.
- `stop` wants `down` *before* it waits for the lock, so that a revival in progress sees it.
- `revive` is the watchdog's start: it acts only while the want is `up`.

Called by the command line alone; faces go through `run_automations.sh`.
"""

import contextlib
import errno
import os
import sys
from typing import NamedTuple

from automations import detach, locks
from automations.errors import AutomationsError, JournalError, StartFailed, StopFailed
from automations.journal import Entry, Journal
from automations.model import Want
from automations.paths import Paths, prepare_logs, tick_s
from automations.process import end, read_want, remove_pid_file, write_want

TRANSITION_WAIT_S = 12.0
STOP_PATIENCE_S = 5.0


class Service(NamedTuple):
    """A program that is started once and lives: what to run, and the files that tell of it."""

    title: str
    argv: tuple[str, ...]
    lock: str
    pid_file: str
    out: str
    transition: str


def scheduler(paths: Paths) -> Service:
    """The scheduler, as `scripts/exec_scheduler.py`."""
    return _service(paths, "Scheduler", "scheduler", "scripts/exec_scheduler.py")


def server(paths: Paths) -> Service:
    """The control API, as `server.py`."""
    return _service(paths, "API", "server", "server.py")


def _service(paths: Paths, title: str, name: str, script: str) -> Service:
    return Service(
        title=title,
        argv=(sys.executable, "-I", os.path.join(paths.project, script)),
        lock=paths.log(f"{name}.lock"),
        pid_file=paths.log(f"{name}.pid"),
        out=paths.log(f"{name}.out"),
        transition=paths.log(f"{name}.transition.lock"),
    )


class Result(NamedTuple):
    """What a transition did: its sentence, and the pid it speaks of."""

    status: str
    pid: int | None


def start(paths: Paths) -> Result:
    """Bring the scheduler up. Raises StartFailed, LockBusy, or OSError when `logs/` cannot be written."""
    prepare_logs(paths)
    service = scheduler(paths)
    with _transition(service):
        write_want(paths, Want.UP)
        try:
            return bring_up(service)
        except StartFailed:  # what was called failed must not come up after all
            _want_down(paths)
            _end_watchdog(paths)
            raise


def bring_up(service: Service) -> Result:
    """Launch the service unless it lives. The caller holds the transition lock."""
    living = locks.holder(service.lock)
    if living:
        return Result(f"{service.title} already running", living.pid)
    try:
        pid, _ = detach.launch(service.argv, service.out)
    except StartFailed as error:
        raise StartFailed(f"{service.title} did not start: {error}", error.exit_code) from None
    proved = locks.holder(service.lock)
    if proved is None or proved.pid != pid:
        raise StartFailed(f"{service.title} did not start: pid {pid} does not hold {service.lock}")
    return Result(f"{service.title} started", pid)


def stop(paths: Paths) -> Result:
    """Take the scheduler and its watchdog down, whatever state they are in. Raises StopFailed, LockBusy."""
    if not os.path.isdir(paths.logs):
        return Result("Scheduler stopped", None)
    service = scheduler(paths)
    was_wanted = read_want(paths)
    _want_down(paths)
    with _transition(service):
        _want_down(paths)
        pid, how = bring_down(service)
        _end_watchdog(paths)
        if pid or was_wanted == Want.UP:
            _journal(paths, "stopped", pid=pid, how=how)
    return Result("Scheduler stopped", pid)


def bring_down(service: Service) -> tuple[int | None, str]:
    """End the service if it lives; its pid and how it ended. The caller holds the transition lock."""
    living = locks.holder(service.lock)
    if living is None:
        _remove_stale_pid_file(service)
        return None, "was not running"
    how = end(living, STOP_PATIENCE_S)
    if how == "still there":
        raise StopFailed(f"{service.title}: pid {living.pid} did not end on KILL; it is stuck in the kernel (state D)")
    remove_pid_file(service.pid_file, living.pid)
    return living.pid, how


def restart(paths: Paths) -> Result:
    """Stop, then start; but what would keep it from starting is found out before a running one is stopped."""
    from automations import config  # not above: `stop` must work where the virtual environment is gone

    try:
        prepare_logs(paths)
        tick_s()
        config.load(paths.config, paths.project)
        if not os.access(paths.logs, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), paths.logs)
    except AutomationsError as error:
        error.args = (f"not restarted, nothing was stopped: {error}",)
        raise
    stop(paths)
    return start(paths)


def revive(paths: Paths, cause: str, attempt: int) -> Result | None:
    """Start the scheduler again after it crashed or hung; None when the user wants it down."""
    service = scheduler(paths)
    with _transition(service):
        if read_want(paths) != Want.UP:
            return None
        if locks.holder(service.lock) is None:
            _journal(paths, "watchdog_restart", cause=cause, attempt=attempt)
        return bring_up(service._replace(argv=(*service.argv, "--revived")))


def give_up(paths: Paths, cause: str, attempt: int) -> None:
    """Record that the watchdog will not try again."""
    _journal(paths, "watchdog_gave_up", cause=cause, attempts=attempt)


def start_server(paths: Paths) -> tuple[Result, str]:
    """Bring the control API up, detached; also the address it serves, which a living one chose before."""
    prepare_logs(paths)
    service = server(paths)
    with _transition(service):
        return bring_up(service), locks.note(service.lock)


def stop_server(paths: Paths) -> Result:
    """Take the control API down."""
    if not os.path.isdir(paths.logs):
        return Result("API stopped", None)
    service = server(paths)
    with _transition(service):
        pid, _ = bring_down(service)
    return Result("API stopped", pid)


def _want_down(paths: Paths) -> None:
    """Write the want. Where it cannot be written, stopping goes on: a scheduler that cannot be stopped is worse."""
    try:
        write_want(paths, Want.DOWN)
    except OSError as error:
        print(f"warning: {paths.want}: {error.strerror}; the want `down` is not on the disk", file=sys.stderr)


def _transition(service: Service) -> locks.Lock:
    lock = locks.Lock(service.transition)
    lock.acquire(TRANSITION_WAIT_S)
    with contextlib.suppress(OSError):  # the name in it only serves the message of whoever waits in vain
        lock.sign()
    return lock


def _end_watchdog(paths: Paths) -> None:
    living = locks.holder(paths.log("watchdog.lock"))
    if living:
        end(living, 1.0)


def _remove_stale_pid_file(service: Service) -> None:
    with contextlib.suppress(OSError):
        os.unlink(service.pid_file)


def _journal(paths: Paths, event: str, **fields: object) -> None:
    """Append one entry. What cannot be recorded is said aloud, and does not undo what was done."""
    try:
        Journal(paths).append(Entry(event, fields))
    except JournalError as error:
        print(f"warning: {event} is not in the journal: {error}", file=sys.stderr)
