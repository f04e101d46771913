"""The routes about runs: what became of them, what they printed, where words stand in it."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from automations import claim, clock
from automations.desk import Desk
from automations.history import Filters, History, Hit, Row
from automations.output import PIECE_BYTES, Output, as_text
from automations.route import Asked, Ok, Refused

MOST_BYTES = 1 << 20
_MOST_PLACE = 1 << 60
Place = Annotated[int, Meta(ge=0, le=_MOST_PLACE)]
Bytes = Annotated[int, Meta(ge=0, le=MOST_BYTES)]
_Outcome = Literal[
    "", "succeeded", "failed", "timed_out", "stopped", "skipped", "missed", "abandoned", "running", "waiting"
]


class RunQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs: all that is given must fit. `before` is the cursor of the page before."""

    job: str = ""
    outcome: _Outcome = ""
    since: str = ""
    until: str = ""
    text: str = ""
    before: Place = 0
    limit: Annotated[int, Meta(ge=0, le=1000)] = 50


class SearchQuery(RunQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Words that stand in the output one after the other, and which runs."""

    text: Annotated[str, Meta(min_length=1)]


class Runs(Ok, frozen=True, kw_only=True):
    """Newest first, and the cursor of the page after; null when there are none."""

    runs: tuple[Row, ...]
    before: int | None


class Run(Ok, frozen=True, kw_only=True):
    """One run, or the slot that would have been it."""

    run: Row


class PieceQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """From which byte on, and how many at most."""

    start: Place = 0
    limit: Bytes = PIECE_BYTES


class Printed(Ok, frozen=True, kw_only=True, rename={"start": "from"}):
    """A piece of what the run printed, where to go on, and how much it has printed by now."""

    output: str
    start: int
    next: int
    written: int
    running: bool


class Found(Struct, frozen=True):
    """A run, the line of the first hit, and the place of the words in it."""

    run: Row
    snippet: str
    start: int
    length: int


class Hits(Ok, frozen=True, kw_only=True):
    """Newest first."""

    hits: tuple[Found, ...]


def runs(desk: Desk, asked: Asked) -> Ok:
    with History(desk.paths) as history:
        found = history.runs(_filters(asked.query))
    return Runs(runs=tuple(found), before=found[-1].seq if found else None)


def one_run(desk: Desk, asked: Asked) -> Ok:
    with History(desk.paths) as history:
        row = history.run(asked.run_id)
    if row is None:
        raise Refused(404, f"no run {asked.run_id} on record")
    return Run(run=row)


def output(desk: Desk, asked: Asked) -> Ok:
    is_open = claim.is_open(desk.paths, asked.run_id)  # asked first: what it prints last is read after it
    try:
        piece = Output(desk.paths, asked.run_id).read(asked.query.start, max(asked.query.limit, 4))
    except FileNotFoundError:
        raise Refused(404, f"no output of {asked.run_id}; retention prunes it by age and size") from None
    text, end = as_text(piece)
    return Printed(output=text, start=piece.start, next=end, written=piece.written, running=is_open)


def search(desk: Desk, asked: Asked) -> Ok:
    with History(desk.paths) as history:
        return Hits(hits=tuple(_found(hit) for hit in history.search(_filters(asked.query))))


def _found(hit: Hit) -> Found:
    """A hit, its words told by their place instead of by marks."""
    before, _, rest = hit.snippet.partition("\x02")
    words, _, after = rest.partition("\x03")
    return Found(hit.row, before + words + after, len(before), len(words))


def _filters(given: RunQuery) -> Filters:
    return Filters(
        job=given.job or None,
        outcome=given.outcome or None,
        since=moment("since", given.since),
        until=moment("until", given.until),
        text=given.text or None,
        before=given.before or None,
        limit=given.limit,
    )


def moment(name: str, text: str) -> datetime | None:
    """A moment of the query; None when none is given. Raises Refused."""
    try:
        return clock.moment(text) if text else None
    except ValueError as error:
        raise Refused(400, f"{name}: {error}") from None
