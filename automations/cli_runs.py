"""The commands about runs: runs, search, output, stop-run."""

import argparse
import json
import sys
import time

import msgspec

from automations import byhand, claim, text
from automations.errors import Exit, UnknownRun
from automations.history import Filters, History, Row
from automations.output import Output
from automations.paths import Paths

_FOLLOW_S = 0.2


def runs(paths: Paths, arguments: argparse.Namespace) -> int:
    """What became of runs and slots, newest first."""
    with History(paths) as history:
        found = history.runs(_filters(arguments))
    if arguments.json:
        return _say_json(runs=msgspec.to_builtins(found))
    print(text.table(("RUN", "OUTCOME", "EXIT", "TOOK", "BEGAN", "REASON"), [_run_line(row) for row in found]))
    return Exit.OK


def _run_line(row: Row) -> tuple[object, ...]:
    began = text.local(row.started or row.due)
    slots = f"{row.run_id} ×{row.slots}" if row.slots and row.slots > 1 else row.run_id
    code = "–" if row.exit is None else row.exit
    return slots, row.outcome or _open_state(row), code, text.seconds(row.duration_s), began, row.reason or ""


def _open_state(row: Row) -> str:
    return "running" if row.started else "waiting"


def search(paths: Paths, arguments: argparse.Namespace) -> int:
    """Runs whose output has these words, with the place."""
    with History(paths) as history:
        found = history.search(_filters(arguments))
    if arguments.json:
        hits = [{"run": msgspec.to_builtins(hit.row), "snippet": _plain(hit.snippet)} for hit in found]
        return _say_json(hits=hits)
    lines = [(hit.row.run_id, hit.row.outcome, _plain(hit.snippet).replace("\n", " ")) for hit in found]
    print(text.table(("RUN", "OUTCOME", "OUTPUT"), lines))
    return Exit.OK


def _plain(snippet: str) -> str:
    return snippet.replace("\x02", "").replace("\x03", "")


def _filters(arguments: argparse.Namespace) -> Filters:
    given = {name: getattr(arguments, name) for name in ("job", "outcome", "since", "until", "text", "limit")}
    return Filters(**given)


def output(paths: Paths, arguments: argparse.Namespace) -> int:
    """What a run printed; of a job, its newest run."""
    run_id = find_run(paths, arguments.run)
    found = Output(paths, run_id)
    try:
        if arguments.times:
            for at, line in found.lines():
                _write(f"{at:<24} ".encode() + line + b"\n")
            return Exit.OK
        place = 0
        while True:
            is_open = claim.is_open(paths, run_id)  # asked first: what it prints last is read after it
            piece = found.read(place)
            _write(piece.content)
            place = piece.next
            if not piece.content:
                if not (arguments.follow and is_open):
                    return Exit.OK
                time.sleep(_FOLLOW_S)
    except FileNotFoundError:
        raise UnknownRun(f"{run_id}: its output is gone; retention prunes it by age and size") from None


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def find_run(paths: Paths, name: str) -> str:
    """A run's id as it stands, or the newest run of the job of this name. Raises UnknownRun."""
    with History(paths) as history:
        if "/" in name:
            row = history.run(name)
            if row:
                return row.run_id
        else:
            for row in history.runs(Filters(job=name, limit=200)):
                if row.started:
                    return row.run_id
    raise UnknownRun(f"no run {name!r} on record; next: run_automations.sh runs")


def stop_run(paths: Paths, arguments: argparse.Namespace) -> int:
    """Tell an open run to end, and wait until it has."""
    run_id = find_run(paths, arguments.run)
    byhand.stop_run(paths, run_id)
    if arguments.json:
        return _say_json(run_id=run_id, status="Run stopped")
    print(f"{run_id}: stopped")
    return Exit.OK


def _say_json(**fields: object) -> int:
    print(json.dumps({"ok": True, **fields}))
    return Exit.OK
