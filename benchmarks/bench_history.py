"""The history: building it, catching up and asking, beside a bare json.loads loop over the same lines.

Usage: bench_history.py [LINES]    (default 100,000; one run for every 38 ticks, 20 jobs). Medians of five rounds.
Then the worst case: a journal of runs alone, and a search in outputs that are full of hits.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from automations import clock
from automations.digest import short_hash
from automations.history import Filters, History
from automations.journal import FIRST_PREV, Entry, encode
from automations.paths import Paths, prepare_logs

BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
MORE = 1000
ROUNDS = 5
OUTPUTS = 150


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for ticks, name in ((38, "ticks and runs"), (0, "runs alone")):
        with tempfile.TemporaryDirectory() as folder:
            build(folder, lines(count + MORE, ticks), count, name)
    with tempfile.TemporaryDirectory() as folder:
        search(folder)


def lines(count: int, ticks: int) -> list[bytes]:
    """A journal of so many lines: `ticks` of them before each run."""
    made: list[bytes] = []
    prev, minute = FIRST_PREV, 0
    upcoming = {f"job{n}": clock.iso(BEGAN) for n in range(20)}
    while len(made) < count:
        at = BEGAN + timedelta(minutes=minute)
        job, due = f"job{minute % 20}", clock.iso(at)
        names = {"job": job, "run_id": f"{job}/{clock.slot_name(at)}", "due": due, "attempt": 1}
        result = {"outcome": "succeeded", "exit": 0, "duration_s": 1.5, "output_bytes": 0}
        minute += 1
        entries = [Entry("tick", {"next": upcoming, "mono": 60.5, "boot_s": 60.5}, at)] * ticks
        entries.append(Entry("run_started", {**names, "trigger": "schedule", "timeout_s": 60, "by": "1 2 3"}, at))
        entries.append(Entry("run_finished", {**names, **result}, at))
        for entry in entries:
            made.append(encode(entry, len(made) + 1, prev))
            prev = short_hash(made[-1])
    return made[:count]


def build(folder: str, journal: list[bytes], count: int, name: str) -> None:
    paths = Paths(folder)
    prepare_logs(paths)
    ours, floor, later = [], [], []
    for _ in range(ROUNDS):
        for path in Path(paths.logs).glob("history.*"):
            path.unlink()
        Path(paths.journal).write_bytes(b"\n".join(journal[:count]) + b"\n")
        floor.append(timed(lambda: [json.loads(line) for line in journal[:count]]))
        ours.append(timed(lambda: opened(paths)))
        with open(paths.journal, "ab") as file:
            file.write(b"\n".join(journal[count:]) + b"\n")
        later.append(timed(lambda: opened(paths)))
    print(f"{name}, {count} lines")
    print(f"  build       {count / statistics.median(ours):9,.0f} lines/s")
    print(f"  json.loads  {count / statistics.median(floor):9,.0f} lines/s")
    ratio = statistics.median(a / b for a, b in zip(floor, ours, strict=True))
    print(f"  ratio       {ratio:9.2f} (median of {ROUNDS} pairs; above 1: faster than to parse it)")
    print(f"  catch up    {1000 * statistics.median(later):9.2f} ms for {MORE} more lines, open and close included")
    print(f"  nothing new {1000 * median_of(lambda: opened(paths)):9.2f} ms")
    with History(paths) as history:
        asked: dict[str, Callable[[], object]] = {
            "last": history.last,
            "durations": history.durations,
            "runs": lambda: history.runs(Filters()),
            "running": lambda: history.runs(Filters(outcome="running")),
        }
        for what, ask in asked.items():
            print(f"  {what:11} {1000 * median_of(ask):9.2f} ms")


def search(folder: str) -> None:
    paths = Paths(folder)
    prepare_logs(paths)
    journal = lines(2 * OUTPUTS, 0)
    Path(paths.journal).write_bytes(b"\n".join(journal) + b"\n")
    for line in journal[1::2]:
        path = Path(paths.runs, json.loads(line)["run_id"] + ".log")
        os.makedirs(path.parent, exist_ok=True)
        path.write_bytes(b"the quick fox jumped over the dogs\n" * 9000)
    print(f"{OUTPUTS} outputs of 315 kB, a hit on every line")
    print(f"  build       {timed(lambda: opened(paths)):9.2f} s")
    with History(paths) as history:
        print(
            f"  search      {1000 * median_of(lambda: history.search(Filters(text='quick fox'))):9.2f} ms for 50 hits"
        )


def opened(paths: Paths) -> None:
    with History(paths):
        pass


def median_of(call: Callable[[], object]) -> float:
    return statistics.median(timed(call) for _ in range(ROUNDS))


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
