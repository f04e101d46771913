"""The commands about jobs: jobs, next, check, pause, resume, import-crontab."""

import argparse
import json
import os
import sys
import time
from datetime import datetime, timedelta

import msgspec

from automations import byhand, clock, config, crontab, forecast, overview, pause, text
from automations.errors import Exit, SettingError, UnknownJob
from automations.files import read_text
from automations.history import History
from automations.paths import Paths, prepare_logs


def jobs(paths: Paths, arguments: argparse.Namespace) -> int:
    """Every job, its next slot and how it went last."""
    known = byhand.known_jobs(paths)
    with History(paths) as history:
        found = overview.jobs(known, pause.read(paths), overview.record(history), clock.read().utc)
    if arguments.json:
        return _say_json(jobs=msgspec.to_builtins(found))
    print(text.table(("JOB", "SCHEDULE", "NEXT", "LAST", "WHEN", "STATE"), [_job_line(entry) for entry in found]))
    return Exit.OK


def _job_line(job: overview.JobView) -> tuple[object, ...]:
    outcome, ended = (job.last.outcome, job.last.ended or job.last.due) if job.last else ("–", None)
    return job.name, job.schedule, text.local(job.next), outcome, text.local(ended), _state(job)


def _state(job: overview.JobView) -> str:
    if job.paused:
        return f"paused until {text.local(job.paused.until)}" if job.paused.until else "paused"
    if not job.enabled:
        return "disabled"
    return "running" if job.running else ""


def upcoming(paths: Paths, arguments: argparse.Namespace) -> int:
    """The next slots, of one job or of all."""
    known = byhand.known_jobs(paths)
    if arguments.job:
        known = {arguments.job: byhand.find(paths, arguments.job)}
    paused, now = pause.read(paths), clock.read().utc
    found = [
        (due, name, str(paused[name]) if name in paused and paused[name].covers(due) else "")
        for due, name in forecast.upcoming(known, now, arguments.count)
    ]
    if arguments.json:
        return _say_json(slots=[{"due": clock.iso(due), "job": name, "note": note} for due, name, note in found])
    print(text.table(("DUE", "JOB", ""), [(text.local(due), name, note) for due, name, note in found]))
    return Exit.OK


def check(paths: Paths, arguments: argparse.Namespace) -> int:
    """Is the job file good, and what would it change in the next seven days?"""
    path = os.path.abspath(arguments.file or paths.config)
    found, _ = config.load(path, paths.project)
    before = config.in_force(paths.config, paths.project, paths.log("configs"))
    now = clock.read().utc
    changes = forecast.compare(before.jobs if before else found.jobs, found.jobs, now)
    if arguments.json:
        answer = overview.difference_as_json(changes)
        return _say_json(file=path, jobs=len(found.jobs), in_force=before.hash if before else None, **answer)
    print(f"{path}: good, {len(found.jobs)} jobs, {_count(sum_of_slots(changes))} in the next 7 days")
    lines = [*map(_collision_line, changes.collisions), *map(_dst_line, changes.dst)]
    if before:
        lines = [*map(_change_line, changes.changes), *lines]
        print(f"compared with what is in force: {_count(changes.same_slots)} stay as they are")
    print("\n".join(f"  {line}" for line in lines), end="\n" if lines else "")
    return Exit.OK


def sum_of_slots(found: forecast.Difference) -> int:
    """All slots of the file that was looked at."""
    return found.same_slots + sum(change.slots for change in found.changes if change.kind != "removed")


def _change_line(change: forecast.Change) -> str:
    to = f" → {text.local(change.to)}" if change.to else ""
    return f"{change.kind:<9} {change.job}: {_count(change.slots)}, first {text.local(change.first)}{to}"


def _collision_line(found: forecast.Collision) -> str:
    names = " ".join(found.jobs[:6]) + (f" and {len(found.jobs) - 6} more" if len(found.jobs) > 6 else "")
    meaning = f"; of group {found.group}, so one waits" if found.group else ""
    return f"collision {names}: {_count(found.slots)}, first {text.local(found.first)}{meaning}"


def _dst_line(slot: forecast.DstSlot) -> str:
    what = "does not exist that day" if slot.kind == "gap" else "comes twice that day"
    runs = ", ".join(text.local(due) for due in slot.runs) or "not at all"
    return f"{slot.kind:<9} {slot.job}: {slot.wall:%a %d %b %H:%M} {what}; runs {runs}"


def _count(slots: int) -> str:
    return f"{slots} slots" if slots != 1 else "1 slot"


def pause_job(paths: Paths, arguments: argparse.Namespace) -> int:
    """Let a job's slots pass until it is resumed, or until a given end."""
    job, now = _any_job(paths, arguments.job), clock.read().utc
    until = arguments.until or (now + arguments.length if arguments.length else None)
    if until and until <= now:
        raise SettingError(f"--until: {clock.iso(until)} has passed; expected a time to come")
    prepare_logs(paths)
    made = pause.pause(paths, job, now, until, arguments.note)
    if arguments.json:
        return _say_json(job=job, paused=msgspec.to_builtins(overview.pause_view(made)))
    print(f"{job}: {made}; next: run_automations.sh resume {job}")
    return Exit.OK


def resume_job(paths: Paths, arguments: argparse.Namespace) -> int:
    """End a pause."""
    job = arguments.job if os.path.exists(paths.log("paused", arguments.job)) else _any_job(paths, arguments.job)
    was_paused = pause.resume(paths, job, "by hand")
    if arguments.json:
        return _say_json(job=job, was_paused=was_paused)
    print(f"{job}: {'resumed' if was_paused else 'was not paused'}")
    return Exit.OK


def _any_job(paths: Paths, name: str) -> str:
    return byhand.find(paths, name).name


def import_crontab(_: Paths, arguments: argparse.Namespace) -> int:
    """Write a crontab as a job file to stdout; what it could not carry over, to stderr."""
    if arguments.file and not os.path.exists(arguments.file):
        raise UnknownJob(
            f"{arguments.file}: not found; expected a crontab; `crontab -l | … import-crontab` reads stdin"
        )
    content = read_text(arguments.file, 1 << 24) if arguments.file else sys.stdin.read()
    made = crontab.convert(content, system=arguments.system, timezone=arguments.timezone or machine_zone())
    print(made.toml, end="")
    for note in made.notes:
        print(note, file=sys.stderr)
    print(f"{made.jobs} jobs, {len(made.notes)} notes", file=sys.stderr)
    return Exit.OK


def machine_zone() -> str | None:
    """The machine's IANA zone, which cron goes by; None when it is UTC or cannot be told."""
    target = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    name = os.environ.get("TZ", "").removeprefix(":") or target or read_text("/etc/timezone", 256).strip()
    return name if name and time.timezone | time.daylight and not name.startswith("/") else None


def length(value: str) -> timedelta:
    """argparse's reader of a duration."""
    try:
        return config.duration(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r}: {error}") from None


def moment(value: str) -> datetime:
    """argparse's reader of a time."""
    try:
        return clock.moment(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def ago_or_moment(value: str) -> datetime:
    """argparse's reader of a time in the past: `2h` ago, or a moment."""
    try:
        return clock.read().utc - config.duration(value)
    except ValueError:
        return moment(value)


def _say_json(**fields: object) -> int:
    print(json.dumps({"ok": True, **fields}))
    return Exit.OK
