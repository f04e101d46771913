"""Requests on record: one line each, with nothing in it that is secret or that moves a terminal's cursor.

Rules:
- A line is time, method, path without its query, status, duration, address. No header, no body, no query.
- What is asked with a key and answered is always written. What anybody may send, refusals and the public routes, is
  limited to so many lines a minute, or a stranger could fill the disk; the rest is counted, and the count is written.
- On a full disk a line is lost, and nothing else.
"""

import os
import threading
from collections.abc import Callable, Container
from contextlib import suppress
from datetime import datetime

from automations import clock

A_MINUTE = 300
MOST_CHARS = 200


class AccessLog:
    """The record of one server, for any number of threads."""

    def __init__(self, public: Container[str], write: Callable[[str], None]) -> None:
        self._public = public
        self._write = write
        self._lock = threading.Lock()
        self._minute = 0
        self._written = self._left_out = 0

    def note(self, now: datetime, verb: str, path: str, status: str, took_s: float, address: str) -> None:
        """Put a request on record. `path` as it was sent, unquoted."""
        is_of_anybody = status >= "400" or path in self._public
        with self._lock:
            self._turn_the_minute(int(now.timestamp() // 60))
            if is_of_anybody and self._written >= A_MINUTE:
                self._left_out += 1
                return
            self._written += is_of_anybody
        words = (clock.iso(now), plain(verb), plain(path), status, f"{1000 * took_s:.1f}", "ms", address or "-")
        self._write(" ".join(words))

    def _turn_the_minute(self, minute: int) -> None:
        if minute != self._minute:
            if self._left_out:
                self._write(f"{self._left_out} more requests in the minute before, refused or for public routes")
            self._minute, self._written, self._left_out = minute, 0, 0


def plain(text: str) -> str:
    """One word, however it was meant; a dash for none."""
    return (
        "".join(char if char.isprintable() and char != " " else "\N{REPLACEMENT CHARACTER}" for char in text)[
            :MOST_CHARS
        ]
        or "-"
    )


def say(line: str) -> None:
    """One line on stdout, at one stroke."""
    with suppress(OSError):
        os.write(1, f"{line}\n".encode("utf-8", "backslashreplace"))
