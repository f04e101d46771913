"""Want and pid file, and the end of a process that was identified beyond doubt."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from automations import process
from automations.locks import Identity, boot_id
from automations.model import Want
from automations.paths import Paths
from automations.process import end, opened, read_want, remove_pid_file, write_pid_file, write_want

DEAF = 'trap "" TERM; echo deaf; while :; do sleep 60; done'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "logs").mkdir()
    return Paths(str(tmp_path))


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running
        running.kill()


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    """A child that ignores TERM, in a session of its own so that its sleep goes with it."""
    with subprocess.Popen(["sh", "-c", DEAF], stdout=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout.readline() == b"deaf\n"
        yield running
        os.killpg(running.pid, signal.SIGKILL)


def identity_of(running: subprocess.Popen[bytes]) -> Identity:
    found = Identity.of(running.pid)
    assert found
    return found


# The want


def test_nobody_ever_asked_is_down(paths: Paths):
    assert read_want(paths) == Want.DOWN


@pytest.mark.parametrize("want", Want)
def test_a_want_is_read_back(paths: Paths, want: Want):
    write_want(paths, want)
    assert read_want(paths) == want


def test_the_last_want_counts(paths: Paths):
    for want in (Want.UP, Want.DOWN, Want.UP, Want.DOWN):
        write_want(paths, want)
    assert read_want(paths) == Want.DOWN


def test_every_want_has_the_same_length_so_that_it_fits_on_a_full_disk(paths: Paths):
    sizes = []
    for want in Want:
        write_want(paths, want)
        sizes.append(Path(paths.want).stat().st_size)
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("content", ["", "UP", "upp", "\0\0\0\0\0", "up down"])
def test_what_is_no_want_is_down(paths: Paths, content: str):
    Path(paths.want).write_text(content)
    assert read_want(paths) == Want.DOWN


def test_a_link_in_place_of_the_want_is_refused(paths: Paths, tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    Path(paths.want).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        write_want(paths, Want.UP)
    assert (tmp_path / "precious").read_text() == "mine"


# The pid file


def names_in(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def test_the_pid_file_holds_the_pid_of_its_writer(paths: Paths):
    write_pid_file(paths.log("x.pid"))
    assert Path(paths.log("x.pid")).read_text() == f"{os.getpid()}\n"


def test_writing_the_pid_file_leaves_no_other_file(paths: Paths):
    write_pid_file(paths.log("x.pid"))
    write_pid_file(paths.log("x.pid"))
    assert names_in(paths.logs) == ["x.pid"]


def test_ones_own_pid_file_is_removed(paths: Paths):
    write_pid_file(paths.log("x.pid"))
    remove_pid_file(paths.log("x.pid"), os.getpid())
    assert names_in(paths.logs) == []


def test_the_pid_file_of_a_successor_is_left_alone(paths: Paths):
    Path(paths.log("x.pid")).write_text("4711\n")
    remove_pid_file(paths.log("x.pid"), os.getpid())
    assert names_in(paths.logs) == ["x.pid"]


def test_a_pid_file_that_is_gone_is_no_trouble(paths: Paths):
    remove_pid_file(paths.log("x.pid"), os.getpid())


# Ending a process, with a pidfd and without


@pytest.fixture(params=["pidfd", "identity"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to hold a process: through a pidfd, and where there is none."""
    if request.param == "identity":
        monkeypatch.delattr(os, "pidfd_open")
    return str(request.param)


def test_a_process_that_listens_is_terminated(way: str, child: subprocess.Popen[bytes]):
    assert end(identity_of(child), 10) == "terminated"
    assert child.wait() == -signal.SIGTERM


def test_a_stopped_process_is_woken_and_terminated(way: str, child: subprocess.Popen[bytes]):
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert end(identity_of(child), 10) == "terminated"


def test_a_process_that_is_deaf_to_term_is_killed(way: str, deaf: subprocess.Popen[bytes]):
    assert end(identity_of(deaf), 0.1) == "killed"
    assert deaf.wait() == -signal.SIGKILL


def test_a_process_that_is_gone_is_gone(way: str, child: subprocess.Popen[bytes]):
    identity = identity_of(child)
    child.kill()
    child.wait()
    assert end(identity, 1) == "gone"


def test_a_zombie_is_gone(way: str, child: subprocess.Popen[bytes]):
    identity = identity_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert end(identity, 1) == "gone"


def test_the_new_owner_of_a_recycled_pid_is_left_alone(way: str, child: subprocess.Popen[bytes]):
    before = Identity(child.pid, "1", boot_id())
    assert end(before, 1) == "gone"
    assert child.poll() is None


def test_a_process_that_even_kill_does_not_end_is_still_there(monkeypatch: pytest.MonkeyPatch):
    class Stuck:
        """In the kernel, on a dead mount."""

        def send(self, number: int) -> None: ...

        def ended_within(self, seconds: float) -> bool:
            return False

    class Held:
        def __enter__(self) -> Stuck:
            return Stuck()

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(process, "opened", lambda identity: Held())
    assert end(Identity(1, "1", "-"), 0) == "still there"


def test_the_signals_come_in_their_order(monkeypatch: pytest.MonkeyPatch):
    sent = []

    class Deaf:
        def __enter__(self) -> "Deaf":
            return self

        def __exit__(self, *_: object) -> None: ...

        def send(self, number: int) -> None:
            sent.append(signal.Signals(number).name)

        def ended_within(self, seconds: float) -> bool:
            return "SIGKILL" in sent

    monkeypatch.setattr(process, "opened", lambda identity: Deaf())
    assert (end(Identity(1, "1", "-"), 5), sent) == ("killed", ["SIGTERM", "SIGCONT", "SIGKILL"])


def test_holding_a_process_leaves_no_open_file(child: subprocess.Popen[bytes]):
    before = set(Path("/proc/self/fd").iterdir())
    with opened(identity_of(child)) as target:
        assert target
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_target_that_ended_while_it_was_held_takes_a_signal_without_complaint(
    way: str, child: subprocess.Popen[bytes]
):
    with opened(identity_of(child)) as target:
        child.kill()
        child.wait()
        target.send(signal.SIGTERM)
        assert target.ended_within(0)
