"""The errors this product raises on purpose, and the exit codes its commands answer with.

Rule: a message says what, where, expected, got, and what to do next. It is shown to the user as it stands.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command. Source: LSB init scripts (0, 1, 3) and sysexits.h (64 and above)."""

    OK = 0
    FAILED = 1
    STOPPED = 3
    USAGE = 64
    UNAVAILABLE = 69
    IO_ERROR = 74
    BUSY = 75
    CONFIG = 78


class AutomationsError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = Exit.FAILED


class ConfigError(AutomationsError):
    """`automations.toml` cannot be used; `faults` holds one line for each thing wrong with it."""

    exit_code = Exit.CONFIG

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class JournalError(AutomationsError):
    """The journal could not take an entry: full disk, read-only folder, wrong kind of file."""

    exit_code = Exit.IO_ERROR


class LockBusy(AutomationsError):
    """Another process holds the lock and did not let go in time."""

    exit_code = Exit.BUSY


class StartFailed(AutomationsError):
    """A program was launched and did not prove that it lives."""


class StopFailed(AutomationsError):
    """A process would not end, or could not be told to."""


class RunRefused(AutomationsError):
    """A run was not started: unknown job, claimed slot, job still running, no process to be had."""
