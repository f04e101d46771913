"""Jobs under attack: the scheduler killed again and again, trees that do not want to end, output without end."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import PROJECT, Home, kill, until

KILLS = 300
MIB = 1024 * 1024

JOBS_TO_KILL_AMONG = """
[jobs.quick]
every = "1s"
command = "echo up"

[jobs.long]
every = "2s"
command = "echo up; sleep 1.7; exit 7"

[jobs.queued]
every = "3s"
command = "echo up; sleep 2.5; exit 5"
overlap = "queue"

[jobs.allowed]
every = "2s"
command = "echo up; sleep 5; exit 3"
overlap = "allow"

[jobs.retried]
every = "5s"
command = "echo up; exit 9"
retries = 2
backoff = "1s"

[jobs.grouped]
every = "2s"
command = "echo up; sleep 0.5"
group = "g"

[jobs.companion]
every = "3s"
command = "echo up; sleep 0.5"
group = "g"
jitter = "2s"

[jobs.caught-up]
every = "2s"
command = "echo up"
catch_up = "all"
"""
CODES = {"quick": 0, "long": 7, "queued": 5, "allowed": 3, "retried": 9, "grouped": 0, "companion": 0, "caught-up": 0}
EVERY_S = {"quick": 1, "long": 2, "queued": 3, "allowed": 2, "retried": 5, "grouped": 2, "companion": 3, "caught-up": 2}


def scheduler(home: Home) -> "subprocess.Popen[bytes]":
    """A scheduler without a watchdog, as a child of ours."""
    program = [sys.executable, "-I", str(PROJECT / "scripts" / "exec_scheduler.py"), "--foreground"]
    (home.logs).mkdir(exist_ok=True, mode=0o700)
    with open(home.folder / "out", "ab") as out:
        return subprocess.Popen(program, env=home.environment, stdout=out, stderr=out, start_new_session=True)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose scheduler was killed 300 times while its jobs ran, and then ended in peace."""
    home = Home(tmp_path_factory.mktemp("killed"), 1.0)
    home.jobs(JOBS_TO_KILL_AMONG)
    dice = random.Random(300)
    for _ in range(KILLS):
        begun = scheduler(home)
        time.sleep(dice.uniform(0.05, 0.9))
        kill(begun.pid)
        begun.wait()
    last = scheduler(home)
    home.jobs('[jobs.nothing]\nevery = "1h"\ncommand = "true"\n')
    until(lambda: home.entries("config_loaded")[-1]["jobs"] == 1, 20)
    until(lambda: len(home.entries("run_started")) == len(home.entries("run_finished")), 30)
    last.terminate()
    last.wait()
    yield home
    home.kill_everything()


@pytest.mark.storm
def test_every_run_that_began_has_one_end(killed: Home):
    begun = Counter(entry["run_id"] for entry in killed.entries("run_started"))
    ended = Counter(entry["run_id"] for entry in killed.entries("run_finished"))
    assert begun == ended
    assert set(begun.values()) == {1}


def terminal(home: Home, job: str) -> list[tuple[datetime, datetime, int]]:
    """The settled slots of a job: first, last, how many; a run that is tried again has not settled its slot."""
    found = []
    for entry in home.entries():
        if entry.get("job") == job and entry.get("due"):
            due = datetime.fromisoformat(str(entry["due"]))
            if entry["event"] == "run_finished" and "retry_at" not in entry:
                found.append((due, due, 1))
            elif entry["event"] == "run_skipped":
                found.append((due, datetime.fromisoformat(str(entry["until"])), int(str(entry["slots"]))))
    return sorted(found)


@pytest.mark.storm
@pytest.mark.parametrize("job", CODES)
def test_every_slot_has_one_terminal_outcome(killed: Home, job: str):
    settled = terminal(killed, job)
    single = Counter(first for first, last, _ in settled if first == last)
    assert {due: times for due, times in single.items() if times > 1} == {}
    span = (settled[-1][1] - settled[0][0]) // timedelta(seconds=EVERY_S[job]) + 1
    assert sum(slots for _, _, slots in settled) == span


@pytest.mark.storm
def test_every_run_has_its_true_exit_code_and_only_what_never_began_is_abandoned(killed: Home):
    ended = killed.entries("run_finished")
    assert sum("adopted" in entry for entry in ended) > KILLS / 10
    for entry in ended:
        if entry["outcome"] == "abandoned":
            assert (killed.logs / "runs" / f"{entry['run_id']}.log").read_text() == "", entry
        else:
            assert entry["exit"] == CODES[str(entry["job"])], entry


@pytest.mark.storm
def test_the_journal_holds_after_300_kills(killed: Home):
    assert killed.verify() == ""


# Trees

DEAF = "trap '' TERM HUP INT; while :; do sleep 1; done"
SHAPES = {
    "child": "sleep 300 & sleep 300",
    "double-fork": "(sleep 300 &); (sleep 300 & sleep 300 &); sleep 300",
    "session": "setsid sleep 300 & setsid setsid sleep 300 & sleep 300",
    "deaf": DEAF,
    "deaf-session": f'setsid sh -c "{DEAF}" & (setsid sh -c "{DEAF}" &); {DEAF}',
    "clean-orphan": "(setsid env -i sleep 300 &); exec sleep 300",
    "ended-parent": "setsid sleep 300 & (sleep 300 &); exec sleep 300",
}


def trees(timeout: str, count: int) -> str:
    """Jobs of all shapes in turn, begun together at the start of the scheduler."""
    names = list(SHAPES)
    table = "[jobs.j{}-{}]\nschedule = '@reboot'\ncommand = '''echo up; {}'''\ntimeout = '{}'\n"
    shapes = ((n, names[n % len(names)]) for n in range(count))
    return "".join(table.format(n, name, SHAPES[name], timeout) for n, name in shapes)


def children_of(pid: int) -> list[str]:
    """State letters of a process's children."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(") ")[2].split()[:2]
        except OSError:
            continue
        if parent == str(pid):
            found.append(state)
    return found


def of_runs(home: Home) -> dict[int, str]:
    """What lives of runs: by its environment, or by printing into one of their files."""
    found = {pid: line for pid, line in home.processes().items() if "scripts/" not in line}
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            if os.readlink(path).startswith(f"{home.logs}/runs/"):
                found[int(path.parts[2])] = "prints"
        except OSError:
            continue
    return found


@pytest.mark.timeout(180)
def test_nothing_of_a_hundred_trees_survives_their_timeout(home: Home):
    home.jobs(trees("3s", 100))
    pid = home.start()
    until(lambda: len(home.entries("run_finished")) == 100, 60)
    assert {entry["outcome"] for entry in home.entries("run_finished")} == {"timed_out"}
    assert of_runs(home) == {}
    assert "Z" not in children_of(pid)


@pytest.mark.timeout(180)
def test_nothing_of_a_hundred_trees_survives_a_stop(home: Home):
    home.jobs(trees("1h", 100))
    home.start()
    until(lambda: len(list(home.logs.glob("runs/*/*.log"))) == 100, 30)
    time.sleep(1)  # for the trees to grow
    assert home.door("stop").returncode == 0
    until(lambda: of_runs(home) == {}, 3, "all trees ended")
    assert {entry["outcome"] for entry in home.entries("run_finished")} == {"stopped"}


# Output


def memory_kib(pid: int, name: str = "VmHWM") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


@pytest.mark.timeout(180)
def test_a_gibibyte_of_output_costs_little_memory_and_keeps_its_head_and_tail(home: Home):
    home.jobs(
        '[jobs.big]\nschedule = "@reboot"\nmax_output = "1MiB"\n'
        'command = "echo first; yes 0123456789abcdef | head -c 1073741824; echo last"\n'
    )
    pid = home.start()
    before = memory_kib(pid)
    entry = until(lambda: home.entries("run_finished"), 100)[0]
    assert entry["output_bytes"] == 1073741824 + len("first\nlast\n")
    log = home.logs / "runs" / f"{entry['run_id']}.log"
    content = log.read_bytes()
    assert len(content) < 1.1 * MIB
    assert content.startswith(b"first\n") and content.endswith(b"last\n") and b"bytes cut here" in content  # noqa: PT018
    assert memory_kib(pid) - before < 32 * 1024


@pytest.mark.timeout(180)
def test_the_scheduler_itself_keeps_a_flood_within_the_cap_while_it_runs(home: Home):
    home.jobs('[jobs.flood]\nschedule = "@reboot"\nmax_output = "1MiB"\ntimeout = "6s"\ncommand = "yes"\n')
    pid = home.start()
    before = memory_kib(pid)
    log = until(lambda: list(home.logs.glob("runs/flood/*.log")), 10)[0]
    until(lambda: log.stat().st_size > 64 * MIB, 20)
    until(lambda: log.stat().st_blocks * 512 < log.stat().st_size / 4, 10, "the middle is freed")
    until(lambda: home.entries("run_finished"), 30)
    assert log.stat().st_size < 1.1 * MIB
    assert memory_kib(pid) - before < 32 * 1024


FORGED = (
    '{"ts":"2026-01-01T00:00:00.000Z","event":"run_finished","job":"forger","run_id":"x/1","outcome":"succeeded",'
    '"seq":1,"prev":"0000000000000000"}'
)


def test_binary_garbage_and_forged_lines_stay_in_the_output(home: Home):
    home.jobs(
        '[jobs.garbage]\nevery = "24h"\ncommand = "head -c 300000 /dev/urandom; exit 4"\n'
        f"[jobs.forger]\nevery = '24h'\n"
        f"command = '''printf '%s\\n%s\\n' '{FORGED}' '{FORGED}' | tee /dev/stderr; exit 3'''\n"
    )
    assert home.door("run", "forger").returncode == 3
    subprocess.run(
        ["/bin/sh", PROJECT / "scripts/run_automations.sh", "run", "garbage"],
        env=home.environment,
        capture_output=True,
        check=False,
    )
    assert home.verify() == ""
    assert [entry["exit"] for entry in home.entries("run_finished")] == [3, 4]
    rows = json.loads(home.door("runs", "--json").stdout)["runs"]
    assert [(row["job"], row["exit"]) for row in rows] == [("garbage", 4), ("forger", 3)]
    assert os.path.getsize(home.logs / "runs" / f"{rows[0]['run_id']}.log") == 300000
