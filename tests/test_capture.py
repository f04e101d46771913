"""What a run prints: times, the cap, and reading it back whole, cut or while it grows."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import capture
from automations.capture import Capture
from automations.output import Output, Piece, as_text
from automations.paths import Paths

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
RUN = "a/20261122T080000Z"
CAP = 64 * 1024


class Printed:
    """An output file that grows as a job would make it grow."""

    def __init__(self, folder: Path, cap: int = CAP) -> None:
        self.paths = Paths(str(folder))
        self.log = Path(self.paths.runs, f"{RUN}.log")
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        self.capture = Capture(str(self.log), cap)
        self.written = b""
        self.looks = 0

    def prints(self, content: bytes) -> bool:
        with open(self.log, "ab") as file:
            file.write(content)
        self.written += content
        self.looks += 1
        return self.capture.look(self.looks * 10.0, NOW + timedelta(seconds=self.looks))

    def ends(self) -> int:
        return self.capture.close(NOW + timedelta(seconds=self.looks + 1))

    def read(self) -> bytes:
        return b"".join(piece.content for piece in Output(self.paths, RUN).pieces())


@pytest.fixture
def printed(tmp_path: Path) -> Printed:
    return Printed(tmp_path)


def test_what_fits_is_kept_byte_by_byte(printed: Printed):
    printed.prints(b"one\0\xff\n")
    assert (printed.ends(), printed.read()) == (6, b"one\0\xff\n")


def test_each_line_has_the_time_of_the_look_that_noticed_it(printed: Printed):
    printed.prints(b"one\ntwo\n")
    printed.prints(b"three\n")
    printed.ends()
    assert list(Output(printed.paths, RUN).lines()) == [
        ("2026-11-22T08:00:01.000Z", b"one"),
        ("2026-11-22T08:00:01.000Z", b"two"),
        ("2026-11-22T08:00:02.000Z", b"three"),
    ]


def test_what_came_after_the_last_look_has_the_time_of_the_end(printed: Printed):
    printed.log.write_bytes(b"late")
    printed.ends()
    assert list(Output(printed.paths, RUN).lines()) == [("2026-11-22T08:00:01.000Z", b"late")]


def test_within_a_second_nothing_is_looked_at_again(printed: Printed):
    printed.prints(b"one\n")
    printed.log.write_bytes(b"one\ntwo\n")
    printed.capture.look(10.5, NOW)
    assert Path(str(printed.log)[:-4] + ".at").read_text().count("\n") == 1


def test_of_an_outgrown_output_head_and_tail_stay_while_it_runs(printed: Printed):
    printed.prints(b"first\n" + b"x" * 10 * CAP)
    printed.prints(b"last\n")
    content = printed.read()
    assert content.startswith(b"first\n") and content.endswith(b"last\n")  # noqa: PT018
    assert len(content) < 2 * CAP


def test_the_middle_of_an_outgrown_file_is_given_back_to_the_file_system(printed: Printed):
    printed.prints(b"x" * 100 * CAP)
    os.sync()
    assert printed.log.stat().st_blocks * 512 < 3 * CAP


def test_after_its_end_the_file_fits_and_says_how_much_was_cut(printed: Printed):
    printed.prints(b"first\n" + b"x" * 10 * CAP + b"last\n")
    assert printed.ends() == 10 * CAP + 11
    assert printed.log.stat().st_size < CAP + 100
    assert f"[… {9 * CAP + 11} bytes cut here …]".encode() in printed.log.read_bytes()


def test_a_file_of_exactly_the_cap_is_left_alone(printed: Printed):
    printed.prints(b"x" * CAP)
    printed.ends()
    assert printed.log.read_bytes() == b"x" * CAP


def test_a_reader_keeps_its_place_when_the_file_is_written_anew(printed: Printed):
    printed.prints(b"x" * 4 * CAP)
    tail = 4 * CAP - 100
    before = Output(printed.paths, RUN).read(tail)
    printed.prints(b"more")
    printed.ends()
    after = Output(printed.paths, RUN).read(tail)
    assert (before.content, after.content, after.next) == (b"x" * 100, b"x" * 100 + b"more", 4 * CAP + 4)


def test_a_reader_whose_place_was_cut_is_told_and_goes_on_behind_it(printed: Printed):
    printed.prints(b"x" * 4 * CAP)
    printed.ends()
    piece = Output(printed.paths, RUN).read(CAP)
    assert b"bytes cut here" in piece.content
    assert Output(printed.paths, RUN).read(piece.next).content == b"x" * (CAP // 2)


def test_a_file_that_was_removed_does_not_disturb_the_run(printed: Printed):
    printed.prints(b"one")
    printed.log.unlink()
    assert printed.capture.look(99.0, NOW) is True
    assert printed.ends() == 3


def no_holes(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def test_where_no_hole_can_be_punched_a_file_may_grow_to_four_times_its_cap(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(capture, "punch", no_holes)
    assert printed.prints(b"x" * 4 * CAP) is True
    assert printed.prints(b"x") is False


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3 * CAP), max_size=8))
def test_whatever_the_pieces_what_is_read_is_what_was_written_but_for_the_cut(tmp_path_factory, sizes: list[int]):
    printed = Printed(tmp_path_factory.mktemp("printed"))
    for place, size in enumerate(sizes):
        printed.prints(bytes([65 + place]) * size)
        live = printed.read()
        assert live[: CAP // 2] == printed.written[: CAP // 2]
        assert live[-CAP // 4 :] == printed.written[-CAP // 4 :]
    assert printed.ends() == len(printed.written)
    content = printed.read()
    head, _, tail = content.partition(b"\n[")
    tail = tail.partition(b"]\n")[2]
    if len(printed.written) <= CAP:
        assert content == printed.written
    else:
        assert (head, tail) == (printed.written[: CAP // 2], printed.written[-CAP // 2 :])


@pytest.mark.parametrize("cut_at", [1, 2, 3])
def test_a_character_cut_in_two_by_a_piece_waits_for_the_next(cut_at: int):
    content = "a😀".encode()
    text, place = as_text(Piece(content[: 1 + cut_at], 0, 1 + cut_at, len(content)))
    assert (text, place) == ("a", 1)


def test_what_is_no_character_is_shown_as_its_bytes():
    assert as_text(Piece(b"\xff\xfe\x80", 0, 3, 9))[0] == r"\xff\xfe\x80"
