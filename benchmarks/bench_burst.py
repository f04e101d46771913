"""1,000 jobs due at one instant, beside a bare loop that only spawns the same 1,000 commands.

Each command touches a file of its own: its time tells when the process was really there. The scheduler claims, records
durably and settles every run besides; the loop does nothing else. Takes up to a minute and a half: cron's grain is
a minute. Usage: bench_burst.py [JOBS]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DOOR = PROJECT / "scripts" / "run_automations.sh"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        floors = [bare(Path(folder) / "bare1", count)]
        bursts = burst(Path(folder), count)
        floors.append(bare(Path(folder) / "bare2", count))
    floor = sum(floors) / len(floors)
    spread = f"({floors[0]:.2f} before, {floors[1]:.2f} after)"
    print(f"bare posix_spawn loop  last of {count} there after {floor:.2f} s {spread}")
    for name, (late, settled) in zip(("first burst ever", "the next one"), bursts, strict=True):
        ends = f"ratio {late / floor:.2f}; all ended and on record after {settled:.2f} s"
        print(f"{name:<22} last of {count} there after {late:.2f} s, {ends}")


def bare(folder: Path, count: int) -> float:
    """Seconds until the last of the commands was there, spawned by nothing but a loop."""
    folder.mkdir()
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    began = time.time()
    pids = [
        os.posix_spawn("/usr/bin/touch", ["touch", f"{folder}/{number}"], {}, file_actions=actions, setsid=True)
        for number in range(count)
    ]
    for pid in pids:
        os.waitpid(pid, 0)
    return last_touch(folder) - began


def burst(home: Path, count: int) -> list[tuple[float, float]]:
    """Two bursts: seconds from the due time until the last command was there, and until the last end was on record."""
    touched = home / "touched"
    touched.mkdir()
    due = (int(time.time() + 8) // 60 + 1) * 60
    job = '[jobs.j{}]\nschedule = "* * * * *"\ncommand = ["/usr/bin/touch", "{}/{}"]\n'
    jobs = "".join(job.format(number, touched, number) for number in range(count))
    (home / "automations.toml").write_text(jobs)
    environment = {"PATH": os.environ["PATH"], "AUTOMATIONS_HOME": str(home)}
    door(environment, "start")
    try:
        figures = [watch(home, touched, due, count), watch(home, touched, due + 60, 2 * count)]
        door(environment, "verify")
    finally:
        door(environment, "stop")
    return figures


def watch(home: Path, touched: Path, due: int, runs: int) -> tuple[float, float]:
    """Wait for one burst until `runs` runs are on record as ended."""
    time.sleep(max(0.0, due - time.time() + 3))
    journal = home / "logs" / "scheduler.log"
    while journal.read_bytes().count(b'"event":"run_finished"') < runs:
        assert time.time() < due + 40, "not all runs have ended"
        time.sleep(0.5)
    ended = [json.loads(line)["ts"] for line in journal.read_bytes().split(b"\n") if b'"event":"run_finished"' in line]
    settled = datetime.fromisoformat(max(ended)).timestamp()
    return last_touch(touched) - due, settled - due


def last_touch(folder: Path) -> float:
    return max(entry.stat().st_mtime for entry in folder.iterdir())


def door(environment: dict[str, str], verb: str) -> None:
    subprocess.run(["/bin/sh", DOOR, verb], env=environment, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
