"""Ages, countdowns, spans, sizes, sparklines and marks, as a person reads them. Pure: `now` is an argument."""

from collections.abc import Sequence
from datetime import datetime

from automations import clock
from automations.coverage import Cause, Gap
from automations.model import Outcome
from automations.verdict import Level
from automations.vitals import State

MARKS = {
    Outcome.SUCCEEDED: "✓",
    Outcome.FAILED: "✗",
    Outcome.TIMED_OUT: "⧗",
    Outcome.STOPPED: "■",
    Outcome.SKIPPED: "↷",
    Outcome.MISSED: "∅",
    Outcome.ABANDONED: "?",
    "running": "▶",
    "waiting": "…",
}
TONES = {
    Outcome.SUCCEEDED: "good",
    Outcome.FAILED: "bad",
    Outcome.TIMED_OUT: "bad",
    Outcome.STOPPED: "warn",
    Outcome.SKIPPED: "warn",
    Outcome.MISSED: "warn",
    Outcome.ABANDONED: "bad",
    "running": "accent",
    "waiting": "warn",
}
CAUSE_MARKS = {
    Cause.ASLEEP: "z",
    Cause.POWERED_OFF: "o",
    Cause.SCHEDULER_DOWN: "_",
    Cause.STALLED: "!",
    Cause.CLOCK_STEPPED: "»",
    Cause.UNRECORDED: "#",
    Cause.UNKNOWN: "?",
}
SIGNS = {
    State.RUNNING: ("● RUNNING", "good"),
    State.STOPPED: ("○ STOPPED", "warn"),
    State.NEVER_STARTED: ("○ NEVER STARTED", "warn"),
    State.DEAD: ("✗ NO SIGNAL (dead)", "bad"),
    State.STALLED: ("✗ NO SIGNAL (stalled)", "bad"),
    State.UNREADABLE: ("✗ NO SIGNAL (no permission)", "bad"),
}
VERDICTS = {Level.GOOD: ("✔ ", "good"), Level.WARN: ("▲ ", "warn"), Level.BAD: ("✖ ", "bad")}
_BARS = "▁▂▃▄▅▆▇█"
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A length of time in its two largest units: `3 d 4 h`, `12 min`, `8 s`."""
    left = max(0, int(seconds))
    for place, (unit_s, unit) in enumerate(_UNITS):
        if left >= unit_s:
            count, left = divmod(left, unit_s)
            small_s, small = _UNITS[min(place + 1, 3)]
            rest = left // small_s if place < 2 else 0
            return f"{count} {unit}" + (f" {rest} {small}" if rest else "")
    return "0 s"


def ago(moment: datetime | str | None, now: datetime) -> str:
    """`8 s ago`; a dash for never."""
    at = as_time(moment)
    return f"{span((now - at).total_seconds())} ago" if at else "–"


def until(moment: datetime | str | None, now: datetime) -> str:
    """A countdown, in the steps of `coarse`; `now` when it is due."""
    at = as_time(moment)
    if at is None:
        return "–"
    seconds = (at - now).total_seconds()
    return f"in {span(coarse(seconds))}" if seconds >= 1 else "now"


def coarse(seconds: float) -> float:
    """Minutes, ten seconds in the last minute, seconds in the last ten: a table that moves all the time costs a lot."""
    return seconds // 60 * 60 if seconds >= 60 else seconds // 10 * 10 if seconds >= 10 else seconds


def wall(moment: datetime | str | None, now: datetime) -> str:
    """The machine's own time: `08:00`, with the day when it is another one."""
    at = as_time(moment)
    if at is None:
        return "–"
    local, today = at.astimezone(), now.astimezone()
    return f"{local:%H:%M}" if local.date() == today.date() else f"{local:%a %d %b %H:%M}"


def as_time(moment: datetime | str | None) -> datetime | None:
    """A moment as the core hands it out; None where it is none."""
    if not isinstance(moment, str):
        return moment
    try:
        return clock.parse_iso(moment)
    except ValueError:
        return None


def took(seconds: float | None) -> str:
    """A duration, short: `94 ms`, `4.2 s`, `12 min 3 s`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else span(seconds)


def size(count: float | None) -> str:
    """Bytes in a unit that keeps the number short: `9.3 MB`."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return "–"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars, the longest one full; equal values are all half."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high - low <= 0.05 * high:
        return _BARS[3] * len(shown)
    return "".join(_BARS[min(7, int(8 * (value - low) / (high - low)))] for value in shown)


def usual(values: Sequence[float]) -> float | None:
    """The median: what a run usually takes; None without any."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None


def outcome_of(row_outcome: str | None, started: str | None) -> str:
    """The outcome, or what a run without one is: running or waiting."""
    return row_outcome or ("running" if started else "waiting")


def plural(count: int, what: str) -> str:
    """`1 gap`, `2 gaps`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def gap(found: Gap, now: datetime) -> str:
    """A gap of the coverage: what it was, from when to when, and how long."""
    length = span((found.until - found.since).total_seconds())
    return f"{found.cause.replace('_', ' ')} {wall(found.since, now)}–{wall(found.until, now)} ({length})"
