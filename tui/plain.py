"""The dashboard where no screen is to be had: a pipe, TERM=dumb. The same facts, once, as plain text."""

from datetime import datetime

from automations import text
from automations.errors import AutomationsError, Exit
from automations.overview import JobView, Overview
from automations.vitals import State
from tui import lines, words
from tui.source import Source

TAIL_LINES = 10
CODES = {State.RUNNING: Exit.OK, State.STALLED: Exit.FAILED, State.DEAD: Exit.FAILED, State.UNREADABLE: Exit.FAILED}


def show(source: Source, now: datetime) -> int:
    """Print it. Returns the exit code of `status`: 0 running, 3 stopped, 1 dead or not to be seen."""
    try:
        source.first()
        source.reach()
        source.record()
        seen = source.look()
    except (AutomationsError, OSError) as error:
        print(f"✗ NO SIGNAL: {text.clean(str(error))}")
        return Exit.FAILED
    print("\n".join(_lines(seen, source, now)))
    return CODES.get(seen.vitals.state, Exit.STOPPED)


def _lines(seen: Overview, source: Source, now: datetime) -> list[str]:
    vitals, percent = seen.vitals, seen.coverage.percent
    state = [
        words.SIGNS[vitals.state][0],
        f"pid {vitals.pid}" if vitals.pid else "",
        words.ago(vitals.last_activity, now),
    ]
    told = [
        "  ".join(part for part in state if part),
        text.clean(seen.verdict.text.replace("\n", " ")),
        f"coverage of 24 h: {'–' if percent is None else f'{percent:g} %'}",
        *(f"  {words.gap(gap, now)}: {text.clean(gap.detail)}" for gap in seen.coverage.gaps[-5:]),
        "",
        text.table(("JOB", "NEXT", "LAST", "WHEN", "SCHEDULE"), [_job(job, now) for job in seen.jobs]),
        "",
    ]
    return told + [text.clean("".join(span.text for span in lines.entry(line))) for line in _tail(source)]


def _job(job: JobView, now: datetime) -> tuple[str, ...]:
    last = job.last
    outcome = words.outcome_of(last.outcome, last.started) if last else "–"
    due = "running" if job.running else "paused" if job.paused else words.until(job.next, now)
    return job.name, due, outcome, words.ago(last.ended or last.due, now) if last else "–", job.in_words


def _tail(source: Source) -> list[bytes]:
    pages = source.journal()
    try:
        size = pages.read(0, 1).written
        return pages.read(max(0, size - 16384), 16384).content.split(b"\n")[-TAIL_LINES - 1 : -1]
    finally:
        pages.close()
