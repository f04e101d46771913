"""A line of the journal, or of an output, for people: spans of text, each with a tone. Pure.

Rules: a line is clipped at 4 kB; what is no entry is shown as it is. Cleaning is `toned`'s, where it is drawn.
Nothing is told by tone alone: each outcome has its mark and its word.
"""

import json
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from automations import text
from tui import words

MOST_BYTES = 4096
_Entry = dict[str, object]


class Span(NamedTuple):
    """Text and its tone: plain, dim, time, job, good, warn, bad, accent."""

    text: str
    tone: str = "plain"


def raw(line: bytes) -> list[Span]:
    """The line as it stands in the file."""
    return [Span(line[:MOST_BYTES].decode("utf-8", "backslashreplace").expandtabs(8))]


def entry(line: bytes, today: date | None = None, count: int = 1) -> list[Span]:
    """A line of the journal as time, event and what matters of it; `count` of them, when they are ticks in a row."""
    found = parsed(line)
    if found is None:
        return [Span("⁇ not an entry  ", "bad"), *raw(line)]
    event = str(found.get("event"))
    told = _TELLERS.get(event, _other)(found)
    if count > 1:
        told = [Span(f"· {count} ticks  ", "dim"), *told[1:]]
    return [Span(f"{_local(found.get('ts'), today)} ", "time"), *told]


def is_tick(line: bytes) -> bool:
    """Is it a heartbeat, and nothing but that?"""
    return line.startswith(b'"event":"tick"', 33)


def parsed(line: bytes) -> _Entry | None:
    """The entry as a dictionary; None when it is none."""
    try:
        found = json.loads(line[: 4 * MOST_BYTES])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "event" in found else None


def is_error(line: bytes) -> bool:
    """Does this line of the journal tell of something gone wrong?"""
    if line.startswith(_QUIET, 33):
        return False
    found = parsed(line)
    if found is None:
        return True
    if found.get("event") in ("run_finished", "run_skipped"):
        return found.get("outcome") in ("failed", "timed_out", "abandoned", "missed")
    return found.get("event") in _ERRORS


_QUIET = (b'"event":"tick"', b'"event":"run_started"', b'"event":"startup"', b'"event":"config_loaded"')
_ERRORS = ("error", "config_rejected", "watchdog_restart", "watchdog_gave_up", "journal_recovered", "journal_gap")


def run_id_of(line: bytes) -> str | None:
    """The run that a line of the journal is about."""
    found = (parsed(line) or {}).get("run_id")
    return found if isinstance(found, str) else None


def _local(ts: object, today: date | None) -> str:
    at = words.as_time(str(ts))
    if at is None:
        return str(ts)[:24]
    local = at.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%d %b %H:%M:%S}"


def _job(found: _Entry) -> Span:
    return Span(f"{found.get('job')} ", "job")


def _tick(found: _Entry) -> list[Span]:
    upcoming = found.get("next")
    dues = [(str(due), str(job)) for job, due in upcoming.items() if due] if isinstance(upcoming, dict) else []
    told = "nothing is due"
    if dues:
        due, job = min(dues)
        told = f"next {job} {text.local(due) if words.as_time(due) else due}"
    return [Span("· tick  ", "dim"), Span(told, "dim")]


def _startup(found: _Entry) -> list[Span]:
    told = f"pid {found.get('pid')}, version {found.get('version')}, job file {found.get('config')}"
    return [Span("▲ scheduler started  ", "good"), Span(told, "dim")]


def _shutdown(found: _Entry) -> list[Span]:
    return [Span("▼ scheduler ended  ", "warn"), Span(str(found.get("reason")))]


def _stopped(found: _Entry) -> list[Span]:
    return [Span("▼ stopped on request  ", "warn"), Span(f"pid {found.get('pid')}, {found.get('how')}", "dim")]


def _run_started(found: _Entry) -> list[Span]:
    attempt = found.get("attempt", 1)
    more = f", attempt {attempt}" if attempt != 1 else ""
    return [Span("▶ ", "accent"), _job(found), Span(f"started ({found.get('trigger')}{more})", "plain")]


def _run_finished(found: _Entry) -> list[Span]:
    outcome = str(found.get("outcome"))
    tone = words.TONES.get(outcome, "plain")
    duration = found.get("duration_s")
    took = words.took(float(duration)) if isinstance(duration, int | float) else "–"
    code = f", exit {found.get('exit')}" if found.get("exit") not in (0, None) else ""
    reason = f": {found['reason']}" if found.get("reason") else ""
    retry = f"; again {text.local(str(found['retry_at']))}" if words.as_time(_string(found, "retry_at")) else ""
    return [
        Span(f"{words.MARKS.get(outcome, '•')} ", tone),
        _job(found),
        Span(outcome.replace("_", " "), tone),
        Span(f" in {took}{code}{reason}{retry}"),
    ]


def _string(found: _Entry, key: str) -> str | None:
    value = found.get(key)
    return value if isinstance(value, str) else None


def _run_skipped(found: _Entry) -> list[Span]:
    outcome = str(found.get("outcome"))
    tone, slots = words.TONES.get(outcome, "warn"), found.get("slots", 1)
    many = f" {slots} slots" if slots != 1 else ""
    return [
        Span(f"{words.MARKS.get(outcome, '•')} ", tone),
        _job(found),
        Span(f"{outcome}{many}", tone),
        Span(f": {found.get('reason')}"),
    ]


def _run_waiting(found: _Entry) -> list[Span]:
    return [Span("… ", "warn"), _job(found), Span(f"waits: {found.get('reason')}")]


def _job_paused(found: _Entry) -> list[Span]:
    end = f"until {text.local(str(found['until']))}" if words.as_time(_string(found, "until")) else "until resumed"
    note = f": {found['note']}" if found.get("note") else ""
    return [Span("‖ ", "warn"), _job(found), Span(f"paused {end}{note}")]


def _job_resumed(found: _Entry) -> list[Span]:
    return [Span("▷ ", "good"), _job(found), Span(f"resumed: {found.get('reason')}")]


def _config_loaded(found: _Entry) -> list[Span]:
    return [Span("≡ job file in force  ", "dim"), Span(f"{found.get('jobs')} jobs, {found.get('config')}", "dim")]


def _config_rejected(found: _Entry) -> list[Span]:
    faults = found.get("faults")
    first = str(faults[0]) if isinstance(faults, list) and faults else str(faults)
    return [Span("✗ job file refused  ", "bad"), Span(first)]


def _told(mark: str, title: str, tone: str, key: str) -> Callable[[_Entry], list[Span]]:
    def tell(found: _Entry) -> list[Span]:
        return [Span(f"{mark} {title}  ", tone), Span(str(found.get(key, "")))]

    return tell


def _other(found: _Entry) -> list[Span]:
    """An event without a form of its own: its fields as they are."""
    rest = {key: value for key, value in found.items() if key not in ("ts", "event", "seq", "prev")}
    told = "  ".join(f"{key}={value}" for key, value in rest.items())
    return [Span(f"• {found.get('event')}  ", "plain"), Span(told, "dim")]


_TELLERS: dict[str, Callable[[_Entry], list[Span]]] = {
    "tick": _tick,
    "startup": _startup,
    "shutdown": _shutdown,
    "stopped": _stopped,
    "run_started": _run_started,
    "run_finished": _run_finished,
    "run_skipped": _run_skipped,
    "run_waiting": _run_waiting,
    "job_paused": _job_paused,
    "job_resumed": _job_resumed,
    "config_loaded": _config_loaded,
    "config_rejected": _config_rejected,
    "watchdog_restart": _told("✗", "the watchdog restarted it", "bad", "cause"),
    "watchdog_gave_up": _told("✗", "the watchdog gave up", "bad", "cause"),
    "error": _told("✗", "error", "bad", "message"),
    "journal_recovered": _told("!", "a torn line was cut", "warn", "cut"),
    "journal_gap": _told("!", "entries were lost", "bad", "reason"),
}
