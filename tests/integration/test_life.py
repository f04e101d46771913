"""Promise 2, 4 and 5: it ticks, mends itself, takes new jobs into force and loses no run. Real processes."""

import os
import shutil
import signal
import time

from tests.conftest import Home, until


def test_a_killed_scheduler_is_brought_back_and_the_journal_says_so(home: Home) -> None:
    first = home.start()
    until(lambda: len(home.processes()) >= 2)
    os.kill(first, signal.SIGKILL)
    second = until(lambda: [pid for pid in home.schedulers() if pid != first])
    until(lambda: home.status()["running"])
    assert home.status()["pid"] in second  # type: ignore[operator]
    assert home.entries("watchdog_restart")[0]["cause"] == "crashed"


def test_a_hung_scheduler_is_replaced_and_its_cause_is_named(home: Home) -> None:
    first = home.start()
    until(lambda: home.entries("tick"))
    os.kill(first, signal.SIGSTOP)
    until(lambda: home.status()["pid"] not in (None, first))
    assert "stopped by a signal" in str(home.entries("watchdog_restart")[0]["cause"])


def test_a_stopped_scheduler_stays_stopped(home: Home) -> None:
    home.start()
    until(lambda: len(home.processes()) >= 2)
    home.door("stop")
    time.sleep(3)  # three ticks: longer than any watchdog of this tick would wait
    assert not home.processes()


def test_a_scheduler_that_was_asked_to_end_is_not_brought_back(home: Home) -> None:
    pid = home.start()
    until(lambda: len(home.processes()) >= 2)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not home.processes())
    assert home.entries("shutdown")
    assert not home.entries("watchdog_restart")


def test_a_killed_watchdog_is_started_again_by_the_scheduler(home: Home) -> None:
    home.start()
    watchdogs = lambda: [pid for pid, line in home.processes().items() if "watchdog.py" in line]  # noqa: E731
    first = until(watchdogs)
    os.kill(first[0], signal.SIGKILL)  # type: ignore[index]
    until(lambda: watchdogs() and watchdogs() != first)


def test_a_crash_while_the_job_file_is_refused_is_mended_with_the_last_good_one(home: Home) -> None:
    home.jobs("[jobs.beat]\nevery = '1s'\ncommand = 'true'\n")
    pid = home.start()
    until(lambda: len(home.processes()) >= 2)
    home.jobs("[jobs.beat]\ncommand = 3\n")
    os.kill(pid, signal.SIGKILL)
    until(lambda: home.entries("watchdog_restart") and home.status()["running"])
    assert home.entries("config_rejected")
    runs = len(home.entries("run_finished"))
    until(lambda: len(home.entries("run_finished")) > runs)


def test_a_crash_with_no_good_job_file_at_all_ends_the_watchdogs_tries(home: Home) -> None:
    pid = home.start()
    until(lambda: len(home.processes()) >= 2)
    shutil.rmtree(home.logs / "configs")
    home.jobs("[jobs.a]\ncommand = 3\n")
    os.kill(pid, signal.SIGKILL)
    until(lambda: home.entries("watchdog_gave_up"))
    assert "refused" in str(home.entries("watchdog_gave_up")[0]["cause"])


def test_a_journal_that_is_taken_away_from_a_running_scheduler_is_missed(home: Home) -> None:
    home.start()
    until(lambda: home.entries("tick"))
    (home.logs / "scheduler.log").unlink()
    gap = until(lambda: home.entries("journal_gap"))
    assert "cut or replaced" in gap[0]["reason"]  # type: ignore[index]


def test_a_faulty_job_file_is_refused_and_the_last_good_one_stays_in_force(home: Home) -> None:
    home.jobs("[jobs.beat]\nevery = '1s'\ncommand = 'true'\n")
    home.start()
    home.jobs("[jobs.beat]\nevery = 'sometimes'\ncommand = 'true'\n")
    rejected = until(lambda: home.entries("config_rejected"))
    assert "jobs.beat.every" in str(rejected[0]["faults"])  # type: ignore[index]
    runs = len(home.entries("run_finished"))
    until(lambda: len(home.entries("run_finished")) > runs)


def test_a_changed_job_file_is_taken_over_without_a_lost_tick(home: Home) -> None:
    home.start()
    until(lambda: home.entries("tick"))
    home.jobs("[jobs.beat]\nevery = '1s'\ncommand = 'true'\n")
    until(lambda: [entry for entry in home.entries("run_finished") if entry["job"] == "beat"])
    seconds = [str(entry["ts"])[:19] for entry in home.entries("tick")]
    assert len(seconds) == len(set(seconds))


def test_a_run_that_outlives_its_scheduler_is_adopted_with_its_true_exit_code(home: Home) -> None:
    home.jobs("[jobs.long]\nschedule = '@reboot'\ncommand = 'sleep 3; exit 7'\n")
    pid = home.start()
    until(lambda: home.entries("run_started"))
    os.kill(pid, signal.SIGKILL)
    until(lambda: home.entries("run_finished"))
    first = home.entries("run_finished")[0]
    assert (first["outcome"], first["exit"], first["adopted"]) == ("failed", 7, True)


def test_a_run_killed_with_its_scheduler_is_abandoned_not_forgotten(home: Home) -> None:
    home.jobs("[jobs.long]\nschedule = '@reboot'\ncommand = 'sleep 300'\n")
    home.start()
    until(lambda: home.entries("run_started"))
    home.kill_everything()
    home.start()
    until(lambda: home.entries("run_finished"))
    assert home.entries("run_finished")[0]["outcome"] == "abandoned"


def test_a_failing_job_does_not_disturb_the_others(home: Home) -> None:
    home.jobs(
        "[jobs.bad]\nevery = '1s'\ncommand = ['/does/not/exist']\n"
        "[jobs.worse]\nevery = '1s'\ncwd = '/does/not/exist'\ncommand = 'true'\n"
        "[jobs.good]\nevery = '1s'\ncommand = 'true'\n"
    )
    home.start()
    until(lambda: len([entry for entry in home.entries("run_finished") if entry["outcome"] == "succeeded"]) >= 2)
    codes = {entry["exit"] for entry in home.entries("run_finished")}
    assert codes == {0, 126, 127}


def test_a_manual_run_shows_its_output_and_answers_with_its_exit_code(home: Home) -> None:
    home.jobs("[jobs.say]\nschedule = '@daily'\ncommand = 'echo hello; exit 5'\n")
    done = home.door("run", "say")
    assert (done.stdout, done.returncode) == ("hello\n", 5)
    assert home.entries("run_finished")[-1]["exit"] == 5


def test_a_detached_run_answers_at_once_and_is_seen_through(home: Home) -> None:
    home.jobs("[jobs.nap]\nschedule = '@daily'\ncommand = 'sleep 1'\n")
    done = home.door("run", "--detach", "nap")
    assert '"run_id": "nap/' in done.stdout
    assert home.entries("run_started")
    until(lambda: home.entries("run_finished"))
    assert home.entries("run_finished")[0]["outcome"] == "succeeded"


def test_a_run_of_a_job_that_still_runs_is_refused(home: Home) -> None:
    home.jobs("[jobs.nap]\nschedule = '@daily'\ncommand = 'sleep 2'\n")
    home.door("run", "--detach", "nap")
    assert "still running" in home.door("run", "--detach", "nap").stdout
    until(lambda: home.entries("run_finished"))


def test_a_slot_that_came_due_while_down_runs_once_within_its_grace(home: Home) -> None:
    home.jobs("[jobs.beat]\nevery = '2s'\ncommand = 'true'\n")
    home.start()
    until(lambda: home.entries("tick") and home.entries("run_finished"))
    home.kill_everything()
    time.sleep(4.5)  # two or more slots come due meanwhile
    home.start()
    missed = until(lambda: home.entries("run_skipped"))
    assert (missed[0]["outcome"], missed[0]["reason"]) == (  # type: ignore[index]
        "missed",
        "a newer slot of the job runs instead",
    )
    dues = [entry["due"] for entry in home.entries("run_started")]
    assert len(dues) == len(set(dues))


def test_the_chain_holds_through_crash_and_restart(home: Home) -> None:
    os.kill(home.start(), signal.SIGKILL)
    until(lambda: home.entries("watchdog_restart") and home.status()["running"])
    home.door("stop")
    assert home.verify() == ""


def test_a_job_may_outlive_a_stop_and_is_adopted_with_its_true_exit_code(home: Home):
    wait = "echo begun; until [ -e go ]; do sleep 0.05; done; exit 7"
    home.jobs(f"[jobs.stays]\nschedule = '@reboot'\ncommand = '{wait}'\ncwd = '.'\non_stop = 'leave'\n")
    home.start()
    log = until(lambda: [path for path in home.logs.glob("runs/stays/*.log") if path.read_text() == "begun\n"])[0]
    assert home.door("stop").returncode == 0
    assert home.entries("run_finished") == []
    home.start()
    (home.folder / "go").touch()
    ended = until(lambda: [e for e in home.entries("run_finished") if e["run_id"] == f"stays/{log.stem}"])[0]
    assert (ended["outcome"], ended["exit"], ended["adopted"]) == ("failed", 7, True)
