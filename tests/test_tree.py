"""The processes of a run, wherever they went."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from automations import tree
from tests.conftest import kill, until

RUN = "a/20261122T080000Z"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    for pid in started(str(tmp_path)):
        kill(pid)
    until(lambda: not started(str(tmp_path)), 3)


def started(home: str) -> list[int]:
    """Living processes with this home in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"AUTOMATIONS_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


def begin(home: str, command: str, run_id: str = RUN) -> "subprocess.Popen[bytes]":
    """A command as the runner starts it: a session of its own, and the run's id in the environment."""
    environment = {"PATH": os.environ["PATH"], "AUTOMATIONS_HOME": home, "AUTOMATIONS_RUN_ID": run_id}
    return subprocess.Popen(["/bin/sh", "-c", command], env=environment, start_new_session=True)


def found(home: str, leader: int = 0) -> list[int]:
    return sorted(member.identity.pid for member in tree.members(home, {RUN: leader})[RUN])


def program(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


@pytest.mark.parametrize(
    "command",
    [
        "sleep 60 & sleep 60 & wait",
        "setsid sleep 60 & setsid sleep 60 & wait",
        "(sleep 60 &); (setsid sleep 60 &); exec sleep 60",
    ],
)
def test_all_processes_of_a_run_are_found(home: str, command: str):
    with begin(home, command) as leader:
        until(lambda: len(started(home)) == 3, 5)
        assert found(home, leader.pid) == started(home)
        tree.send([member.identity for member in tree.members(home, {RUN: leader.pid})[RUN]], 9)
        leader.wait()


def test_they_are_found_when_the_leader_is_gone(home: str):
    begin(home, "setsid sleep 60 & sleep 60 &").wait()
    until(lambda: len(started(home)) == 2, 5)
    assert found(home) == started(home)


def test_a_child_that_cleaned_its_environment_is_found_by_its_parent(home: str):
    with begin(home, "setsid env -i /bin/sleep 60 & wait") as leader:
        until(lambda: len(found(home, leader.pid)) == 2 and not started(home)[1:], 5)
        tree.send([member.identity for member in tree.members(home, {RUN: leader.pid})[RUN]], 9)
        leader.wait()


def test_an_orphan_that_cleaned_its_environment_is_found_by_where_it_prints(home: str):
    log = Path(home, "logs", "runs", f"{RUN}.log")
    log.parent.mkdir(parents=True)
    with open(log, "w") as out:
        subprocess.run(["/bin/sh", "-c", "setsid env -i /bin/sleep 60 &"], stdout=out, check=True)
    until(lambda: [program(pid) for pid in found(home)] == ["/bin/sleep"], 5)  # and no more the shell that became it
    tree.send([member.identity for member in tree.members(home, {RUN: 0})[RUN]], 9)
    until(lambda: not found(home), 3)


def test_the_run_of_another_home_is_left_alone(home: str, tmp_path: Path):
    other = str(tmp_path / "other")
    with begin(other, "sleep 60") as leader:
        until(lambda: started(other), 5)
        assert found(home) == []
        leader.kill()


def test_another_run_of_the_same_home_is_left_alone(home: str):
    with begin(home, "exec sleep 60", "a/20261122T090000Z") as leader:
        until(lambda: started(home), 5)
        assert found(home) == []
        leader.kill()


def test_we_ourselves_are_never_among_them(home: str, monkeypatch: pytest.MonkeyPatch):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
        f"from automations import tree; print(tree.members({home!r}, {{{RUN!r}: 0}}))"
    )
    environment = {"AUTOMATIONS_HOME": home, "AUTOMATIONS_RUN_ID": RUN}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{{{RUN!r}: []}}\n"
