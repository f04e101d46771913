"""Which minutes have a tick, and why the others have none: a pure reading of the journal's signs of life.

Rules:
- A minute is covered when a tick or a startup was written in it. The minute that runs now counts once it is covered.
- Minutes before the first sign on record do not count: nobody said anything of them.
- What a gap was is read from the clocks on both sides of it, never guessed: a new boot id is a machine that was off;
  a new scheduler on the same boot, one that was down; boot time that ran while monotonic time stood, sleep; a wall
  clock that ran ahead of both, a step of the clock; time that passed on all of them, a stall. What the scheduler itself
  reports as not written is `unrecorded`. All else is `unknown`.

`tick_s` is the length of a minute: 60, or less in a test. Source: docs/design-notes.md, "Coverage".
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from automations import clock

EVENTS = frozenset(
    b"tick startup shutdown stopped watchdog_restart watchdog_gave_up journal_gap journal_recovered".split()
)


class Cause(StrEnum):
    """Why a minute has no tick."""

    ASLEEP = "asleep"
    POWERED_OFF = "powered_off"
    SCHEDULER_DOWN = "scheduler_down"
    STALLED = "stalled"
    CLOCK_STEPPED = "clock_stepped"
    UNRECORDED = "unrecorded"
    UNKNOWN = "unknown"


class Gap(Struct, frozen=True):
    """Minutes without a tick, from `since` to `until` (not included), and why."""

    since: datetime
    until: datetime
    cause: Cause
    detail: str


class Coverage(Struct, frozen=True):
    """The minutes from `since` to `until` (not included): how many count, how many have a tick, and the gaps."""

    since: datetime
    until: datetime
    minutes: int
    covered: int
    gaps: tuple[Gap, ...]
    tick_s: float = 60.0

    @property
    def percent(self) -> float | None:
        """Covered minutes in a hundred, never rounded up to 100; None when no minute counts."""
        if not self.minutes:
            return None
        return 100.0 if self.covered == self.minutes else min(99.9, round(100 * self.covered / self.minutes, 1))

    def gap_at(self, moment: datetime) -> Gap | None:
        """The gap in which a moment lies."""
        return next((gap for gap in self.gaps if gap.since <= moment < gap.until), None)


class Present(NamedTuple):
    """What is known of the time after the last sign: does the scheduler live, and on which boot are we?"""

    alive: bool
    boot: str


class _Sign(NamedTuple):
    """A tick or a startup: its clocks, and whose it is."""

    at: datetime
    mono: float | None
    boot_s: float | None
    pid: object
    boot: object


class _Word(NamedTuple):
    """Something said about the scheduler's life between two signs."""

    at: datetime
    event: str
    text: str


class Life:
    """The signs of life of a home, collected from its journal in the order in which they were written."""

    def __init__(self) -> None:
        self._signs: list[_Sign] = []
        self._words: dict[int, list[_Word]] = {}  # by the number of signs before them
        self._shift = 0  # signs that were forgotten
        self._pid: object = None
        self._boot: object = None

    def __bool__(self) -> bool:
        return bool(self._signs)

    def take(self, entry: dict[str, object]) -> None:
        """Take in one entry. What is no sign of life is passed over."""
        event = entry["event"]
        try:
            at = clock.parse_iso(str(entry["ts"]))
        except ValueError:
            return
        if event == "startup":
            self._pid, self._boot = entry.get("pid"), entry.get("boot")
        if event in ("startup", "tick"):
            self._signs.append(_Sign(at, _number(entry, "mono"), _number(entry, "boot_s"), self._pid, self._boot))
        elif str(event).encode() in EVENTS:
            word = _Word(at, str(event), _said(entry))
            self._words.setdefault(self._shift + len(self._signs), []).append(word)

    def forget_before(self, moment: datetime) -> None:
        """Let go of what lies before the last sign before `moment`."""
        keep = next((place for place, sign in enumerate(self._signs) if sign.at >= moment), len(self._signs))
        keep = max(0, keep - 1)
        self._signs, self._shift = self._signs[keep:], self._shift + keep
        self._words = {place: words for place, words in self._words.items() if place > self._shift}

    def first(self) -> datetime | None:
        return self._signs[0].at if self._signs else None

    def started(self) -> datetime | None:
        """When the scheduler of the last sign gave its first; as far back as is remembered."""
        mine = [sign for sign in self._signs if sign.pid == self._signs[-1].pid]
        return mine[0].at if mine and mine[0].pid is not None else None

    def coverage(self, since: datetime, now: datetime, tick_s: float, present: Present) -> Coverage:
        """What the minutes from `since` to `now` were."""
        minute = _Minutes(tick_s)
        current = minute.of(now)
        signs = [sign for sign in self._signs if sign.at <= now + timedelta(seconds=tick_s)]
        if not signs:
            return Coverage(minute.start(current), minute.start(current), 0, 0, (), tick_s)
        first = max(minute.of(since), min(minute.of(sign.at) for sign in signs))
        covered = {minute.of(sign.at) for sign in signs}
        end = current + (current in covered)
        seen = sum(first <= number < end for number in covered)
        gaps = []
        for low, high, cause, detail in self._gaps(signs, minute, end, present):
            if high > first and high > low:
                gaps.append(Gap(minute.start(max(low, first)), minute.start(high), cause, detail))
        return Coverage(minute.start(first), minute.start(end), max(0, end - first), seen, tuple(gaps), tick_s)

    def _gaps(
        self, signs: Sequence[_Sign], minute: "_Minutes", end: int, present: Present
    ) -> Iterator[tuple[int, int, Cause, str]]:
        """First minute, minute after the last, cause and detail of each gap, oldest first."""
        reached = minute.of(signs[0].at)
        for place, (before, after) in enumerate(pairwise(signs), start=1):
            number = minute.of(after.at)
            if number > reached + 1:
                yield reached + 1, number, *_between(before, after, self._words_at(place), minute.tick_s)
            reached = max(reached, number)
        if end > reached + 1:
            yield reached + 1, end, *_since_last(signs[-1], self._words_at(len(signs)), present)

    def _words_at(self, place: int) -> list[_Word]:
        return self._words.get(self._shift + place, [])


class _Minutes:
    """Numbers of minutes, counted from 1970."""

    def __init__(self, tick_s: float) -> None:
        self.tick_s = tick_s

    def of(self, at: datetime) -> int:
        return int(at.timestamp() // self.tick_s)

    def start(self, number: int) -> datetime:
        return datetime.fromtimestamp(number * self.tick_s, UTC)


def _between(before: _Sign, after: _Sign, words: Sequence[_Word], tick_s: float) -> tuple[Cause, str]:
    """Why no tick was written between two signs."""
    said = {word.event: word for word in words}
    if after.boot != before.boot and after.boot is not None and before.boot is not None:
        if "stopped" in said:
            return Cause.SCHEDULER_DOWN, f"{_ended(said)}; the machine was restarted before it was started again"
        return Cause.POWERED_OFF, "the machine was restarted"
    if after.pid != before.pid and after.pid is not None and before.pid is not None:
        return Cause.SCHEDULER_DOWN, _ended(said)
    if "journal_gap" in said:
        return Cause.UNRECORDED, said["journal_gap"].text
    return _by_the_clocks(before, after, tick_s)


def _by_the_clocks(before: _Sign, after: _Sign, tick_s: float) -> tuple[Cause, str]:
    """One scheduler, two ticks of it: which of the three clocks ran?"""
    if before.mono is None or after.mono is None or before.boot_s is None or after.boot_s is None:
        return Cause.UNKNOWN, "the entries around it carry no clocks"
    wall_s = (after.at - before.at).total_seconds()
    awake_s, up_s = after.mono - before.mono, after.boot_s - before.boot_s
    slept_s, stepped_s = up_s - awake_s, wall_s - up_s
    if awake_s < 0 or up_s < 0:
        return Cause.UNKNOWN, "the clocks around it contradict each other"
    if max(slept_s, stepped_s) < tick_s / 2:
        return Cause.STALLED, f"the scheduler was there and wrote nothing for {_span(awake_s)}"
    if slept_s >= stepped_s:
        return Cause.ASLEEP, f"the machine slept for {_span(slept_s)}"
    return Cause.CLOCK_STEPPED, f"the clock was set ahead by {_span(stepped_s)}"


def _since_last(last: _Sign, words: Sequence[_Word], present: Present) -> tuple[Cause, str]:
    """Why nothing was written since the last sign."""
    said = {word.event: word for word in words}
    if present.alive:
        return Cause.STALLED, f"the scheduler is there and has written nothing since {clock.iso(last.at)}"
    if "stopped" in said or "shutdown" in said:
        return Cause.SCHEDULER_DOWN, _ended(said)
    if last.boot is not None and last.boot != present.boot:
        return Cause.POWERED_OFF, "the machine was restarted, and no scheduler was started since"
    return Cause.SCHEDULER_DOWN, _ended(said)


def _ended(said: dict[str, _Word]) -> str:
    """How a scheduler went, in the words of whoever said it."""
    for event in ("stopped", "watchdog_gave_up", "watchdog_restart", "shutdown"):
        if event in said:
            return said[event].text
    return "it ended without a word"


def _said(entry: dict[str, object]) -> str:
    event = entry["event"]
    if event == "stopped":
        return "stopped on request"
    if event == "shutdown":
        return f"it ended by itself: {entry.get('reason')}"
    if event == "watchdog_restart":
        return f"{entry.get('cause')}; the watchdog started it again"
    if event == "watchdog_gave_up":
        return f"{entry.get('cause')}; the watchdog gave up"
    return str(entry.get("reason", ""))


def _number(entry: dict[str, object], key: str) -> float | None:
    value = entry.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
