"""The three clocks, read together, and the one form in which a time is written.

The wall clock decides *when*; the monotonic clock measures *how long*; the boot clock also runs while the
machine sleeps, so that the three together tell a gap's cause. Read at the edge and passed as an argument.
"""

import time
from datetime import UTC, datetime
from typing import NamedTuple

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Reading(NamedTuple):
    """One look at the clocks: aware UTC time, and seconds on the monotonic and boot-time clocks."""

    utc: datetime
    mono: float
    boot_s: float


def read() -> Reading:
    """Read all three clocks now."""
    return Reading(datetime.now(UTC), time.monotonic(), time.clock_gettime(_BOOT_CLOCK))


def iso(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`: `2026-11-22T22:35:00.003Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def parse_iso(text: str) -> datetime:
    """Read what `iso` wrote. Raises ValueError on anything that is not an aware time."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r}: a time needs its offset, as in 2026-11-22T08:00:00Z")
    return at.astimezone(UTC)


def moment(text: str) -> datetime:
    """Read a time that a person wrote: `2026-11-22T08:00`, `2026-11-22`; without an offset it is the machine's time.

    Raises ValueError.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)  # a naive time is taken as local
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r}: expected a time such as 2026-11-22T08:00 or 2026-11-22T08:00:00Z") from None


def slot_name(due: datetime) -> str:
    """A slot as part of a file name and run id: `20261122T080000Z`."""
    return due.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def parse_slot(name: str) -> datetime | None:
    """Read what `slot_name` wrote; None for anything else."""
    try:
        return datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def moment_name(at: datetime) -> str:
    """A manual run's moment, with milliseconds so that it never equals a slot: `20261122T080003.123Z`."""
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.") + f"{at.microsecond // 1000:03d}Z"
