"""The journal, the runs and the answers to why, through their keys."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from automations import clock
from tests import sample
from tests.pilots import (
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
)
from tui.runs import Run, RunTable
from tui.widgets.jobs import JobTable
from tui.widgets.log import LogView


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle_in(monkeypatch, tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A home with a day of history, alive."""
    with site_in(tmp_path, a_day()) as made:
        yield made


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
