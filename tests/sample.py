"""A home with a day of realistic history, for pictures, benchmarks and tests: a journal whose chain holds, and outputs.

Nothing is invented that the product would not write itself: lines are made by `journal.encode`, in order of time.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from automations import clock, locks, plan
from automations.config import parse
from automations.digest import short_hash
from automations.journal import FIRST_PREV, Entry, encode
from automations.model import Job
from automations.paths import PROJECT, Paths

MINUTE = timedelta(minutes=1)
JOBS = """
[jobs.brief]
description = "The morning page: is all well, what failed, what is next"
schedule = "0 8 * * *"
command = ["python", "-m", "automations.jobs.brief"]

[jobs.report]
description = "The record: success rate and durations of each job"
schedule = "0 9 * * *"
command = ["python", "-m", "automations.jobs.report"]

[jobs.selfheal]
description = "Finds what is broken and mends what it safely can"
every = "6h"
command = ["python", "-m", "automations.jobs.selfheal"]

[jobs.retention]
description = "Prunes old runs and artefacts, at each start and daily"
schedule = ["@reboot", "30 3 * * *"]
command = ["python", "-m", "automations.jobs.retention"]

[jobs.backup]
description = "Notes and photos to the disk in the hall"
schedule = "30 2 * * *"
timezone = "Europe/Zurich"
command = ["./backup.sh", "notes", "photos"]
group = "disk"
retries = 2

[jobs.sync-mail]
description = "Fetches the mail of three accounts"
every = "15m"
command = ["mbsync", "-a"]

[jobs.certificates]
description = "Renews what expires within a month"
schedule = "17 4,16 * * *"
command = ["certbot", "renew", "-n"]

[jobs.invoices]
description = "Sends the invoices of the week"
schedule = "0 17 * * FRI"
timezone = "Europe/Zurich"
command = ["python", "invoices.py", "--send"]

[jobs.index-photos]
description = "Faces and places of new photos"
schedule = "5 * * * *"
command = ["photos", "index", "--new"]
group = "disk"
"""
USUAL_S = {
    "sync-mail": 6.0,
    "backup": 540.0,
    "index-photos": 75.0,
    "certificates": 12.0,
    "invoices": 3.0,
    "report": 1.4,
}


class Sample:
    """Writes a journal minute by minute."""

    def __init__(self, folder: Path, now: datetime, jobs: str = JOBS, seed: int = 7) -> None:
        self.paths = Paths(str(folder), PROJECT)
        self.now = now
        self.jobs = parse(jobs.encode(), "automations.toml", str(folder), PROJECT).jobs
        self._chance = random.Random(seed)
        self._seq, self._prev = 0, FIRST_PREV
        self._lines: list[bytes] = []
        self._pid, self._boot, self._slept_s = 4123, locks.boot_id(), 0.0
        self._hash = short_hash(jobs.encode())
        (folder / "logs" / "configs").mkdir(parents=True, mode=0o700)
        (folder / "automations.toml").write_text(jobs)
        (folder / "logs" / "configs" / f"{self._hash}.toml").write_text(jobs)
        (folder / "logs" / "scheduler.want").write_text("up  \n")

    def say(self, at: datetime, event: str, **fields: object) -> None:
        """One entry."""
        self._seq += 1
        line = encode(Entry(event, fields, at), self._seq, self._prev)
        self._prev = short_hash(line)
        self._lines.append(line)

    def start(self, at: datetime, pid: int) -> None:
        """A scheduler starts."""
        self._pid = pid
        self.say(at, "startup", pid=pid, version="0.1.0", boot=self._boot, config=self._hash, **self._clocks(at))
        self.say(at, "config_loaded", config=self._hash, jobs=len(self.jobs))

    def sleep(self, seconds: float) -> None:
        """The machine sleeps: monotonic time stands."""
        self._slept_s += seconds

    def _clocks(self, at: datetime) -> dict[str, object]:
        up = 400_000 + (at - self.now).total_seconds()
        return {"mono": round(up - self._slept_s, 3), "boot_s": round(up, 3)}

    def minutes(self, since: datetime, until: datetime) -> None:
        """Ticks and runs of these minutes."""
        minute = since.replace(second=0, microsecond=0) + MINUTE
        while minute < until:
            at = minute + timedelta(milliseconds=self._chance.randint(1, 9))
            self.say(at, "tick", next=self._upcoming(minute - timedelta(seconds=1)), **self._clocks(at))
            for job in self.jobs.values():
                if job.schedule.after(minute - timedelta(seconds=1)) == minute:
                    self.run(job, minute)
            minute += MINUTE

    def catch_up(self, since: datetime, until: datetime) -> None:
        """The slots that were due meanwhile run late; of several of one job the newest."""
        for job in self.jobs.values():
            dues, due = [], job.schedule.after(since)
            while due and due <= until:
                dues.append(due)
                due = job.schedule.after(due)
            if len(dues) > 1:
                span = {"due": clock.iso(dues[0]), "until": clock.iso(dues[-2]), "slots": len(dues) - 1}
                self.say(until, "run_skipped", job=job.name, **span, outcome="missed", reason=plan.NEWER)
            if dues:
                self.run(job, dues[-1], began=until)

    def _upcoming(self, since: datetime) -> dict[str, object]:
        dues = {job.name: job.schedule.after(since) for job in self.jobs.values()}
        return {name: clock.iso(due) for name, due in sorted(dues.items(), key=lambda pair: str(pair[1])) if due}

    def run(self, job: Job, due: datetime, code: int | None = None, began: datetime | None = None) -> None:
        """A slot runs, from its beginning to its end."""
        usual = USUAL_S.get(job.name, 0.4)
        took = round(max(0.05, self._chance.gauss(usual, usual / 6)), 3)
        if code is None:
            code = 78 if job.name == "report" else 1 if job.name == "sync-mail" and self._chance.random() < 0.02 else 0
        began = began or due + timedelta(milliseconds=self._chance.randint(5, 40))
        run_id = f"{job.name}/{clock.slot_name(due)}"
        names = {"job": job.name, "run_id": run_id, "due": clock.iso(due)}
        self.say(began, "run_started", **names, trigger="schedule", attempt=1, timeout_s=3600.0, by=f"{self._pid} 1 -")
        text = _printed(job.name, code)
        path = Path(self.paths.runs, f"{run_id}.log")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text)
        end = {"outcome": "failed" if code else "succeeded", "exit": code, "duration_s": took}
        finished = began + timedelta(seconds=took)
        if finished < self.now:
            self.say(finished, "run_finished", **names, attempt=1, **end, output_bytes=len(text))

    def write(self) -> None:
        """Put the journal in its place."""
        Path(self.paths.journal).write_bytes(b"".join(line + b"\n" for line in self._lines))


def _printed(job: str, code: int) -> str:
    if job == "report":
        return "reading 30 days of history\nreport: template 'calendar.svg' is missing a legend\nreport: giving up\n"
    if code:
        return "connecting to imap.example.org …\nError: certificate has expired\n"
    return f"{job}: begin\n" + "".join(f"{job}: step {number} of 6 done\n" for number in range(1, 7)) + f"{job}: done\n"


def day(folder: Path, now: datetime, jobs: str = JOBS) -> Sample:
    """26 hours: a night in which the machine slept for 23 minutes, a crash at noon, a report that fails."""
    sample = Sample(folder, now, jobs)
    begin = now - timedelta(hours=26)
    sample.start(begin, 4123)
    asleep, crash = now - timedelta(hours=15, minutes=12), now - timedelta(hours=6, minutes=40)
    sample.minutes(begin, asleep)
    sample.sleep(23 * 60)
    awake = asleep + timedelta(minutes=23)
    sample.catch_up(asleep, awake)
    sample.minutes(awake, crash)
    sample.say(
        crash + timedelta(minutes=3),
        "watchdog_restart",
        cause="hung, no tick for 151 s: stuck in the kernel",
        attempt=1,
    )
    back = crash + timedelta(minutes=3, seconds=1)
    sample.start(back, os.getpid())
    sample.catch_up(crash, back)
    sample.minutes(back, now)
    sample.write()
    return sample


@contextmanager
def alive(sample: Sample) -> Iterator[None]:
    """This process stands in for the scheduler of the home: it holds and signs its lock."""
    lock = locks.Lock(sample.paths.log("scheduler.lock"))
    watchdog = locks.Lock(sample.paths.log("watchdog.lock"))
    with lock, watchdog:
        lock.acquire()
        lock.sign()
        watchdog.acquire()
        yield
