"""Open runs, from their beginning to their outcome: claim, record, spawn, watch, settle.

Rules:
- Record before spawn: `run_started` is in the journal before the process exists. Where the journal cannot be
  written, a slot runs all the same and is written late; a run by hand is refused, since there is somebody to tell.
- Runs that are due together are claimed, recorded and spawned in batches: one fdatasync for many.
- Deadlines are monotonic; how a run is ended is `ending`'s.
- A job's environment is built from nothing, the same for the scheduler and for a run by hand; the key of the
  control API is not in it.

Decides nothing about when: that is `plan`; nor who waits: that is `dispatch`.
"""

import os
from collections.abc import Iterable, Sequence

from automations import claim, clock, plan, spawn
from automations.claim import Claim
from automations.clock import Reading
from automations.ending import Ending
from automations.errors import GroupBusy, NotRecorded, RunRefused, StillRunning
from automations.files import stamp
from automations.journal import Entry
from automations.locks import Identity
from automations.model import Job, Outcome, Overlap, Slot, Trigger
from automations.paths import Paths
from automations.recorder import Recorder
from automations.run import Run

BATCH = 64  # each claim holds up to five descriptors, and 1,024 are usual
LOOK_S = 1.0


class Runner:
    """The open runs, touched by one thread. `retries` collects the slots that are owed another attempt."""

    def __init__(self, paths: Paths, recorder: Recorder) -> None:
        self._paths = paths
        self._record_all = recorder.record_all
        self._by = str(Identity.of(os.getpid()))
        self._ending = Ending(paths)
        self._look_at = 0.0
        self._children: dict[int, Run] = {}
        self.open: dict[str, Run] = {}
        self.retries: list[Slot] = []

    def begin(self, slots: Sequence[Slot], now: Reading) -> list[tuple[Slot, RunRefused]]:
        """Begin a run of each slot. Returns those that were refused, each with its reason."""
        refused: list[tuple[Slot, RunRefused]] = []
        for first in range(0, len(slots), BATCH):
            at = now if first == 0 else clock.read()  # each batch begins when it begins
            refused += self._begin_batch(slots[first : first + BATCH], at)[1]
        return refused

    def begin_one(self, slot: Slot, now: Reading) -> Run:
        """Begin one run, or raise RunRefused. It may have ended already, when no process was to be had."""
        begun, refused = self._begin_batch([slot], now)
        for _, reason in refused:
            raise reason
        return begun[0]

    def _begin_batch(self, slots: Sequence[Slot], now: Reading) -> tuple[list[Run], list[tuple[Slot, RunRefused]]]:
        claims: list[tuple[Run, Claim]] = []
        refused: list[tuple[Slot, RunRefused]] = []
        busy = {run.job.name for run in self.open.values()} | {f"/{run.job.group}" for run in self.open.values()}
        try:
            for slot in slots:
                name = claim.run_name(slot.due, slot.attempt, now.utc)
                run = Run(self._paths, slot, f"{slot.job.name}/{name}", now)
                try:
                    _check_free(slot.job, busy)
                    claims.append((run, Claim(self._paths, slot.job, run.run_id)))
                except RunRefused as error:
                    refused.append((slot, error))
            refused += self._record_begun(claims)
            failed = [run for run, held in claims if not self._spawn(run, held)]
        finally:
            for _, held in claims:
                held.close()
        self._settle(failed, clock.read())
        return [run for run, _ in claims], refused

    def _record_begun(self, claims: list[tuple[Run, Claim]]) -> list[tuple[Slot, RunRefused]]:
        """Put the beginnings on record, and in the runs' own files. Takes out what must not begin unrecorded."""
        entries = []
        for run, held in claims:
            entry = Entry("run_started", self._facts(run), run.started.utc)
            entries.append(entry)
            held.note({**entry.fields, "ts": clock.iso(run.started.utc)})
        if not entries or self._record_all(entries):
            return []
        refused: list[tuple[Slot, RunRefused]] = []
        for run, held in [pair for pair in claims if pair[0].due is None]:
            held.close()
            os.unlink(claim.file(self._paths, run.run_id, "log"))
            claim.release(self._paths, run.job.name, run.run_id)
            claims.remove((run, held))
            reason = NotRecorded(f"{run.run_id} was not started: the journal cannot be written")
            refused.append((run.slot, reason))
        return refused

    def _facts(self, run: Run) -> dict[str, object]:
        trigger = Trigger.SCHEDULE if run.due else Trigger.MANUAL
        timeout_s = run.job.timeout.total_seconds()
        return {**run.names(), "trigger": trigger, "attempt": run.slot.attempt, "timeout_s": timeout_s, "by": self._by}

    def _spawn(self, run: Run, held: Claim) -> bool:
        self.open[run.run_id] = run
        try:
            run.pid = spawn.spawn(run.job.cwd, run.job.argv, self._environment(run), held.out, held.lock_fds)
        except Exception as error:  # no memory, no process slot, a bad argument: one job must not stop the others
            run.stopping_as, run.reason = Outcome.FAILED, f"no process: {_cause(error)}"
            return False
        self._children[run.pid] = run
        return True

    def _environment(self, run: Run) -> dict[str, str]:
        return {
            **spawn.environment(),
            **(spawn.read_env_file(run.job.env_file) if run.job.env_file else {}),
            **dict(run.job.env),
            "AUTOMATIONS_HOME": self._paths.home,
            "AUTOMATIONS_JOB": run.job.name,
            "AUTOMATIONS_RUN_ID": run.run_id,
            "AUTOMATIONS_DUE": clock.iso(run.due or run.started.utc),
        }

    def adopt(self, runs: Iterable[Run]) -> None:
        """See through runs that another process began."""
        self.open.update((run.run_id, run) for run in runs)

    def watch(self, now: Reading) -> None:
        """Settle what has ended, look at what is printed, press what must end. Never waits."""
        self._reap()
        if now.mono >= self._look_at:
            self._look(now)
        overdue = [run for run in self.open.values() if now.mono >= run.deadline]
        self._ending.ask(overdue, now, Outcome.TIMED_OUT, "longer than its timeout")
        self._ending.press(self.open.values(), now)
        self._settle([run for run in self.open.values() if run.has_ended], now)

    def stop(self, runs: Iterable[Run], now: Reading) -> None:
        """Ask runs to end; `watch` settles them as stopped, and kills them when they do not listen."""
        self._ending.ask(runs, now, Outcome.STOPPED, "it was told to stop")

    def kill(self, runs: Iterable[Run], now: Reading) -> None:
        """Give runs that were told to stop no more time."""
        self._ending.hurry(runs, now)

    def wake_in(self, now: Reading) -> float | None:
        """Seconds until `watch` has something to do by the clock; None when nothing is open."""
        if not self.open:
            return None
        moments = [self._look_at]
        moments += [run.deadline for run in self.open.values() if run.stopping_as is None]
        if any(run.stopping_as for run in self.open.values()):
            moments.append(self._ending.press_at)
        return max(0.0, min(moments) - now.mono)

    def _reap(self) -> None:
        """Bury every ended child: runs, the watchdog, and what an init process inherits."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            run = self._children.pop(pid, None)
            if run:
                run.pid = 0
                run.code = os.waitstatus_to_exitcode(status)
                run.has_ended = run.stopping_as is None

    def _look(self, now: Reading) -> None:
        """Once a second: how much is printed, who is to be stopped, which adopted run has ended."""
        self._look_at = now.mono + LOOK_S
        outgrown, unwanted = [], []
        for run in self.open.values():
            if run.adopted and run.stopping_as is None:
                self._look_at_adopted(run)
            if not run.capture.look(now.mono, now.utc):
                outgrown.append(run)
            if os.path.exists(claim.file(self._paths, run.run_id, "stop")):
                unwanted.append(run)
            if run.capture.hurries:
                self._look_at = min(self._look_at, now.mono + run.capture.wake_in(now.mono))
        self.stop(unwanted, now)
        self._ending.ask(outgrown, now, Outcome.FAILED, "its output outgrew max_output, and no part of it can be freed")

    def _look_at_adopted(self, run: Run) -> None:
        try:
            if not claim.is_open(self._paths, run.run_id):
                run.has_ended, run.code = True, claim.left(self._paths, run.run_id).code
        except OSError as error:  # one run that cannot be looked at must not stop the others
            run.has_ended, run.reason = True, f"it cannot be looked at: {error.strerror}"

    def _settle(self, ended: Iterable[Run], now: Reading) -> None:
        """One entry for each, in one batch; then their files that only open runs have go away."""
        entries = []
        ended = list(ended)
        for run in ended:
            del self.open[run.run_id]
            if run.adopted and run.code is None:
                run.code = claim.left(self._paths, run.run_id).code
            run.outcome = run.stopping_as or _outcome(run)
            entries.append(Entry("run_finished", self._result(run, now), now.utc))
        if entries:
            self._record_all(entries)
        for run in ended:
            claim.release(self._paths, run.job.name, run.run_id)

    def _result(self, run: Run, now: Reading) -> dict[str, object]:
        fields: dict[str, object] = {
            **run.names(),
            "attempt": run.slot.attempt,
            "outcome": run.outcome,
            "exit": run.code,
            "duration_s": self._duration_s(run, now),
            "output_bytes": run.capture.close(now.utc),
        }
        if run.adopted:
            fields["adopted"] = True
        if run.outcome is Outcome.ABANDONED:
            run.reason = run.reason or "it ended while no scheduler watched, and left no status"
        if run.reason:
            fields["reason"] = run.reason
        retry = self._retry(run, now)
        if retry:
            self.retries.append(retry)
            fields["retry_at"] = clock.iso(retry.not_before or now.utc)
        return fields

    def _retry(self, run: Run, now: Reading) -> Slot | None:
        """The slot's next attempt, if it is owed one."""
        slot = run.slot
        if slot.due is None or run.outcome not in (Outcome.FAILED, Outcome.TIMED_OUT) or slot.attempt > run.job.retries:
            return None
        not_before = now.utc + plan.retry_in(run.job, slot.due, slot.attempt)
        return Slot(run.job, slot.due, slot.attempt + 1, not_before, not_before + run.job.grace, "retry", recorded=True)

    def _duration_s(self, run: Run, now: Reading) -> float | None:
        """How long it took. An adopted run's end is when its shim wrote the status; None when nobody knows."""
        if not run.adopted:
            return round(now.mono - run.started.mono, 3)
        if run.code is None:
            return None
        ended = stamp(claim.file(self._paths, run.run_id, "run"))
        return round(max(0.0, ended[0] / 1e9 - run.started.utc.timestamp()), 3) if ended else None


def _check_free(job: Job, busy: set[str]) -> None:
    """What is left of a run that was told to end may still live after its shim has let go of the locks."""
    if job.overlap is not Overlap.ALLOW and job.name in busy:
        raise StillRunning(f"{job.name} is still running")
    if job.group and f"/{job.group}" in busy:
        raise GroupBusy(f"another job of its group {job.group} runs")


def _cause(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    is_ours = error.filename in (None, spawn.SHELL)
    return str(error.strerror) if is_ours else f"{error.filename}: {error.strerror}"


def _outcome(run: Run) -> Outcome:
    if run.code is None:
        return Outcome.ABANDONED
    return Outcome.SUCCEEDED if run.code in run.job.ok_exit_codes else Outcome.FAILED
