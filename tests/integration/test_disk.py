"""A full and a read-only disk: a clear error at start; while running it goes on and owns up later."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Home, made, until

SIZE = 512 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Home]:
    """A home whose logs/ is a file system of half a megabyte."""
    logs = tmp_path / "logs"
    logs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", str(logs)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("a tmpfs cannot be mounted; expected root in CI")
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield from made(tmp_path, 1.0)
    finally:
        subprocess.run(["umount", str(logs)], check=True)


def fill(home: Home) -> Path:
    """Take all the space there is, and the room left in the journal's last page."""
    ballast = home.logs / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096) == 4096:
                pass
        except OSError:
            pass
    return ballast


def test_a_full_disk_is_a_clear_error_at_start(small: Home) -> None:
    fill(small)
    done = small.door("start")
    assert done.returncode == 74
    assert "No space left on device" in json.loads(done.stdout)["error"]


def test_a_read_only_disk_is_a_clear_error_at_start(small: Home) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small.logs)], check=True)
    done = small.door("start")
    assert done.returncode == 74
    assert "Read-only file system" in json.loads(done.stdout)["error"]


def test_a_running_scheduler_goes_on_through_a_full_disk_and_owns_up_to_what_it_lost(small: Home) -> None:
    pid = small.start()
    until(lambda: small.entries("tick"))
    ballast = fill(small)
    until(lambda: stands_still(small), 30)
    assert small.status()["pid"] == pid
    ballast.unlink()
    gap = until(lambda: small.entries("journal_gap"))[0]  # type: ignore[index]
    assert gap["lost"]["tick"] >= 1
    assert "No space left on device" in gap["reason"]
    assert small.schedulers() == [pid]
    small.door("stop")
    assert small.verify() == ""


def test_stop_works_on_a_full_disk_and_is_final(small: Home) -> None:
    small.start()
    fill(small)
    assert small.door("stop").returncode == 0
    assert not small.processes()
    assert (small.logs / "scheduler.want").read_text().strip() == "down"


def test_a_run_by_hand_that_cannot_be_recorded_is_refused(small: Home) -> None:
    small.jobs("[jobs.hand]\nschedule = '@daily'\ncommand = 'true'\n")
    small.door("stop")
    fill(small)
    done = small.door("run", "--detach", "hand")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (74, False)


def test_a_slot_that_ran_while_nothing_could_be_written_is_not_called_missed(small: Home) -> None:
    small.jobs("[jobs.beat]\nevery = '1s'\ncommand = 'true'\n")
    small.start()
    until(lambda: small.entries("run_finished"))
    ballast = fill(small)
    until(lambda: stands_still(small), 30)
    small.kill_everything()
    began = {path.stem for path in (small.logs / "runs" / "beat").glob("*.log")}
    ballast.unlink()
    small.start()
    until(lambda: [entry for entry in small.entries("run_skipped") if entry["outcome"] == "abandoned"])
    small.door("stop")
    told = {str(entry["run_id"]).split("/")[1] for entry in small.entries("run_started")}
    abandoned = [entry for entry in small.entries("run_skipped") if entry["outcome"] == "abandoned"]
    told |= {str(entry["due"])[:19].replace("-", "").replace(":", "") + "Z" for entry in abandoned}
    assert began <= told


def stands_still(home: Home) -> bool:
    """No new entry for three ticks."""
    before = len(home.entries())
    try:
        until(lambda: len(home.entries()) > before, 3.2)
    except AssertionError:
        return True
    return False
