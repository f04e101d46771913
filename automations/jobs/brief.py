"""The morning page: is all well, what failed and its last words, what runs in the next 24 hours.

Writes Markdown and JSON to `logs/briefs/`, prints the Markdown, and leaves one `brief` entry in the journal.
"""

import json
import os
import shutil
from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from automations import clock, config, locks
from automations.errors import ConfigError
from automations.files import read_tail, replace
from automations.journal import Entry, Journal
from automations.model import Outcome
from automations.paths import Paths
from automations.process import read_want
from automations.replay import entries_since

DAY = timedelta(hours=24)
LAST_WORDS = 3
MOST_LINES = 20
MIB = 1024 * 1024


TROUBLE = {
    "watchdog_restart": "cause",
    "watchdog_gave_up": "cause",
    "config_rejected": "faults",
    "journal_gap": "reason",
    "journal_recovered": "cut",
    "error": "message",
}


class Failure(NamedTuple):
    """A job's last run that did not succeed, with the last lines it printed, and how many did not."""

    times: int
    run_id: str
    outcome: str
    exit: object
    reason: object
    last_words: list[str]


class Facts(NamedTuple):
    """All that the page tells; its JSON has the same names. Counts are of the last 24 hours."""

    at: str
    scheduler_pid: int | None
    want: str
    watchdog: bool
    ticks: int
    runs: int
    failed: list[Failure]
    not_run: list[dict[str, object]]
    trouble: list[str]
    next: dict[str, str]
    disk_free_mib: int
    load: float


def gather(paths: Paths, now: datetime) -> Facts:
    """Look at everything the page tells of."""
    entries = entries_since(paths.journal, now - DAY)
    ended = [entry for entry in entries if entry["event"] == "run_finished"]
    holder = locks.holder(paths.log("scheduler.lock"))
    return Facts(
        at=clock.iso(now),
        scheduler_pid=holder.pid if holder else None,
        want=read_want(paths),
        watchdog=locks.is_held(paths.log("watchdog.lock")),
        ticks=sum(entry["event"] == "tick" for entry in entries),
        runs=len(ended),
        failed=_failures(paths, [entry for entry in ended if entry.get("outcome") != Outcome.SUCCEEDED]),
        trouble=[
            f"{e['ts']} {e['event']}: {e.get(TROUBLE[str(e['event'])])}" for e in entries if e["event"] in TROUBLE
        ],
        not_run=[entry for entry in entries if entry["event"] == "run_skipped"],
        next=_next(paths, now),
        disk_free_mib=shutil.disk_usage(paths.logs).free // MIB,
        load=round(os.getloadavg()[0], 2),
    )


def _failures(paths: Paths, failed: list[dict[str, object]]) -> list[Failure]:
    """One for each job, told by its last failed run."""
    last = {str(entry["job"]): entry for entry in failed}
    times = Counter(str(entry["job"]) for entry in failed)
    return [_failure(paths, times[job], entry) for job, entry in last.items()]


def _failure(paths: Paths, times: int, entry: dict[str, object]) -> Failure:
    run_id = str(entry["run_id"])
    output = read_tail(os.path.join(paths.runs, f"{run_id}.log"), 4096).decode("utf-8", "backslashreplace")
    words = output.strip().split("\n")[-LAST_WORDS:] if output.strip() else ["(it printed nothing)"]
    return Failure(times, run_id, str(entry.get("outcome")), entry.get("exit"), entry.get("reason"), words)


def _next(paths: Paths, now: datetime) -> dict[str, str]:
    """Each job's next slot within a day, by the job file in force; empty when there is no good one."""
    try:
        jobs = config.load_last_good(paths.config, paths.project, paths.log("configs"))[0].jobs
    except ConfigError:
        return {}
    slots = {job.name: job.schedule.after(now) for job in jobs.values() if job.enabled}
    soon = sorted((slot, name) for name, slot in slots.items() if slot and slot <= now + DAY)
    return {name: clock.iso(slot) for slot, name in soon}


def page(facts: Facts) -> str:
    """The facts as Markdown for a person."""
    scheduler = f"running, pid {facts.scheduler_pid}" if facts.scheduler_pid else "NOT RUNNING"
    failed, not_run = sum(run.times for run in facts.failed), len(facts.not_run)
    lines = [
        f"# Brief of {facts.at}",
        "",
        f"- Scheduler: {scheduler} (wanted {facts.want}); watchdog {'on' if facts.watchdog else 'off'}",
        f"- Last 24 h: {facts.ticks} ticks, {facts.runs} runs, {failed} failed, {not_run} not run",
        f"- Disk: {facts.disk_free_mib} MiB free · load {facts.load}",
    ]
    for run in facts.failed:
        lines += ["", f"## {run.times} × {run.outcome}, exit {run.exit}: {run.run_id}", ""]
        lines += [f"    {line}" for line in run.last_words]
    if facts.trouble:
        lines += ["", "## Trouble", "", *(f"- {line}" for line in facts.trouble[-MOST_LINES:])]
    if facts.not_run:
        lines += ["", "## Not run", ""]
        lines += [
            f"- {entry['job']} {entry['due']}: {entry['outcome']}, {entry['reason']}"
            for entry in facts.not_run[-MOST_LINES:]
        ]
    lines += ["", "## Next 24 h", ""]
    lines += [f"- {slot} {job}" for job, slot in facts.next.items()] or ["- nothing is due"]
    return "\n".join(lines) + "\n"


def main() -> None:
    paths = Paths.from_environment()
    now = clock.read().utc
    facts = gather(paths, now)
    text = page(facts)
    name = f"briefs/{clock.slot_name(now)}"
    os.makedirs(paths.log("briefs"), mode=0o700, exist_ok=True)
    failed = [run._asdict() for run in facts.failed]
    replace(paths.log(f"{name}.json"), json.dumps({**facts._asdict(), "failed": failed}, indent=1).encode())
    replace(paths.log(f"{name}.md"), text.encode())
    note = {"file": f"{name}.md", "failed": len(failed), "not_run": len(facts.not_run)}
    Journal(paths).append(Entry("brief", note))
    print(text, end="")


if __name__ == "__main__":
    main()
