"""Finds what is broken, mends what it safely can, says what it could not.

Looks at: a scheduler that is wanted and dead, a missing watchdog, a stale pid file, a torn or a broken journal, a
refused job file, a filling disk. Leaves one `selfheal` entry in the journal. Exit 1 when something is left to a person.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from automations import config, control, locks
from automations.errors import AutomationsError, ConfigError
from automations.files import read_tail, read_text
from automations.journal import Entry, Journal
from automations.model import Want
from automations.paths import Paths
from automations.process import read_want, remove_pid_file

LEAST_FREE = 0.05


class Finding(NamedTuple):
    """One thing that is wrong, and what was done about it (empty: it is left to a person)."""

    found: str
    done: str


def dead_scheduler(paths: Paths) -> Finding | None:
    """A scheduler that is wanted and not there is brought back through the door."""
    if read_want(paths) != Want.UP or locks.holder(paths.log("scheduler.lock")):
        return None
    try:
        said = control.call(paths, "revive", "selfheal found it dead", "0").said
    except AutomationsError as error:
        return Finding(f"the scheduler is wanted and dead; {error}", "")
    pid = said.get("pid")
    return Finding("the scheduler was wanted and dead", f"started again, pid {pid}" if pid else "")


def missing_watchdog(paths: Paths) -> Finding | None:
    """The scheduler starts a missing watchdog with its next tick; this only says so."""
    if not locks.holder(paths.log("scheduler.lock")) or locks.is_held(paths.log("watchdog.lock")):
        return None
    return Finding("no watchdog", "the scheduler starts one within a minute, unless it is in the foreground")


def stale_pid_file(paths: Paths) -> Finding | None:
    """A pid file that nobody stands behind is removed; not while `up` is wanted: then the watchdog lives on it."""
    path = paths.log("scheduler.pid")
    pid = read_text(path, 64).strip()
    if read_want(paths) == Want.UP or not locks.is_pid(pid) or locks.holder(paths.log("scheduler.lock")):
        return None
    remove_pid_file(path, int(pid))
    return Finding("a pid file of a scheduler that is no more", "removed")


def torn_journal(paths: Paths) -> Finding | None:
    """A half-written last line is cut by the next append, which is this job's own entry."""
    tail = read_tail(paths.journal, 4096)
    if not tail or tail.endswith(b"\n"):
        return None
    return Finding("the journal's last line is torn", "cut, as journal_recovered tells")


def broken_journal(paths: Paths) -> Finding | None:
    """What the independent verifier finds is a person's to look at: nobody mends evidence."""
    verifier = os.path.join(paths.project, "scripts", "verify_log.py")
    done = subprocess.run([sys.executable, "-I", verifier, paths.journal], capture_output=True, text=True, check=False)
    faults = [line for line in done.stdout.splitlines() if "is torn" not in line] if done.returncode == 1 else []
    return Finding(f"the journal does not hold: {faults[0]}", "") if faults else None


def refused_job_file(paths: Paths) -> Finding | None:
    """A faulty job file is a person's to mend."""
    try:
        config.load(paths.config, paths.project)
    except ConfigError as error:
        return Finding(error.faults[0], "")
    return None


def filling_disk(paths: Paths) -> Finding | None:
    """Little space is named; what may be deleted is retention's to say."""
    usage = shutil.disk_usage(paths.logs)
    if usage.free >= LEAST_FREE * usage.total:
        return None
    return Finding(f"only {usage.free // 1024**2} MiB free for {paths.logs}", "")


CHECKS: tuple[Callable[[Paths], Finding | None], ...] = (
    dead_scheduler,
    missing_watchdog,
    stale_pid_file,
    torn_journal,
    broken_journal,
    refused_job_file,
    filling_disk,
)


def main() -> int:
    paths = Paths.from_environment()
    findings = [finding for check in CHECKS if (finding := check(paths))]
    mended = [f"{finding.found}: {finding.done}" for finding in findings if finding.done]
    left = [finding.found for finding in findings if not finding.done]
    Journal(paths).append(Entry("selfheal", {"checks": len(CHECKS), "mended": mended, "left": left}))
    for line in mended:
        print(f"mended: {line}")
    for line in left:
        print(f"left to you: {line}")
    if not findings:
        print(f"{len(CHECKS)} checks, nothing to mend")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
