"""From jobs, the time and what is settled to decisions: each slot once, in time or with a reason why not."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import plan
from automations.clock import iso
from automations.journal import Entry, decode, encode
from automations.model import CatchUp, Job, Missed, Owed, Schedule
from automations.plan import Agenda, owed
from automations.schedule import AtStart, Cron, Every

UTC_ZONE = ZoneInfo("UTC")
DAY = datetime(2026, 11, 22, tzinfo=UTC)
NEWER = "a newer slot of the job runs instead"


def at(clock: str) -> datetime:
    """`08:30` or `08:30:15` of the day."""
    hours, minutes, seconds = (*map(float, clock.split(":")), 0.0)[:3]
    return DAY + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def every(text: str) -> Schedule:
    return Every(timedelta(seconds=int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]), UTC_ZONE)


def job(name: str = "a", schedule: Schedule | None = None, grace_s: float = 3600, enabled: bool = True) -> Job:
    rule = schedule or every("10m")
    return Job(name, rule, "", "true", timedelta(hours=1), timedelta(seconds=grace_s), "/", enabled=enabled)


def agenda(*jobs: Job, since: str = "00:00", settled: dict[str, datetime] | None = None) -> Agenda:
    return Agenda({job.name: job for job in jobs}, at(since), settled or {})


def taken(agenda: Agenda, now: str) -> list[tuple[str, Owed]]:
    return [(job.name, what) for job, what in agenda.take_due(at(now))]


# Deciding the slots of one job


def test_a_slot_on_time_is_to_be_started():
    assert owed(job(), at("08:00"), at("08:00")) == Owed((at("08:00"),), (), at("08:00"))


def test_a_slot_late_by_no_more_than_its_grace_is_still_started():
    assert owed(job(grace_s=300), at("08:00"), at("08:05")) == Owed((at("08:00"),), (), at("08:00"))


def test_a_slot_missed_beyond_its_grace_is_recorded_and_not_started():
    missed = Missed(at("08:00"), at("08:00"), 1, "5 min late; its grace is 1 min")
    assert owed(job(grace_s=60), at("08:00"), at("08:05:01")) == Owed((), (missed,), at("08:00"))


def test_of_several_owed_slots_the_newest_runs_and_the_older_ones_are_missed():
    assert owed(job(), at("08:00"), at("08:35")) == Owed(
        (at("08:30"),), (Missed(at("08:00"), at("08:20"), 3, NEWER),), at("08:30")
    )


def test_when_even_the_newest_slot_is_too_late_all_of_them_are_missed_for_that_reason():
    missed = Missed(at("08:00"), at("08:30"), 4, "5 min late; its grace is 1 min")
    assert owed(job(grace_s=60), at("08:00"), at("08:35")) == Owed((), (missed,), at("08:30"))


def test_a_slot_due_at_this_very_instant_is_owed():
    assert owed(job(), at("08:00"), at("08:10")).starts == (at("08:10"),)


def test_a_job_of_one_slot_has_nothing_older_to_miss():
    once = Cron("0 8 22 11 *", UTC_ZONE)
    assert owed(job(schedule=once), at("08:00"), at("08:30")) == Owed((at("08:00"),), (), at("08:00"))


@pytest.mark.parametrize(
    ("late_s", "words"),
    [(2, "2 s"), (60, "1 min"), (90, "90 s"), (120, "2 min"), (3600, "1 h"), (7200, "2 h"), (90000, "25 h")],
)
def test_lateness_is_told_in_words(late_s: int, words: str):
    daily = job(schedule=Cron("0 0 1 1 *", UTC_ZONE), grace_s=1)
    decided = owed(daily, at("00:00"), at("00:00") + timedelta(seconds=late_s))
    assert decided.missed[0].reason == f"{words} late; its grace is 1 s"


# The agenda


def test_nothing_is_due_before_its_time():
    assert taken(agenda(job()), "00:09:59") == []


def test_a_due_slot_is_handed_out_once():
    today = agenda(job())
    assert taken(today, "00:10") == [("a", Owed((at("00:10"),), (), at("00:10")))]
    assert taken(today, "00:10") == []


def test_jobs_due_together_are_handed_out_together_in_the_order_of_their_names():
    today = agenda(job("b"), job("c"), job("a"))
    assert [name for name, _ in taken(today, "00:10")] == ["a", "b", "c"]


def test_an_earlier_slot_is_handed_out_before_a_later_one():
    today = agenda(job("a", every("30m")), job("b", every("20m")))
    assert [name for name, _ in taken(today, "00:30")] == ["b", "a"]


def test_the_agenda_begins_after_the_time_it_is_given():
    assert agenda(job(), since="08:00").soonest() == at("08:10")


def test_a_settled_slot_is_not_owed_again():
    today = agenda(job(), since="08:00", settled={"a": at("08:20")})
    assert taken(today, "08:35") == [("a", Owed((at("08:30"),), (), at("08:30")))]


def test_a_slot_settled_long_ago_does_not_bring_back_what_came_after_it():
    assert agenda(job(), since="08:00", settled={"a": at("01:00")}).soonest() == at("08:10")


def test_a_disabled_job_is_never_due():
    today = agenda(job(enabled=False))
    assert (today.soonest(), taken(today, "12:00")) == (None, [])


def test_a_job_that_only_runs_at_the_start_is_not_on_the_agenda():
    assert agenda(job(schedule=AtStart())).soonest() is None


def test_a_clock_set_back_hands_out_nothing_again():
    today = agenda(job())
    taken(today, "08:00")
    assert taken(today, "07:00") == []


def test_after_a_clock_set_back_the_next_slot_is_the_one_after_the_last_decided():
    today = agenda(job())
    taken(today, "08:00")
    taken(today, "07:00")
    assert today.soonest() == at("08:10")


def all_taken(today: Agenda, now: datetime) -> list[Owed]:
    """What it hands out until nothing is due any more, however many looks that takes."""
    handed_out: list[Owed] = []
    while looked := today.take_due(now):
        handed_out += [what for _, what in looked]
    return handed_out


def test_two_days_of_seconds_are_all_accounted_for_and_the_newest_runs():
    handed_out = all_taken(agenda(job(schedule=every("1s"), grace_s=60)), at("48:00"))
    assert sum(missed.slots for what in handed_out for missed in what.missed) == 48 * 3600 - 1
    assert [due for what in handed_out for due in what.starts] == [at("48:00")]


@pytest.mark.timeout(8)
def test_one_look_after_a_year_of_minutes_is_short_enough_for_a_loop_that_must_tick():
    today = agenda(job(schedule=Cron("* * * * *", UTC_ZONE)))
    assert today.take_due(at("00:00") + timedelta(days=366))


def test_an_idle_look_asks_no_schedule():
    class Counting(AtStart):
        asked = 0

        def after(self, utc: datetime) -> datetime | None:
            self.asked += 1
            return at("12:00")

    rule = Counting()
    today = agenda(job(schedule=rule))
    taken(today, "11:00")
    assert rule.asked == 1


# Catching up


def owed_after_a_gap(catch_up: CatchUp, window: str = "", grace_s: float = 1800) -> Owed:
    """What is owed at 12:00 of an hourly job that was last decided at 06:00."""
    span = timedelta(hours=int(window)) if window else None
    return owed(
        job(schedule=every("1h"), grace_s=grace_s)._replace(catch_up=catch_up, catch_up_window=span),
        at("07:00"),
        at("12:05"),
    )


@pytest.mark.parametrize(
    ("catch_up", "window", "hours"),
    [
        (CatchUp.LATEST, "", [12]),
        (CatchUp.LATEST, "4", [12]),
        (CatchUp.ALL, "", [12]),
        (CatchUp.ALL, "4", [9, 10, 11, 12]),
        (CatchUp.NONE, "", []),
    ],
)
def test_the_policy_says_which_missed_slots_still_run(catch_up: CatchUp, window: str, hours: list[int]):
    decided = owed_after_a_gap(catch_up, window)
    assert [due.hour for due in decided.starts] == hours
    assert sum(missed.slots for missed in decided.missed) == 6 - len(hours)


def test_a_slot_that_is_not_caught_up_says_so():
    assert owed_after_a_gap(CatchUp.NONE).missed[0].reason == "5 min late; it is not caught up"


def test_without_catch_up_a_busy_minute_is_forgiven():
    once = job(grace_s=3600)._replace(catch_up=CatchUp.NONE)
    assert owed(once, at("08:00"), at("08:00:59")).starts == (at("08:00"),)


def test_no_more_than_a_hundred_slots_are_caught_up_and_the_rest_is_accounted_for():
    many = job(schedule=every("1m"))._replace(catch_up=CatchUp.ALL, catch_up_window=timedelta(days=1))
    decided = owed(many, at("00:00"), at("05:00"))
    assert (len(decided.starts), decided.starts[-1], decided.missed[0].slots) == (100, at("05:00"), 201)


# Jitter and retries


def test_a_slot_has_the_same_jitter_each_time_it_is_asked_about():
    one = job()._replace(jitter=timedelta(minutes=5))
    assert plan.jitter(one, at("08:00")) == plan.jitter(one, at("08:00")) < timedelta(minutes=5)


def test_jobs_of_one_time_are_spread_over_their_jitter():
    delays = {plan.jitter(job(f"j{n}")._replace(jitter=timedelta(minutes=5)), at("08:00")) for n in range(50)}
    assert len(delays) == 50
    assert max(delays) - min(delays) > timedelta(minutes=3)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 30), (2, 60), (3, 120), (9, 3600), (20, 3600)])
def test_the_wait_before_a_retry_doubles_up_to_an_hour_and_up_to_a_quarter_is_added(attempt: int, seconds: int):
    wait = plan.retry_in(job(), at("08:00"), attempt).total_seconds()
    assert seconds <= wait <= seconds * 1.25


# Another job file


def test_a_reload_keeps_the_next_slot_of_what_did_not_change():
    today = agenda(job("a"), job("b"))
    after = today.changed({"a": job("a"), "c": job("c")}, at("00:05"))
    assert after.upcoming() == {"a": at("00:10"), "c": at("00:10")}


def test_a_reload_takes_a_changed_schedule_over():
    fresh = job("a", every("30m"))._replace(schedule_text="every 30m")
    assert agenda(job("a")).changed({"a": fresh}, at("00:05")).soonest() == at("00:30")


def test_a_reload_forgets_a_job_that_was_disabled():
    assert agenda(job("a")).changed({"a": job("a", enabled=False)}, at("00:05")).soonest() is None


# What a tick shows


def test_the_built_in_jobs_come_first_and_are_null_when_not_scheduled():
    today = agenda(job("a"), job("report", enabled=False), job("brief", every("1h")))
    assert list(today.upcoming().items()) == [("brief", at("01:00")), ("report", None), ("a", at("00:10"))]


def test_a_tick_shows_the_soonest_twenty_at_most():
    jobs = [job(f"job{n:02d}", Cron(f"{n} 8 * * *", UTC_ZONE)) for n in reversed(range(25))]
    shown = agenda(*jobs, job("brief", every("24h"))).upcoming()
    assert list(shown) == ["brief", *(f"job{n:02d}" for n in range(19))]


def test_a_tick_of_twenty_jobs_with_the_longest_names_fits_into_a_line():
    names = [letter * 64 for letter in "abcdefghijklmnopqrstuvwxyz"]
    shown = {name: iso(due) for name, due in agenda(*(job(name) for name in names)).upcoming().items()}
    assert decode(encode(Entry("tick", {"next": shown}), 1, "0" * 16))["next"] == shown


def test_the_next_slot_of_a_tick_is_always_later_than_what_was_decided():
    today = agenda(job())
    taken(today, "00:35")
    assert today.upcoming() == {"a": at("00:40")}


# What holds for any jobs and any looks at the clock

RULES = ["1m", "7m", "10m", "45m", "1h", "24h"]
jobs_of = st.lists(st.tuples(st.sampled_from(RULES), st.sampled_from([0, 60, 3600, 86400])), min_size=1, max_size=4)
steps_s = st.lists(st.integers(-3000, 12_000), min_size=1, max_size=12)


def followed(kinds: list[tuple[str, int]], steps: list[int]) -> list[tuple[datetime, str, Owed]]:
    """All that an agenda hands out over these steps of the clock: (now, job, what)."""
    today = agenda(*(job(f"j{n}", every(text), grace_s) for n, (text, grace_s) in enumerate(kinds)))
    now, handed_out = at("00:00"), []
    for step in steps:
        now += timedelta(seconds=step)
        handed_out += [(now, job.name, what) for job, what in today.take_due(now)]
    return handed_out


def spans(handed_out: list[tuple[datetime, str, Owed]], name: str) -> list[tuple[datetime, datetime]]:
    """First and last slot of all decisions about one job, in the order they were made."""
    found = []
    for _, job_name, what in handed_out:
        if job_name == name:
            found += [(missed.first, missed.last) for missed in what.missed]
            found += [(due, due) for due in what.starts]
    return found


@settings(max_examples=300, deadline=None)
@given(jobs_of, steps_s)
def test_no_slot_is_started_twice(kinds: list[tuple[str, int]], steps: list[int]):
    started = Counter((name, due) for _, name, what in followed(kinds, steps) for due in what.starts)
    assert all(times == 1 for times in started.values())


@settings(max_examples=300, deadline=None)
@given(jobs_of, steps_s)
def test_no_slot_is_decided_twice(kinds: list[tuple[str, int]], steps: list[int]):
    handed_out = followed(kinds, steps)
    for n in range(len(kinds)):
        assert all(earlier[1] < later[0] for earlier, later in pairwise(spans(handed_out, f"j{n}")))


@settings(max_examples=300, deadline=None)
@given(jobs_of, steps_s)
def test_no_slot_is_handed_out_before_its_time(kinds: list[tuple[str, int]], steps: list[int]):
    for now, _, what in followed(kinds, steps):
        assert what.until <= now


@settings(max_examples=300, deadline=None)
@given(jobs_of, steps_s)
def test_no_slot_is_started_later_than_its_grace(kinds: list[tuple[str, int]], steps: list[int]):
    for now, name, what in followed(kinds, steps):
        assert all(now - due <= timedelta(seconds=kinds[int(name[1:])][1]) for due in what.starts)


@settings(max_examples=300, deadline=None)
@given(jobs_of, steps_s)
def test_every_slot_up_to_the_latest_look_is_decided(kinds: list[tuple[str, int]], steps: list[int]):
    handed_out = followed(kinds, steps)
    latest = max(at("00:00") + timedelta(seconds=sum(steps[: n + 1])) for n in range(len(steps)))
    for n, (text, _) in enumerate(kinds):
        whats = [what for _, name, what in handed_out if name == f"j{n}"]
        decided = sum(sum(missed.slots for missed in what.missed) + len(what.starts) for what in whats)
        assert decided == len(slots_until(every(text), latest))


def slots_until(rule: Schedule, latest: datetime) -> list[datetime]:
    found, slot = [], rule.after(at("00:00"))
    while slot <= latest:
        found.append(slot)
        slot = rule.after(slot)
    return found


# Steps of the wall clock


@pytest.mark.parametrize(
    ("wall_s", "elapsed_s", "step_s"), [(60, 60, 0), (60 + 7200, 60, 7200), (60 - 7200, 60, -7200), (0, 3600, -3600)]
)
def test_a_step_is_what_the_wall_ran_ahead_of_elapsed_time(wall_s: int, elapsed_s: float, step_s: int):
    before, now = (DAY, 100.0), (DAY + timedelta(seconds=wall_s), 100.0 + elapsed_s)
    assert plan.clock_step(before, now) == timedelta(seconds=step_s)


def test_three_hours_is_where_a_step_becomes_a_correction():
    assert timedelta(hours=3) == plan.CORRECTION
