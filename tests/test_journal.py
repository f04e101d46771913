"""The append-only truth: one chain, whoever appends, whatever was torn, however full the disk is."""

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import journal
from automations.errors import JournalError
from automations.journal import FIRST_PREV, MAX_LINE_BYTES, Entry, Journal, decode, encode
from automations.paths import PROJECT, Paths
from automations.recorder import Recorder

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    made = Paths(str(tmp_path))
    Path(made.logs).mkdir()
    yield made
    close_files_of(made)


def close_files_of(paths: Paths) -> None:
    """Close what a journal keeps open for the life of its process."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(entry).startswith(paths.logs):
                os.close(int(entry.name))


def content(paths: Paths) -> bytes:
    return Path(paths.journal).read_bytes()


def chain(content: bytes) -> list[dict[str, object]]:
    """The entries of a whole journal, after a check of the chain that shares no code with the product."""
    assert content.endswith(b"\n") or not content
    entries, before = [], None
    for seq, line in enumerate(content.split(b"\n")[:-1], 1):
        entry = json.loads(line)
        expected = hashlib.sha256(before).hexdigest()[:16] if before else "0" * 16
        assert (entry["seq"], entry["prev"]) == (seq, expected)
        entries.append(entry)
        before = line
    return entries


def events(paths: Paths) -> list[str]:
    return [str(entry["event"]) for entry in chain(content(paths))]


# One line


def test_a_line_is_compact_json_with_the_time_and_the_event_first_and_the_chain_last():
    line = encode(Entry("tick", {"next": {"brief": None}}, NOON), 812, "9f2c1a7be0d34c55")
    assert line == (
        b'{"ts":"2026-11-22T12:00:00.000Z","event":"tick","next":{"brief":null},"seq":812,"prev":"9f2c1a7be0d34c55"}'
    )


def test_text_is_written_as_utf8():
    assert '"Zürich ✓"'.encode() in encode(Entry("x", {"a": "Zürich ✓"}), 1, FIRST_PREV)


@pytest.mark.parametrize("text", ["a\nb", "a\u2028b", "a\x85b", "a\rb", "\0", "\x1b[2J"])
def test_whatever_text_holds_a_line_has_no_newline_in_it(text: str):
    line = encode(Entry("x", {"a": text}), 1, FIRST_PREV)
    assert (b"\n" in line, decode(line)["a"]) == (False, text)


def test_undecodable_bytes_of_a_file_name_survive_as_an_escape():
    line = encode(Entry("x", {"a": os.fsdecode(b"caf\xe9")}), 1, FIRST_PREV)
    assert json.loads(line)["a"] == "caf\udce9"


def test_a_text_too_long_for_a_line_is_clipped_with_a_mark():
    entry = decode(encode(Entry("error", {"where": "loop", "trace": "x" * 10_000}), 1, FIRST_PREV))
    assert entry["trace"].endswith("x…")
    assert (entry["where"], len(entry["trace"]) > 2000) == ("loop", True)


def test_of_several_fields_the_longest_one_is_clipped():
    entry = decode(encode(Entry("x", {"a": "a" * 3000, "b": "b" * 2000}), 1, FIRST_PREV))
    assert (entry["a"], entry["b"]) == ("a" * 1500 + "…", "b" * 2000)


def test_a_list_too_long_for_a_line_becomes_a_clipped_text():
    entry = decode(encode(Entry("config_rejected", {"faults": ["wrong " * 100] * 20}), 1, FIRST_PREV))
    assert entry["faults"].startswith('["wrong wrong')


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b"\xff",
        b"\0" * 50,
        b'{"ts":"t","event":"e","seq":"1","prev":"p"}',
        b'{"ts":"t","event":"e","seq":1}',
        b'{"ts":1,"event":"e","seq":1,"prev":"p"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_entry_is_read_as_none(line: bytes):
    assert decode(line) is None


NAMES = st.text("abcdefgh_", min_size=1, max_size=12)
TEXTS = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=5), st.integers(0, 1500))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=12))
def test_a_line_is_under_4096_bytes_and_an_entry_whatever_its_fields(fields: dict[str, object]):
    line = encode(Entry("x", fields, NOON), 1, FIRST_PREV)
    assert len(line) <= MAX_LINE_BYTES == 4095
    assert decode(line)["seq"] == 1


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=60), max_size=8))
def test_fields_that_fit_are_read_back_as_they_were(fields: dict[str, object]):
    entry = decode(encode(Entry("x", fields, NOON), 1, FIRST_PREV))
    assert {name: entry[name] for name in fields} == fields


@pytest.mark.timeout(30)
def test_a_line_of_far_too_many_fields_is_clipped_too():
    fields = {f"field_{n}": "some words of text" for n in range(500)}
    assert len(encode(Entry("x", fields, NOON), 1, FIRST_PREV)) <= MAX_LINE_BYTES


def test_a_number_that_json_does_not_know_is_not_written_as_one():
    line = encode(Entry("x", {"load": float("nan")}), 1, FIRST_PREV)
    assert json.loads(line, parse_constant=lambda name: f"{name} is not JSON")["load"] != "NaN is not JSON"


# Appending


def test_the_first_entry_has_number_one_and_nothing_before_it(paths: Paths):
    (line,) = Journal(paths).append(Entry("startup"))
    assert (decode(line)["seq"], decode(line)["prev"]) == (1, "0" * 16)


def test_the_lines_that_are_returned_are_those_on_the_disk(paths: Paths):
    lines = Journal(paths).append(Entry("a"), Entry("b"))
    assert b"".join(line + b"\n" for line in lines) == content(paths)


def test_each_entry_names_the_line_before_it(paths: Paths):
    appender = Journal(paths)
    for event in "abc":
        appender.append(Entry(event))
    appender.append(Entry("d"), Entry("e"))
    assert events(paths) == ["a", "b", "c", "d", "e"]


def test_another_appender_goes_on_with_the_chain(paths: Paths):
    one, other = Journal(paths), Journal(paths)
    for _ in range(3):
        one.append(Entry("one"))
        other.append(Entry("other"))
    assert events(paths) == ["one", "other"] * 3


def test_an_entry_has_its_own_time_or_that_of_its_writing(paths: Paths):
    Journal(paths).append(Entry("a", at=NOON))
    assert chain(content(paths))[0]["ts"] == "2026-11-22T12:00:00.000Z"


def test_the_journal_is_for_its_owner_only(paths: Paths):
    Journal(paths).append(Entry("a"))
    assert Path(paths.journal).stat().st_mode & 0o777 == 0o600


def test_a_long_journal_is_continued_from_its_end_alone(paths: Paths):
    Journal(paths).append(*[Entry("a", {"text": "x" * 3000}) for _ in range(50)])
    Journal(paths).append(Entry("b"))
    assert len(chain(content(paths))) == 51


def test_a_journal_that_was_moved_away_is_begun_anew_and_not_written_behind_its_back(paths: Paths):
    appender = Journal(paths)
    appender.append(Entry("a"))
    Path(paths.journal).rename(paths.journal + ".old")
    appender.append(Entry("b"))
    assert b'"event":"b"' in content(paths)
    assert b'"event":"b"' not in Path(paths.journal + ".old").read_bytes()


WRITER = f"""
import sys
sys.path.insert(0, {PROJECT!r})
from automations.journal import Entry, Journal
from automations.paths import Paths
appender = Journal(Paths(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(200):
    appender.append(Entry("by", {{"writer": sys.argv[2], "n": n}}))
"""


def test_two_processes_that_append_at_once_give_one_unbroken_chain(paths: Paths):
    command = [sys.executable, "-I", "-c", WRITER, paths.home]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*command, "1"], **pipes) as one, subprocess.Popen([*command, "2"], **pipes) as two:
        assert one.stdout.readline() == two.stdout.readline() == b"ready\n"
        for writer in (one, two):
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
    entries = chain(content(paths))
    for writer in "12":
        assert [entry["n"] for entry in entries if entry["writer"] == writer] == list(range(200))


@pytest.fixture
def held_journal(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody froze with the journal's lock in the hand."""
    monkeypatch.setattr(journal, "_LOCK_WAIT_S", 0.05)
    with open(paths.log("journal.lock"), "w") as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        yield


def test_an_appender_does_not_wait_for_ever(paths: Paths, held_journal: None):
    with pytest.raises(JournalError, match=r"journal lock still taken after 0\.05 s"):
        Journal(paths).append(Entry("a"))


# What was torn


def three_entries(paths: Paths) -> tuple[bytes, bytes]:
    """A journal of two entries, and the third one that is going to be torn."""
    first, second, third = Journal(paths).append(Entry("a"), Entry("b"), Entry("torn", {"text": "Zürich ✓ " * 20}))
    return first + b"\n" + second + b"\n", third


def torn(path: Path, whole: bytes, rest: bytes) -> tuple[bytes, list[dict[str, object]]]:
    """What the next append makes of a journal with a torn end: its bytes, and its entries if the chain holds."""
    paths = Paths(str(path))
    Path(paths.journal).write_bytes(whole + rest)
    Journal(paths).append(Entry("after"))
    close_files_of(paths)
    return content(paths), chain(content(paths))


def test_a_journal_cut_at_any_byte_of_its_last_line_is_mended_and_says_so(paths: Paths):
    whole, third = three_entries(paths)
    for cut in range(1, len(third) + 1):
        repaired, entries = torn(Path(paths.home), whole, third[:cut])
        assert repaired.startswith(whole)
        assert [entry["event"] for entry in entries] == ["a", "b", "journal_recovered", "after"]
        assert entries[2]["bytes_cut"] == cut


@pytest.mark.parametrize("nuls", [1, 7, 512, 4096, 70_000])
@pytest.mark.parametrize("kept", [0, 1, 60])
def test_a_tail_of_nul_bytes_is_cut(paths: Paths, kept: int, nuls: int):
    whole, third = three_entries(paths)
    repaired, entries = torn(Path(paths.home), whole, third[:kept] + b"\0" * nuls)
    assert repaired.startswith(whole)
    assert (entries[2]["event"], entries[2]["bytes_cut"]) == ("journal_recovered", kept + nuls)


def test_a_journal_whose_end_is_whole_is_not_touched(paths: Paths):
    whole, third = three_entries(paths)
    repaired, entries = torn(Path(paths.home), whole, third + b"\n")
    assert repaired.startswith(whole + third + b"\n")
    assert [entry["event"] for entry in entries] == ["a", "b", "torn", "after"]


def test_a_journal_of_nothing_but_a_torn_line_is_begun_anew(paths: Paths):
    _, entries = torn(Path(paths.home), b"", b'{"ts":"2026-11')
    assert [entry["event"] for entry in entries] == ["journal_recovered", "after"]


def test_the_beginning_of_what_was_cut_is_kept_in_the_entry(paths: Paths):
    _, entries = torn(Path(paths.home), b"", b"\xff\x00half a line" + b"x" * 1000)
    assert entries[0]["cut"].startswith("\\xff\x00half a line")
    assert len(entries[0]["cut"]) < 250


def test_a_tail_torn_while_the_appender_lives_is_mended_as_well(paths: Paths):
    appender = Journal(paths)
    appender.append(Entry("a"))
    with open(paths.journal, "ab") as other:
        other.write(b"half")
    appender.append(Entry("b"))
    assert events(paths) == ["a", "journal_recovered", "b"]


def test_a_whole_line_that_is_no_entry_stays_and_the_next_entry_names_it(paths: Paths):
    Journal(paths).append(Entry("a"))
    with open(paths.journal, "ab") as other:
        other.write(b"by hand\n")
    (line,) = Journal(paths).append(Entry("b"))
    assert (decode(line)["seq"], decode(line)["prev"]) == (2, hashlib.sha256(b"by hand").hexdigest()[:16])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300).filter(lambda rest: b"\n" not in rest))
def test_any_torn_end_is_mended_and_nothing_before_it_is_lost(tmp_path_factory: pytest.TempPathFactory, rest: bytes):
    paths = Paths(str(tmp_path_factory.mktemp("home")))
    Path(paths.logs).mkdir()
    whole, _ = three_entries(paths)
    repaired, entries = torn(Path(paths.home), whole, rest)
    assert repaired.startswith(whole)
    assert len(entries) == (4 if rest else 3)


# In place of the journal


def test_a_link_in_place_of_the_journal_is_refused_and_what_it_names_is_untouched(paths: Paths, tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    Path(paths.journal).symlink_to(tmp_path / "precious")
    with pytest.raises(JournalError, match="cannot append"):
        Journal(paths).append(Entry("a"))
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("read", [True, False])
def test_a_fifo_in_place_of_the_journal_is_refused_without_waiting(paths: Paths, read: bool):
    os.mkfifo(paths.journal)
    reader = os.open(paths.journal, os.O_RDONLY | os.O_NONBLOCK) if read else -1
    with pytest.raises(JournalError, match="not a regular file"):
        Journal(paths).append(Entry("a"))
    if read:
        os.close(reader)


def test_a_folder_that_is_not_there_is_an_error_that_names_the_journal(tmp_path: Path):
    with pytest.raises(JournalError, match=f"{tmp_path}/logs/scheduler.log: cannot append: No such file"):
        Journal(Paths(str(tmp_path))).append(Entry("a"))


# A full disk


class Disk:
    """The `os` module as the journal sees it, with a disk that takes `room` more bytes, or any if None."""

    def __init__(self) -> None:
        self.room: int | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, fd: int, data: bytes) -> int:
        """As on a real full disk: what fits is written without an error, and nothing more is ENOSPC."""
        if self.room is None:
            return os.write(fd, data)
        if self.room == 0:
            raise OSError(28, "No space left on device")
        written = os.write(fd, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(journal, "os", made)
    return made


@pytest.mark.parametrize("room", [0, 1, 50, 120])
def test_what_does_not_fit_on_the_disk_is_taken_back_and_refused(paths: Paths, disk: Disk, room: int):
    appender = Journal(paths)
    appender.append(Entry("a"))
    before, disk.room = content(paths), room
    with pytest.raises(JournalError, match="No space left on device"):
        appender.append(Entry("b", {"text": "x" * 200}))
    assert content(paths) == before


@pytest.mark.parametrize("room", [0, 1, 50])
def test_once_there_is_room_again_the_chain_goes_on(paths: Paths, disk: Disk, room: int):
    appender = Journal(paths)
    appender.append(Entry("a"))
    disk.room = room
    with pytest.raises(JournalError):
        appender.append(Entry("b"))
    disk.room = None
    appender.append(Entry("c"))
    assert events(paths) == ["a", "c"]


def test_a_batch_is_written_whole_or_not_at_all(paths: Paths, disk: Disk):
    disk.room = 300
    with pytest.raises(JournalError):
        Journal(paths).append(*[Entry("a") for _ in range(10)])
    assert content(paths) == b""


def test_what_could_not_be_synced_is_taken_back(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    appender = Journal(paths)
    appender.append(Entry("a"))

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal, "sync_data", broken)
    with pytest.raises(JournalError, match="Input/output error"):
        appender.append(Entry("b"))
    assert events(paths) == ["a"]


def test_a_tail_that_was_cut_on_a_full_disk_is_owned_up_to_later(paths: Paths, disk: Disk):
    Journal(paths).append(Entry("a"))
    with open(paths.journal, "ab") as other:
        other.write(b"half")
    appender, disk.room = Journal(paths), 0
    with pytest.raises(JournalError):
        appender.append(Entry("b"))
    disk.room = None
    appender.append(Entry("c"))
    assert events(paths) == ["a", "journal_recovered", "c"]


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs a file size limit that shortens writes")
def test_a_write_that_the_kernel_cuts_short_is_taken_back(paths: Paths):
    code = f"""
import resource, sys
sys.path.insert(0, {PROJECT!r})
from automations.errors import JournalError
from automations.journal import Entry, Journal
from automations.paths import Paths
resource.setrlimit(resource.RLIMIT_FSIZE, (350, 350))
appender = Journal(Paths(sys.argv[1]))
try:
    while True:
        appender.append(Entry("a"))
except JournalError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, paths.home], capture_output=True, text=True, timeout=30, check=True
    )
    assert "cannot append" in done.stdout
    assert len(chain(content(paths))) == 4


# The scheduler's pen


def recorder(paths: Paths) -> Recorder:
    return Recorder(Journal(paths), echo=False)


def test_what_was_recorded_is_in_the_journal_with_its_time(paths: Paths):
    assert recorder(paths).record("tick", NOON, next={}) is True
    assert chain(content(paths))[0]["ts"] == "2026-11-22T12:00:00.000Z"


def test_every_entry_is_echoed_as_it_stands_in_the_journal(paths: Paths, capfdbinary: pytest.CaptureFixture[bytes]):
    Recorder(Journal(paths)).record("tick")
    assert capfdbinary.readouterr().out == content(paths)


@contextlib.contextmanager
def standard_output(path: str) -> Iterator[None]:
    """Descriptor 1 names this file for a while."""
    before, now = os.dup(1), os.open(path, os.O_WRONLY)
    os.dup2(now, 1)
    try:
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(now)


def test_a_full_disk_behind_standard_output_ends_nobody(paths: Paths):
    with standard_output("/dev/full"):
        assert Recorder(Journal(paths)).record("tick") is True


def test_a_pipe_that_nobody_reads_any_more_ends_nobody(paths: Paths, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with standard_output(str(tmp_path / "pipe")):
        os.close(reader)
        assert Recorder(Journal(paths)).record("tick") is True


def test_while_nothing_can_be_written_the_recorder_says_so_and_goes_on(paths: Paths, disk: Disk):
    disk.room = 0
    assert recorder(paths).record("tick") is False


def after_a_full_disk(paths: Paths, disk: Disk, missed: list[str]) -> list[dict[str, object]]:
    """The entries after a time in which these events could not be written, one a minute."""
    pen, disk.room = recorder(paths), 0
    for minute, event in enumerate(missed):
        pen.record(event, NOON.replace(minute=minute), n=minute)
    disk.room = None
    pen.record("tick", NOON.replace(minute=30))
    return chain(content(paths))


def test_ticks_that_could_not_be_written_are_counted_in_one_gap(paths: Paths, disk: Disk):
    gap, tick = after_a_full_disk(paths, disk, ["tick", "tick", "error"])
    assert (gap["event"], gap["lost"], gap["late"]) == ("journal_gap", {"tick": 2, "error": 1}, 0)
    assert tick["ts"] == "2026-11-22T12:30:00.000Z"


def test_what_tells_of_a_run_is_written_late_with_its_own_time(paths: Paths, disk: Disk):
    entries = after_a_full_disk(paths, disk, ["tick", "run_started", "tick", "run_finished"])
    assert [entry["event"] for entry in entries] == ["journal_gap", "run_started", "run_finished", "tick"]
    assert [entry["ts"][14:16] for entry in entries[1:]] == ["01", "03", "30"]


def test_a_gap_names_its_beginning_its_reason_and_what_comes_late(paths: Paths, disk: Disk):
    gap = after_a_full_disk(paths, disk, ["tick", "run_started"])[0]
    assert (gap["since"], gap["late"]) == ("2026-11-22T12:00:00.000Z", 1)
    assert "No space left on device" in gap["reason"]


def test_the_gap_comes_once_and_the_next_entry_is_an_ordinary_one(paths: Paths, disk: Disk):
    pen, disk.room = recorder(paths), 0
    pen.record("tick")
    disk.room = None
    pen.record("tick")
    pen.record("tick")
    assert events(paths) == ["journal_gap", "tick", "tick"]


def test_two_full_disks_are_two_gaps_each_with_its_own_count(paths: Paths, disk: Disk):
    pen = recorder(paths)
    for ticks in (2, 1):
        disk.room = 0
        for _ in range(ticks):
            pen.record("tick")
        disk.room = None
        pen.record("tick")
    assert [entry["lost"]["tick"] for entry in chain(content(paths)) if entry["event"] == "journal_gap"] == [2, 1]


def test_more_run_entries_than_memory_allows_are_counted(paths: Paths, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("automations.recorder.MAX_LATE", 2)
    gap, *late, _ = after_a_full_disk(paths, disk, ["run_started"] * 5)
    assert (gap["late"], gap["lost"], len(late)) == (2, {"run_started": 3}, 2)


def test_a_journal_that_was_kept_too_long_by_another_is_only_a_gap(paths: Paths, held_journal: None):
    pen = recorder(paths)
    assert pen.record("tick") is False
