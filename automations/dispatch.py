"""From the slots that are owed to runs that begin: who waits, who is skipped, and the entry that says why.

Rules:
- A slot of a paused job is skipped.
- A slot that finds its job still busy (a run, a retry or an older slot to come) is skipped, waits, or begins all
  the same, as its `overlap` says. Slots that are caught up, and slots whose group is busy, always wait their turn.
- A slot that waits is on record (`run_waiting`, or the `retry_at` of the attempt before), so that a crash does not lose
  it; one that has waited beyond its job's grace is missed.
- Every slot ends with one outcome: that of its last run, or a `run_skipped`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from automations import claim, clock, plan
from automations.clock import Reading
from automations.errors import AlreadyClaimed, GroupBusy, RunRefused, StillRunning
from automations.journal import Entry
from automations.model import Job, Missed, Outcome, Overlap, Owed, Slot
from automations.paths import Paths
from automations.pause import Pauses, forget
from automations.recorder import Recorder
from automations.runner import Runner
from automations.waiting import Waiting

CAUGHT_UP = "caught up, one after the other"
GONE = "its job was disabled or taken out of the job file"
POLL_S = 1.0  # somebody else's run keeps a slot waiting: its end wakes nobody here


class Dispatcher:
    """Knows what was decided last for each job, who waits, and who is paused."""

    def __init__(self, paths: Paths, recorder: Recorder, runner: Runner, settled: Mapping[str, datetime]) -> None:
        self._paths = paths
        self._recorder = recorder
        self._runner = runner
        self._decided = dict(settled)
        self._waiting = Waiting()
        self._pauses = Pauses(paths)
        self._entries: list[Entry] = []
        self._is_blocked = False

    def owe(self, owed: Sequence[tuple[Job, Owed]], now: Reading) -> None:
        """Take over decided slots: record those that are missed, begin the others or let them wait."""
        slots = []
        for job, decided in owed:
            for missed in decided.missed:
                self._miss(job, missed)
            are_many = len(decided.starts) > 1
            slots += [_slot(job, due, now.utc, are_many) for due in decided.starts]
        self._admit(slots, now)
        for job, decided in owed:
            self._decided[job.name] = max(decided.until, self._decided.get(job.name, decided.until))

    def at_start(self, jobs: Iterable[Job], now: Reading) -> None:
        """The slots of `@reboot`: due at each start of the scheduler."""
        due = now.utc.replace(microsecond=0)
        self._admit([Slot(job, due) for job in jobs if job.enabled and job.schedule.at_start], now)

    def serve(self, now: Reading) -> None:
        """Look after those who wait: begin, go on waiting, or give up."""
        for slot in self._runner.retries:
            self._waiting.put(slot)
        self._runner.retries.clear()
        self._is_blocked = False
        if self._waiting:
            for slot in self._waiting.take_expired(now.utc):
                self._skip(slot, Outcome.MISSED, f"waited longer than its grace of {plan.in_words(slot.job.grace)}")
            self._begin(self._waiting.take_ready(now.utc), now)
        self._write()

    def restore(self, waiting: Mapping[tuple[str, str], Mapping[str, object]], jobs: Mapping[str, Job]) -> None:
        """Take up the slots that waited when the scheduler ended."""
        for (name, due_text), entry in waiting.items():
            due = clock.parse_iso(due_text)
            if name not in jobs or not jobs[name].enabled:
                self._note_skip(name, Missed(due, due, 1, GONE), Outcome.SKIPPED)
                continue
            retry_at = entry.get("retry_at") or entry.get("until")
            not_before = clock.parse_iso(str(retry_at)) if retry_at else None
            attempt = int(str(entry.get("attempt", 1))) + ("retry_at" in entry)
            expires = None if entry.get("caught_up") else (not_before or due) + jobs[name].grace
            self._waiting.put(Slot(jobs[name], due, attempt, not_before, expires, recorded=True))
        self._write()

    def change_jobs(self, jobs: dict[str, Job]) -> None:
        """Another job file is in force: who waits goes on with the job as it is there now."""
        for slot in self._waiting.take_gone({name: job for name, job in jobs.items() if job.enabled}):
            self._skip(slot, Outcome.SKIPPED, GONE)
        self._write()

    def end_pauses(self, now: Reading) -> None:
        """Resume the jobs whose pause has ended by itself."""
        for job, pause in self._pauses.current().items():
            if pause.until and pause.until <= now.utc:
                self._entries.append(Entry("job_resumed", {"job": job, "reason": "its pause ended"}, now.utc))
                forget(self._paths, job)
        self._write()

    def wake_in(self, now: Reading) -> float | None:
        """Seconds until `serve` has something to do by the clock; None when nobody waits."""
        if self._runner.retries:
            return 0.0
        soonest = self._waiting.soonest(now.utc)
        waits = [(soonest - now.utc).total_seconds()] if soonest else []
        if self._is_blocked:
            waits.append(POLL_S)
        return max(0.0, min(waits)) if waits else None

    def _admit(self, slots: list[Slot], now: Reading) -> None:
        """Begin at once what may; a job's further slots find its first one and wait or are skipped."""
        at_once = []
        for slot in slots:
            older = self._waiting.first_of(slot.job.name)
            if older and slot.job.overlap is Overlap.SKIP and slot.reason != CAUGHT_UP:
                self._skip(slot, Outcome.SKIPPED, f"{_told(older)} has not run yet")
            elif slot.not_before or (older and slot.job.overlap is not Overlap.ALLOW) or slot.reason == CAUGHT_UP:
                self._wait(slot)
            else:
                at_once.append(slot)
        self._begin(at_once, now)
        self._write()

    def _begin(self, slots: list[Slot], now: Reading) -> None:
        paused = self._pauses.current() if slots else {}
        wanted = []
        for slot in slots:
            pause = paused.get(slot.job.name)
            if pause and pause.covers(now.utc):
                self._skip(slot, Outcome.SKIPPED, str(pause))
            else:
                wanted.append(slot)
        self._write()  # in the order in which things were decided
        for slot, reason in self._runner.begin(wanted, now):
            self._refused(slot, reason)

    def _refused(self, slot: Slot, reason: RunRefused) -> None:
        if isinstance(reason, AlreadyClaimed):
            if self._is_undecided(slot):
                self._skip(slot, Outcome.ABANDONED, str(reason))
        elif isinstance(reason, GroupBusy):
            self._wait(slot._replace(reason=str(reason)))
        elif isinstance(reason, StillRunning):
            if slot.job.overlap is Overlap.SKIP and slot.attempt == 1 and not slot.recorded and not slot.reason:
                self._skip(slot, Outcome.SKIPPED, str(reason))
            else:
                self._wait(slot._replace(reason=slot.reason or str(reason)))
        else:
            self._skip(slot, Outcome.SKIPPED, str(reason))

    def _is_undecided(self, slot: Slot) -> bool:
        """False for a slot that comes again because the clock was set back: it has its outcome."""
        decided = self._decided.get(slot.job.name)
        return slot.recorded or decided is None or slot.due is None or slot.due > decided

    def _wait(self, slot: Slot) -> None:
        self._is_blocked = True
        if not slot.recorded:
            until = clock.iso(slot.not_before) if slot.not_before else None
            fields = {**_names(slot), "until": until, "attempt": slot.attempt, "reason": slot.reason}
            if slot.expires is None:
                fields["caught_up"] = True
            self._entries.append(Entry("run_waiting", fields, clock.read().utc))
        self._waiting.put(slot._replace(recorded=True))

    def _miss(self, job: Job, missed: Missed) -> None:
        """Record missed slots; those that were begun, and never recorded, are told apart by their output files."""
        begun = claim.claimed(self._paths, job.name, missed.first, missed.last)
        for due in begun:
            if self._is_undecided(Slot(job, due)):
                lost = "it began; what became of it could not be written"
                self._note_skip(job.name, Missed(due, due, 1, lost), Outcome.ABANDONED)
        if missed.slots > len(begun):
            self._note_skip(job.name, missed._replace(slots=missed.slots - len(begun)), Outcome.MISSED)

    def _skip(self, slot: Slot, outcome: Outcome, reason: str) -> None:
        due = slot.due or clock.read().utc
        if slot.attempt == 1:
            self._note_skip(slot.job.name, Missed(due, due, 1, reason), outcome)
        else:  # the slot has failed once already, and that is how it ends
            reason = f"attempt {slot.attempt} did not begin: {reason}"
            self._note_skip(slot.job.name, Missed(due, due, 1, reason), Outcome.FAILED, attempt=slot.attempt)

    def _note_skip(self, job: str, slots: Missed, outcome: Outcome, **more: object) -> None:
        span = {"due": clock.iso(slots.first), "until": clock.iso(slots.last), "slots": slots.slots}
        fields = {"job": job, **span, "outcome": outcome, "reason": slots.reason, **more}
        self._entries.append(Entry("run_skipped", fields, clock.read().utc))

    def _write(self) -> None:
        if self._entries:
            entries, self._entries = self._entries, []
            self._recorder.record_all(entries)


def _slot(job: Job, due: datetime, now: datetime, are_many: bool) -> Slot:
    """A slot as it becomes due; one of many that are caught up waits for its turn, however long that takes."""
    begins = due + plan.jitter(job, due)
    if are_many:
        return Slot(job, due, 1, None, None, CAUGHT_UP)
    not_before = begins if begins > now else None
    return Slot(job, due, 1, not_before, max(begins, now) + job.grace, "jitter" if not_before else "")


def _told(slot: Slot) -> str:
    due = clock.iso(slot.due) if slot.due else "now"
    return f"the slot of {due}" if slot.attempt == 1 else f"attempt {slot.attempt} of the slot of {due}"


def _names(slot: Slot) -> dict[str, object]:
    return {"job": slot.job.name, "due": clock.iso(slot.due) if slot.due else None}
