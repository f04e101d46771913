"""The dashboard through its keys: what it shows in every state, and what every key of the help window does.

The door is fake and writes down what it is told, so that nothing a test presses can start or stop anything.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from automations import clock, pause
from automations.errors import Exit, ServerError
from automations.journal import Entry, Journal
from automations.overview import Overview
from tests import sample
from tests.conftest import free_port
from tests.pilots import DOOR, NARROW, Site, View, a_day, settle_in, site_in
from tui import __main__ as program
from tui import help as help_window
from tui import plain, settings
from tui.app import THEMES, Dashboard
from tui.remote import Remote
from tui.runs import Run, RunTable
from tui.settings import Settings
from tui.source import Local
from tui.widgets.jobs import JobTable
from tui.widgets.log import LogView
from tui.widgets.strip import CoverageStrip

ONE_JOB = '[jobs.only]\nschedule = "@yearly"\ncommand = "true"\n'
RUN_ID = "backup/20261122T080000.000Z"


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


def small(folder: Path, jobs: str) -> AbstractContextManager[Site]:
    now = clock.read().utc
    made = sample.Sample(folder / "made", now, jobs)
    made.start(now - timedelta(minutes=5), os.getpid())
    made.minutes(now - timedelta(minutes=5), now)
    made.write()
    return site_in(folder, folder / "made")


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


def record(site: Site, event: str, **fields: object) -> None:
    """An entry of this moment."""
    Journal(site.paths).append(Entry(event, fields, clock.read().utc))


def begin_run(site: Site, output: str = "") -> Path:
    """A run of backup begins; the file of its output."""
    by = f"{os.getpid()} 1 -"
    names = {"job": "backup", "run_id": RUN_ID, "trigger": "manual"}
    record(site, "run_started", **names, due=None, attempt=1, timeout_s=60.0, by=by)
    file = Path(site.paths.runs, f"{RUN_ID}.log")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(output)
    return file


async def focus(view: View, widget: type) -> None:
    """Go from pane to pane until this one has the focus."""
    for _ in range(6):
        if view.app.screen.query_one(widget).has_focus:
            return
        await view.press("tab")
    raise AssertionError(f"{widget.__name__} is not reached with tab")


async def called(view: View, site: Site, *words: str) -> None:
    """Wait until the door was called with these words, and with no others."""
    await view.until(lambda: site.calls() == list(words), f"calls: {site.calls()}")


def row_of(view: View, job: str) -> str:
    """The job's row in the table; empty while there is none."""
    return next((row for row in view.rows() if row.startswith(f" {job} ")), "")


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
        await view.shown("activity 0 s ago")
        await view.shown("activity 2 s ago")

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
        await view.until(lambda: "▶ " in row_of(view, "backup"))
        end = {"outcome": "failed", "exit": 3, "duration_s": 1.0, "output_bytes": 0}
        record(site, "run_finished", job="backup", run_id=RUN_ID, due=None, attempt=1, **end)
        await view.until(lambda: "in " in row_of(view, "backup") and "✗ failed" in row_of(view, "backup"))

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
        await focus(view, CoverageStrip)
        await view.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        await view.shown("z asleep", "(23 min): ", "no run")
        await view.press("right_square_bracket")
        await view.shown("_ scheduler down", "(2 min): ")

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
        await view.until(lambda: "in " in row_of(view, "sync-mail") and " ago" in row_of(view, "sync-mail"))
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
        assert jobs_shown(view)[0] in ("sync-mail", "index-photos", "certificates")
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


# The journal


def test_in_the_journal_up_pauses_and_f_follows(site: Site):
    async def steps(view: View) -> None:
        await focus(view, LogView)
        await view.press("up", "up")
        await view.shown("Journal ─ paused")
        record(site, "error", message="while you read")
        await view.shown("paused, 1 new")
        assert "while you read" not in view.text
        await view.press("f")
        await view.shown("Journal ─ following", "while you read")

    site.fly(steps)


def test_slash_in_the_journal_filters_its_lines(site: Site):
    async def steps(view: View) -> None:
        await focus(view, LogView)
        await view.press("slash")
        await view.type("report")
        await view.press("enter")
        await view.shown("only report", "report failed")
        assert view.app.screen.query_one(LogView).has_focus
        await view.press("escape")
        await view.gone("only report")

    site.fly(steps)


def test_a_regular_expression_and_its_inversion_filter_the_journal(site: Site):
    async def steps(view: View) -> None:
        await focus(view, LogView)
        await view.press("slash")
        await view.type("!/tick|run_(started|skipped)/")
        await view.press("enter")
        await view.shown("only !/tick|run_(started|skipped)/", "succeeded")
        lines = [line.content for line in view.app.screen.query_one(LogView).roll.window.lines]
        assert not any(b"run_started" in line or b"tick" in line for line in lines)

    site.fly(steps)


def test_half_a_regular_expression_breaks_nothing(site: Site):
    async def steps(view: View) -> None:
        await focus(view, LogView)
        await view.press("slash")
        await view.type("/(/")
        await view.shown("Journal ─ following")
        await view.press("escape")

    site.fly(steps)


def test_n_and_shift_n_go_from_error_to_error(site: Site):
    async def steps(view: View) -> None:
        log = view.app.screen.query_one(LogView)
        await view.press("N")
        await view.until(lambda: not log.roll.following)
        last = log.line_at_cursor()
        await view.press("N")
        await view.until(lambda: log.line_at_cursor() != last)
        await view.press("n")
        await view.until(lambda: log.line_at_cursor() == last)
        await view.press("n", "n", "n", "n", "n")
        await view.shown("no error after this line")

    site.fly(steps)


def test_v_shows_the_journal_raw_and_back(site: Site):
    async def steps(view: View) -> None:
        await view.shown("sync-mail")
        await view.press("v")
        await view.shown("following, raw", '{"ts":"')
        await view.press("v")
        await view.gone('{"ts":"')

    site.fly(steps)


def test_g_goes_to_the_beginning_of_the_journal_and_shift_g_to_its_end(site: Site):
    async def steps(view: View) -> None:
        await focus(view, LogView)
        await view.press("g")
        await view.shown("▲ scheduler started", "paused, 0 % of")
        await view.press("G")
        await view.shown("Journal ─ following")

    site.fly(steps)


def test_c_copies_the_line_under_the_cursor_as_it_stands(site: Site):
    async def steps(view: View) -> None:
        await view.press("c")
        await view.shown("in the clipboard")
        assert json.loads(view.app.clipboard)["ts"]

    site.fly(steps)


def test_enter_in_the_journal_opens_the_run_of_the_line(site: Site):
    async def steps(view: View) -> None:
        await focus(view, LogView)
        begin_run(site, "it prints\n")
        await view.shown("▶ backup started")
        await view.press("enter")
        await view.until(lambda: isinstance(view.app.screen, Run))
        await view.shown("it prints")

    site.fly(steps)


# Runs


def test_h_shows_the_runs_of_all_jobs(site: Site):
    async def steps(view: View) -> None:
        await view.press("h")
        await view.shown("Runs ─ all jobs ─ any outcome", "sync-mail", "✓ succeeded", "index-photos")
        await view.press("escape")
        await view.shown("Journal")

    site.fly(steps)


def test_enter_on_a_job_shows_its_runs(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        view.app.screen.query_one(JobTable).choose("report")
        await view.press("enter")
        await view.shown("Runs ─ report ─ any outcome", "✗ failed", "78")

    site.fly(steps)


def test_in_the_runs_o_goes_through_the_outcomes(site: Site):
    async def steps(view: View) -> None:
        await view.press("h")
        await view.shown("any outcome ─ ", " rows")
        await view.press("o", "o")
        await view.shown("all jobs ─ failed", "report")
        table = view.app.screen.query_one(RunTable)
        await view.until(lambda: {row.outcome for row in table.rows_shown} == {"failed"})

    site.fly(steps)


def test_in_the_runs_a_goes_from_one_job_to_all_and_back(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        view.app.screen.query_one(JobTable).choose("report")
        await view.press("enter")
        await view.shown("Runs ─ report")
        await view.press("a")
        await view.shown("Runs ─ all jobs", "sync-mail")
        await view.press("a")
        await view.shown("Runs ─ report")

    site.fly(steps)


def test_slash_in_the_runs_searches_all_output(site: Site):
    async def steps(view: View) -> None:
        await view.press("h")
        await view.shown("any outcome ─ ", " rows")
        await view.press("slash")
        await view.type("legend")
        await view.press("enter")
        await view.shown("“legend” in the output", "missing a legend", "report")
        assert {row.job for row in view.app.screen.query_one(RunTable).rows_shown} == {"report"}

    site.fly(steps)


def test_more_runs_are_a_key_away(tmp_path: Path):
    jobs = '[jobs.often]\nevery = "1m"\ncommand = "true"\n'
    now = clock.read().utc
    made = sample.Sample(tmp_path / "made", now, jobs)
    made.start(now - timedelta(minutes=230), os.getpid())
    made.minutes(now - timedelta(minutes=230), now)
    made.write()
    with site_in(tmp_path, tmp_path / "made") as site:

        async def steps(view: View) -> None:
            await view.press("h")
            await view.shown("200 rows, m: more")
            await view.press("m")
            await view.until(lambda: len(view.app.screen.query_one(RunTable).rows_shown) in (229, 230, 231))

        site.fly(steps)


def test_a_run_opens_with_its_details_and_its_output(site: Site):
    async def steps(view: View) -> None:
        await view.press("h")
        await view.shown("any outcome ─ ", " rows")
        await view.press("slash")
        await view.type("legend")
        await view.press("enter")
        await view.shown("missing a legend")
        await view.press("enter")
        await view.shown("✗ failed", "report/2", "exit 78", "schedule, attempt 1", "printed", "report: giving up")
        await view.press("q")
        await view.shown("Runs ─ ")

    site.fly(steps)


def test_an_open_run_grows_while_it_runs_and_shows_its_end(site: Site):
    file = begin_run(site, "first line\n")

    async def steps(view: View) -> None:
        await open_run(view)
        await view.shown("▶ running", "first line")
        with file.open("a") as output:
            output.write("second line\nunfinish")
        await view.shown("second line", "unfinish")
        end = {"outcome": "succeeded", "exit": 0, "duration_s": 1.0, "output_bytes": 31}
        record(site, "run_finished", job="backup", run_id=RUN_ID, due=None, attempt=1, **end)
        await view.shown("✓ succeeded", "exit 0")

    site.fly(steps)


async def open_run(view: View) -> None:
    """Open the run that is under way."""
    await view.press("h")
    await view.shown("▶ running")
    await view.press("enter")
    await view.until(lambda: isinstance(view.app.screen, Run))


@pytest.mark.parametrize("where", ["list", "run"])
def test_x_stops_a_run_after_it_has_asked(site: Site, where: str):
    begin_run(site)

    async def steps(view: View) -> None:
        await view.press("h")
        await view.shown("▶ running")
        if where == "run":
            await view.press("enter")
            await view.shown("running", "attempt 1")
        await view.press("x")
        await view.shown(f"Stop {RUN_ID}?")
        await view.press("y")
        await called(view, site, f"stop-run --json -- {RUN_ID}")

    site.fly(steps)


def test_a_run_that_has_ended_is_not_stopped(site: Site):
    async def steps(view: View) -> None:
        await view.press("h")
        await view.shown("any outcome ─ ", " rows")
        await view.press("o")
        await view.shown("all jobs ─ succeeded ─ ", " rows")
        await view.press("x")
        await view.shown("does not run")
        assert site.calls() == []

    site.fly(steps)


def test_in_a_run_the_keys_of_a_text_work_too(site: Site):
    begin_run(site, "begin\nerror: no disk\n" + "fine\n" * 60)

    async def steps(view: View) -> None:
        await open_run(view)
        await view.shown("Output ─ following")
        await view.press("N")
        await view.shown("Output ─ paused", "error: no disk")
        await view.press("f")
        await view.shown("Output ─ following")
        await view.press("slash")
        await view.type("begin")
        await view.press("enter")
        await view.shown("only begin")
        await view.press("w")
        await view.shown("Why")

    site.fly(steps)


def test_a_run_whose_output_is_gone_says_so(site: Site):
    begin_run(site).unlink()

    async def steps(view: View) -> None:
        await open_run(view)
        await view.shown("its output is gone")

    site.fly(steps)


# Why


@pytest.mark.parametrize("where", ["jobs", "runs"])
def test_w_answers_with_a_sentence_and_the_entries_that_prove_it(site: Site, where: str):
    async def steps(view: View) -> None:
        await view.shown("✗ failed")
        view.app.screen.query_one(JobTable).choose("report")
        if where == "runs":
            await view.press("enter")
            await view.shown("✗ failed")
        await view.press("w")
        await view.shown("Why", "report", "exit 78", "The entries that say so:", "report failed")
        await view.press("escape")
        await view.gone("The entries that say so:")

    site.fly(steps)


# Control


def test_s_starts(site: Site):
    async def steps(view: View) -> None:
        await view.press("s")
        await called(view, site, "start")
        await view.shown("Scheduler started, pid 4711")

    site.fly(steps)


@pytest.mark.parametrize(
    ("key", "question", "word"), [("x", "Stop the scheduler?", "stop"), ("R", "Restart", "restart")]
)
def test_stop_and_restart_ask_and_y_does_it(site: Site, key: str, question: str, word: str):
    async def steps(view: View) -> None:
        await view.press(key)
        await view.shown(question)
        assert site.calls() == []
        await view.press("y")
        await called(view, site, word)

    site.fly(steps)


@pytest.mark.parametrize("answer", ["n", "escape", "enter"])
def test_any_other_answer_stops_nothing(site: Site, answer: str):
    async def steps(view: View) -> None:
        await view.press("x")
        await view.shown("Stop the scheduler?")
        await view.press(answer)
        await view.gone("Stop the scheduler?")
        await view.press("s")
        await called(view, site, "start")

    site.fly(steps)


def test_stop_tells_how_many_runs_will_be_told_to_end(site: Site):
    begin_run(site)

    async def steps(view: View) -> None:
        await view.until(lambda: "▶" in row_of(view, "backup"))
        await view.press("x")
        await view.shown("1 run under")

    site.fly(steps)


def test_r_runs_the_job_under_the_cursor(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("down", "r")
        await called(view, site, "run --detach -- report")
        await view.shown("Run started: brief/20261122T080000.000Z")

    site.fly(steps)


@pytest.mark.parametrize(
    ("end", "note", "words"),
    [
        ("2h", "away", "--for=2h --note=away"),
        ("2026-11-25T08:00", "", "--until=2026-11-25T08:00"),
        ("", "", ""),
    ],
)
def test_p_pauses_with_an_end_and_a_note(site: Site, end: str, note: str, words: str):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("p")
        await view.shown("Pause brief", "For how long?")
        await view.type(end)
        await view.press("enter")
        await view.type(note)
        await view.press("enter")
        await called(view, site, " ".join(f"pause --json {words} -- brief".split()))
        await view.shown("brief paused")

    site.fly(steps)


def test_a_pause_may_be_thought_better_of(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("p")
        await view.shown("Pause brief")
        await view.press("escape")
        await view.gone("Pause brief")
        assert site.calls() == []

    site.fly(steps)


def test_p_resumes_a_paused_job(site: Site):
    pause.pause(site.paths, "brief", clock.read().utc, None, "")

    async def steps(view: View) -> None:
        await view.shown("‖ paused")
        await view.press("p")
        await called(view, site, "resume --json -- brief")
        await view.shown("brief resumed")

    site.fly(steps)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("""echo '{"ok":false,"error":"the disk is full"}'; exit 74""", "start: the disk is full"),
        ("echo 'sh: oops' >&2; exit 127", "did not answer in JSON: sh: oops"),
    ],
)
def test_what_fails_is_said(site: Site, script: str, said: str):
    site.door(script)

    async def steps(view: View) -> None:
        await view.press("s")
        await view.shown(said)

    site.fly(steps)


def test_what_is_under_way_is_told_and_the_screen_goes_on(site: Site, tmp_path: Path):
    os.mkfifo(tmp_path / "gate")
    site.door(f"read -r _ <{tmp_path}/gate\n{DOOR}")

    async def steps(view: View) -> None:
        await view.press("s")
        await view.shown("◌ start: under way")
        record(site, "error", message="still looking")
        await view.shown("still looking")
        (tmp_path / "gate").write_text("go\n")
        await view.shown("Scheduler started")
        await view.gone("under way")

    site.fly(steps)


# The mouse


def test_a_click_in_the_footer_is_the_key(site: Site):
    async def steps(view: View) -> None:
        await view.shown("s Start")
        await view.pilot.click(offset=(2, 41))
        await called(view, site, "start")

    site.fly(steps)


def test_a_click_puts_the_cursor_on_a_job(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Last runs")
        table = view.app.screen.query_one(JobTable)
        await view.pilot.click(offset=(3, view.rows().index(row_of(view, "sync-mail"))))
        await view.until(lambda: table.chosen == "sync-mail")

    site.fly(steps)


@pytest.mark.parametrize(("button", "words"), [("#yes", ["stop"]), ("#no", [])])
def test_a_click_on_a_button_answers(site: Site, button: str, words: list[str]):
    async def steps(view: View) -> None:
        await view.press("x")
        await view.shown("Stop the scheduler?")
        await view.pilot.click(button)
        await view.gone("Stop the scheduler?")
        await called(view, site, *words)

    site.fly(steps)


# The palette


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("Run backup", "run --detach -- backup"),
        ("Pause sync", "pause --json -- sync-mail"),
        ("Start", "start"),
    ],
)
def test_the_palette_does_it_by_name(site: Site, typed: str, words: str):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await palette(view, typed)
        await called(view, site, words)

    site.fly(steps)


async def palette(view: View, typed: str) -> None:
    """Choose the first of what the palette finds for these words."""
    await view.press("ctrl+p")
    await view.until(lambda: type(view.app.screen).__name__ == "CommandPalette")
    await view.type(typed)
    await view.until(lambda: typed.split()[-1] in view.text.partition(typed)[2], f"{typed} not found")
    await view.press("enter")


def test_the_palette_knows_all_that_the_keys_of_the_screen_do(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        offered = {command.title for command in view.app.get_system_commands(view.app.screen)}
        keys = {"Start", "Stop", "Restart", "Run", "Pause", "Why", "Runs", "Filter", "Follow", "Raw", "Sort", "Zoom"}
        assert keys | {"Theme", "Help", "Copy line", "Next error", "Error before", "Why brief", "Run brief"} <= offered

    site.fly(steps)


# Help


def test_the_help_window_tells_every_key_and_every_mark(site: Site):
    async def steps(view: View) -> None:
        await view.press("question_mark")
        await view.shown("Help", "start the scheduler", "Control", "Look", "Lines")
        await view.press("escape")
        await view.gone("start the scheduler")

    site.fly(steps, (140, 60))


def test_every_key_of_every_screen_is_in_the_help_window():
    from tui.dashboard import Main
    from tui.runs import Runs

    told = " ".join(key for _, keys in help_window.KEYS for key, _ in keys)
    told += " ".join(said for _, keys in help_window.KEYS for _, said in keys)
    names = {"slash": "/", "question_mark": "?", "escape": "esc"}
    bindings = [binding for screen in (Main, Run, Runs, Dashboard) for binding in screen.BINDINGS]
    keys = {names.get(key, key) for binding in bindings for key in binding.key.split(",")}
    assert {key for key in keys if key not in told} <= {"ctrl+c", "?"}


# Themes, settings, readonly


def test_t_goes_through_the_themes_and_the_last_one_is_remembered(site: Site):
    async def steps(view: View) -> None:
        for theme in (*THEMES[1:], THEMES[0], THEMES[1]):
            await view.press("t")
            await view.until(lambda theme=theme: view.app.theme == theme)
        await view.shown(f"Theme: {THEMES[1]}")

    site.fly(steps)
    assert settings.load().theme == THEMES[1]


def test_sort_raw_and_zoom_are_remembered(site: Site):
    async def change(view: View) -> None:
        await view.press("o", "v", "z")
        await view.shown("by name", "raw", "7 d  9")

    async def find(view: View) -> None:
        await view.shown("by name", "raw", "7 d  9")

    site.fly(change)
    site.fly(find)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"theme":7}', '{"theme":"none","sort":"none","raw":true}', "\x00"])
def test_settings_that_are_none_are_no_trouble(site: Site, tmp_path: Path, content: str):
    file = tmp_path / "config" / "echopilot-automations" / "tui.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)

    async def steps(view: View) -> None:
        await view.shown("● RUNNING")

    site.fly(steps)


def test_settings_that_cannot_be_written_are_no_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    settings.save(Settings(raw=True))
    assert settings.load() == Settings()


def test_readonly_controls_nothing(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("s", "r", "x", "y", "R", "y", "p", "escape", "question_mark")
        await view.shown("start the scheduler")
        assert site.calls() == []

    site.fly(steps, readonly=True)


def test_readonly_offers_no_control_in_the_footer(site: Site):
    async def steps(view: View) -> None:
        await view.shown("h Runs")
        assert not [word for word in ("Start", "Stop", "Pause") if word in view.rows()[-1]]

    site.fly(steps, readonly=True)


def test_readonly_offers_no_control_in_the_palette(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        offered = {command.title for command in view.app.get_system_commands(view.app.screen)}
        assert not offered & {"Start", "Stop", "Restart", "Run", "Pause", "Run brief", "Pause brief"}
        assert "Why brief" in offered

    site.fly(steps, readonly=True)


# Leaving


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_a_key_leaves(site: Site, key: str):
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press(key)
        await view.until(lambda: not view.app.is_running)
        assert view.app.return_code == Exit.OK

    site.fly(steps)


# Without a terminal


def shown_plain(site: Site, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = plain.show(Local(site.paths), clock.read().utc)
    return code, capsys.readouterr().out


def test_without_a_terminal_the_facts_are_text(site: Site, capsys: pytest.CaptureFixture[str]):
    code, said = shown_plain(site, capsys)
    assert code == Exit.OK
    assert all(word in said for word in ("● RUNNING", "report failed", "coverage of 24 h: 9", "asleep", "sync-mail"))


def _make_stopped(site: Site) -> None:
    Path(site.paths.want).write_text("down\n")


def _make_dead(site: Site) -> None:
    Path(site.paths.log("scheduler.pid")).write_text("1\n")


def _make_unreadable(site: Site) -> None:
    os.rename(site.paths.journal, site.paths.log("elsewhere"))
    os.symlink("elsewhere", site.paths.journal)


@pytest.mark.parametrize(
    ("make", "code", "sign"),
    [
        (_make_stopped, Exit.STOPPED, "○ STOPPED"),
        (_make_dead, Exit.FAILED, "✗ NO SIGNAL (dead)"),
        (_make_unreadable, Exit.FAILED, "✗ NO SIGNAL: "),
    ],
)
def test_as_text_every_state_has_its_sign_and_the_exit_code_of_status(
    down: Site, capsys: pytest.CaptureFixture[str], make: Callable[[Site], None], code: int, sign: str
):
    make(down)
    found, said = shown_plain(down, capsys)
    assert (found, sign in said) == (code, True)


def test_as_text_a_home_that_never_started_is_told_too(empty: Site, capsys: pytest.CaptureFixture[str]):
    code, said = shown_plain(empty, capsys)
    assert (code, "○ NEVER STARTED" in said) == (Exit.STOPPED, True)


def test_as_text_a_missing_server_is_no_signal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DASHBOARD_KEY", "a-key")
    code = program.main(["--url", f"127.0.0.1:{free_port()}"])
    assert (code, "✗ NO SIGNAL: no server answers" in capsys.readouterr().out) == (Exit.FAILED, True)


def test_home_chooses_whose_facts_are_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("AUTOMATIONS_HOME", "/nowhere")
    code = program.main(["--home", str(site.home)])
    assert (code, "sync-mail" in capsys.readouterr().out) == (Exit.OK, True)


def test_a_url_without_a_key_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str]):
    code = program.main(["--url", "http://127.0.0.1:5000"])
    assert code != Exit.OK
    assert "tui: no key for --url" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--home", "a", "--url", "b"], ["--what"]])
def test_arguments_that_make_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
