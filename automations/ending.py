"""Ending runs: TERM to a run's whole tree, CONT, five seconds, KILL until nothing of it lives.

A run's group is told at once; those of its tree that left the group are looked up and told one by one. Which processes
these are is `tree`'s to say.
"""

import contextlib
import os
import signal
from collections.abc import Iterable

from automations import claim, tree
from automations.clock import Reading
from automations.model import Outcome
from automations.paths import Paths
from automations.run import Run

KILL_AFTER_S = 5.0
GIVE_UP_AFTER_S = 3.0  # after the first KILL
PRESS_EVERY_S = 0.1


class Ending:
    """Ends runs and sees to it that they end. `press_at`: when, by the monotonic clock, it looks again."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.press_at = 0.0

    def ask(self, runs: Iterable[Run], now: Reading, outcome: Outcome, reason: str) -> None:
        """TERM and CONT to each run's group, and to those of its tree that left the group."""
        asked = [run for run in runs if run.stopping_as is None and not run.has_ended]
        if not asked:
            return
        found = tree.members(self._paths.home, {run.run_id: leader(self._paths, run) for run in asked})
        for run in asked:
            run.stopping_as, run.reason, run.kill_at = outcome, reason, now.mono + KILL_AFTER_S
            for number in (signal.SIGTERM, signal.SIGCONT):
                self._signal(run, found[run.run_id], number)

    def hurry(self, runs: Iterable[Run], now: Reading) -> None:
        """Give runs that were told to end no more time."""
        for run in runs:
            run.kill_at = min(now.mono, run.kill_at or now.mono)
        self.press_at = now.mono

    def press(self, runs: Iterable[Run], now: Reading) -> None:
        """See what is left of the runs that must end; those whose time is over are killed until nothing is left."""
        stopping = [run for run in runs if run.stopping_as and not run.has_ended]
        if not stopping or now.mono < self.press_at:
            return
        self.press_at = now.mono + PRESS_EVERY_S
        leaders = {run.run_id: leader(self._paths, run) for run in stopping}
        found = tree.members(self._paths.home, leaders)
        for run in stopping:
            left, kill_at = found[run.run_id], run.kill_at or 0.0
            if not leaders[run.run_id] and (not left or now.mono > kill_at + GIVE_UP_AFTER_S):
                run.has_ended = True
                if left:
                    run.reason = f"{run.reason}; {len(left)} of its processes cannot be killed"
            elif now.mono >= kill_at:
                self._signal(run, left, signal.SIGKILL)

    def _signal(self, run: Run, found: list[tree.Member], number: int) -> None:
        group = leader(self._paths, run)
        if group > 1:  # killpg(1) would be everybody
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        tree.send((member.identity for member in found if member.group != group), number)


def leader(paths: Paths, run: Run) -> int:
    """The shim's pid, which is its group's and its session's id; 0 when it is gone and the number not its own."""
    if not run.adopted:
        return run.pid
    try:
        is_open = claim.is_open(paths, run.run_id)
        return claim.left(paths, run.run_id).pid or 0 if is_open else 0
    except OSError:
        return 0
