"""The first screen: what it tells in every state, and what the keys of its coverage and its jobs do."""

import os
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from automations import clock, pause
from automations.errors import ServerError
from automations.overview import Overview
from tests.conftest import free_port
from tests.pilots import (
    NARROW,
    ONE_JOB,
    RUN_ID,
    Site,
    View,
    a_day,
    begin_run,
    called,
    focus,
    record,
    settle_in,
    site_in,
    small,
)
from tui.remote import Remote
from tui.source import Local
from tui.widgets.jobs import JobTable
from tui.widgets.log import LogView
from tui.widgets.strip import CoverageStrip


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle_in(monkeypatch, tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A home with a day of history, alive."""
    with site_in(tmp_path, a_day()) as made:
        yield made


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Site]:
    """A home whose scheduler started some minutes ago and had nothing to do; alive."""
    with small(tmp_path, ONE_JOB) as made:
        yield made


@pytest.fixture
def down(tmp_path: Path) -> Iterator[Site]:
    """A home with a day of history, whose scheduler does not run."""
    with site_in(tmp_path, a_day(), alive=False) as made:
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    """A home with a job file and nothing else."""
    with site_in(tmp_path, alive=False) as made:
        Path(made.paths.config).write_text(ONE_JOB)
        yield made


class Far(Local):
    """A source as far away as another machine: it may keep one waiting, and it may be lost."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.paths)
        self.paths = None
        self.answers = threading.Event()
        self.answers.set()
        self.is_lost = False

    def look(self) -> Overview:
        self.answers.wait(10)
        if self.is_lost:
            raise ServerError("no server answers at http://10.0.0.7:5000: Connection refused; next: make up there")
        return super().look()


def jobs_shown(view: View) -> list[str]:
    return list(view.app.screen.query_one(JobTable)._order)


# The status bar and the verdict


def test_running_is_told_with_pid_uptime_activity_usage_watchdog_and_jobs(site: Site):
    async def steps(view: View) -> None:
        pid = f"pid {os.getpid()}"
        await view.shown("● RUNNING", pid, "  up ", "activity", "cpu ", "mem ", "watchdog ✓", "jobs 9")

    site.fly(steps)


def test_the_last_activity_ticks_up_by_itself(quiet: Site):
    async def steps(view: View) -> None:
        record(quiet, "tick", next={})
        await view.until(lambda: re.search(r"activity \d s ago", view.text))
        before = re.findall(r"activity (\d+) s ago", view.text)
        await view.until(lambda: re.findall(r"activity (\d+) s ago", view.text) > before)

    quiet.fly(steps)


def test_the_verdict_is_one_line_about_the_worst(site: Site):
    async def steps(view: View) -> None:
        await view.until(lambda: view.rows()[1].strip().startswith("✖ report failed"))

    site.fly(steps)


def test_all_well_is_said_too(quiet: Site):
    async def steps(view: View) -> None:
        await view.shown("✔ ")

    quiet.fly(steps)


def test_at_80_columns_the_sign_and_the_activity_stay(site: Site):
    async def steps(view: View) -> None:
        await view.shown("● RUNNING", "activity", "backup")
        assert all(len(row) == 80 for row in view.rows())

    site.fly(steps, NARROW)


def test_a_missing_watchdog_is_told(tmp_path: Path):
    with site_in(tmp_path, a_day()) as site:
        os.unlink(site.paths.log("watchdog.lock"))

        async def steps(view: View) -> None:
            await view.shown("● RUNNING", "watchdog none")

        site.fly(steps)


# Designed states


def test_never_started(empty: Site):
    async def steps(view: View) -> None:
        await view.shown("○ NEVER STARTED", "nothing runs until it is started", "nothing written yet")

    empty.fly(steps)


def test_stopped(down: Site):
    Path(down.paths.want).write_text("down\n")

    async def steps(view: View) -> None:
        await view.shown("○ STOPPED", "Stopped on request", "activity")

    down.fly(steps)


def test_dead(down: Site):
    Path(down.paths.log("scheduler.pid")).write_text("4123\n")

    async def steps(view: View) -> None:
        await view.shown("✗ NO SIGNAL (dead)", "it was not stopped, and nothing runs")

    down.fly(steps)


def test_stalled(site: Site):
    os.utime(site.paths.log("scheduler.lock"), (0, clock.read().utc.timestamp() - 200))

    async def steps(view: View) -> None:
        await view.shown("✗ NO SIGNAL (stalled)", "no tick for 2", f"pid {os.getpid()}")

    site.fly(steps)


def test_a_journal_in_which_a_line_was_changed(quiet: Site):
    journal = Path(quiet.paths.journal)
    journal.write_bytes(journal.read_bytes().replace(b'"jobs":1', b'"jobs":2'))

    async def steps(view: View) -> None:
        await view.shown("1 line of the journal does not hold", "make verify")

    quiet.fly(steps)


def test_a_job_file_that_is_refused(quiet: Site):
    Path(quiet.paths.config).write_text('[jobs.only]\nschedule = "61 * * * *"\ncommand = "true"\n')

    async def steps(view: View) -> None:
        await view.shown("jobs ✗ refused", "The job file is refused, the last good one is in force", "only")

    quiet.fly(steps)


def test_no_permission(down: Site):
    os.rename(down.paths.journal, down.paths.log("elsewhere"))
    os.symlink(down.paths.log("elsewhere"), down.paths.journal)  # nothing follows a link there, whoever asks

    async def steps(view: View) -> None:
        await view.shown("✗ NO SIGNAL (no permission)", "No permission to look", "cannot be read")

    down.fly(steps)


def test_no_jobs(tmp_path: Path):
    with small(tmp_path, "") as site:

        async def steps(view: View) -> None:
            await view.shown("No jobs: add some to automations.toml", "jobs 0", "Jobs ─ 0")
            await view.press("r", "p", "w", "enter", "o", "slash", "x", "enter", "escape")

        site.fly(steps)


def test_no_server(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DASHBOARD_KEY", "a-key")
    url = f"http://127.0.0.1:{free_port()}"

    async def steps(view: View) -> None:
        await view.shown("✗ NO SIGNAL (no server)", f"no server answers at {url}")

    site.fly(steps, source=Remote(url))


def test_the_first_answer_is_waited_for_in_plain_sight(site: Site):
    far = Far(site)
    far.answers.clear()

    async def steps(view: View) -> None:
        await view.shown("◌ CONNECTING", "waiting for the first answer", "coverage: nothing read yet")
        far.answers.set()
        await view.shown("● RUNNING")

    site.fly(steps, source=far)


def test_a_server_that_is_lost_leaves_the_last_answer_on_screen(site: Site):
    far = Far(site)

    async def steps(view: View) -> None:
        await view.shown("● RUNNING", "backup")
        far.is_lost = True
        await view.shown("✗ NO SIGNAL (no server)", "last heard", "no server answers", "backup")
        far.is_lost = False
        await view.shown("● RUNNING")

    site.fly(steps, source=far)


def test_before_the_first_answer_no_key_breaks_anything(site: Site):
    far = Far(site)
    far.answers.clear()
    keys = "left right shift+left shift+right left_square_bracket right_square_bracket home end z o p r w enter up down"

    async def steps(view: View) -> None:
        await view.shown("◌ CONNECTING")
        for pane in (CoverageStrip, JobTable, LogView):
            await focus(view, pane)
            await view.press(*[key for key in keys.split() if key != "enter" or pane is not JobTable])
            await view.press("escape")
        far.answers.set()
        await view.shown("● RUNNING")

    site.fly(steps, source=far)


# It keeps up by itself


def test_what_the_scheduler_writes_appears(quiet: Site):
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        record(quiet, "error", message="no more threads")
        await view.shown("✗ error  no more threads")

    quiet.fly(steps)


def test_a_scheduler_that_ends_is_seen_to(quiet: Site):
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        quiet.die()
        Path(quiet.paths.log("scheduler.pid")).write_text("1\n")
        await view.shown("✗ NO SIGNAL (dead)")

    quiet.fly(steps)


def test_a_job_that_is_added_appears(quiet: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 1")
        Path(quiet.paths.config).write_text(ONE_JOB + ONE_JOB.replace("only", "another"))
        await view.shown("Jobs ─ 2", "another")

    quiet.fly(steps)


def test_a_run_that_begins_and_ends_is_seen_in_its_row(site: Site):
    async def steps(view: View) -> None:
        await view.shown("backup")
        begin_run(site)
        await view.until(lambda: "▶ " in view.row_of("backup"))
        end = {"outcome": "failed", "exit": 3, "duration_s": 1.0, "output_bytes": 0}
        record(site, "run_finished", job="backup", run_id=RUN_ID, due=None, attempt=1, **end)
        await view.until(lambda: "in " in view.row_of("backup") and "✗ failed" in view.row_of("backup"))

    site.fly(steps)


# Coverage


def test_the_strip_tells_the_share_and_names_the_gaps(site: Site):
    async def steps(view: View) -> None:
        await view.shown("24 h  9", "% of", "z asleep", "_ scheduler down", "▇▇▇▇")

    site.fly(steps)


def test_its_cursor_tells_what_was_when(site: Site):
    async def steps(view: View) -> None:
        await focus(view, CoverageStrip)
        await view.press("left", "left")
        await view.shown("alive")
        before = view.app.screen.query_one(CoverageStrip).at
        await view.press("left")
        assert before is not None
        assert view.app.screen.query_one(CoverageStrip).at < before

    site.fly(steps)


def test_its_cursor_goes_from_gap_to_gap(site: Site):
    async def steps(view: View) -> None:
        await view.shown("z asleep", "_ scheduler down")
        await focus(view, CoverageStrip)
        await view.press("home", "right_square_bracket")
        await view.shown("z asleep", "(23 min): ", "no run")
        await view.press("right_square_bracket")
        await view.shown("_ scheduler down", "(2 min): ")
        await view.press("left_square_bracket")
        await view.shown("z asleep", "(23 min): ")

    site.fly(steps)


def test_its_cursor_tells_what_ran_at_that_minute(site: Site):
    async def steps(view: View) -> None:
        await focus(view, CoverageStrip)
        strip = view.app.screen.query_one(CoverageStrip)
        await view.press("left", "left")
        for _ in range(20):
            if strip._told not in ("", "no run"):
                break
            await view.press("shift+left")
            await view.until(lambda: strip._told)
        await view.shown("✓ sync-mail succeeded")

    site.fly(steps)


def test_home_and_end_go_to_the_ends_of_the_strip(site: Site):
    async def steps(view: View) -> None:
        await focus(view, CoverageStrip)
        strip = view.app.screen.query_one(CoverageStrip)
        await view.press("home")
        first = strip.at
        await view.press("end")
        assert first is not None
        assert strip.at == first + timedelta(days=1)

    site.fly(steps)


def test_a_click_puts_the_cursor_on_the_strip(site: Site):
    async def steps(view: View) -> None:
        await view.shown("▇▇▇▇")
        await view.pilot.click(CoverageStrip, (60, 1))
        await view.shown("alive")

    site.fly(steps)


def test_the_summary_is_back_when_the_strip_is_left(site: Site):
    async def steps(view: View) -> None:
        await focus(view, CoverageStrip)
        await view.press("left")
        await view.shown("alive")
        await view.press("escape")
        await view.shown("24 h  9")

    site.fly(steps)


def test_z_zooms_to_a_week_and_back(site: Site):
    async def steps(view: View) -> None:
        await view.shown("24 h  9")
        await view.press("z")
        await view.shown("7 d  9", "···")
        await view.press("z")
        await view.shown("24 h  9")

    site.fly(steps)


# Jobs


def test_a_job_is_shown_with_its_countdown_its_last_outcome_and_its_schedule_in_words(site: Site):
    async def steps(view: View) -> None:
        await view.until(lambda: "in " in view.row_of("sync-mail") and " ago" in view.row_of("sync-mail"))
        await view.shown("✗ failed", "never ran")

    site.fly(steps)


def test_o_sorts_by_name_by_next_slot_and_by_trouble(site: Site):
    async def steps(view: View) -> None:
        await view.shown("✗ failed")
        in_file = jobs_shown(view)
        await view.press("o")
        await view.shown("by name")
        assert jobs_shown(view) == sorted(in_file)
        await view.press("o")
        await view.shown("by next")
        due = {job.name: job.next for job in view.app.seen.jobs}
        assert jobs_shown(view) == sorted(in_file, key=due.get)
        await view.press("o")
        await view.shown("by trouble")
        assert "report" in jobs_shown(view)[:2]
        await view.press("o")
        assert jobs_shown(view) == in_file

    site.fly(steps)


def test_slash_filters_the_jobs_while_it_is_written(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("slash")
        await view.type("photos")
        await view.shown("2 of 9", "only photos")
        assert jobs_shown(view) == ["backup", "index-photos"]  # one by its name, one by its description

    site.fly(steps)


@pytest.mark.parametrize(
    ("written", "fits"), [("!photos", ["brief", "sync-mail"]), ("failed", ["report"]), ("nowhere", [])]
)
def test_the_jobs_filter_inverts_and_knows_states(site: Site, written: str, fits: list[str]):
    async def steps(view: View) -> None:
        await view.shown("✗ failed")
        await view.press("slash")
        await view.type(written)
        await view.shown(f"only {written}")
        assert set(fits) <= set(jobs_shown(view)) if fits else jobs_shown(view) == []

    site.fly(steps)


def test_enter_keeps_the_filter_and_escape_takes_it_back(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("slash", "m", "a", "i", "l", "enter")
        await view.shown("1 of 9")
        assert view.app.screen.query_one(JobTable).has_focus
        await view.press("escape")
        await view.shown("Jobs ─ 9")

    site.fly(steps)


def test_escape_while_a_filter_is_written_takes_it_back(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("slash", "m", "a", "i", "l")
        await view.shown("1 of 9")
        await view.press("escape")
        await view.shown("Jobs ─ 9")

    site.fly(steps)


def test_the_cursor_stays_on_its_job_when_the_order_changes(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        view.app.screen.query_one(JobTable).choose("sync-mail")
        await view.press("o", "o", "o")
        assert view.app.screen.query_one(JobTable).chosen == "sync-mail"

    site.fly(steps)


@pytest.mark.parametrize(
    ("keys", "job"), [("j j k", "report"), ("G", "index-photos"), ("G g", "brief"), ("down", "report")]
)
def test_keys_move_the_cursor_among_the_jobs(site: Site, keys: str, job: str):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press(*keys.split())
        await view.until(lambda: view.app.screen.query_one(JobTable).chosen == job)

    site.fly(steps)


def test_beside_the_jobs_is_what_is_known_of_the_one_under_the_cursor(site: Site):
    async def steps(view: View) -> None:
        view.app.screen.query_one(JobTable).choose("backup")
        await view.shown(
            "Notes and photos to the disk in the hall", "group disk", "Europe/Zurich", "Last runs", "usually"
        )

    site.fly(steps)


def test_a_paused_job_is_marked_with_its_end(site: Site):
    pause.pause(site.paths, "brief", clock.read().utc, None, "")
    pause.pause(site.paths, "report", clock.read().utc, clock.read().utc + timedelta(days=2), "away")

    async def steps(view: View) -> None:
        await view.shown("‖ paused", "‖ until")

    site.fly(steps)


def test_two_hundred_jobs_are_shown_sorted_filtered_and_walked(tmp_path: Path):
    jobs = "".join(ONE_JOB.replace("only", f"job-{number:03}") for number in range(200))
    with small(tmp_path, jobs) as site:

        async def steps(view: View) -> None:
            await view.shown("Jobs ─ 200", "job-000")
            await view.press("G")
            await view.shown("job-199")
            await view.press("slash")
            await view.type("job-07")
            await view.shown("10 of 200", "job-070", "job-079")
            await view.press("enter", "r")
            await called(view, site, "run --detach -- job-079")

        site.fly(steps)
