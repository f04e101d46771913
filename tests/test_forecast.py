"""What job files will do: the next slots, and what a change of the file changes in real fires."""

from datetime import UTC, datetime, timedelta

import pytest

from automations import config, forecast
from automations.model import Job

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def jobs(*tables: str) -> dict[str, Job]:
    """Jobs from tables such as `a: schedule = "0 8 * * *"`."""
    parts = [table.partition(": ") for table in tables]
    text = "".join(f'[jobs.{name}]\ncommand = "true"\n{keys}\n' for name, _, keys in parts)
    return config.parse(text.encode(), "automations.toml", "/home/user", "/opt/project").jobs


def changes(before: dict[str, Job], after: dict[str, Job], now: datetime = MONDAY) -> list[tuple[str, str, int]]:
    found = forecast.compare(before, after, now).changes
    return [(change.job, change.kind, change.slots) for change in found]


def test_the_next_slots_of_all_jobs_come_in_order_of_time():
    known = jobs('a: schedule = "0 8 * * *"', 'b: every = "6h"')
    found = [(due.hour, name) for due, name in forecast.upcoming(known, MONDAY, 5)]
    assert found == [(6, "b"), (8, "a"), (12, "b"), (18, "b"), (0, "b")]


def test_a_disabled_job_has_no_slots():
    assert forecast.upcoming(jobs('a: every = "1h"\nenabled = false'), MONDAY, 5) == []


def test_a_job_that_only_runs_at_the_start_has_no_slots():
    assert forecast.upcoming(jobs('a: schedule = "@reboot"'), MONDAY, 5) == []


def test_a_file_that_means_the_same_changes_nothing():
    assert changes(jobs('a: schedule = "0 0 * * *"'), jobs('a: schedule = "@daily"')) == []


def test_a_new_job_adds_its_slots_and_one_that_is_gone_removes_them():
    assert changes(jobs('a: every = "12h"'), jobs('b: every = "24h"')) == [("a", "removed", 14), ("b", "added", 7)]


def test_another_time_of_the_day_moves_the_slots():
    found = forecast.compare(jobs('a: schedule = "0 8 * * *"'), jobs('a: schedule = "30 9 * * *"'), MONDAY).changes
    assert [change.kind for change in found] == ["moved"]
    assert (found[0].slots, found[0].first.hour, found[0].to) == (7, 8, MONDAY + timedelta(hours=9, minutes=30))


def test_slots_more_than_a_day_apart_are_not_moved_but_removed_and_added():
    assert changes(jobs('a: schedule = "0 8 * * TUE"'), jobs('a: schedule = "0 8 * * FRI"')) == [
        ("a", "removed", 1),
        ("a", "added", 1),
    ]


def test_more_often_keeps_what_was_and_adds_the_rest():
    found = forecast.compare(jobs('a: every = "12h"'), jobs('a: every = "6h"'), MONDAY)
    assert ([(change.kind, change.slots) for change in found.changes], found.same_slots) == ([("added", 14)], 14)


def test_disabling_a_job_removes_its_slots():
    assert changes(jobs('a: every = "24h"'), jobs('a: every = "24h"\nenabled = false')) == [("a", "removed", 7)]


def test_jobs_that_now_fall_together_collide():
    before = jobs('a: schedule = "0 8 * * *"', 'b: schedule = "0 9 * * *"')
    found = forecast.compare(before, jobs('a: schedule = "0 8 * * *"', 'b: schedule = "0 8 * * *"'), MONDAY).collisions
    assert [(collision.jobs, collision.slots, collision.first.hour) for collision in found] == [(("a", "b"), 7, 8)]


def test_a_collision_that_was_there_before_is_not_news():
    known = jobs('a: every = "6h"', 'b: every = "6h"')
    assert forecast.compare(known, known, MONDAY).collisions == ()


def test_a_collision_within_a_group_names_it():
    after = jobs('a: every = "6h"\ngroup = "disk"', 'b: every = "6h"\ngroup = "disk"')
    assert [found.group for found in forecast.compare({}, after, MONDAY).collisions] == ["disk"]


ZURICH = 'timezone = "Europe/Zurich"'
SPRING, AUTUMN = datetime(2027, 3, 25, tzinfo=UTC), datetime(2027, 10, 28, tzinfo=UTC)


def dst(schedule: str, now: datetime, zone: str = ZURICH) -> list[tuple[str, str, list[str]]]:
    found = forecast.dst_slots(jobs(f'a: schedule = "{schedule}"\n{zone}'), now)
    return [(slot.kind, f"{slot.wall:%H:%M}", [f"{due:%H:%M}" for due in slot.runs]) for slot in found]


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        ("30 2 * * *", SPRING, [("gap", "02:30", ["01:00"])]),
        ("30 2 * * *", AUTUMN, [("repeat", "02:30", ["00:30"])]),
        ("0,45 2 * * *", SPRING, [("gap", "02:00", ["01:00"]), ("gap", "02:45", ["01:00"])]),
        ("30 3 * * *", SPRING, []),
        ("*/30 * * * *", AUTUMN, []),
        ("30 2 * * *", MONDAY, []),
    ],
)
def test_wall_times_that_the_clocks_skip_or_repeat_are_told(
    schedule: str, now: datetime, expected: list[tuple[str, str, list[str]]]
):
    assert dst(schedule, now) == expected


def test_half_an_hour_of_summer_time_is_no_exception():
    zone = 'timezone = "Australia/Lord_Howe"'
    found = dst("15 2 * * *", datetime(2026, 10, 1, tzinfo=UTC), zone)
    assert found == [("gap", "02:15", ["15:30"])]


def test_in_utc_no_time_is_skipped_or_repeated():
    assert dst("30 2 * * *", SPRING, "") == []
