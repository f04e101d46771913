"""The waiting room: who may begin, in which order, and until when."""

from datetime import UTC, datetime, timedelta

from automations.model import Job, Overlap, Slot
from automations.schedule import AtStart
from automations.waiting import Waiting

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def job(name: str = "a", overlap: Overlap = Overlap.QUEUE) -> Job:
    return Job(name, AtStart(), "", "true", timedelta(hours=1), timedelta(hours=1), "/", overlap=overlap)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def room(*slots: Slot) -> Waiting:
    waiting = Waiting()
    for slot in slots:
        waiting.put(slot)
    return waiting


def test_slots_of_one_job_begin_one_at_a_time_in_their_order():
    waiting = room(Slot(job(), at(0)), Slot(job(), at(1)))
    assert [slot.due for slot in waiting.take_ready(NOW)] == [at(0)]
    assert [slot.due for slot in waiting.take_ready(NOW)] == [at(1)]


def test_a_slot_behind_one_whose_time_has_not_come_waits_too():
    assert room(Slot(job(), at(0), not_before=at(5)), Slot(job(), at(1))).take_ready(NOW) == []


def test_a_job_that_allows_overlap_is_not_held_up_by_its_own_slots():
    allowed = job(overlap=Overlap.ALLOW)
    waiting = room(Slot(allowed, at(0), not_before=at(5)), Slot(allowed, at(1)), Slot(allowed, at(2)))
    assert [slot.due for slot in waiting.take_ready(NOW)] == [at(1), at(2)]


def test_jobs_do_not_hold_up_each_other():
    assert len(room(Slot(job("a"), at(0)), Slot(job("b"), at(0))).take_ready(NOW)) == 2


def test_what_has_waited_beyond_its_limit_is_handed_out_once():
    waiting = room(Slot(job(), at(0), expires=at(10)))
    assert waiting.take_expired(at(10)) == []
    assert len(waiting.take_expired(at(11))) == 1
    assert len(waiting) == 0


def test_of_a_changed_job_file_the_slots_go_on_with_the_new_job():
    waiting = room(Slot(job("a"), at(0)), Slot(job("b"), at(0)))
    fresh = job("a")._replace(command="echo new")
    assert [slot.job.name for slot in waiting.take_gone({"a": fresh})] == ["b"]
    assert [slot.job.command for slot in waiting] == ["echo new"]


def test_the_next_look_is_at_the_next_beginning_or_limit():
    waiting = room(Slot(job("a"), at(0), not_before=at(5), expires=at(60)), Slot(job("b"), at(0), expires=at(3)))
    assert waiting.soonest(NOW) == at(3)


def test_who_waits_without_a_limit_needs_no_look():
    assert room(Slot(job(), at(0))).soonest(NOW) is None
