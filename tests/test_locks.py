"""Who is alive: a lock held for life, and an identity that a recycled pid does not have."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations import locks
from automations.errors import Exit, LockBusy
from automations.locks import Identity, Lock, holder, is_held, note
from automations.paths import PROJECT

HOLDER = f"""
import sys
sys.path.insert(0, {PROJECT!r})
from automations.locks import Lock
lock = Lock(sys.argv[1])
lock.acquire()
lock.sign()
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "x.lock")


@pytest.fixture
def other(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock and has signed it."""
    command = [sys.executable, "-I", "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def identity_of(process: subprocess.Popen[bytes]) -> Identity:
    found = Identity.of(process.pid)
    assert found
    return found


def await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait until it has ended, and leave it a zombie."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


# Identity


def test_a_process_has_the_same_identity_whenever_it_is_looked_at():
    assert str(Identity.of(os.getpid())) == str(Identity.of(os.getpid()))


def test_a_running_process_is_alive(child: subprocess.Popen[bytes]):
    assert identity_of(child).is_alive()


def test_a_process_that_ended_and_was_reaped_is_not_alive(child: subprocess.Popen[bytes]):
    identity = identity_of(child)
    child.kill()
    child.wait()
    assert (identity.is_alive(), Identity.of(child.pid)) == (False, None)


def test_a_zombie_is_not_alive(child: subprocess.Popen[bytes]):
    identity = identity_of(child)
    child.kill()
    await_end(child)
    assert (identity.is_alive(), Identity.of(child.pid)) == (False, None)


def test_a_stopped_process_is_alive(child: subprocess.Popen[bytes]):
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert identity_of(child).is_alive()


def test_a_recycled_pid_is_not_the_process_that_had_it():
    assert not Identity(os.getpid(), "1", locks.boot_id()).is_alive()


def test_a_process_of_an_earlier_boot_is_not_alive():
    now = Identity.of(os.getpid())
    assert not Identity(now.pid, now.start, "an-earlier-boot").is_alive()


def test_a_process_whose_name_looks_like_a_stat_line_is_read_rightly(tmp_path: Path):
    odd = tmp_path / ") Z 1 ("
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "60"]) as process:
        alive = identity_of(process).is_alive()
        process.kill()
    assert alive


@given(st.integers(1, 2**22), st.integers(0, 2**40).map(str))
def test_an_identity_is_read_back_as_it_was_written(pid: int, start: str):
    written = f"{Identity(pid, start, '0b7c2f3e-8d6f-4d5b-9d0a-6c0b8a3c1f11')}\n"
    assert f"{Identity.parse(written)}\n" == written


@pytest.mark.parametrize("text", ["", "12", "12 34", "x 34 boot", "-1 34 boot", "12 34 boot more", "\0\0\0"])
def test_what_is_no_identity_is_read_as_none(text: str):
    assert Identity.parse(text) is None


digits_of_any_script = st.text(st.characters(categories=["Nd", "No"]), min_size=1, max_size=4)


@given(st.text(max_size=60) | digits_of_any_script.map("{} 1 boot".format))
def test_any_text_is_an_identity_or_none(text: str):
    assert isinstance(Identity.parse(text), Identity | None)


# The lock


def test_a_lock_is_held_from_acquire_to_release(path: str):
    lock = Lock(path)
    lock.acquire()
    held = is_held(path)
    lock.release()
    assert (held, is_held(path)) == (True, False)


def test_a_lock_that_nobody_ever_took_is_not_held_and_asking_makes_no_file(path: str):
    assert (is_held(path), holder(path), Path(path).exists()) == (False, None, False)


def test_a_second_taker_is_told_who_holds_it(path: str, other: subprocess.Popen[bytes]):
    with pytest.raises(LockBusy, match=f"x.lock: held by pid {other.pid}"):
        Lock(path).acquire()


def test_a_busy_lock_that_nobody_signed_is_held_by_another_process(path: str):
    with Lock(path) as lock:
        lock.acquire()
        with pytest.raises(LockBusy, match="held by another process"):
            Lock(path).acquire(0.02)


def test_a_busy_lock_has_an_exit_code_of_its_own(path: str, other: subprocess.Popen[bytes]):
    with pytest.raises(LockBusy) as caught:
        Lock(path).acquire()
    assert caught.value.exit_code == Exit.BUSY == 75


def test_a_taker_that_waits_gets_the_lock_when_its_holder_dies(path: str, other: subprocess.Popen[bytes]):
    other.kill()
    lock = Lock(path)
    lock.acquire(wait_s=10)
    lock.release()


def test_a_refused_taker_leaves_no_open_file(path: str, other: subprocess.Popen[bytes]):
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(LockBusy):
        Lock(path).acquire()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_the_lock_file_stays_when_it_is_released(path: str):
    with Lock(path) as lock:
        lock.acquire()
    assert Path(path).exists()


def test_the_lock_file_is_for_its_owner_only(path: str):
    with Lock(path) as lock:
        lock.acquire()
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_a_process_that_is_started_meanwhile_does_not_inherit_the_lock(path: str):
    with Lock(path) as lock:
        lock.acquire()
        process = subprocess.Popen(["sleep", "60"], close_fds=False)
    held = is_held(path)
    process.kill()
    process.wait()
    assert not held


def test_a_link_in_place_of_the_lock_is_refused(path: str, tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    Path(path).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        Lock(path).acquire()


def test_a_probe_does_not_take_the_lock(path: str):
    with Lock(path) as lock:
        lock.acquire()
    is_held(path)
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# The holder


def test_the_holder_is_the_process_that_signed(path: str, other: subprocess.Popen[bytes]):
    assert str(holder(path)) == str(identity_of(other))


def test_a_holder_that_was_killed_holds_no_more(path: str, other: subprocess.Popen[bytes]):
    other.kill()
    await_end(other)
    assert holder(path) is None


def test_a_signature_without_a_lock_is_nobody(path: str):
    with Lock(path) as lock:
        lock.acquire()
        lock.sign()
    assert (Path(path).read_text(), holder(path)) == (f"{Identity.of(os.getpid())}\n", None)


def test_a_lock_that_is_held_but_signed_by_the_dead_has_no_known_holder(path: str):
    with Lock(path) as lock:
        lock.acquire()
        os.pwrite(lock.fd, f"{os.getpid()} 1 an-older-boot\n".encode(), 0)
        assert holder(path) is None


def test_a_signature_that_comes_a_moment_after_the_lock_is_waited_for(path: str, monkeypatch: pytest.MonkeyPatch):
    class Clock:
        """Sleeps no time; the lock is signed during the third sleep."""

        naps = 0

        def sleep(self, seconds: float) -> None:
            self.naps += 1
            if self.naps == 3:
                lock.sign()

    with Lock(path) as lock:
        lock.acquire()
        monkeypatch.setattr(locks, "time", Clock())
        assert str(holder(path)) == str(Identity.of(os.getpid()))


def test_a_note_below_the_signature_is_for_readers_and_no_part_of_it(path: str):
    with Lock(path) as lock:
        lock.acquire()
        signed = lock.sign(note="http://127.0.0.1:5000/")
        assert (str(holder(path)), note(path)) == (str(signed), "http://127.0.0.1:5000/")


def test_a_shorter_signature_leaves_nothing_of_a_longer_one(path: str):
    Path(path).write_text("x" * 200)
    with Lock(path) as lock:
        lock.acquire()
        lock.sign()
    assert Path(path).read_text() == f"{Identity.of(os.getpid())}\n"


def test_unsigning_empties_the_file(path: str):
    with Lock(path) as lock:
        lock.acquire()
        lock.sign()
        lock.unsign()
        assert Path(path).read_bytes() == b""


def test_a_touch_is_seen_in_the_time_of_the_file(path: str):
    with Lock(path) as lock:
        lock.acquire()
        os.utime(path, (0, 0))
        lock.touch()
    assert Path(path).stat().st_mtime > 1_000_000_000


def test_a_touch_that_the_disk_refuses_is_no_trouble(path: str):
    lock = Lock(path)
    lock.touch()
    assert lock.fd == -1


# A disk that became read-only


def test_a_lock_on_a_read_only_disk_can_still_be_taken(path: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: str, flags: int) -> int:
        raise OSError(30, "Read-only file system")

    Path(path).touch()
    monkeypatch.setattr(locks, "open_private", refuse)
    with Lock(path) as lock:
        lock.acquire()
        assert is_held(path)
