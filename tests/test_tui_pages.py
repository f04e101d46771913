"""The window of lines on something long: however it is read, it holds the lines that are there, once and in order."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations.output import Piece
from tui import pages
from tui.pages import KEPT_BYTES, PIECE_BYTES, Filter, Line, Window

TEXTS = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=30)


def piece(content: bytes, start: int, limit: int, written: int | None = None) -> Piece:
    """What a file with this content answers."""
    found = content[start : start + limit]
    return Piece(found, start, start + len(found), len(content) if written is None else written)


def opened(content: bytes, **how: object) -> Window:
    """A window that was given all of it."""
    window = Window(**how)  # type: ignore[arg-type]
    window.append(piece(content, 0, len(content)))
    return window


def contents(window: Window) -> list[bytes]:
    return [line.content for line in window.lines]


def numbered(count: int, digits: int = 3) -> bytes:
    return b"".join(b"line %0*d\n" % (digits, number) for number in range(count))


def is_tick(line: bytes) -> bool:
    return line.startswith(b"tick")


# However it is read


@given(
    TEXTS, st.binary(max_size=5).map(lambda rest: rest.replace(b"\n", b"")), st.lists(st.integers(0, 400), max_size=9)
)
def test_read_in_any_pieces_it_holds_the_lines_of_the_whole(texts: list[bytes], rest: bytes, cuts: list[int]):
    content = b"".join(line + b"\n" for line in texts) + rest
    window = Window()
    for written in [*sorted(min(cut, len(content)) for cut in cuts), len(content)]:
        window.append(piece(content[:written], window.end, len(content)))
    assert (contents(window), window.rest, window.end) == (texts, rest, len(content) - len(rest))


@given(TEXTS, st.integers(0, 400), st.lists(st.integers(14, 60), min_size=1, max_size=9))
def test_read_backwards_in_any_pieces_it_holds_the_lines_of_the_whole(texts: list[bytes], place: int, steps: list[int]):
    content = b"".join(line + b"\n" for line in texts)
    start = min(place, len(content))
    window = Window()
    window.reset(start)
    window.append(piece(content, start, len(content)), is_middle=start > 0)
    for number in range(len(content)):
        if window.start == 0:
            break
        begin = max(0, window.start - steps[number % len(steps)])
        window.prepend(piece(content, begin, window.start - begin))
    assert contents(window) == texts


@given(TEXTS, st.integers(0, 400))
def test_every_line_knows_the_place_at_which_it_begins(texts: list[bytes], place: int):
    content = b"".join(line + b"\n" for line in texts)
    start = min(place, len(content))
    window = Window()
    window.reset(start)
    window.append(piece(content, start, len(content)), is_middle=start > 0)
    window.prepend(piece(content, 0, window.start))
    assert all(content[line.place :].startswith(line.content + b"\n") for line in window.lines)


@given(
    st.lists(st.sampled_from([b"tick 1", b"tick 2", b"other"]), max_size=30), st.lists(st.integers(0, 200), max_size=5)
)
def test_folded_in_any_pieces_it_counts_every_line(texts: list[bytes], cuts: list[int]):
    content = b"".join(line + b"\n" for line in texts)
    window = Window(folds=is_tick)
    for written in [*sorted(min(cut, len(content)) for cut in cuts), len(content)]:
        window.append(piece(content[:written], window.end, len(content)))
    assert window.lines == opened(content, folds=is_tick).lines
    assert sum(line.times for line in window.lines) == len(texts)


def test_a_line_without_its_end_waits_for_it():
    window = opened(b"one\ntw")
    before = (contents(window), window.rest)
    window.append(piece(b"one\ntwo\n", window.end, 100))
    assert (before, contents(window), window.rest) == (([b"one"], b"tw"), [b"one", b"two"], b"")


def test_it_tells_how_many_lines_were_added():
    window = opened(numbered(5))
    assert window.append(piece(numbered(8), window.end, 1000)) == 3
    later = Window()
    later.reset(9)
    assert later.prepend(piece(numbered(8), 0, 9)) == 1


def test_a_piece_that_begins_inside_a_line_begins_with_the_next_line():
    window = Window()
    window.reset(4)
    window.append(piece(numbered(3), 4, 100), is_middle=True)
    assert (contents(window), window.start) == ([b"line 001", b"line 002"], 9)


def test_the_place_after_something_cut_is_where_the_reader_goes_on():
    window = Window()
    window.append(Piece(b"begin\n", 0, 6, 1000))
    window.append(Piece(b"\n[cut]\n", 6, 900, 1000))
    assert (window.end, contents(window)) == (900, [b"begin", b"", b"[cut]"])


def test_what_was_cut_inside_a_line_is_passed_all_the_same():
    window = Window()
    window.append(Piece(b"one\nbegin of a li", 0, 17, 1000))
    for _ in range(3):
        window.append(_cut_at_17(window.end))
    assert contents(window) == [b"one", b"begin of a li", b"", b"[cut]", b"tail"]


def _cut_at_17(start: int) -> Piece:
    """An output whose bytes 17 to 900 are gone."""
    if start < 17:
        return Piece(b"one\nbegin of a li"[start:], start, 17, 905)
    if start < 900:
        return Piece(b"\n[cut]\n", start, 900, 905)
    return Piece(b"tail\n"[start - 900 :], start, 905, 905)


# Long lines


def test_a_line_is_kept_up_to_4_kb():
    window = opened(b"x" * 10_000 + b"\nshort\n")
    assert [len(line) for line in contents(window)] == [KEPT_BYTES, 5]


def test_a_line_longer_than_a_piece_is_handed_on_in_parts_and_passed():
    content = b"first\n" + b"x" * (3 * PIECE_BYTES) + b"\nlast\n"
    window = Window()
    for _ in range(10):
        window.append(piece(content, window.end, PIECE_BYTES))
    assert (contents(window)[0], contents(window)[-1], window.end) == (b"first", b"last", len(content))


def test_a_line_longer_than_a_piece_is_passed_backwards_too():
    content = b"first\n" + b"x" * (3 * PIECE_BYTES) + b"\nlast\n"
    window = Window()
    window.reset(len(content))
    for _ in range(10):
        begin = max(0, window.start - PIECE_BYTES)
        window.prepend(piece(content, begin, window.start - begin))
    assert (contents(window)[0], contents(window)[-1], window.start) == (b"first", b"last", 0)


# Bounds


def test_the_oldest_lines_drop_off_when_there_are_too_many():
    window = opened(numbered(10), most_lines=4)
    assert window.trim_start() == 6
    assert (contents(window)[0], window.start) == (b"line 006", 54)


def test_the_newest_lines_drop_off_when_the_reader_is_at_the_beginning():
    window = opened(numbered(10), most_lines=4)
    assert window.trim_end() == 6
    assert (contents(window)[-1], window.end) == (b"line 003", 36)


@pytest.mark.parametrize("trim", [Window.trim_start, Window.trim_end])
def test_what_dropped_off_is_read_again_from_its_place(trim):
    content = numbered(10)
    window = opened(content, most_lines=4)
    trim(window)
    window.append(piece(content, window.end, 1000))
    window.prepend(piece(content, 0, window.start))
    assert window.lines == opened(content).lines


def test_nothing_drops_off_within_the_bounds():
    window = opened(numbered(4), most_lines=4)
    assert (window.trim_start(), window.trim_end()) == (0, 0)


def test_lines_drop_off_when_they_are_too_many_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 40)
    window = opened(numbered(10))
    window.trim_start()
    assert sum(map(len, contents(window))) <= 40


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["append", "turn", "trim"]), st.integers(1, 30)), max_size=12))
def test_the_bytes_it_holds_are_counted_whatever_happens_to_it(steps: list[tuple[str, int]]):
    window = Window(folds=is_tick, most_lines=8)
    content = b""
    for what, number in steps:
        if what == "append":
            content += b"tick %d\n" % 10**number * 2 + b"other\n" * number
            window.append(piece(content, window.end, len(content)))
        elif what == "turn":
            window.turn("── the file was replaced ──")
            content = b""
        else:
            window.trim_start()
    assert window._bytes == sum(map(len, contents(window)))


# Folding


def test_lines_in_a_row_that_fold_are_one_with_their_number():
    window = opened(b"tick 1\ntick 2\nother\ntick 3\n", folds=is_tick)
    assert window.lines == [Line(0, b"tick 2", 2), Line(14, b"other"), Line(20, b"tick 3")]


def test_lines_fold_over_the_seam_of_two_pieces_in_either_direction():
    window = Window(folds=is_tick)
    window.reset(7)
    window.append(piece(b"tick 1\ntick 2\n", 7, 7))
    window.append(piece(b"tick 1\ntick 2\ntick 3\n", 14, 7))
    window.prepend(piece(b"tick 1\ntick 2\ntick 3\n", 0, 7))
    assert window.lines == [Line(0, b"tick 3", 3)]


# Rotation


def test_another_file_in_its_place_comes_after_the_lines_that_were_read():
    window = opened(numbered(2))
    window.turn("── replaced ──")
    window.append(piece(b"new\n", window.end, 100))
    assert contents(window) == [b"line 000", b"line 001", "── replaced ──".encode(), b"new"]


def test_lines_of_a_file_that_is_gone_have_no_place():
    window = opened(numbered(2))
    window.turn("── replaced ──")
    assert [line.place for line in window.lines] == [-1, -1, -1]


def test_folded_lines_keep_their_number_when_the_file_is_replaced():
    window = opened(b"tick 1\ntick 2\n", folds=is_tick)
    window.turn("── replaced ──")
    assert window.lines[0].times == 2


def test_lines_of_two_files_do_not_fold_into_one():
    window = opened(b"tick 1\n", folds=is_tick)
    window.turn("── replaced ──")
    window.append(piece(b"tick 2\n", window.end, 100))
    assert [line.times for line in window.lines] == [1, 1, 1]


# Places


@given(st.lists(st.integers(0, 8), min_size=1, max_size=20), st.integers(0, 200))
def test_a_place_is_found_in_the_line_that_it_lies_in(lengths: list[int], place: int):
    content = b"".join(b"x" * length + b"\n" for length in lengths)
    window = opened(content)
    number = window.place_at(min(place, len(content) - 1))
    begin = window.lines[number].place
    assert begin <= min(place, len(content) - 1) <= begin + len(window.lines[number].content)


# Filters


@pytest.mark.parametrize(
    ("text", "fits", "fits_not"),
    [
        ("Error", b"an eRRor", b"fine"),
        ("a.c", b"a.c", b"abc"),
        ("/a.c/", b"abc", b"ac"),
        ("/^(one|two)$/", b"two", b"two three"),
        ("!tick", b"other", b"a tick"),
        ("!/^tick/", b"a tick", b"tick"),
        ("/", b"a/b", b"ab"),
        ("//", b"a//b", b"a/b"),
        ("ä", "ä".encode(), b"a"),
    ],
)
def test_a_filter_is_a_text_or_an_expression_and_may_be_inverted(text: str, fits: bytes, fits_not: bytes):
    assert (Filter(text)(fits), Filter(text)(fits_not)) == (True, False)


def test_a_filter_that_is_no_regular_expression_says_so():
    with pytest.raises(ValueError, match=re.escape("/(/: not a regular expression")):
        Filter("/(/")


@given(st.text(max_size=9))
def test_a_filter_is_a_filter_or_a_refusal_whatever_is_typed(text: str):
    try:
        assert Filter(text)(b"anything") in (True, False)
    except ValueError as error:
        assert "not a regular expression" in str(error)  # noqa: PT017


def test_only_lines_that_fit_are_kept_and_all_were_looked_at():
    window = opened(numbered(20), fits=Filter("7"))
    assert (contents(window), window.end) == ([b"line 007", b"line 017"], len(numbered(20)))


def test_lines_that_fold_are_counted_as_far_as_they_fit():
    window = opened(b"tick 1\ntick 2\ntick 1\n", fits=Filter("1"), folds=is_tick)
    assert window.lines == [Line(0, b"tick 1", 2)]
