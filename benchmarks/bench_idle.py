"""What the scheduler and its watchdog cost while nothing is due: memory (PSS) and CPU, beside a bare Python.

Usage: bench_idle.py [MINUTES] [JOBS]    (default 2 and 1). Linux only: reads smaps_rollup and schedstat.
The floor is a Python that has imported json, subprocess, zoneinfo and select, and sleeps.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DOOR = PROJECT / "scripts" / "run_automations.sh"
FLOOR = "import json,subprocess,zoneinfo,select,time; print(end='.', flush=True); time.sleep(1e6)"
JOB = "[jobs.idle{}]\nschedule = '0 0 1 1 *'\ncommand = 'true'\n"


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 2
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "automations.toml").write_text("".join(JOB.format(number) for number in range(jobs)))
        environment = {"PATH": os.environ["PATH"], "AUTOMATIONS_HOME": folder}
        pid = json.loads(door(environment, "start"))["pid"]
        try:
            measure(pid, int((Path(folder) / "logs/watchdog.lock").read_text().split()[0]), minutes)
        finally:
            door(environment, "stop")


def door(environment: dict[str, str], verb: str) -> bytes:
    return subprocess.run(["/bin/sh", DOOR, verb], env=environment, stdout=subprocess.PIPE, check=True).stdout


def measure(scheduler: int, watchdog: int, minutes: float) -> None:
    """Pages that several Pythons share count in part only, so the floor is measured while the two live."""
    time.sleep(5)
    before = cpu_ms(scheduler), cpu_ms(watchdog)
    time.sleep(60 * minutes)
    cost = (cpu_ms(scheduler) - before[0]) / minutes, (cpu_ms(watchdog) - before[1]) / minutes
    size = pss_mb(scheduler), pss_mb(watchdog)
    print(f"scheduler {size[0]:5.1f} MB PSS  {cost[0]:5.1f} ms CPU a minute")
    print(f"watchdog  {size[1]:5.1f} MB PSS  {cost[1]:5.1f} ms CPU a minute")
    print(f"together  {sum(size):5.1f} MB PSS  {sum(cost):5.1f} ms CPU a minute")
    with subprocess.Popen([sys.executable, "-I", "-c", FLOOR], stdout=subprocess.PIPE) as bare:
        assert bare.stdout is not None
        bare.stdout.read(1)
        print(f"floor     {pss_mb(bare.pid):5.1f} MB PSS  (a bare Python beside them)")
        bare.kill()


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_ms(pid: int) -> float:
    """CPU time in milliseconds, with the kernel's nanosecond accounting."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


if __name__ == "__main__":
    main()
