"""The scheduler's care for its watchdog: the one looks after the other, and each brings the other back."""

import os
import signal
import sys

from automations import locks
from automations.paths import Paths


class Keeper:
    """Starts a watchdog when none lives."""

    def __init__(self, paths: Paths) -> None:
        self._lock = paths.log("watchdog.lock")
        self._out = paths.log("scheduler.out")
        self._argv = [sys.executable, "-I", "-S", os.path.join(paths.project, "scripts", "watchdog.py")]

    def revive(self) -> None:
        """Start one unless one lives. A second one ends itself on the lock; whoever reaps our children buries it."""
        if locks.is_held(self._lock):
            return
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self._out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        usual = [signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ]
        os.posix_spawn(
            sys.executable, self._argv, os.environ, file_actions=actions, setsid=True, setsigmask=[], setsigdef=usual
        )
