"""The errors this product raises on purpose, and the exit codes its commands answer with.

Rule: a message says what, where, expected, got, and what to do next. It is shown to the user as it stands.
"""


class Exit:
    """Exit codes of every command. Source: LSB init scripts (0, 1, 3) and sysexits.h (64 and above).

    Plain numbers: enum is 0.8 MB that the watchdog, which imports this file, does without.
    """

    OK = 0
    FAILED = 1
    STOPPED = 3
    USAGE = 64
    NO_INPUT = 66
    UNAVAILABLE = 69
    IO_ERROR = 74
    BUSY = 75
    CONFIG = 78


class AutomationsError(Exception):
    """Base of all errors raised on purpose."""

    exit_code: int = Exit.FAILED


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
    """A program was launched and did not prove that it lives; the exit code is its own, if it had one."""

    def __init__(self, reason: str, exit_code: int = Exit.FAILED) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class StopFailed(AutomationsError):
    """A process would not end, or could not be told to."""


class RunRefused(AutomationsError):
    """A run was not started: its output file cannot be made, or one of the reasons below."""


class UnknownJob(RunRefused):
    """The job file has no job of this name."""

    exit_code = Exit.NO_INPUT


class UnknownRun(AutomationsError):
    """No run of this id is on record, or its output is gone."""

    exit_code = Exit.NO_INPUT


class NotRunning(AutomationsError):
    """A run that was to be stopped has ended, or nobody has begun it."""

    exit_code = Exit.STOPPED


class AlreadyClaimed(RunRefused):
    """The slot's output file is there: it was begun before."""


class StillRunning(RunRefused):
    """The run before it has not ended."""

    exit_code = Exit.BUSY


class GroupBusy(StillRunning):
    """Another job of its group runs."""


class NotRecorded(RunRefused):
    """The journal cannot take the run's beginning, and somebody is there to be told."""

    exit_code = Exit.IO_ERROR


class SettingError(AutomationsError):
    """An environment variable has a value that cannot be used."""

    exit_code = Exit.USAGE


class ServerError(AutomationsError):
    """What answers at the API's address does not answer as the API does."""

    exit_code = Exit.UNAVAILABLE
