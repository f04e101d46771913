"""The runs that a scheduler finds open when it starts: begun by a process that is no more, and perhaps still alive.

They are known from the journal's end, and those that began before it from their own files. What the job file says of
the job now decides about retries and good exit codes; the timeout is the one that the run began with.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta

from automations import claim, clock
from automations.clock import Reading
from automations.locks import Identity
from automations.model import Job, Slot
from automations.paths import Paths
from automations.replay import Past
from automations.run import Run
from automations.schedule import AtStart


def open_runs(paths: Paths, past: Past, jobs: Mapping[str, Job], now: Reading) -> list[Run]:
    """Every run that has no end on record, and nobody who sees it through."""
    found = dict(past.open_runs)
    for run_id, facts in _older(paths, past):
        found.setdefault(run_id, facts)
    return [_run(paths, run_id, entry, jobs, now) for run_id, entry in found.items() if not _is_watched(entry)]


def _is_watched(entry: Mapping[str, object]) -> bool:
    """A run by hand, and the hand is still on it."""
    by = Identity.parse(str(entry.get("by")))
    return by is not None and by.is_alive()


def _older(paths: Paths, past: Past) -> Iterator[tuple[str, dict[str, object]]]:
    """Runs that began before the part of the journal that was read. Files of ended runs, which a crash left, go."""
    for run_id in claim.unfinished(paths):
        facts = claim.left(paths, run_id).facts
        if past.began and facts and str(facts.get("ts")) < clock.iso(past.began):
            yield run_id, facts
        elif run_id not in past.open_runs and not claim.is_open(paths, run_id):
            with contextlib.suppress(OSError):
                os.unlink(claim.file(paths, run_id, "run"))


def _run(paths: Paths, run_id: str, entry: Mapping[str, object], jobs: Mapping[str, Job], now: Reading) -> Run:
    name = str(entry["job"])
    timeout = timedelta(seconds=float(str(entry.get("timeout_s", 3600))))
    job = (jobs.get(name) or _unknown(name, timeout))._replace(timeout=timeout)
    due = clock.parse_iso(str(entry["due"])) if entry.get("due") else None
    began = clock.parse_iso(str(entry["ts"]))
    elapsed_s = max(0.0, (now.utc - began).total_seconds())
    slot = Slot(job, due, int(str(entry.get("attempt", 1))))
    run = Run(paths, slot, run_id, Reading(began, now.mono - elapsed_s, 0.0))
    run.adopted = True
    return run


def _unknown(name: str, timeout: timedelta) -> Job:
    """A job that the job file no longer has."""
    return Job(name, AtStart(), "", "", timeout, grace=timedelta(0), cwd="/", enabled=False)
