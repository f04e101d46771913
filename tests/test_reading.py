"""The journal by place: what comes next, where a moment is, and which lines hold."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from automations import clock, reading
from automations.digest import short_hash
from automations.errors import JournalError
from automations.journal import FIRST_PREV, Entry, Journal, encode
from automations.paths import Paths
from automations.reading import BLOCK_BYTES, Chain, JournalFile, entries_from
from tests.machine import NOON, made_home

TICKS = frozenset([b"tick"])


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return made_home(tmp_path)


@pytest.fixture
def file(paths: Paths):
    found = JournalFile(paths.journal)
    yield found
    found.close()


def tick(minute: float, **fields: object) -> Entry:
    return Entry("tick", fields, NOON + timedelta(minutes=minute))


def write(paths: Paths, *entries: Entry) -> list[bytes]:
    return Journal(paths).append(*entries)


def lines_of(count: int) -> list[bytes]:
    """A journal of so many ticks, unbroken, as lines without newline."""
    made, prev = [], FIRST_PREV
    for n in range(count):
        made.append(encode(tick(n), n + 1, prev))
        prev = short_hash(made[-1])
    return made


def content(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def believed(lines: list[bytes]) -> tuple[list[object], int]:
    """The seq of each entry that is believed, and the number of breaks."""
    chain = Chain()
    return [entry["seq"] for entry in chain.entries(content(lines), TICKS)], len(chain.breaks)


# A file that has the journal's name


def test_it_reads_from_a_place_on(paths: Paths, file: JournalFile):
    line = write(paths, tick(0))[0]
    assert (file.size(), file.read(2, 10)) == (len(line) + 1, line[2:12])


def test_it_is_current_as_long_as_it_has_the_name(paths: Paths, file: JournalFile):
    before = file.is_current()
    os.rename(paths.journal, paths.log("older"))
    without = file.is_current()
    Path(paths.journal).touch()
    assert (before, without, file.is_current()) == (True, False, False)


def test_a_file_that_was_replaced_is_read_to_its_end(paths: Paths, file: JournalFile):
    write(paths, tick(0))
    os.rename(paths.journal, paths.log("older"))
    with open(paths.log("older"), "ab") as older:
        older.write(b"last words\n")
    assert file.whole_lines(0).endswith(b"\nlast words\n")


def link(path: str) -> None:
    os.symlink("/etc/hostname", path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, link, lambda path: None])
def test_a_journal_that_is_no_file_is_a_clear_error(paths: Paths, make):
    os.unlink(paths.journal)
    make(paths.journal)
    with pytest.raises(JournalError, match=r"scheduler\.log: cannot be read: "):
        JournalFile(paths.journal)


# Whole lines


@pytest.mark.parametrize(
    ("written", "whole"), [(b"", b""), (b"torn", b""), (b"one\ntwo\n", b"one\ntwo\n"), (b"one\ntorn", b"one\n")]
)
def test_a_line_without_an_end_is_not_read_yet(paths: Paths, file: JournalFile, written: bytes, whole: bytes):
    Path(paths.journal).write_bytes(written)
    assert file.whole_lines(0) == whole


def test_no_more_than_a_block_is_read_at_once(paths: Paths, file: JournalFile):
    Path(paths.journal).write_bytes(b"x" * 99 + b"\n" + b"y" * 99 + b"\n" + (b"z" * 99 + b"\n") * (BLOCK_BYTES // 50))
    assert BLOCK_BYTES - 100 < len(file.whole_lines(100)) <= BLOCK_BYTES


def test_a_line_longer_than_a_block_is_read_whole(paths: Paths, file: JournalFile):
    beyond = b"\0" * (BLOCK_BYTES * 3) + b"\n"
    Path(paths.journal).write_bytes(beyond + b"after\n")
    assert beyond in file.whole_lines(0)


@pytest.mark.parametrize(("start", "place"), [(-5, 0), (0, 0), (1, 4), (3, 4), (4, 4), (5, 8), (8, 8)])
def test_the_first_line_from_a_place_on_is_one_that_begins_there_or_later(
    paths: Paths, file: JournalFile, start: int, place: int
):
    Path(paths.journal).write_bytes(b"one\ntwo\n")
    assert file.line_from(start) == place


# Which lines hold


def test_lines_that_name_the_line_before_them_rightly_are_believed():
    assert believed(lines_of(4)) == ([1, 2, 3, 4], 0)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_block_by_block_is_as_all_at_once(count: int):
    chain, found = Chain(), []
    lines = lines_of(6)
    for first in range(0, 6, count):
        found += chain.entries(content(lines[first : first + count]), TICKS)
    assert ([entry["seq"] for entry in found], chain.breaks) == ([1, 2, 3, 4, 5, 6], [])


def test_only_the_events_that_are_wanted_are_told():
    chain = Chain()
    assert (list(chain.entries(content(lines_of(3)), frozenset([b"startup"]))), chain.breaks) == ([], [])


def test_a_changed_line_does_not_hold_with_the_line_after_it_which_is_not_believed():
    lines = lines_of(5)
    lines[2] = lines[2].replace(b"12:02", b"12:22")
    assert believed(lines) == ([1, 2, 3, 5], 1)


def test_a_line_after_a_missing_one_is_a_break_and_not_believed():
    lines = lines_of(5)
    del lines[2]
    assert believed(lines) == ([1, 2, 5], 1)


def test_an_inserted_line_is_not_believed_nor_the_one_that_follows_it():
    lines = lines_of(5)
    lines.insert(2, encode(tick(90), 99, "0123456789abcdef"))
    assert believed(lines) == ([1, 2, 4, 5], 2)


@pytest.mark.parametrize("foreign", [b"", b"hello", b"\0" * 200, b"\xff\xfe", b'{"event":"tick"}', b'"}'])
def test_a_foreign_line_is_a_break_and_not_believed(foreign: bytes):
    lines = lines_of(5)
    lines.insert(2, foreign)
    assert believed(lines) == ([1, 2, 4, 5], 2)


def test_a_torn_line_that_was_written_on_after_is_a_break_and_not_believed():
    lines = lines_of(5)
    lines[2] = lines[2][:40] + lines[3]
    del lines[3]
    assert believed(lines) == ([1, 2], 2)


def test_a_foreign_line_that_the_journal_went_on_from_is_one_break(paths: Paths):
    write(paths, tick(0))
    with open(paths.journal, "ab") as file:
        file.write(b"hello\n")
    write(paths, tick(1), tick(2))
    assert believed(Path(paths.journal).read_bytes().split(b"\n")[:-1]) == ([1, 2, 3], 1)


def test_a_torn_tail_that_the_journal_has_cut_is_no_break(paths: Paths):
    write(paths, tick(0))
    with open(paths.journal, "ab") as file:
        file.write(b'{"ts":"2026-')
    write(paths, tick(1))
    assert believed(Path(paths.journal).read_bytes().split(b"\n")[:-1]) == ([1, 3], 0)


def test_a_break_is_known_by_its_place():
    lines = lines_of(3)
    lines.insert(1, b"hello")
    chain = Chain()
    list(chain.entries(content(lines), TICKS))
    assert chain.breaks == [len(lines[0]) + 1, len(lines[0]) + 1 + 6]


def test_without_the_line_before_it_a_line_is_neither_believed_nor_a_break():
    lines = lines_of(4)
    chain = Chain(place=500)
    assert [entry["seq"] for entry in chain.entries(content(lines[1:]), TICKS)] == [3, 4]
    assert chain.breaks == []


def test_the_journal_s_very_first_line_is_believed_when_it_says_that_it_is_the_first():
    assert believed([encode(tick(0), 1, FIRST_PREV)]) == ([1], 0)
    assert believed([encode(tick(0), 7, FIRST_PREV)]) == ([], 0)


def test_a_line_in_the_middle_that_says_that_it_is_the_first_is_not_believed():
    lines = lines_of(5)
    lines.insert(2, encode(tick(90), 1, FIRST_PREV))
    assert believed(lines) == ([1, 2, 4, 5], 2)


def test_a_line_that_follows_a_known_one_is_held_against_it():
    before, after = lines_of(2)
    assert len(list(Chain(short_hash(before)).entries(content([after]), TICKS))) == 1


# The place of a moment


@pytest.fixture(scope="module")
def ticks_of_a_month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 days of ticks, in several megabytes."""
    paths = made_home(tmp_path_factory.mktemp("month"))
    write(paths, *(tick(n, pad="x" * 60) for n in range(30 * 1440)))
    return Path(paths.journal)


@pytest.fixture
def month(paths: Paths, ticks_of_a_month: Path) -> Paths:
    shutil.copyfile(ticks_of_a_month, paths.journal)
    return paths


def first_time(file: JournalFile, place: int) -> str:
    return file.read(place, 31)[7:].decode()


@pytest.mark.parametrize("minutes", [-500, 0, 59, 5000, 20_000, 43_000, 43_199, 50_000])
def test_all_later_than_a_moment_is_found_from_its_place_on_and_an_hour_before_it(
    month: Paths, file: JournalFile, minutes: int
):
    wanted = clock.iso(NOON + timedelta(minutes=minutes - 60))
    place = file.place_of(NOON + timedelta(minutes=minutes))
    assert place == 0 or first_time(file, place) < wanted


@pytest.mark.parametrize("minutes", [5000, 20_000, 43_199])
def test_the_place_of_a_moment_is_near_it_however_long_the_file_is(month: Paths, file: JournalFile, minutes: int):
    place = file.place_of(NOON + timedelta(minutes=minutes))
    found = clock.parse_iso(first_time(file, place))
    assert NOON + timedelta(minutes=minutes) - found < timedelta(days=3)


def test_the_place_of_a_moment_is_the_beginning_of_a_line(month: Paths, file: JournalFile):
    assert file.read(file.place_of(NOON + timedelta(days=20)) - 1, 8) == b'\n{"ts":"'


def test_to_find_a_place_little_is_read(month: Paths, file: JournalFile, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    really = file.read

    def counting(start: int, limit: int) -> bytes:
        found = really(start, limit)
        read.append(len(found))
        return found

    monkeypatch.setattr(file, "read", counting)
    file.place_of(NOON + timedelta(days=20))
    assert sum(read) < 1 << 20 < file.size() / 5


def test_garbage_in_the_middle_does_not_hide_what_is_later(month: Paths, file: JournalFile):
    with open(month.journal, "r+b") as broken:
        broken.seek(file.size() // 2)
        broken.write(b"\0" * 300_000)
    place = file.place_of(NOON + timedelta(days=20))
    assert first_time(file, place) < clock.iso(NOON + timedelta(days=20) - timedelta(hours=1))


# Entries from a moment on


def minutes_of(file: JournalFile, minutes: int, most_bytes: int = 1 << 40) -> list[int]:
    found = entries_from(file, NOON + timedelta(minutes=minutes), TICKS, most_bytes)
    return [int((clock.parse_iso(str(entry["ts"])) - NOON) / timedelta(minutes=1)) for entry in found]


def test_entries_from_a_moment_on_are_all_there_and_an_hour_more(month: Paths, file: JournalFile):
    found = minutes_of(file, 40_000)
    assert (found[0] <= 40_000 - 60, found[-1]) == (True, 43_199)
    assert found == list(range(found[0], 43_200))


def test_no_more_is_read_than_was_asked_for(month: Paths, file: JournalFile):
    found = minutes_of(file, 10_000, most_bytes=BLOCK_BYTES)
    assert found[-1] - found[0] < 2 * BLOCK_BYTES // 150


def test_an_entry_whose_clock_ran_far_ahead_hides_nothing(paths: Paths, file: JournalFile):
    write(paths, tick(0), tick(60 * 24 * 365), tick(1))
    assert minutes_of(file, 0) == [0, 60 * 24 * 365, 1]


def test_an_hour_before_the_moment_is_there_however_finely_its_place_is_found(
    paths: Paths, file: JournalFile, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4)
    monkeypatch.setattr(reading, "_BEFORE_BYTES", 512)
    write(paths, *(tick(n) for n in range(3000)))
    assert 1930 < minutes_of(file, 2000)[0] <= 1940


def test_the_last_entry_before_a_long_silence_is_there(
    paths: Paths, file: JournalFile, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4)
    write(paths, *(tick(n) for n in range(3000)), *(tick(n) for n in range(20_000, 22_000)))
    assert 2999 in minutes_of(file, 20_000)


def test_only_entries_that_hold_are_told(paths: Paths, file: JournalFile):
    lines = lines_of(4)
    lines.insert(2, encode(tick(90), 99, "0123456789abcdef"))
    Path(paths.journal).write_bytes(content(lines))
    assert minutes_of(file, 0) == [0, 1, 3]
