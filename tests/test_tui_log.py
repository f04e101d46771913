"""A long text that is followed: the reader is never moved, all of the file can be reached, and a file that is cut or
replaced loses nobody.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from automations import claim
from automations.errors import JournalError
from automations.journal import FIRST_PREV, Entry, encode
from automations.output import Piece
from automations.paths import PROJECT, Paths
from tests.machine import NOON
from tests.pilots import View, fly, settle_in
from tui.lines import Span
from tui.messages import Failed, OpenRun
from tui.pages import Pages
from tui.source import CUT, REPLACED, _JournalPages, _OutputPages
from tui.tones import tones
from tui.widgets.log import LogView

Reading = Callable[[LogView, View], Awaitable[None]]
LONG = 30_000  # lines
ERRORS = (100, 15_000, 15_001)


class Reader(App[None]):
    """One text on a screen of its own."""

    def __init__(self, pages: Pages, is_near: bool, is_journal: bool) -> None:
        super().__init__()
        self.tones = tones(self.theme_variables)
        self._pages = pages
        self._how = is_near, is_journal
        self.heard: list[str] = []

    def compose(self) -> ComposeResult:
        yield LogView("Text", *self._how)

    async def on_mount(self) -> None:
        view = self.query_one(LogView)
        view.styles.height = "1fr"
        if self._how[0]:
            view.open_now(self._pages)
        else:
            await view.open(self._pages)
        view.focus()

    def on_failed(self, message: Failed) -> None:
        self.heard.append(message.words)

    def on_open_run(self, message: OpenRun) -> None:
        self.heard.append(message.run_id)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle_in(monkeypatch, tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "scheduler.log"
    found.touch()
    return found


def read(file: Path | Pages, steps: Reading, is_near: bool = True, is_journal: bool = True) -> None:
    """Open a text of 20 rows, 19 of them lines, and do these steps."""
    pages = _JournalPages(str(file)) if isinstance(file, Path) else file

    async def with_the_view(view: View) -> None:
        await steps(view.app.query_one(LogView), view)

    fly(Reader(pages, is_near, is_journal), with_the_view, (80, 20))
    pages.close()


def finished(number: int, outcome: str = "succeeded") -> bytes:
    fields = {"job": f"job-{number}", "run_id": f"job-{number}/20261122T120000Z", "outcome": outcome, "exit": 0}
    return encode(Entry("run_finished", {**fields, "duration_s": 1.0}, NOON), number, FIRST_PREV)


def ticks(count: int) -> list[bytes]:
    return [encode(Entry("tick", {"next": {}}, NOON), number, FIRST_PREV) for number in range(count)]


def write(file: Path, *lines: bytes) -> None:
    with file.open("ab") as target:
        target.write(b"".join(line + b"\n" for line in lines))


def runs(first: int, count: int) -> list[bytes]:
    return [finished(number) for number in range(first, first + count)]


@cache
def long_journal() -> bytes:
    """More than 5 MB; three of its lines tell of errors."""
    lines = [finished(number, "failed" if number in ERRORS else "succeeded") for number in range(LONG)]
    return b"".join(line + b"\n" for line in lines)


@pytest.fixture
def long_file(file: Path) -> Path:
    file.write_bytes(long_journal())
    return file


def chosen(log: LogView) -> str:
    """The line under the cursor."""
    line = log.line_at_cursor()
    return line.content.decode() if line else ""


# Following


def test_it_opens_at_the_end_and_follows(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.shown("Text ─ following", "job-99 succeeded")

    read(file, steps)


def test_what_is_written_appears_and_the_screen_moves_with_it(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        write(file, *runs(100, 5))
        await log.catch_up()
        await view.shown("job-104 succeeded")
        assert "job-104" in view.rows()[-1]

    read(file, steps)


def test_a_line_is_shown_when_it_is_whole(file: Path):
    write(file, *runs(0, 3))

    async def steps(log: LogView, view: View) -> None:
        with file.open("ab") as target:
            target.write(finished(3)[:40])
        await log.catch_up()
        before = view.text
        with file.open("ab") as target:
            target.write(finished(3)[40:] + b"\n")
        await log.catch_up()
        await view.shown("job-3 succeeded")
        assert "not an entry" not in before + view.text

    read(file, steps)


def test_the_unfinished_last_line_of_an_output_is_shown(tmp_path: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.shown("Proceed? [y/N]")

    read(output(tmp_path, b"begin\nProceed? [y/N] "), steps, is_journal=False)


def test_a_text_that_is_not_there_yet_is_followed_when_it_comes(tmp_path: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.shown("nothing written yet")
        write(tmp_path / "later.log", *runs(0, 1))
        await log.catch_up()
        await view.shown("job-0 succeeded")

    read(tmp_path / "later.log", steps)


def test_heartbeats_in_a_row_are_one_line_with_their_number(file: Path):
    write(file, *ticks(512), *runs(0, 1))

    async def steps(log: LogView, view: View) -> None:
        await view.shown("512 ticks")

    read(file, steps)


def test_a_heartbeat_more_is_counted_in_the_line_that_is_there(file: Path):
    write(file, *runs(0, 1), *ticks(3))

    async def steps(log: LogView, view: View) -> None:
        write(file, *ticks(1))
        await log.catch_up()
        await view.shown("4 ticks")

    read(file, steps)


def test_a_follower_who_is_megabytes_behind_goes_straight_to_the_end(file: Path):
    write(file, *runs(0, 3))

    async def steps(log: LogView, view: View) -> None:
        with file.open("ab") as target:
            target.write(long_journal())
        await log.catch_up()
        await view.shown(f"job-{LONG - 1} succeeded")
        assert len(log.roll.window.lines) < 2000

    read(file, steps)


# A reader is never moved


def test_who_scrolls_up_is_told_that_it_is_paused(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.press("up")
        await view.shown("Text ─ paused")

    read(file, steps)


def test_what_is_new_is_counted_and_moves_nobody(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.press("pageup", "pageup")
        before = view.rows()[1:]
        write(file, *runs(100, 12))
        await log.catch_up()
        await view.shown("paused, 12 new")
        assert [row[:-1] for row in view.rows()[1:]] == [row[:-1] for row in before]

    read(file, steps)


def test_a_reader_is_not_moved_by_more_than_the_window_holds(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.press("g")
        await view.shown("job-0 succeeded")
        before = view.rows()[1:]
        write(long_file, *runs(LONG, 25_000))
        await log.catch_up()
        await view.shown("25000 new")
        assert [row[:-1] for row in view.rows()[1:]] == [row[:-1] for row in before]

    read(long_file, steps)


def test_only_new_lines_that_fit_the_filter_are_counted(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("job-1")
        await view.press("up")
        write(file, *runs(110, 5), *runs(200, 7))
        await log.catch_up()
        await view.shown("paused, 5 new")

    read(file, steps)


@pytest.mark.parametrize("key", ["G", "end"])
def test_a_key_takes_the_reader_back_to_the_end(file: Path, key: str):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.press("pageup")
        write(file, *runs(100, 3))
        await log.catch_up()
        await view.shown("3 new")
        await view.press(key)
        await view.shown("Text ─ following", "job-102")

    read(file, steps)


@pytest.mark.parametrize("key", ["down", "j", "pagedown", "space"])
def test_who_reads_to_the_very_end_follows_again(file: Path, key: str):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.press("up")
        await view.shown("paused")
        await view.press(key)
        await view.shown("following")

    read(file, steps)


def test_the_wheel_scrolls_up_and_down_again(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.pilot._post_mouse_events([_wheel("up")], LogView, (5, 5))
        await view.shown("paused", "job-80 ")
        await view.pilot._post_mouse_events([_wheel("down")], LogView, (5, 5))
        await view.shown("following", "job-99 ")

    read(file, steps)


def _wheel(direction: str):
    from textual import events

    return events.MouseScrollUp if direction == "up" else events.MouseScrollDown


def test_a_click_puts_the_cursor_on_a_line(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.pilot.click(LogView, (5, 1))
        assert "job-81" in chosen(log)
        await view.shown("paused")

    read(file, steps)


def test_a_click_on_the_last_line_goes_on_following(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.pilot.click(LogView, (5, 19))
        assert log.roll.following

    read(file, steps)


# All of it


def test_the_beginning_of_a_long_file_is_one_key_away(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.press("g")
        await view.shown("job-0 succeeded", "0 % of")

    read(long_file, steps)


def test_all_of_a_long_file_is_reached_by_scrolling_back(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        seen: set[int] = set()
        number = LONG
        while number > 0:
            before = number
            for line in log.roll.window.lines[log.roll.top : log.roll.top + 19]:
                seen.add(int(line.content.split(b'"job":"job-')[1].split(b'"')[0]))
            log.action_page(-1)
            await log.roll.look_around()
            number = min(seen)
            assert number < before or number == 0
        assert seen == set(range(LONG))

    read(long_file, steps)


def test_a_reader_at_the_beginning_reads_on_to_the_end(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.press("g")
        await view.shown("job-0 succeeded")
        while not log.roll.following:
            log.roll.cursor = log.roll.top = log.roll.count - 19
            log.action_page(1)
            await log.roll.look_around()
        await view.shown(f"job-{LONG - 1} succeeded")

    read(long_file, steps)


def test_memory_is_bounded_however_far_one_reads(long_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tui.pages.MOST_BYTES", 400_000)

    async def steps(log: LogView, view: View) -> None:
        for _ in range(30):
            log.roll.cursor = log.roll.top = 0
            await log.roll.look_around()
        assert log.roll.window._bytes <= 400_000
        assert log.roll.window.start > 0

    read(long_file, steps)


def test_a_line_of_two_megabytes_is_shown_clipped_and_passed(file: Path):
    write(file, *runs(0, 3), b"x" * 2_000_000, *runs(3, 3))

    async def steps(log: LogView, view: View) -> None:
        await view.press("g")
        await view.shown("job-0 succeeded", "not an entry")
        log.raw = True
        await view.shown("xxxxxxxx")
        await view.press("pagedown", "pagedown")
        await view.shown('"job-5"', "following")

    read(file, steps)


def test_long_lines_are_read_by_going_sideways(file: Path):
    write(file, b"a" * 70 + b"b" * 70)

    async def steps(log: LogView, view: View) -> None:
        log.raw = True
        await view.gone("bbbbbbbbbbbb")
        await view.press("right", "right", "right", "right")
        await view.shown("b" * 41)
        await view.press("left", "left", "left", "left", "left")
        await view.gone("bbbbbbbbbbbb")

    read(file, steps)


def test_the_bar_shows_where_in_the_file_the_screen_is(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        assert view.rows()[19].endswith("█")
        await view.press("g")
        await view.shown("job-0 succeeded")
        assert view.rows()[1].endswith("█")

    read(long_file, steps)


# Filters


def test_a_filter_shows_only_lines_that_fit_from_all_of_the_file(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await log.set_filter('"job-1500')
        await view.shown("only", "job-15000 failed", "job-15009", "job-1500 succeeded")
        assert len(log.roll.window.lines) == 11

    read(long_file, steps)


def test_a_filter_may_be_a_regular_expression(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await log.set_filter(r"/job-2999[78]\W/")
        await view.shown("job-29997 ", "job-29998 ")
        assert "job-29999" not in view.text

    read(long_file, steps)


def test_an_inverted_filter_shows_the_others(file: Path):
    write(file, *ticks(3), *runs(0, 3), *ticks(3))

    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("!tick")
        await view.shown("job-0", "job-2")
        assert "3 ticks" not in view.text

    read(file, steps)


def test_a_filtered_text_is_read_from_its_beginning_as_far_as_the_screen_needs(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("failed")
        await view.press("g")
        await view.shown("paused", "job-100 failed", "job-15000 failed", "job-15001 failed")

    read(long_file, steps)


def test_a_filter_that_nothing_fits_says_so(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("no such words")
        await view.shown("no line fits the filter")

    read(long_file, steps)


def test_a_filtered_text_is_followed_too(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("job-2")
        write(file, *runs(199, 2))
        await log.catch_up()
        await view.shown("job-200 succeeded")
        assert "job-199" not in view.text

    read(file, steps)


def test_a_filter_taken_back_shows_all_again(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("job-7")
        await log.set_filter("")
        await view.shown("Text ─ following", "job-99")

    read(file, steps)


def test_a_filter_that_is_no_expression_changes_nothing(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        with pytest.raises(ValueError, match="not a regular expression"):
            await log.set_filter("/(/")
        await view.shown("Text ─ following", "job-99")

    read(file, steps)


# Errors


def test_the_error_before_is_found_however_far_away_it_is(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        found = []
        for _ in ERRORS:
            await log.seek_error(-1)
            found.append(chosen(log).split('"')[11])
        assert found == ["job-15001", "job-15000", "job-100"]
        await view.shown("job-100 failed", "paused")

    read(long_file, steps)


def test_the_next_error_is_found_however_far_away_it_is(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.press("g")
        await view.shown("job-0 succeeded")
        found = []
        for _ in ERRORS:
            await log.seek_error(1)
            found.append(chosen(log).split('"')[11])
        assert found == ["job-100", "job-15000", "job-15001"]

    read(long_file, steps)


@pytest.mark.parametrize(("direction", "said"), [(1, "no error after this line"), (-1, "no error before this line")])
def test_where_there_is_no_error_it_is_said_and_the_cursor_stays(file: Path, direction: int, said: str):
    write(file, *runs(0, 5))

    async def steps(log: LogView, view: View) -> None:
        before = chosen(log)
        await log.seek_error(direction)
        await view.until(lambda: view.app.heard == [said])  # type: ignore[attr-defined]
        assert (chosen(log), log.roll.following) == (before, True)

    read(file, steps)


def test_with_a_filter_the_next_error_is_one_that_fits_however_far_away_it_is(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        await log.set_filter("00")
        await log.seek_error(-1)
        first = chosen(log)
        await log.seek_error(-1)
        assert ("job-15001" in first, "job-15000" in chosen(log)) == (True, True)
        await log.seek_error(-1)
        assert "job-100" in chosen(log)

    read(long_file, steps)


def test_an_error_of_an_output_is_a_line_that_says_so(tmp_path: Path):
    async def steps(log: LogView, view: View) -> None:
        await log.seek_error(-1)
        assert chosen(log) == "Fatal: no space left"

    read(output(tmp_path, b"begin\nFatal: no space left\n" + b"tidying up\n" * 50), steps, is_journal=False)


def test_a_search_for_errors_passes_a_torn_last_line(file: Path):
    file.write_bytes(b"".join(line + b"\n" for line in runs(0, 500)) + finished(500, "failed")[:-1] + b"x" * 60_000)

    async def steps(log: LogView, view: View) -> None:
        log.roll.cursor = 0
        await log.seek_error(1)
        await view.until(lambda: view.app.heard == ["no error after this line"])  # type: ignore[attr-defined]

    read(file, steps)


# Raw


def test_raw_lines_are_the_lines_of_the_file(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        log.raw = True
        await view.shown("following, raw", '{"ts":"2026-11-22T12:00:00.000Z","event":"run_finished"')

    read(file, steps)


def test_raw_heartbeats_are_not_folded(file: Path):
    write(file, *ticks(10))

    async def steps(log: LogView, view: View) -> None:
        log.raw = True
        await view.until(lambda: len(log.roll.window.lines) == 10)

    read(file, steps)


def test_raw_or_not_the_reader_stays_at_his_line(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        for _ in range(20):
            log.action_page(-1)
            await log.roll.look_around()
        before = chosen(log)
        log.raw = True
        await view.shown("raw", before[:60])
        await view.until(lambda: chosen(log) == before)
        assert not log.roll.following

    read(long_file, steps)


# Rotation and truncation


def test_a_file_that_is_replaced_is_followed_on_in_the_new_one(file: Path):
    write(file, *runs(0, 5))

    async def steps(log: LogView, view: View) -> None:
        file.rename(file.with_name("sealed"))
        write(file, *runs(5, 2))
        await log.catch_up()
        await view.shown("job-4 succeeded", REPLACED[:40], "job-6 succeeded")

    read(file, steps)


def test_what_was_written_to_a_file_before_it_was_replaced_is_not_lost(file: Path):
    write(file, *runs(0, 5))

    async def steps(log: LogView, view: View) -> None:
        write(file, *runs(5, 2))
        file.rename(file.with_name("sealed"))
        write(file, *runs(7, 2))
        await log.catch_up()
        await view.shown("job-5 ", "job-6 ", "job-7 ", "job-8 ")

    read(file, steps)


def test_the_pause_between_two_files_is_waited_out(file: Path):
    write(file, *runs(0, 5))

    async def steps(log: LogView, view: View) -> None:
        file.rename(file.with_name("sealed"))
        await log.catch_up()
        await view.shown("following", "job-4")
        write(file, *runs(5, 1))
        await log.catch_up()
        await view.shown("job-5 succeeded")

    read(file, steps)


def test_a_file_that_is_cut_is_followed_on_from_its_beginning(file: Path):
    write(file, *runs(0, 50))

    async def steps(log: LogView, view: View) -> None:
        file.write_bytes(b"")
        await log.catch_up()
        write(file, *runs(50, 2))
        await log.catch_up()
        await view.shown(CUT[:40], "job-51 succeeded")

    read(file, steps)


def test_a_reader_elsewhere_is_not_moved_by_a_new_file_and_its_lines_are_counted(file: Path):
    write(file, *runs(0, 50))

    async def steps(log: LogView, view: View) -> None:
        await view.press("pageup")
        before = [row[:70] for row in view.rows()[1:]]
        file.rename(file.with_name("sealed"))
        write(file, *runs(50, 7))
        await log.catch_up()
        await view.shown("paused, 7 new")
        assert [row[:70] for row in view.rows()[1:]] == before

    read(file, steps)


def test_a_reader_elsewhere_finds_the_new_file_at_the_end(file: Path):
    write(file, *runs(0, 50))

    async def steps(log: LogView, view: View) -> None:
        await view.press("pageup")
        file.rename(file.with_name("sealed"))
        write(file, *runs(50, 7))
        await log.catch_up()
        await view.press("G")
        await view.shown("following", "job-56 succeeded")

    read(file, steps)


def test_a_reader_elsewhere_survives_a_cut(file: Path):
    write(file, *runs(0, 50))

    async def steps(log: LogView, view: View) -> None:
        await view.press("pageup")
        file.write_bytes(b"".join(line + b"\n" for line in runs(50, 3)))
        await log.catch_up()
        await view.shown("paused, 3 new")
        await view.press("pageup", "pageup", "pageup")
        await view.press("G")
        await view.shown("following", "job-52 succeeded")

    read(file, steps)


def test_filtered_a_file_that_shrank_does_not_keep_it_looking_back_for_ever(long_file: Path):
    async def steps(log: LogView, view: View) -> None:
        os.truncate(long_file, 500)
        await asyncio.wait_for(log.set_filter("no such words"), 10)

    read(long_file, steps)


# Outputs with a middle that was cut out


def output(folder: Path, content: bytes, marks: str = "") -> _OutputPages:
    """A run's output, as its folder holds it."""
    paths = Paths(str(folder), PROJECT)
    run_id = "job/20261122T120000Z"
    log = Path(claim.file(paths, run_id, "log"))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(content)
    Path(claim.file(paths, run_id, "at")).write_text(marks)
    return _OutputPages(paths, run_id)


def cut_output(folder: Path) -> _OutputPages:
    """An output of 300 kB, of which bytes 10 kB to 200 kB are gone: both ends of the cut are inside lines."""
    whole = b"".join(b"number %06d\n" % number for number in range(300_000 // 14))
    words = b"\n[\xe2\x80\xa6 190000 bytes cut here \xe2\x80\xa6]\n"
    return output(folder, whole[:10_000] + words + whole[200_000:], f"cut 10000 200000 {len(words)}\n")


def test_an_output_is_read_on_over_what_was_cut_inside_a_line(tmp_path: Path):
    async def steps(log: LogView, view: View) -> None:
        await view.press("g")
        await view.shown("number 000000")
        for _ in range(20):
            log.roll.cursor = log.roll.top = max(0, log.roll.count - 19)
            await log.roll.look_around()
        held = [line.content for line in log.roll.window.lines]
        assert ("[… 190000 bytes cut here …]".encode() in held, held[-1]) == (True, b"number 021427")

    read(cut_output(tmp_path), steps, is_journal=False)


def test_an_output_is_read_back_over_what_was_cut_inside_a_line(tmp_path: Path):
    async def steps(log: LogView, view: View) -> None:
        for _ in range(20):
            log.roll.cursor = log.roll.top = 0
            await log.roll.look_around()
        held = [line.content for line in log.roll.window.lines]
        assert (held.count("[… 190000 bytes cut here …]".encode()), held[0]) == (1, b"number 000000")
        assert len(held) == 715 + 1 + 7143  # lines before the cut, its words, lines after it; ends count

    read(cut_output(tmp_path), steps, is_journal=False)


# Trouble


class Wounded:
    """Pages that cannot be read, until they can."""

    def __init__(self) -> None:
        self.is_well = False

    def read(self, start: int, limit: int) -> Piece:
        if not self.is_well:
            raise JournalError("scheduler.log: cannot be read: Permission denied")
        content = (finished(1) + b"\n")[start : start + limit]
        return Piece(content, start, start + len(content), len(finished(1)) + 1)

    def turn(self, place: int) -> str:
        return ""

    def close(self) -> None:
        pass


@pytest.mark.parametrize("is_near", [True, False])
def test_a_text_that_cannot_be_read_says_so_and_is_tried_again(is_near: bool):
    pages = Wounded()

    async def steps(log: LogView, view: View) -> None:
        await view.shown("Permission denied")
        pages.is_well = True
        await log.catch_up()
        await view.shown("job-1 succeeded")
        assert "Permission denied" not in view.text

    read(pages, steps, is_near)


# Opening


def test_enter_opens_the_run_that_the_line_is_about(file: Path):
    write(file, *runs(0, 5))

    async def steps(log: LogView, view: View) -> None:
        await view.press("up", "enter")
        await view.until(lambda: view.app.heard == ["job-3/20261122T120000Z"])  # type: ignore[attr-defined]

    read(file, steps)


def test_a_far_text_is_followed_as_a_near_one_is(file: Path):
    write(file, *runs(0, 100))

    async def steps(log: LogView, view: View) -> None:
        await view.shown("job-99 succeeded")
        write(file, *runs(100, 1))
        await log.catch_up()
        await view.shown("job-100 succeeded")

    read(file, steps, is_near=False)


def test_a_line_of_ours_is_told_from_a_line_of_the_file_that_looks_like_it(file: Path):
    write(file, REPLACED.encode())

    async def steps(log: LogView, view: View) -> None:
        assert log._spans(log.roll.window.lines[0])[0] == Span("⁇ not an entry  ", "bad")

    read(file, steps)
