"""Check a journal line by line, without any code of the scheduler: standard library only.

Usage: verify_log.py FILE

A journal holds when every line is a JSON object under 4,096 bytes whose first keys are `ts` and `event`, `seq`
counts up by one, `prev` is the first 16 hex digits of SHA-256 over the bytes of the line before (zeros on
the first line), and the file ends with a newline. Each fault is named with its line. Exit 0: it holds; 1: it does
not; 66: no such file. A last line that is being written at this moment may show as torn: ask again.

What no chain can show is an end that was cut off: the last entry is named, and a scheduler that runs says so in
a `journal_gap`.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

ZEROS = "0" * 16
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def faults(content: bytes) -> Iterator[tuple[int, str]]:
    """Yield (line number, fault) for everything that is wrong with a journal."""
    lines = content.split(b"\n")
    torn = lines.pop()
    seq, prev = 0, ZEROS
    for number, line in enumerate(lines, 1):
        entry = parse(line)
        if entry is None:
            yield number, "is not a JSON object"
            seq += 1
        else:
            yield from ((number, fault) for fault in shape(entry, line))
            if entry.get("seq") != seq + 1:
                yield number, f"has seq {entry.get('seq')}, expected {seq + 1}"
            if entry.get("prev") != prev:
                yield (
                    number,
                    f"does not follow line {number - 1}: that one was changed, or a line was taken out or put in",
                )
            seq = entry["seq"] if isinstance(entry.get("seq"), int) else seq + 1
        prev = hashlib.sha256(line).hexdigest()[:16]
    if torn:
        yield len(lines) + 1, f"is torn: {len(torn)} bytes without a newline"


def parse(line: bytes) -> dict[str, Any] | None:
    """The line's object, or None."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def shape(entry: dict[str, Any], line: bytes) -> Iterator[str]:
    """Yield what is wrong with one entry by itself."""
    if list(entry)[:2] != ["ts", "event"]:
        yield "does not begin with ts and event"
    if not TIME.fullmatch(str(entry.get("ts"))):
        yield f"has no time: {str(entry.get('ts'))[:40]}"
    if len(line) >= 4096:
        yield f"is {len(line)} bytes long, expected under 4096"


def span(content: bytes) -> str:
    """How many entries there are and where they end: a missing end is for the reader to notice."""
    lines = content.split(b"\n")[:-1]
    if not lines:
        return "no entries"
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    return f"{len(lines)} entries from {first['ts']} to {last['ts']}, the last one is {last['seq']} {last['event']}"


def main() -> int:
    if len(sys.argv) != 2:
        print(str(__doc__).split("\n")[2], file=sys.stderr)
        return 64
    path = os.path.abspath(sys.argv[1])
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return 66
    found = list(faults(content))
    for number, fault in found:
        print(f"{path}:{number}: {fault}")
    if not found:
        print(f"{path}: {span(content)}; the chain holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
