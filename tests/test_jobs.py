"""The built-in jobs, run as what they are: commands of their own. Each leaves an artefact and a journal entry."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from automations import config
from automations.jobs import report, retention
from automations.jobs.retention import File
from automations.paths import PROJECT as PROJECT_FOLDER
from tests.conftest import PROJECT, Home

DAY = timedelta(days=1)


def test_the_brief_tells_of_a_failed_run_and_its_last_words(home: Home) -> None:
    home.jobs("[jobs.bad]\nschedule = '@daily'\ncommand = 'echo the disk is gone; exit 3'\n" + brief_table())
    home.door("run", "bad")
    page = home.door("run", "brief").stdout
    assert "failed, exit 3" in page
    assert "    the disk is gone" in page


def test_the_brief_leaves_markdown_json_and_an_entry(home: Home) -> None:
    home.door("run", "brief")
    entry = home.entries("brief")[-1]
    page = home.logs / str(entry["file"])
    assert page.read_text().startswith("# Brief of ")
    assert json.loads(page.with_suffix(".json").read_text())["want"] == "down"


def test_the_report_leaves_a_page_without_any_address(home: Home) -> None:
    home.door("run", "brief")
    home.door("run", "report")
    page = (home.logs / str(home.entries("report")[-1]["file"])).read_text()
    assert "<th scope=row>brief<td>1<td>1 (100 %)" in page
    assert "http" not in page


def test_the_report_escapes_what_it_shows() -> None:
    row = report.Row("<script>", 1, 1, 0, 1.0, 1.0)
    assert "<script>" not in report.page([row], "a", "b")


def test_selfheal_finds_nothing_on_a_sound_home(home: Home) -> None:
    done = home.door("run", "selfheal")
    assert (done.returncode, done.stdout) == (0, "7 checks, nothing to mend\n")


def test_selfheal_brings_back_a_scheduler_that_is_wanted_and_dead(home: Home) -> None:
    home.start()
    home.kill_everything()
    done = home.door("run", "selfheal")
    assert "mended: the scheduler was wanted and dead" in done.stdout
    assert home.status()["running"] is True


def test_selfheal_leaves_a_stopped_scheduler_stopped(home: Home) -> None:
    home.start()
    home.door("stop")
    home.door("run", "selfheal")
    assert home.status()["running"] is False


def test_selfheal_has_a_torn_journal_cut(home: Home) -> None:
    home.door("run", "brief")
    with (home.logs / "scheduler.log").open("ab") as journal:
        journal.write(b'{"ts":"2026-')
    home.door("run", "selfheal")
    assert home.entries("journal_recovered")[0]["bytes_cut"] == 12
    assert home.verify() == ""


def test_retention_prunes_what_is_too_old_and_keeps_the_rest(home: Home) -> None:
    home.door("run", "brief")
    old = next((home.logs / "runs" / "brief").glob("*.log"))
    os.utime(old, (time.time() - 31 * 86400,) * 2)
    home.door("run", "retention")
    assert not old.exists()
    assert list((home.logs / "briefs").iterdir())
    assert home.entries("retention_done")[-1]["files"] == 1


def test_retention_never_deletes_the_output_of_an_open_run(home: Home) -> None:
    home.jobs("[jobs.nap]\nschedule = '@daily'\ncommand = 'sleep 60'\n" + retention_table())
    run_id = json.loads(home.door("run", "--detach", "nap").stdout)["run_id"]
    output = home.logs / "runs" / f"{run_id}.log"
    os.utime(output, (0, 0))
    home.door("run", "retention")
    assert output.exists()
    for pid, line in home.processes().items():
        if "sleep 60" in line:
            os.kill(pid, 15)


def test_retention_prunes_the_oldest_first_when_there_is_too_much() -> None:
    files = [File("new", DAY, 60), File("old", 3 * DAY, 60), File("middle", 2 * DAY, 30)]
    assert [file.path for file in retention.to_prune(files, 30 * DAY, 100)] == ["old"]


def test_retention_keeps_the_newest_file_whatever_its_size() -> None:
    files = [File("new", DAY, 600), File("old", 2 * DAY, 10)]
    assert [file.path for file in retention.to_prune(files, 30 * DAY, 100)] == ["old"]


def test_the_shipped_job_file_is_good_and_holds_the_four_built_in_jobs() -> None:
    found, _ = config.load(str(PROJECT / "automations.toml"), PROJECT_FOLDER)
    assert list(found.jobs) == ["brief", "report", "selfheal", "retention"]


def test_the_default_slots_are_those_of_the_design() -> None:
    jobs = config.load(str(PROJECT / "automations.toml"), PROJECT_FOLDER)[0].jobs
    noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    hours = {name: job.schedule.after(noon).strftime("%d %H:%M") for name, job in jobs.items()}  # type: ignore[union-attr]
    assert hours == {"brief": "23 08:00", "report": "23 09:00", "selfheal": "22 18:00", "retention": "23 03:30"}


def test_the_readmes_example_of_a_job_is_a_good_job_file(tmp_path: Path) -> None:
    example = (PROJECT / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    job = config.parse(example.encode(), "README.md", str(tmp_path), PROJECT_FOLDER).jobs["backup"]
    assert (job.timeout, job.grace) == (timedelta(minutes=20), timedelta(hours=2))


def test_the_readmes_example_names_every_key_there_is() -> None:
    example = (PROJECT / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    assert [key for key in config.READERS if f"{key} = " not in example] == []


def test_the_readmes_example_loads() -> None:
    example = (PROJECT / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    job = config.parse(example.encode(), "README.md", "/home/user", "/opt/project").jobs["backup"]
    assert (job.retries, job.ok_exit_codes, job.max_output_bytes) == (3, (0, 24), 10 * 1024**2)


def brief_table() -> str:
    return '[jobs.brief]\nschedule = "@daily"\ncommand = ["python", "-m", "automations.jobs.brief"]\n'


def retention_table() -> str:
    return '[jobs.retention]\nschedule = "@daily"\ncommand = ["python", "-m", "automations.jobs.retention"]\n'
