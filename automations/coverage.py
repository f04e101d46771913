"""Which minutes have a tick, and why the others have none: a pure reading of the journal's signs of life.

Rules:
- A minute is covered when a tick or a startup was written in it. The minute that runs now counts once it is covered.
- Minutes before the first sign on record do not count: nobody said anything of them.
- What a gap was is read from what stands on both sides of it, never guessed: a new boot id is a machine that was off;
  a new scheduler on the same boot, one that was down; boot time that ran while monotonic time stood, sleep; a wall
  clock that ran ahead of both, a step of the clock; time that passed on all of them, a stall; of several, the longest.
  What the scheduler itself reports as not written is `unrecorded`. All else is `unknown`.
- A scheduler is known by its `startup`, not by its pid: in a container that is always the same. Where no boot id is on
  record, the clock that counts from the boot tells whether it is the same one.
- The signs are taken in the order of their writing. Where the clock was set back, a minute may come twice and counts
  once; a gap is told by the last step of the clock over it.

`tick_s` is the length of a minute: 60, or less in a test. Source: docs/design-notes.md, "Coverage".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from automations import clock

EVENTS = frozenset(
    b"tick startup shutdown stopped watchdog_restart watchdog_gave_up journal_gap journal_recovered".split()
)


_ENDS = ("stopped", "watchdog_gave_up", "watchdog_restart", "shutdown")  # the last word first
NO_WORD = "it ended without a word"
NO_BOOT = ", and nothing tells whether the machine was restarted"


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
    """What is known of the time after the last sign: does a scheduler live (None: nobody can tell), on which boot?"""

    alive: bool | None
    boot: str
    boot_s: float | None = None


class _Sign(NamedTuple):
    """A tick or a startup: its clocks, the number of the startup that it comes from or is, the boot; None: unknown."""

    at: datetime
    mono: float | None
    boot_s: float | None
    startup: int | None
    boot: object


class _Word(NamedTuple):
    """Something said about the scheduler's life between two signs."""

    event: str
    text: str


class Life:
    """The signs of life of a home, collected from its journal in the order in which they were written."""

    def __init__(self) -> None:
        self._signs: list[_Sign] = []
        self._words: dict[int, list[_Word]] = {}  # by the number of signs before them
        self._shift = 0  # signs that were forgotten
        self._startup: int | None = None
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
            self._startup, self._boot = (self._startup or 0) + 1, entry.get("boot")
        if event in ("startup", "tick"):
            self._signs.append(_Sign(at, _number(entry, "mono"), _number(entry, "boot_s"), self._startup, self._boot))
        elif str(event).encode() in EVENTS:
            word = _Word(str(event), _said(entry))
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
        mine = [sign for sign in self._signs if sign.startup == self._startup]
        return mine[0].at if mine and self._startup is not None else None

    def coverage(self, since: datetime, now: datetime, tick_s: float, present: Present) -> Coverage:
        """What the minutes from `since` to `now` were."""
        minute = _Minutes(tick_s)
        current = minute.of(now)
        numbers = [minute.of(sign.at) for sign in self._signs]
        end = current + (current in numbers)
        first = min(end, max(minute.of(since), min(numbers, default=end)))
        seen = sorted({number for number in numbers if first <= number < end})
        steps = [(*pair, place) for place, pair in enumerate(pairwise([*numbers, end])) if pair[1] > pair[0] + 1]
        gaps = []
        for before, after in pairwise([first - 1, *seen, end]):
            if after > before + 1:
                place = next(place for low, high, place in reversed(steps) if low <= before and after <= high)
                why = self._after(place, now, tick_s, present)
                gaps.append(Gap(minute.start(before + 1), minute.start(after), *why))
        return Coverage(minute.start(first), minute.start(end), end - first, len(seen), tuple(gaps), tick_s)

    def _after(self, place: int, now: datetime, tick_s: float, present: Present) -> tuple[Cause, str]:
        """Why there was no sign between the one at this place and the next, or since this one."""
        said = {word.event: word.text for word in self._words.get(self._shift + place + 1, ())}
        if place + 1 == len(self._signs):
            return _since_last(self._signs[place], said, present, now, tick_s)
        return _between(self._signs[place], self._signs[place + 1], said, tick_s)


class _Minutes:
    """Numbers of minutes, counted from 1970."""

    def __init__(self, tick_s: float) -> None:
        self.tick_s = tick_s

    def of(self, at: datetime) -> int:
        return int(at.timestamp() // self.tick_s)

    def start(self, number: int) -> datetime:
        return datetime.fromtimestamp(number * self.tick_s, UTC)


def _between(before: _Sign, after: _Sign, said: Mapping[str, str], tick_s: float) -> tuple[Cause, str]:
    """Why no tick was written between two signs."""
    if after.startup != before.startup:
        return _another(said, _is_other_boot(before, after.boot, after.boot_s, after.at, tick_s))
    if "journal_gap" in said:
        return Cause.UNRECORDED, said["journal_gap"]
    return _by_the_clocks(before, after, tick_s)


def _another(said: Mapping[str, str], is_other_boot: bool | None) -> tuple[Cause, str]:
    """Why there was no scheduler until another one came."""
    if is_other_boot and ("stopped" in said or "watchdog_gave_up" in said):
        return Cause.SCHEDULER_DOWN, f"{_ended(said)}; the machine was restarted before it was started again"
    if is_other_boot:
        return Cause.POWERED_OFF, "the machine was restarted"
    if is_other_boot is None and not _ended(said):
        return Cause.UNKNOWN, NO_WORD + NO_BOOT
    return Cause.SCHEDULER_DOWN, _ended(said) or NO_WORD


def _is_other_boot(before: _Sign, boot: object, boot_s: float | None, at: datetime, tick_s: float) -> bool | None:
    """Was the machine restarted since `before`? None where nothing tells."""
    if before.boot is not None and boot is not None:
        return boot != before.boot
    if before.boot_s is None or boot_s is None:
        return None
    if boot_s < before.boot_s:
        return True
    off_s = (at - before.at).total_seconds() - (boot_s - before.boot_s)
    return False if abs(off_s) < tick_s / 2 else None


def _by_the_clocks(before: _Sign, after: _Sign, tick_s: float) -> tuple[Cause, str]:
    """One scheduler, two ticks of it: which of the three clocks ran?"""
    if before.mono is None or after.mono is None or before.boot_s is None or after.boot_s is None:
        return Cause.UNKNOWN, "the entries around it carry no clocks"
    wall_s = (after.at - before.at).total_seconds()
    awake_s, up_s = after.mono - before.mono, after.boot_s - before.boot_s
    slept_s, stepped_s = up_s - awake_s, wall_s - up_s
    if awake_s < 0 or up_s < 0:
        return Cause.UNKNOWN, "the clocks around it contradict each other"
    if max(slept_s, stepped_s) < max(tick_s / 2, awake_s - tick_s):
        return Cause.STALLED, f"the scheduler was there and wrote nothing for {_span(awake_s)}"
    if slept_s >= stepped_s:
        return Cause.ASLEEP, f"the machine slept for {_span(slept_s)}"
    return Cause.CLOCK_STEPPED, f"the clock was set ahead by {_span(stepped_s)}"


def _since_last(
    last: _Sign, said: Mapping[str, str], present: Present, now: datetime, tick_s: float
) -> tuple[Cause, str]:
    """Why nothing was written since the last sign."""
    if present.alive is None:
        return Cause.UNKNOWN, "it cannot be looked at"
    if present.alive:
        return Cause.STALLED, f"the scheduler is there and has written nothing since {clock.iso(last.at)}"
    if "stopped" in said or "watchdog_gave_up" in said or "shutdown" in said:
        return Cause.SCHEDULER_DOWN, _ended(said)
    is_other_boot = _is_other_boot(last, present.boot, present.boot_s, now, tick_s)
    if is_other_boot:
        return Cause.POWERED_OFF, "the machine was restarted, and no scheduler was started since"
    return _another(said, is_other_boot)


def _ended(said: Mapping[str, str]) -> str:
    """How a scheduler went, in the words of whoever said it; empty when nobody did."""
    return next((said[event] for event in _ENDS if event in said), "")


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
