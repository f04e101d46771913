"""`status` beside a bare POSIX-sh script that reads the pid file, does kill -0 and tail -n 1: in one run, in turn.

Usage: bench_status.py [ROUNDS]    (default 300). Prints medians in milliseconds, and the ratio pair by pair.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DOOR = PROJECT / "scripts" / "run_automations.sh"
BARE = """\
read -r pid <"$1/scheduler.pid"
last=$(tail -n 1 "$1/scheduler.log")
if kill -0 "$pid" 2>/dev/null; then echo "running $pid $last"; else echo stopped; fi
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "automations.toml").write_bytes((PROJECT / "automations.toml").read_bytes())
        environment = {"PATH": os.environ["PATH"], "AUTOMATIONS_HOME": folder}
        run = lambda *argv: subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: E731
        bare = Path(folder) / "bare.sh"
        bare.write_text(BARE)
        run("/bin/sh", str(DOOR), "start")
        try:
            ours, floor = [], []
            for _ in range(rounds):
                floor.append(timed(lambda: run("/bin/sh", str(bare), f"{folder}/logs")))
                ours.append(timed(lambda: run("/bin/sh", str(DOOR), "status")))
        finally:
            run("/bin/sh", str(DOOR), "stop")
    ratios = [a / b for a, b in zip(ours, floor, strict=True)]
    print(f"status      {1000 * statistics.median(ours):.2f} ms")
    print(f"bare script {1000 * statistics.median(floor):.2f} ms")
    print(f"ratio       {statistics.median(ratios):.2f} (median of {rounds} pairs)")


def timed(call) -> float:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
