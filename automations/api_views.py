"""The routes that show the home: jobs, overview, why, coverage, the log, and the journal as it grows."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from automations import clock, config, events, overview, pause
from automations.api_runs import MOST_BYTES, Bytes, Place, moment
from automations.coverage import Coverage
from automations.desk import Desk
from automations.history import History
from automations.output import PIECE_BYTES, Piece, as_text
from automations.overview import JobView, Overview
from automations.reading import JournalFile, place_of_lines
from automations.route import Asked, Ok, Refused, Stream
from automations.why import Answer

LAST_EVENT_ID = "Last-Event-ID"
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_MOST_SEQ = 1 << 60


class Jobs(Ok, frozen=True, kw_only=True):
    """Every job of the job file in force."""

    jobs: tuple[JobView, ...]


class OverviewTold(Ok, frozen=True, kw_only=True):
    """All that a screen needs."""

    overview: Overview


class WhyQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which job, and when; without a moment, now."""

    job: str
    at: str = ""


class WhyTold(Ok, frozen=True, kw_only=True):
    """One sentence, and the entries that prove it."""

    why: Answer


class CoverageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How many days until now."""

    days: Annotated[int, Meta(ge=1, le=31)] = 7


class CoverageTold(Ok, frozen=True, kw_only=True):
    """Which minutes have a tick, and why the others have none."""

    coverage: Coverage


class LogQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """The last `tail` lines; or from which byte on, and how many at most."""

    tail: Annotated[int, Meta(ge=0, le=100_000)] | UnsetType = UNSET
    start: Place | UnsetType = UNSET
    limit: Bytes = PIECE_BYTES


class Logged(Ok, frozen=True, kw_only=True, rename={"start": "from"}):
    """A piece of the journal as it stands, where to go on, the size of its file and which file it is."""

    log: str
    start: int
    next: int
    written: int
    file: int


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The seq of the last entry known."""

    after: Annotated[int, Meta(ge=0, le=_MOST_SEQ)] | UnsetType = UNSET


def jobs(desk: Desk, _: Asked) -> Ok:
    paths = desk.paths
    known = config.load_last_good(paths.config, paths.project, paths.log("configs"))[0].jobs
    with History(paths) as history:
        record = overview.record(history)
    return Jobs(jobs=overview.jobs(known, pause.read(paths), record, clock.read().utc))


def whole(desk: Desk, _: Asked) -> Ok:
    return OverviewTold(overview=desk.lookout.overview())


def why(desk: Desk, asked: Asked) -> Ok:
    at = moment("at", asked.query.at)
    if at and not _FIRST <= at <= clock.read().utc + timedelta(minutes=1):
        raise Refused(400, f"at: {asked.query.at!r}: expected a moment that has been, since {_FIRST.year}")
    return WhyTold(why=desk.lookout.why(asked.query.job, at))


def coverage(desk: Desk, asked: Asked) -> Ok:
    return CoverageTold(coverage=desk.lookout.coverage(timedelta(days=asked.query.days)))


def log(desk: Desk, asked: Asked) -> Ok:
    wanted: LogQuery = asked.query
    if wanted.tail is not UNSET and wanted.start is not UNSET:
        raise Refused(400, "tail, from: expected one of them")
    with closing(JournalFile(desk.paths.journal)) as file:
        if isinstance(wanted.start, UnsetType):
            tail = 100 if isinstance(wanted.tail, UnsetType) else wanted.tail
            start, limit = place_of_lines(file, tail), MOST_BYTES
        else:
            start, limit = wanted.start, max(wanted.limit, 4)
        content = file.read(start, limit)
        piece = Piece(content, start, start + len(content), file.size())
        text, end = as_text(piece)
        return Logged(log=text, start=start, next=end, written=piece.written, file=file.inode)


def entries(desk: Desk, asked: Asked) -> Stream:
    last: str | None = asked.headers.get(LAST_EVENT_ID)
    if last is not None and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise Refused(400, f"{LAST_EVENT_ID}: expected the seq of an entry")
    given = None if asked.query.after is UNSET else asked.query.after
    after = given if last is None else int(last)
    JournalFile(desk.paths.journal).close()  # to say so now if it cannot be read

    def is_over() -> bool:
        return desk.seats.is_closing or asked.is_gone()

    return Stream(events.Seated(desk.seats, events.stream(desk.paths, after, is_over)))
