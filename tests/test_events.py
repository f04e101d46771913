"""The journal as a stream: every believable entry once, from wherever the reader was, whatever becomes of the file."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from automations import events
from automations.digest import short_hash
from automations.events import Follower, Seated, Seats
from automations.journal import Entry, Journal, encode
from automations.paths import Paths
from automations.reading import BLOCK_BYTES, JournalFile, place_of_lines, place_of_seq
from automations.route import Refused
from tests.site import Site, alone

EVENTS = "/api/automations/events"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "logs").mkdir()
    return Paths(str(tmp_path))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.live_in()
    return site


def append(paths: Paths, count: int, event: str = "tick") -> None:
    Journal(paths).append(*(Entry(event, {"n": n}) for n in range(count)))


def follow(paths: Paths, after: int | None) -> Iterator[list[int]]:
    """The seqs that came since the last look, look by look."""
    follower = Follower(paths.journal, after)
    while True:
        found: list[int] = []
        for _ in range(100):  # a block at a time, and a look for the change of a file
            found += [int(piece.split(b"\n")[0].removeprefix(b"id: ")) for piece in follower.fresh()]
        yield found


# The frame


def test_an_entry_is_its_seq_its_event_and_its_line():
    line = encode(Entry("tick", {"n": "é\r\n\u2028"}), 812, "0" * 16)
    entry = json.loads(line)
    framed = events.event(entry, line)
    assert framed == b"id: 812\nevent: tick\ndata: " + line + b"\n\n"
    assert len(framed.split(b"\n")) == 5
    assert b"\r" not in framed


def test_a_name_that_would_break_the_frame_is_left_out():
    entry = {"seq": 1, "event": "x\n\nevent: stopped"}
    assert events.event(entry, b"{}") == b"id: 1\ndata: {}\n\n"


# From where


def test_who_knows_nothing_is_told_what_is_yet_to_come(paths: Paths):
    append(paths, 3)
    seen = follow(paths, None)
    assert next(seen) == []
    append(paths, 2)
    assert next(seen) == [4, 5]


def test_who_knows_an_entry_is_told_all_after_it(paths: Paths):
    append(paths, 5)
    assert [next(follow(paths, after)) for after in (0, 2, 5)] == [[1, 2, 3, 4, 5], [3, 4, 5], []]


def test_who_knows_more_than_there_is_knows_another_journal(paths: Paths):
    append(paths, 3)
    seen = follow(paths, 9)
    assert next(seen) == [1, 2, 3]
    append(paths, 1)
    assert next(seen) == [4]


def test_a_journal_that_is_not_there_yet_is_waited_for(paths: Paths):
    seen = follow(paths, 0)
    assert next(seen) == []
    append(paths, 2)
    assert next(seen) == [1, 2]


def test_an_unfinished_line_waits_for_its_end(paths: Paths):
    append(paths, 2)
    whole = Path(paths.journal).read_bytes()
    Path(paths.journal).write_bytes(whole[:-9])
    seen = follow(paths, 0)
    assert next(seen) == [1]
    Path(paths.journal).write_bytes(whole)
    assert next(seen) == [2]


def test_after_a_torn_line_was_cut_the_next_entry_is_told(paths: Paths):
    append(paths, 2)
    with open(paths.journal, "ab") as file:
        file.write(b'{"ts":"torn')
    seen = follow(paths, None)
    assert next(seen) == []
    append(paths, 1)  # repairs it first, and says so
    assert next(seen) == [3, 4]


# What is told


def test_a_line_that_somebody_slipped_in_is_not_told(paths: Paths):
    append(paths, 2)
    with open(paths.journal, "ab") as file:
        file.write(encode(Entry("stopped"), 3, "f" * 16) + b"\n")
    append(paths, 2)
    assert next(follow(paths, 0)) == [1, 2, 4, 5]


def test_a_line_without_end_is_passed_over(paths: Paths):
    append(paths, 1)
    with open(paths.journal, "ab") as file:
        file.write(b"x" * 300_000 + b"\n")
    append(paths, 2)
    assert next(follow(paths, 0)) == [1, 1, 2]  # behind so much garbage the journal counts anew


# What becomes of the file


def test_a_journal_that_is_sealed_is_drained_and_its_chain_goes_on(paths: Paths):
    append(paths, 2)
    seen = follow(paths, 0)
    assert next(seen) == [1, 2]
    append(paths, 2)
    last = Path(paths.journal).read_bytes().split(b"\n")[-2]
    os.rename(paths.journal, paths.log("sealed"))
    Path(paths.journal).write_bytes(encode(Entry("tick"), 5, short_hash(last)) + b"\n")
    assert next(seen) == [3, 4, 5]


def test_a_journal_that_is_begun_anew_is_told_from_its_first_entry(paths: Paths):
    append(paths, 3)
    seen = follow(paths, None)
    assert next(seen) == []
    os.rename(paths.journal, paths.log("away"))
    append(paths, 2)
    assert next(seen) == [1, 2]


def test_a_journal_that_was_cut_is_gone_on_with_at_its_end(paths: Paths):
    append(paths, 5)
    seen = follow(paths, 0)
    assert next(seen) == [1, 2, 3, 4, 5]
    lines = Path(paths.journal).read_bytes().split(b"\n")
    os.truncate(paths.journal, sum(len(line) + 1 for line in lines[:2]))
    assert next(seen) == []
    append(paths, 1)
    assert next(seen) == [3]


# Places


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A journal of several blocks, with a stretch of garbage in it."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "logs").mkdir()
    paths = Paths(str(folder))
    for part in range(4):
        Journal(paths).append(*(Entry("tick", {"pad": "x" * 400}) for _ in range(2000)))
        if part == 1:
            with open(paths.journal, "ab") as file:
                file.write(b"garbage" * 8000 + b"\n")
    assert os.path.getsize(paths.journal) > 3 * BLOCK_BYTES
    return paths


@pytest.mark.parametrize("seq", [1, 2, 1999, 2000, 2001, 4000, 4001, 6543, 7999, 8000])
def test_the_place_of_an_entry_is_found_by_halves(large: Paths, seq: int):
    file = JournalFile(large.journal)
    place = place_of_seq(file, seq)
    found = file.read(place, BLOCK_BYTES)
    file.close()
    assert f'"seq":{seq},'.encode() in found
    assert place == 0 or found.startswith(b'{"ts"') or b"garbage" in found[:8]


@pytest.mark.parametrize("after", [0, 1, 4000, 7990])
def test_a_long_journal_is_told_entry_by_entry(large: Paths, after: int):
    assert sorted(set(next(follow(large, after)))) == list(range(after + 1, 8001))


def test_the_last_lines_are_those_that_a_plain_reading_finds(tmp_path: Path):
    chance = random.Random(20261122)
    path = tmp_path / "log"
    for ending in (b"", b"\n"):
        lines = [b"x" * chance.choice([0, 1, 40, 70_000]) for _ in range(60)]
        path.write_bytes(b"\n".join(lines) + ending)
        file = JournalFile(str(path))
        for count in range(62):
            wanted = b"\n".join(lines[-count:]) + ending if count else b""
            assert file.read(place_of_lines(file, count), 1 << 30) == (wanted if count <= 60 else path.read_bytes())
        file.close()


# Seats


def test_there_are_so_many_seats_and_who_leaves_makes_room():
    seats = Seats(2)
    one, _two = (Seated(seats, (b"" for _ in ())) for _ in range(2))
    with pytest.raises(Refused, match="streams are open"):
        Seated(seats, (b"" for _ in ()))
    one.close()
    one.close()  # once more does not make room for two
    Seated(seats, (b"" for _ in ()))
    with pytest.raises(Refused):
        Seated(seats, (b"" for _ in ()))


def test_a_stream_ends_when_it_is_over(paths: Paths):
    append(paths, 1)
    answers = iter([False, True])
    pieces = list(events.stream(paths, 0, lambda: next(answers)))
    assert pieces[0] == b"retry: 2000\n\n"
    assert b"id: 1\n" in pieces[1]


def test_a_quiet_stream_has_a_heartbeat(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "BEAT_S", 0.0)
    stream = events.stream(paths, None, bool)
    assert [next(stream) for _ in range(3)][1:] == [b": still here\n\n"] * 2
    stream.close()


# The route


def test_head_takes_no_seat(site: Site):
    for _ in range(events.SEATS * 2):
        answer = site.ask("HEAD", EVENTS)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 30, "", "١"])
def test_a_last_event_that_is_no_seq_is_refused(site: Site, given: str):
    assert site.ask("GET", EVENTS, HTTP_LAST_EVENT_ID=given.encode().decode("latin-1")).status == 400
    assert site.ask("GET", EVENTS, QUERY_STRING=f"after={quote(given)}").status == 400
    assert site.ask("GET", EVENTS, QUERY_STRING="after=%ff").status == 400


def test_without_a_journal_that_can_be_read_the_stream_is_refused(site: Site):
    os.unlink(site.paths.journal)
    for _ in range(events.SEATS * 2):
        assert site.ask("GET", EVENTS).status == 503


def test_the_stream_is_refused_without_the_key(site: Site):
    assert site.ask("GET", EVENTS, key=None).status == 401
