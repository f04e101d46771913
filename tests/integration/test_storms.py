"""The promises under storms of starts, kills and stops. Slow; run by `make storms` and by CI."""

import json
import random
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import DOOR, Home, kill, until

pytestmark = pytest.mark.storm
SIDE_BY_SIDE = 5


def in_homes(folder: Path, count: int, tick_s: float, storm: Callable[[Home], None]) -> None:
    """Run one storm in each of several homes at once, and take all of them down."""
    homes = []
    for number in range(count):
        (folder / str(number)).mkdir()
        homes.append(Home(folder / str(number), tick_s))
    try:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(storm, homes))
    finally:
        for home in homes:
            home.door("down")
    assert not [line for home in homes for line in home.processes().values()]


@pytest.mark.parametrize("attempt", range(5))
def test_50_starts_at_once_give_one_scheduler_and_one_pid_told_to_all(home: Home, attempt: int) -> None:
    argv = ["/bin/sh", str(DOOR), "start"]
    starts = [subprocess.Popen(argv, env=home.environment, stdout=subprocess.PIPE) for _ in range(50)]
    answers = [json.loads(start.communicate(timeout=60)[0]) for start in starts]
    assert all(answer["ok"] for answer in answers)
    assert {answer["pid"] for answer in answers} == {home.status()["pid"]}
    assert len(home.schedulers()) == 1


def test_100_kills_at_random_moments_leave_a_chain_that_holds_and_one_scheduler(tmp_path: Path) -> None:
    in_homes(tmp_path, SIDE_BY_SIDE, 1.0, kill_20_times)


def kill_20_times(home: Home) -> None:
    chance = random.Random(home.folder.name)
    home.jobs("[jobs.beat]\nevery = '1s'\ncommand = 'echo beat'\n")
    home.start()
    for _ in range(20):
        time.sleep(chance.uniform(0, 2))
        victims = home.schedulers()
        if chance.random() < 0.2:
            victims = list(home.processes())
        for victim in victims:
            kill(victim)
        if not came_back(home):
            home.door("start")
    until(lambda: home.status()["running"], 30)
    assert len(home.schedulers()) == 1
    home.door("stop")
    assert home.verify() == ""
    started = [entry["run_id"] for entry in home.entries("run_started")]
    finished = [entry["run_id"] for entry in home.entries("run_finished")]
    assert len(started) == len(set(started))
    assert sorted(map(str, started)) == sorted(map(str, finished))


def came_back(home: Home) -> bool:
    try:
        until(lambda: home.status()["running"], 8)
    except AssertionError:
        return False
    return True


def test_100_stops_during_the_watchdogs_backoff_are_final(tmp_path: Path) -> None:
    in_homes(tmp_path, SIDE_BY_SIDE, 4.0, stop_20_times_in_backoff)


def stop_20_times_in_backoff(home: Home) -> None:
    chance = random.Random(home.folder.name)
    for _ in range(20):
        home.start()
        for _ in range(3):
            until(home.schedulers)
            for pid in home.schedulers():
                kill(pid)
        time.sleep(chance.uniform(0, 0.6))
        assert home.door("stop").returncode == 0
        time.sleep(1.5)  # longer than the backoff that was under way
        assert not home.processes(), "resurrected"
        assert home.status()["running"] is False
