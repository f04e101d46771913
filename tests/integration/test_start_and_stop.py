"""Promise 1 and 3: `start` says OK only with proof, `stop` always stops, `status` is true. Real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import PROJECT, Home, until


def test_start_answers_with_the_pid_that_status_and_the_pid_file_name(home: Home) -> None:
    pid = home.start()
    status = home.status()
    assert (status["running"], status["pid"]) == (True, pid)
    assert (home.logs / "scheduler.pid").read_text() == f"{pid}\n"


def test_start_creates_the_three_files_and_journals_startup(home: Home) -> None:
    home.start()
    assert all((home.logs / name).exists() for name in ("scheduler.log", "scheduler.out", "retention.log"))
    assert len(home.entries("startup")) == 1


def test_a_second_start_names_the_living_scheduler(home: Home) -> None:
    pid = home.start()
    again = json.loads(home.door("start").stdout)
    assert again == {"ok": True, "status": "Scheduler already running", "pid": pid}


def test_stop_ends_scheduler_and_watchdog_and_removes_the_pid_file(home: Home) -> None:
    home.start()
    done = home.door("stop")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "Scheduler stopped")
    assert not home.processes()
    assert not (home.logs / "scheduler.pid").exists()


def test_stop_journals_the_shutdown_and_that_it_was_stopped(home: Home) -> None:
    home.start()
    home.door("stop")
    assert home.entries("shutdown")[-1]["reason"] == "SIGTERM"
    assert home.entries("stopped")[-1]["how"] == "terminated"


def test_stop_succeeds_when_nothing_runs(home: Home) -> None:
    assert home.door("stop").returncode == 0
    home.start()
    home.door("stop")
    assert home.door("stop").returncode == 0


def test_status_of_a_stopped_scheduler_is_exit_3_and_of_a_dead_one_exit_1(home: Home) -> None:
    assert home.door("status").returncode == 3
    home.start()
    assert home.door("status").returncode == 0
    home.kill_everything()
    dead = home.door("status")
    assert (dead.returncode, json.loads(dead.stdout)["running"]) == (1, False)


def test_status_prints_exactly_its_three_keys_and_needs_no_python(home: Home) -> None:
    home.start()
    bare = {**home.environment, "PATH": "/usr/bin:/bin"}
    script = PROJECT / "scripts" / "run_automations.sh"
    traced = ["strace", "-f", "-e", "trace=execve", "-o", str(home.folder / "trace"), "/bin/sh", str(script), "status"]
    done = subprocess.run(traced, env=bare, capture_output=True, text=True, check=False)
    assert list(json.loads(done.stdout)) == ["running", "pid", "last_activity"]
    assert "python" not in (home.folder / "trace").read_text()


def test_a_stale_pid_file_is_no_obstacle(home: Home) -> None:
    home.logs.mkdir()
    (home.logs / "scheduler.pid").write_text(f"{os.getpid()}\n")
    pid = home.start()
    assert pid != os.getpid()


def test_a_recycled_pid_is_not_taken_for_the_scheduler(home: Home) -> None:
    home.logs.mkdir()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (home.logs / "scheduler.lock").write_text(f"{os.getpid()} 12345 {boot}\n")
    assert home.status() == {"running": False, "pid": None, "last_activity": None}


def test_restart_gives_a_new_pid(home: Home) -> None:
    first = home.start()
    second = json.loads(home.door("restart").stdout)["pid"]
    assert second != first
    assert home.status()["pid"] == second


def test_a_restart_that_cannot_succeed_stops_nothing(home: Home) -> None:
    pid = home.start()
    home.jobs("[jobs.a]\ncommand = 3\n")
    done = home.door("restart")
    assert (done.returncode, home.status()["pid"]) == (78, pid)
    assert "nothing was stopped" in json.loads(done.stdout)["error"]


def test_a_misspelt_home_does_not_come_into_being(home: Home) -> None:
    home.environment["AUTOMATIONS_HOME"] += "/typo"
    done = home.door("start")
    assert done.returncode == 74
    assert not (home.folder / "typo").exists()
    home.environment["AUTOMATIONS_HOME"] = str(home.folder)


def test_the_door_works_through_a_link(home: Home) -> None:
    link = home.folder / "auto"
    link.symlink_to(PROJECT / "scripts" / "run_automations.sh")
    done = subprocess.run([link, "check"], env=home.environment, capture_output=True, text=True, check=False)
    assert "good, 4 jobs" in done.stdout


def test_a_tick_that_is_no_number_is_a_clear_error(home: Home) -> None:
    home.environment["AUTOMATIONS_TICK_S"] = "soon"
    done = home.door("start")
    assert "AUTOMATIONS_TICK_S: got 'soon'; expected seconds" in json.loads(done.stdout)["error"]
    home.environment["AUTOMATIONS_TICK_S"] = "1"


def test_up_says_where_the_api_is_that_already_runs(home: Home) -> None:
    home.door("up")
    port, home.environment["AUTOMATIONS_PORT"] = home.environment["AUTOMATIONS_PORT"], "1"
    assert f"http://127.0.0.1:{port}/" in home.door("up").stdout


def test_a_platform_that_kills_a_second_after_the_launch_gets_an_honest_failure(home: Home) -> None:
    with popen(home, "start") as starting:
        pid = int(str(until(lambda: read(home.logs / "scheduler.pid"))))
        time.sleep(1.0)
        os.kill(pid, signal.SIGKILL)
        out, _ = starting.communicate(timeout=20)
    assert starting.returncode != 0
    assert "killed by SIGKILL" in json.loads(out)["error"]
    until(lambda: not home.processes())  # a revival that waited its turn finds that it is not wanted, and ends
    assert len(home.entries("startup")) == 1, "what was called failed came up after all"


def test_a_scheduler_that_cannot_begin_says_why_through_start(home: Home) -> None:
    home.jobs("[jobs.a]\nschedule = '61 * * * *'\ncommand = 'true'\n")
    done = home.door("start")
    assert done.returncode != 0
    assert "jobs.a.schedule" in json.loads(done.stdout)["error"]


def test_a_missing_job_file_says_what_to_do(home: Home) -> None:
    (home.folder / "automations.toml").unlink()
    assert "copy" in json.loads(home.door("start").stdout)["error"]


def test_stop_ends_a_frozen_scheduler_within_7_seconds(home: Home) -> None:
    os.kill(home.start(), signal.SIGSTOP)
    began = time.monotonic()
    assert home.door("stop").returncode == 0
    assert time.monotonic() - began < 7
    assert not home.processes()


DEAF = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from automations.locks import Lock
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
lock = Lock(sys.argv[2]); lock.acquire(); lock.sign()
while True: time.sleep(1)
"""


def test_stop_kills_a_holder_that_is_deaf_to_term_within_7_seconds(home: Home) -> None:
    home.logs.mkdir()
    lock = home.logs / "scheduler.lock"
    deaf = subprocess.Popen([sys.executable, "-c", DEAF, str(PROJECT), str(lock)], env=home.environment)
    try:
        until(lambda: read(lock))
        began = time.monotonic()
        done = home.door("stop")
        assert (done.returncode, json.loads(done.stdout)["pid"]) == (0, deaf.pid)
        assert time.monotonic() - began < 7
    finally:
        deaf.kill()
        deaf.wait()
    assert home.entries("stopped")[-1]["how"] == "killed"


def test_a_tick_follows_within_its_minute_and_names_the_next_slots(home: Home) -> None:
    home.start()
    until(lambda: home.entries("tick"))
    tick = home.entries("tick")[0]
    assert list(tick)[:3] == ["ts", "event", "next"]
    assert list(tick["next"])[:3] == ["brief", "report", "selfheal"]  # type: ignore[call-overload]


def test_retention_runs_once_at_boot(home: Home) -> None:
    home.start()
    until(lambda: home.entries("retention_done"))
    assert len(home.entries("retention_start")) == 1
    assert (home.logs / "retention.log").read_text().count("\n") == 1


def test_foreground_is_the_same_scheduler_without_a_watchdog(home: Home) -> None:
    with popen(home, "foreground") as process:
        until(lambda: home.entries("tick"))
        assert home.status()["pid"] == process.pid
        assert not [line for line in home.processes().values() if "watchdog.py" in line]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_start_beside_a_foreground_scheduler_names_it(home: Home) -> None:
    with popen(home, "foreground") as process:
        until(lambda: home.entries("startup"))
        assert home.start() == process.pid
        process.terminate()
        assert process.wait(20) == 0


def test_a_terminated_scheduler_leaves_no_job_behind(home: Home) -> None:
    home.jobs("[jobs.long]\nschedule = '@reboot'\ncommand = 'sleep 300'\n")
    home.start()
    until(lambda: home.entries("run_started"))
    home.door("stop")
    assert home.entries("run_finished")[-1]["outcome"] == "stopped"
    assert not home.processes()


def test_a_run_that_ended_before_the_stop_was_not_stopped(home: Home) -> None:
    home.jobs("[jobs.nap]\nschedule = '@reboot'\ncommand = 'sleep 2'\n")
    pid = home.start()
    os.kill(pid, signal.SIGSTOP)
    until(lambda: not [line for line in home.processes().values() if line.startswith("sleep")])
    home.door("stop")
    assert home.entries("run_finished")[-1]["outcome"] == "succeeded"


@pytest.mark.parametrize("words", [("run",), ("start", "extra"), ("dance",)])
def test_wrong_use_is_exit_64(home: Home, words: tuple[str, ...]) -> None:
    assert home.door(*words).returncode == 64


def test_daemonize_prints_the_pid_that_its_pid_file_names(home: Home) -> None:
    daemonize, pid_file = PROJECT / "scripts" / "daemonize.py", home.folder / "sleep.pid"
    argv = [sys.executable, str(daemonize), "--settle", "0.1", "--pid-file", str(pid_file), "--", "sleep", "60"]
    done = subprocess.run(argv, env=home.environment, capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    try:
        assert pid_file.read_text() == f"{pid}\n"
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in home.processes())


def test_daemonize_is_honest_about_a_program_that_dies(home: Home) -> None:
    argv = [sys.executable, str(PROJECT / "scripts" / "daemonize.py"), "--", "sh", "-c", "echo oh no; exit 4"]
    done = subprocess.run(argv, env=home.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "exit 4" in done.stderr
    assert "oh no" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_a_normal_user_who_may_not_write_logs_gets_a_clear_error(home: Home) -> None:
    home.logs.mkdir(mode=0o700)
    for folder in (home.folder, *home.folder.parents[:3]):
        folder.chmod(0o755)
    argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable]
    done = subprocess.run(
        [
            *argv,
            "-c",
            "import sys; sys.path.insert(0, sys.argv[1]); from automations.cli import main; main(['start'])",
            str(PROJECT),
        ],
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Permission denied" in json.loads(done.stdout)["error"]


@contextmanager
def popen(home: Home, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The script in the background; killed when the test ends before it."""
    argv = ["/bin/sh", str(PROJECT / "scripts" / "run_automations.sh"), *arguments]
    with subprocess.Popen(argv, env=home.environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
