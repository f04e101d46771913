"""What a starting scheduler learns from the end of the journal, and what it does not believe."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations import replay
from automations.clock import iso
from automations.digest import short_hash
from automations.journal import FIRST_PREV, Entry, Journal, encode
from automations.paths import Paths
from automations.replay import Past, believable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def tick(minute: int) -> Entry:
    return Entry("tick", {"next": {}}, at(minute))


def started(minute: int, job: str = "a", by_hand: bool = False) -> Entry:
    due = None if by_hand else iso(at(minute))
    return Entry("run_started", {"job": job, "run_id": f"{job}/{minute}", "due": due}, at(minute))


def finished(minute: int, job: str = "a") -> Entry:
    return Entry("run_finished", {"job": job, "run_id": f"{job}/{minute}", "outcome": "succeeded"}, at(minute))


def skipped(first: int, last: int, job: str = "a") -> Entry:
    return Entry("run_skipped", {"job": job, "due": iso(at(first)), "until": iso(at(last)), "slots": 1}, at(last))


def lines(*entries: Entry) -> list[bytes]:
    """A journal of these entries, unbroken, as lines without newline."""
    made, prev = [], FIRST_PREV
    for seq, entry in enumerate(entries, 1):
        made.append(encode(entry, seq, prev))
        prev = short_hash(made[-1])
    return made


def content(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def past(*entries: Entry) -> Past:
    return replay.replay(believable(content(lines(*entries))))


def events(content: bytes) -> list[object]:
    return [entry["event"] for entry in believable(content)]


# What is learnt


def test_an_empty_journal_tells_nothing():
    assert past() == Past(None, {}, {})


def test_the_last_tick_is_the_last_sign_of_life():
    assert past(tick(0), tick(1), tick(2), started(3)).last_tick == at(2)


def test_a_run_that_was_started_and_not_finished_is_open():
    assert list(past(started(0), started(1, "b"), finished(0)).open_runs) == ["b/1"]


def test_an_open_run_is_known_with_all_that_was_said_of_it():
    entry = past(started(0)).open_runs["a/0"]
    assert (entry["job"], entry["due"], entry["ts"]) == ("a", iso(at(0)), iso(at(0)))


def test_the_end_of_a_run_whose_start_is_out_of_reach_is_no_trouble():
    assert past(finished(0)).open_runs == {}


def test_a_slot_that_was_started_is_settled():
    assert past(started(0), started(5), started(3, "b")).settled == {"a": at(5), "b": at(3)}


def test_a_run_by_hand_settles_no_slot():
    assert past(started(0, by_hand=True)).settled == {}


def test_skipped_slots_are_settled_up_to_the_last_of_them():
    assert past(skipped(0, 20)).settled == {"a": at(20)}


def test_an_entry_that_was_written_late_does_not_bring_back_a_settled_slot():
    assert past(started(5), skipped(0, 2)).settled == {"a": at(5)}


@pytest.mark.parametrize("due", [None, "yesterday", "", 5, "2026-11-22T12:00:00"])
def test_a_slot_that_cannot_be_read_settles_nothing(due: object):
    assert past(Entry("run_started", {"job": "a", "run_id": "a/1", "due": due}, NOON)).settled == {}


def test_the_journal_is_read_from_its_file(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    Journal(Paths(str(tmp_path))).append(tick(0), started(1))
    found = replay.read(Paths(str(tmp_path)).journal)
    assert (found.last_tick, list(found.open_runs)) == (at(0), ["a/1"])


def test_a_journal_that_is_not_there_is_an_empty_one(tmp_path: Path):
    assert replay.read(str(tmp_path / "scheduler.log")) == Past(None, {}, {})


def test_of_a_long_journal_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replay, "REACH_BYTES", 1000)
    (tmp_path / "scheduler.log").write_bytes(content(lines(*[tick(n) for n in range(50)])))
    assert replay.read(str(tmp_path / "scheduler.log")).last_tick == at(49)


# From when on slots may be undecided


def test_with_nothing_to_go_by_slots_are_owed_from_now_on():
    assert past().owed_since(at(7)) == at(7)


def test_slots_are_owed_from_one_minute_before_the_last_tick():
    assert past(tick(0)).owed_since(at(7)) == at(-1)


def test_a_tick_in_the_future_owes_nothing():
    assert past(tick(60)).owed_since(at(7)) == at(7)


def test_a_scheduler_that_died_before_its_first_tick_owes_the_slots_since_its_start():
    assert past(Entry("startup", {"pid": 1}, at(0))).owed_since(at(7)) <= at(0)


# What is believed


def test_an_unbroken_journal_is_believed_from_its_first_line_to_its_last():
    assert events(content(lines(tick(0), started(1), finished(1)))) == ["tick", "run_started", "run_finished"]


def test_a_line_slipped_in_is_not_believed():
    honest = lines(tick(0), tick(1))
    forged = encode(started(9), 2, "0123456789abcdef")
    assert "run_started" not in events(content([honest[0], forged, honest[1]]))


def test_a_line_forged_at_the_end_is_not_believed():
    honest = lines(tick(0))
    forged = encode(Entry("run_finished", {"run_id": "a/0"}), 2, FIRST_PREV)
    assert events(content([*honest, forged])) == ["tick"]


def test_a_forged_end_of_a_run_leaves_the_run_open():
    honest = lines(started(0))
    forged = encode(finished(0), 2, "0123456789abcdef")
    assert list(replay.replay(believable(content([*honest, forged]))).open_runs) == ["a/0"]


def test_after_an_altered_line_the_next_one_is_not_believed():
    honest = lines(tick(0), started(1), tick(2), tick(3))
    honest[1] = honest[1].replace(b"a/1", b"a/7")
    assert [entry["seq"] for entry in believable(content(honest))] == [1, 2, 4]


def test_a_first_line_that_claims_to_be_in_the_middle_is_not_believed():
    assert events(content([encode(tick(0), 5, FIRST_PREV)])) == []


def test_a_torn_last_line_is_not_read():
    assert events(content(lines(tick(0))) + lines(tick(0), started(1))[1]) == ["tick"]


def test_an_entry_after_a_line_that_is_none_is_believed_if_it_names_that_line():
    before = lines(tick(0))
    after = encode(tick(2), 2, short_hash(b"by hand"))
    assert events(content([*before, b"by hand", after])) == ["tick", "tick"]


def test_text_that_contains_a_whole_entry_is_still_one_entry():
    inner = lines(tick(0))[0].decode()
    assert events(content(lines(Entry("error", {"message": inner + "\n" + inner})))) == ["error"]


@given(st.integers(0, 3), st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_is_never_followed_by_the_line_that_named_it(index: int, offset: int, byte: int):
    honest = lines(tick(0), started(1), finished(1), tick(2), tick(3))
    line = bytearray(honest[index])
    line[offset % len(line)] = byte
    changed = bytes(line) != honest[index] and b"\n" not in line
    honest[index] = bytes(line)
    believed = [entry["seq"] for entry in believable(content(honest))]
    assert not changed or index + 2 not in believed


@given(st.binary(max_size=2000))
def test_any_bytes_can_be_read(rubbish: bytes):
    assert replay.replay(believable(rubbish)).open_runs == {}


# Round trip: what happened is what is learnt

happenings = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20)


@given(happenings)
def test_replay_finds_the_state_in_which_the_journal_was_left(story: list[tuple[str, bool]]):
    entries, still_open, settled = [], set(), {}
    for minute, (job, ends) in enumerate(story):
        entries.append(started(minute, job))
        entries += [finished(minute, job)] if ends else []
        still_open |= set() if ends else {f"{job}/{minute}"}
        settled[job] = at(minute)
    found = past(*entries)
    assert (set(found.open_runs), found.settled) == (still_open, settled)
