"""Signals as flags, and a wait that they end: for a loop that has one place where it waits."""

import contextlib
import os
import select
import signal

from automations.readiness import HELD_BACK


class Signals:
    """`stop` names the signal that asked for an end; `hangup` is set by SIGHUP. Handlers do nothing else."""

    def __init__(self) -> None:
        self.stop: str | None = None
        self.hangup = False
        self._wake, self._wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._wake_write, False)

    def install(self) -> None:
        """Set the handlers, then let in the signals that a launcher has held back."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hangup)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # its only work is to end the wait
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal or an ended child, or for so long."""
        select.select([self._wake], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _on_stop(self, number: int, _frame: object) -> None:
        self.stop = signal.Signals(number).name

    def _on_hangup(self, _number: int, _frame: object) -> None:
        self.hangup = True
