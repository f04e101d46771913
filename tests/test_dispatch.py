"""From owed slots to runs: who begins, who waits, who is skipped; and one outcome for each slot."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import clock, pause, replay
from automations.clock import Reading
from automations.dispatch import Dispatcher
from automations.errors import AlreadyClaimed, GroupBusy, RunRefused, StillRunning
from automations.journal import Entry
from automations.model import Job, Missed, Overlap, Owed, Slot
from automations.paths import Paths, prepare_logs
from automations.schedule import AtStart

DUE = datetime(2026, 11, 22, 8, tzinfo=UTC)


class Journalled:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record_all(self, entries: list[Entry]) -> bool:
        self.entries += entries
        return True


class Running:
    """A runner that begins what it is asked to, unless it has a reason not to; runs end when a test says so."""

    def __init__(self, journal: Journalled) -> None:
        self.journal = journal
        self.begun: list[Slot] = []
        self.busy: set[str] = set()
        self.reasons: dict[str, RunRefused] = {}
        self.retries: list[Slot] = []

    def begin(self, slots: list[Slot], now: Reading) -> list[tuple[Slot, RunRefused]]:
        refused = []
        for slot in slots:
            name = slot.job.name
            if name in self.reasons:
                refused.append((slot, self.reasons[name]))
            elif name in self.busy and slot.job.overlap is not Overlap.ALLOW:
                refused.append((slot, StillRunning(f"{name} is still running")))
            else:
                self.begun.append(slot)
                self.journal.entries.append(Entry("run_started", {"job": name, "due": clock.iso(slot.due)}))
                self.busy.add(name)
        return refused


class Desk:
    """A dispatcher among fakes."""

    def __init__(self, paths: Paths, settled: dict[str, datetime] | None = None) -> None:
        self.paths = paths
        self.journal = Journalled()
        self.runner = Running(self.journal)
        self.dispatcher = Dispatcher(paths, self.journal, self.runner, settled or {})

    def owes(self, job: Job, *dues: datetime, missed: tuple[Missed, ...] = (), now: datetime | None = None) -> None:
        self.dispatcher.owe([(job, Owed(dues, missed, max(dues, default=DUE)))], at(now or max(dues)))

    def serves(self, minutes: float) -> None:
        self.dispatcher.serve(at(DUE + timedelta(minutes=minutes)))

    def begun(self) -> list[tuple[str, int]]:
        """Minutes after the first due, and attempts, of what has begun."""
        return [((slot.due - DUE) // timedelta(minutes=1), slot.attempt) for slot in self.runner.begun]

    def told(self) -> list[tuple[str, object]]:
        """Event and outcome of each entry."""
        entries = [entry for entry in self.journal.entries if entry.event != "run_started"]
        return [(entry.event, entry.fields.get("outcome")) for entry in entries]

    def last_reason(self) -> str:
        return str(self.journal.entries[-1].fields["reason"])


def at(utc: datetime) -> Reading:
    return Reading(utc, utc.timestamp(), utc.timestamp())


def after(minutes: float) -> datetime:
    return DUE + timedelta(minutes=minutes)


def job(name: str = "a", **more: object) -> Job:
    return Job(name, AtStart(), "", "true", timedelta(hours=1), timedelta(minutes=30), "/", **more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    paths = Paths(str(tmp_path))
    prepare_logs(paths)
    return Desk(paths)


def test_a_slot_that_nothing_holds_up_begins_at_once_and_needs_no_entry_of_its_own(desk: Desk):
    desk.owes(job(), DUE)
    assert (desk.begun(), desk.told()) == ([(0, 1)], [])


# Overlap


def test_skip_a_slot_whose_job_still_runs_is_skipped(desk: Desk):
    desk.owes(job(), DUE)
    desk.owes(job(), after(1))
    assert (desk.begun(), desk.told()) == ([(0, 1)], [("run_skipped", "skipped")])
    assert desk.last_reason() == "a is still running"


def test_queue_it_waits_on_record_and_begins_when_the_run_before_it_has_ended(desk: Desk):
    queued = job(overlap=Overlap.QUEUE)
    desk.owes(queued, DUE)
    desk.owes(queued, after(1))
    assert desk.told() == [("run_waiting", None)]
    desk.serves(2)
    desk.runner.busy.clear()
    desk.serves(3)
    assert (desk.begun(), len(desk.told())) == ([(0, 1), (1, 1)], 1)


def test_queued_slots_begin_in_their_order(desk: Desk):
    queued = job(overlap=Overlap.QUEUE)
    for minutes in range(4):
        desk.owes(queued, after(minutes))
    for minutes in range(4, 8):
        desk.runner.busy.clear()
        desk.serves(minutes)
    assert desk.begun() == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_queue_a_slot_that_waits_beyond_its_grace_is_missed(desk: Desk):
    queued = job(overlap=Overlap.QUEUE)
    desk.owes(queued, DUE)
    desk.owes(queued, after(1))
    desk.serves(32)
    assert desk.told()[-1] == ("run_skipped", "missed")
    assert desk.last_reason() == "waited longer than its grace of 30 min"


def test_allow_it_begins_beside_the_other(desk: Desk):
    allowed = job(overlap=Overlap.ALLOW)
    desk.owes(allowed, DUE)
    desk.owes(allowed, after(1))
    assert (desk.begun(), desk.told()) == ([(0, 1), (1, 1)], [])


@pytest.mark.parametrize("overlap", list(Overlap))
def test_a_slot_whose_group_is_busy_waits_whatever_its_overlap(desk: Desk, overlap: Overlap):
    desk.runner.reasons["a"] = GroupBusy("another job of its group g runs")
    desk.owes(job(overlap=overlap), DUE)
    desk.runner.reasons.clear()
    desk.serves(1)
    assert (desk.begun(), desk.told()) == ([(0, 1)], [("run_waiting", None)])


# Catching up


def test_slots_that_are_caught_up_run_one_after_the_other_and_none_is_skipped(desk: Desk):
    desk.owes(job(), DUE, after(1), after(2), now=after(60))
    for minutes in range(60, 64):
        desk.serves(minutes)
        desk.runner.busy.clear()
    assert desk.begun() == [(0, 1), (1, 1), (2, 1)]
    assert {event for event, _ in desk.told()} == {"run_waiting"}


def test_slots_that_are_caught_up_have_all_the_time_they_need(desk: Desk):
    desk.owes(job(), DUE, after(1), now=after(60))
    desk.serves(60)
    desk.serves(6000)
    desk.runner.busy.clear()
    desk.serves(6001)
    assert len(desk.begun()) == 2


def test_missed_slots_are_told_with_their_reason(desk: Desk):
    desk.owes(job(), after(9), missed=(Missed(DUE, after(8), 9, "late"),))
    fields = desk.journal.entries[0].fields
    assert (fields["slots"], fields["outcome"], fields["reason"]) == (9, "missed", "late")


# Jitter and retries


def test_jitter_puts_the_beginning_off_and_says_until_when(desk: Desk):
    desk.owes(job(jitter=timedelta(minutes=20)), DUE)
    until = datetime.fromisoformat(str(desk.journal.entries[0].fields["until"]))
    assert (desk.begun(), DUE < until < after(20)) == ([], True)
    desk.dispatcher.serve(at(until + timedelta(milliseconds=1)))  # the journal has no microseconds
    assert desk.begun() == [(0, 1)]


def test_a_retry_begins_when_its_time_has_come(desk: Desk):
    desk.runner.retries.append(Slot(job(), DUE, 2, after(5), after(35), "retry", recorded=True))
    desk.serves(4)
    before = desk.begun()
    desk.serves(5)
    assert (before, desk.begun()) == ([], [(0, 2)])


def test_a_slot_that_is_due_while_a_retry_is_to_come_is_skipped(desk: Desk):
    desk.runner.retries.append(Slot(job(), DUE, 2, after(5), after(35), "retry", recorded=True))
    desk.serves(1)
    desk.owes(job(), after(2))
    assert desk.last_reason().startswith("attempt 2 of the slot of 2026-11-22T08:00")


def test_a_retry_that_never_begins_leaves_its_slot_failed(desk: Desk):
    desk.runner.retries.append(Slot(job(), DUE, 2, after(5), after(35), "retry", recorded=True))
    desk.runner.busy.add("a")
    desk.serves(5)
    desk.serves(36)
    assert desk.told() == [("run_skipped", "failed")]


# Pauses


def test_a_slot_of_a_paused_job_is_skipped_with_its_note(desk: Desk):
    pause.pause(desk.paths, "a", DUE, None, "moving house")
    desk.owes(job(), after(1))
    assert (desk.begun(), desk.told()) == ([], [("run_skipped", "skipped")])
    assert desk.last_reason() == "paused until it is resumed: moving house"


def test_after_its_end_a_pause_holds_nothing_up_and_is_resumed(desk: Desk):
    pause.pause(desk.paths, "a", DUE, after(5), "")
    desk.dispatcher.end_pauses(at(after(5)))
    desk.owes(job(), after(6))
    assert (desk.begun(), desk.told()) == ([(6, 1)], [("job_resumed", None)])


# Refusals


def test_a_slot_that_began_and_was_never_recorded_is_abandoned(desk: Desk):
    desk.runner.reasons["a"] = AlreadyClaimed("a/… began before; what became of it could not be written")
    desk.owes(job(), DUE)
    assert desk.told() == [("run_skipped", "abandoned")]


def test_a_slot_that_comes_again_because_the_clock_was_set_back_has_its_outcome(tmp_path: Path):
    paths = Paths(str(tmp_path))
    prepare_logs(paths)
    desk = Desk(paths, {"a": DUE})
    desk.runner.reasons["a"] = AlreadyClaimed("a/… began before")
    desk.owes(job(), DUE)
    assert desk.told() == []


def test_a_run_that_cannot_be_claimed_is_skipped_with_the_reason(desk: Desk):
    desk.runner.reasons["a"] = RunRefused("a/…: No space left on device")
    desk.owes(job(), DUE)
    assert desk.last_reason() == "a/…: No space left on device"


# Another job file, another scheduler


@pytest.mark.parametrize("after_change", [{"b": job("b")}, {"a": job("a", enabled=False)}])
def test_who_waits_for_a_job_that_is_gone_or_disabled_is_skipped(desk: Desk, after_change: dict[str, Job]):
    desk.owes(job(jitter=timedelta(minutes=20)), DUE)
    desk.dispatcher.change_jobs(after_change)
    assert desk.last_reason() == "its job was disabled or taken out of the job file"


def read_back(desk: Desk) -> replay.Past:
    """What the next scheduler would read of this one's entries."""
    seen = [{"ts": clock.iso(DUE), "event": entry.event, **entry.fields} for entry in desk.journal.entries]
    return replay.replay(seen)


def test_who_waits_goes_on_waiting_under_the_next_scheduler(desk: Desk):
    queued = job(overlap=Overlap.QUEUE)
    desk.owes(queued, DUE)
    desk.owes(queued, after(1))
    successor = Desk(desk.paths)
    successor.dispatcher.restore(read_back(desk).waiting, {"a": queued})
    successor.serves(2)
    assert (successor.begun(), successor.told()) == ([(1, 1)], [])


def test_who_waits_for_a_job_that_the_next_scheduler_does_not_know_is_skipped(desk: Desk):
    desk.owes(job(jitter=timedelta(minutes=20)), DUE)
    successor = Desk(desk.paths)
    successor.dispatcher.restore(read_back(desk).waiting, {})
    assert successor.told() == [("run_skipped", "skipped")]


# Whatever happens

happenings = st.lists(
    st.tuples(
        st.sampled_from(["due", "due", "end", "serve", "pause", "resume", "restart", "group"]), st.integers(1, 20)
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(happenings, st.sampled_from(list(Overlap)), st.sampled_from([0, 5]))
def test_every_slot_begins_once_or_is_told_of_once(tmp_path_factory, events, overlap: Overlap, jitter_min: int):
    paths = Paths(str(tmp_path_factory.mktemp("desk")))
    prepare_logs(paths)
    one = job(overlap=overlap, jitter=timedelta(minutes=jitter_min))
    desk, minutes, owed = Desk(paths), 0, []
    for event, step in events:
        minutes += step
        if event == "due":
            owed.append(after(minutes))
            desk.owes(one, after(minutes))
        elif event == "end":
            desk.runner.busy.clear()
            desk.runner.reasons.clear()
        elif event == "group":
            desk.runner.reasons["a"] = GroupBusy("busy")
        elif event == "pause":
            pause.pause(paths, "a", after(minutes), None, "")
        elif event == "resume":
            pause.resume(paths, "a", "")
        elif event == "restart":
            desk.dispatcher = Dispatcher(paths, desk.journal, desk.runner, {})
            desk.dispatcher.restore(read_back(desk).waiting, {"a": one})
        desk.serves(minutes)
    pause.resume(paths, "a", "")
    for minute in range(minutes, minutes + 200):  # all that waits begins, or has waited too long
        desk.runner.busy.clear()
        desk.runner.reasons.clear()
        desk.serves(minute)
    begun = [slot.due for slot in desk.runner.begun]
    told = [clock.parse_iso(str(entry.fields["due"])) for entry in desk.journal.entries if entry.event == "run_skipped"]
    assert sorted(begun + told) == owed
