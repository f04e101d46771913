"""Prunes run output, briefs and reports by age and by total size, data from before this job included.

Never touches the journal, nor the output of a run that has no outcome yet. `scheduler.out`, which repeats the
journal, is cut to its end when it outgrows 10 MiB. Says what it did in `retention.log` and in the journal.
"""

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from automations import claim, clock, replay
from automations.config import duration
from automations.files import open_private, read_tail, write_all
from automations.journal import Entry, Journal
from automations.paths import Paths, prepare_logs

MIB = 1024 * 1024
OUT_LIMIT = 10 * MIB
OUT_KEPT = MIB
FOLDERS = ("runs", "briefs", "reports")
SUFFIXES = (".log", ".at", ".run", ".md", ".json", ".html")


class File(NamedTuple):
    """A file that may be pruned: path, age and size in bytes."""

    path: str
    age: timedelta
    size: int


def files(paths: Paths, now: datetime) -> Iterator[File]:
    """All that retention may prune."""
    for folder in FOLDERS:
        for root, _, names in os.walk(paths.log(folder)):
            for name in names:
                if name.endswith(SUFFIXES):
                    path = os.path.join(root, name)
                    with contextlib.suppress(FileNotFoundError):  # a run that ended takes its lock file along
                        found = os.lstat(path)
                        yield File(path, timedelta(seconds=now.timestamp() - found.st_mtime), found.st_size)


def to_prune(found: Iterable[File], keep: timedelta, keep_bytes: int) -> list[File]:
    """Everything older than `keep`, then the oldest until the rest fits into `keep_bytes`; never the newest file."""
    pruned, total_bytes = [], 0
    for place, file in enumerate(sorted(found, key=lambda file: file.age)):
        total_bytes += file.size
        if file.age > keep or (total_bytes > keep_bytes and place > 0):
            pruned.append(file)
    return pruned


def prune(paths: Paths, doomed: Iterable[File]) -> tuple[int, int]:
    """Delete files, but none of an open run. Returns how many, and their bytes."""
    open_runs = {*replay.read(paths.journal).open_runs, *claim.unfinished(paths)}
    count = freed = 0
    for file in doomed:
        run_id = os.path.splitext(os.path.relpath(file.path, paths.runs))[0]
        if run_id not in open_runs:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.path)
            count, freed = count + 1, freed + file.size
    return count, freed


def cut_out(path: str) -> None:
    """Keep the end of an outgrown `scheduler.out`; its writers append, so they go on at the new end."""
    if os.path.exists(path) and os.stat(path).st_size > OUT_LIMIT:
        rest = read_tail(path, OUT_KEPT).partition(b"\n")[2]
        fd = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
        write_all(fd, rest)
        os.close(fd)


def main() -> None:
    parser = argparse.ArgumentParser(prog="retention", description=str(__doc__).split("\n")[0])
    parser.add_argument("--keep", type=duration, default=timedelta(days=30), help='age, such as "30d"')
    parser.add_argument("--keep-mb", type=int, default=500, help="total size of what is kept, in MiB")
    limits = parser.parse_args()
    paths = Paths.from_environment()
    prepare_logs(paths)
    journal = Journal(paths)
    now = clock.read().utc
    asked = {"keep_days": limits.keep.days, "keep_mib": limits.keep_mb}
    journal.append(Entry("retention_start", asked))
    count, freed = prune(paths, to_prune(files(paths, now), limits.keep, limits.keep_mb * MIB))
    cut_out(paths.log("scheduler.out"))
    cut_out(paths.log("server.out"))
    line = f"{clock.iso(now)} pruned {count} files, {freed} bytes"
    log = open_private(paths.log("retention.log"), os.O_WRONLY | os.O_APPEND)
    write_all(log, f"{line}\n".encode())
    os.close(log)
    journal.append(Entry("retention_done", {"files": count, "bytes": freed}))
    print(line)


if __name__ == "__main__":
    main()
