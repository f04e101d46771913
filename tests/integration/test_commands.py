"""The commands and the API's routes about jobs and runs: the same truth through both doors, with real processes."""

import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import server
from automations.paths import Paths
from tests.conftest import DOOR, Home, until

KEY = "a-key"
JOBS = """
[jobs.good]
schedule = "@yearly"
command = "echo all is well"
description = "Says so"

[jobs.bad]
schedule = "@yearly"
timezone = "Europe/Zurich"
command = "echo disk full; exit 3"
ok_exit_codes = [0, 24]

[jobs.odd]
schedule = "@yearly"
command = "exit 24"
ok_exit_codes = [0, 24]

[jobs.long]
schedule = "@yearly"
command = "echo begun; sleep 60"

[jobs.secret]
schedule = "@yearly"
command = "printenv TOKEN"
env_file = "secrets"
"""


@pytest.fixture
def busy(home: Home) -> Home:
    home.jobs(JOBS)
    return home


def said(home: Home, *arguments: str) -> dict[str, Any]:
    done = home.door(*arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["ok"] is True
    return answer


Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def ask(busy: Home, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask the API, without a port; its door is the real one."""
    for name, value in busy.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DASHBOARD_KEY", KEY)
    app = server.create_app(Paths(str(busy.folder)))
    host = f"127.0.0.1:{busy.environment['AUTOMATIONS_PORT']}"

    def ask(verb: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        route, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": verb,
            "PATH_INFO": f"/api/automations/{route}",
            "QUERY_STRING": query,
            "HTTP_HOST": host,
            "HTTP_X_DASH_KEY": KEY,
            "CONTENT_TYPE": "application/json" if body is not None else "",
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.input": io.BytesIO(content),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
            **headers,
        }
        status: list[str] = []
        parts = app(environ, lambda code, _headers, _info=None: status.append(code))
        return int(status[0].split()[0]), json.loads(b"".join(parts))

    return ask


# Running by hand


@pytest.mark.parametrize(
    ("job", "code", "outcome"), [("good", 0, "succeeded"), ("bad", 3, "failed"), ("odd", 24, "succeeded")]
)
def test_run_answers_with_the_exit_code_of_the_job(busy: Home, job: str, code: int, outcome: str):
    assert busy.door("run", job).returncode == code
    assert busy.entries("run_finished")[0]["outcome"] == outcome


def test_run_shows_the_output_as_it_comes_and_then_the_outcome(busy: Home):
    done = busy.door("run", "bad")
    assert done.stdout == "disk full\n"
    assert done.stderr.rstrip().endswith("failed, exit 3")


def test_a_secret_from_a_file_is_in_the_environment_and_nowhere_else(busy: Home):
    (busy.folder / "secrets").write_text("# ours\nexport TOKEN='s3 cret'\n")
    assert busy.door("run", "secret").stdout == "s3 cret\n"
    assert b"s3 cret" not in (busy.logs / "scheduler.log").read_bytes()


def test_a_secret_file_that_is_not_there_fails_the_run_and_says_so(busy: Home):
    assert busy.door("run", "secret").returncode == 1
    assert "No such file" in str(busy.entries("run_finished")[0]["reason"])


# Lists


def test_jobs_tells_schedule_next_slot_and_last_outcome(busy: Home):
    busy.door("run", "bad")
    found = {entry["name"]: entry for entry in said(busy, "jobs")["jobs"]}
    assert (found["bad"]["schedule"], found["bad"]["last"]["outcome"]) == ("@yearly", "failed")
    assert found["bad"]["next"].endswith("12-31T23:00:00.000Z")
    assert found["good"]["last"] is None


def test_runs_and_search_filter_alike(busy: Home):
    for job in ("good", "bad", "bad"):
        busy.door("run", job)
    assert [row["job"] for row in said(busy, "runs")["runs"]] == ["bad", "bad", "good"]
    assert len(said(busy, "runs", "--outcome", "failed", "--since", "1h")["runs"]) == 2
    assert [row["job"] for row in said(busy, "runs", "--text", "all is")["runs"]] == ["good"]
    assert [hit["snippet"].strip() for hit in said(busy, "search", "disk", "-n", "1")["hits"]] == ["disk full"]


def test_a_list_for_people_is_a_table(busy: Home):
    busy.door("run", "bad")
    lines = busy.door("runs").stdout.splitlines()
    assert lines[0].split() == ["RUN", "OUTCOME", "EXIT", "TOOK", "BEGAN", "REASON"]
    assert lines[1].split()[1:3] == ["failed", "3"]


def test_next_tells_the_slots_to_come(busy: Home):
    found = said(busy, "next", "good", "-n", "3")["slots"]
    years = [slot["due"][:4] for slot in found]
    assert years == [str(datetime.now(UTC).year + ahead) for ahead in (1, 2, 3)]


def test_output_shows_the_newest_run_of_a_job_with_times_if_asked(busy: Home):
    busy.door("run", "bad")
    assert busy.door("output", "bad").stdout == "disk full\n"
    at, line = busy.door("output", "bad", "--times").stdout.rstrip().split(" ", 1)
    assert datetime.now(UTC) - datetime.fromisoformat(at) < timedelta(minutes=1)
    assert line == "disk full"


def test_output_follows_a_run_to_its_end(busy: Home):
    run_id = json.loads(busy.door("run", "--detach", "long").stdout)["run_id"]
    command = ["/bin/sh", str(DOOR), "output", run_id, "--follow"]
    with subprocess.Popen(command, env=busy.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout and follower.stdout.readline() == "begun\n"  # noqa: PT018
        assert busy.door("stop-run", run_id).returncode == 0
        assert follower.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "nobody"), 66),
        (("pause", "nobody"), 66),
        (("resume", "nobody"), 66),
        (("next", "nobody"), 66),
        (("output", "nobody"), 66),
        (("output", "good/20200101T000000Z"), 66),
        (("stop-run", "nobody"), 66),
        (("pause", "good", "--for", "soon"), 64),
        (("pause", "good", "--until", "2020-01-01"), 64),
        (("pause", "good", "--for", "1h", "--until", "2030-01-01"), 64),
        (("runs", "--outcome", "fine"), 64),
        (("runs", "--since", "yesterday"), 64),
        (("check", "no-such-file"), 78),
        (("import-crontab", "no-such-file"), 66),
    ],
)
def test_wrong_words_are_answered_with_the_code_of_their_kind(busy: Home, arguments: tuple[str, ...], code: int):
    done = busy.door(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.strip() and "Traceback" not in done.stderr  # noqa: PT018


# Pausing


def test_a_paused_job_passes_its_slots_until_it_is_resumed(busy: Home):
    busy.jobs('[jobs.often]\nevery = "1s"\ncommand = "true"\n')
    busy.start()
    until(lambda: busy.entries("run_finished"))
    busy.door("pause", "often", "--note", "moving house")
    skipped = until(lambda: busy.entries("run_skipped"))[0]
    assert (skipped["outcome"], skipped["reason"]) == ("skipped", "paused until it is resumed: moving house")
    assert said(busy, "jobs")["jobs"][0]["next"] is None
    busy.door("resume", "often")
    count = len(busy.entries("run_finished"))
    until(lambda: len(busy.entries("run_finished")) > count)


def test_a_pause_with_an_end_ends_by_itself(busy: Home):
    busy.jobs('[jobs.often]\nevery = "1s"\ncommand = "true"\n')
    busy.start()
    said(busy, "pause", "often", "--for", "3s")
    until(lambda: busy.entries("job_resumed"), 10)
    count = len(busy.entries("run_finished"))
    until(lambda: len(busy.entries("run_finished")) > count)


# A change of the job file


def test_check_says_what_a_change_would_do(busy: Home):
    busy.start()
    (busy.folder / "new.toml").write_text(JOBS + '[jobs.more]\nevery = "24h"\ncommand = "true"\n')
    answer = said(busy, "check", str(busy.folder / "new.toml"))
    assert [(change["job"], change["kind"], change["slots"]) for change in answer["changes"]] == [("more", "added", 7)]
    assert "added     more: 7 slots" in busy.door("check", str(busy.folder / "new.toml")).stdout


def test_an_imported_crontab_is_a_good_job_file(busy: Home, tmp_path: Path):
    (tmp_path / "crontab").write_text("MAILTO=me\n# every night\n30 2 * * * echo hello\n")
    done = busy.door("import-crontab", str(tmp_path / "crontab"))
    (busy.folder / "automations.toml").write_text(done.stdout)
    assert "nothing is mailed" in done.stderr
    assert busy.door("run", "hello").returncode == 66
    assert busy.door("run", "echo").stdout == "hello\n"


# Reload


def test_no_slot_is_lost_while_the_job_file_is_changed_again_and_again(busy: Home):
    job = '[jobs.often]\nevery = "1s"\ncommand = "true"\n'
    busy.jobs(job)
    busy.start()
    pid = busy.status()["pid"]
    for number in range(2, 42):
        busy.jobs(f"# {number}\n{job}")
        os.kill(int(str(pid)), signal.SIGHUP)
        until(lambda loaded=number: len(busy.entries("config_loaded")) >= loaded, 5)
    until(lambda: len(busy.entries("run_finished")) > 5, 20)
    busy.door("stop")
    dues = [datetime.fromisoformat(str(entry["due"])) for entry in busy.entries() if entry["event"] == "run_started"]
    dues += [
        datetime.fromisoformat(str(entry["due"])) + timedelta(seconds=place)
        for entry in busy.entries("run_skipped")
        for place in range(int(str(entry["slots"])))
    ]
    assert sorted(dues) == [min(dues) + timedelta(seconds=place) for place in range(len(dues))]


# The API


def test_the_api_lists_what_the_commands_list(busy: Home, ask: Ask):
    busy.door("run", "bad")
    assert ask("GET", "jobs")[1]["jobs"] == said(busy, "jobs")["jobs"]
    assert ask("GET", "runs?outcome=failed&text=disk")[1]["runs"] == said(busy, "runs", "--text", "disk")["runs"]


def test_the_api_tells_of_one_run_and_its_output(busy: Home, ask: Ask):
    busy.door("run", "bad")
    run_id = ask("GET", "runs")[1]["runs"][0]["run_id"]
    assert ask("GET", f"runs/{run_id}")[1]["run"]["exit"] == 3
    output = ask("GET", f"runs/{run_id}/output")[1]
    assert (output["output"], output["next"], output["running"]) == ("disk full\n", 10, False)
    assert ask("GET", f"runs/{run_id}/output?from=5&limit=4")[1]["output"] == "full"


def test_the_api_runs_stops_pauses_and_resumes(busy: Home, ask: Ask):
    status, answer = ask("POST", "jobs/long/run")
    assert status == 202
    assert ask("POST", f"runs/{answer['run_id']}/stop") == (
        200,
        {"ok": True, "run_id": answer["run_id"], "status": "Run stopped"},
    )
    assert ask("POST", f"runs/{answer['run_id']}/stop")[0] == 409
    paused = ask("POST", "jobs/long/pause", {"for": "2h", "note": "--why"})[1]["paused"]
    assert (paused["note"], ask("GET", "jobs")[1]["jobs"][3]["paused"]) == ("--why", paused)
    assert ask("POST", "jobs/long/resume")[1]["was_paused"] is True


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "jobs/nobody/pause", None, 404),
        ("POST", "jobs/good/pause", {"for": "soon"}, 400),
        ("POST", "jobs/good/pause", {"until": "2020-01-01"}, 400),
        ("POST", "jobs/good/pause", {"for": 2}, 400),
        ("POST", "jobs/good/pause", ["2h"], 400),
        ("POST", "jobs/good/pause", b"{", 400),
        ("GET", "runs/good/20200101T000000Z", None, 404),
        ("GET", "runs/good/20200101T000000Z/output", None, 404),
        ("POST", "runs/good/20200101T000000Z/stop", None, 404),
        ("GET", "runs/good/..%2f..%2fscheduler", None, 404),
        ("GET", "runs?limit=many", None, 400),
        ("GET", "runs?limit=100000", None, 400),
        ("GET", "runs?since=yesterday", None, 400),
        ("GET", "runs?before=-1", None, 400),
        ("DELETE", "jobs", None, 405),
    ],
)
def test_what_the_api_cannot_do_is_refused_in_its_form(ask: Ask, verb: str, path: str, body: object, status: int):
    code, answer = ask(verb, path, body)
    assert (code, answer["ok"]) == (status, False)


def test_a_body_of_another_kind_is_refused(ask: Ask):
    assert ask("POST", "jobs/good/pause", {"for": "2h"}, CONTENT_TYPE="text/plain")[0] == 415


def test_without_a_job_file_that_can_be_used_the_api_says_so(busy: Home, ask: Ask):
    busy.jobs("[jobs.x]")
    code, answer = ask("GET", "jobs")
    assert code == 409
    assert "jobs.x" in answer["error"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "jobs"),
        ("POST", "jobs/good/pause"),
        ("POST", "jobs/good/resume"),
        ("GET", "runs"),
        ("GET", "runs/good/20200101T000000Z"),
        ("GET", "runs/good/20200101T000000Z/output"),
        ("POST", "runs/good/20200101T000000Z/stop"),
    ],
)
def test_no_route_answers_without_the_key_or_to_a_foreign_host(ask: Ask, verb: str, path: str):
    assert ask(verb, path, HTTP_X_DASH_KEY="wrong")[0] == 401
    assert ask(verb, path, HTTP_HOST="evil.example")[0] == 421
