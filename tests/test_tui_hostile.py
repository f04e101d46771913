"""Two hundred hostile strings in every place that is foreign: nothing reaches the terminal raw, nothing crashes."""

import json
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from automations import clock
from automations.coverage import Cause, Coverage, Gap
from automations.history import Filters, Hit, Row
from automations.journal import FIRST_PREV, Entry, encode
from automations.output import Piece
from automations.overview import ConfigView, HostView, JobView, JournalView, Overview, PauseView
from automations.paths import Paths
from automations.promises import Promise, Promises, State
from automations.text import clean
from automations.verdict import Level, Verdict
from automations.vitals import State as Life
from automations.vitals import Vitals
from automations.why import Answer
from tests.hostile import LINES, STRINGS
from tests.machine import NOON
from tests.pilots import View, fly, settle_in
from tui import lines, plain
from tui.app import Dashboard
from tui.dialogs import Confirm, Why
from tui.pages import Pages
from tui.runs import RunTable
from tui.settings import Settings
from tui.source import Done
from tui.widgets.jobs import JobTable
from tui.widgets.log import LogView

NOW = clock.read().utc
SOON = clock.iso(NOW + timedelta(hours=1))
FORBIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format (bidi and invisible), surrogate, line and paragraph


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle_in(monkeypatch, tmp_path)


class Memory:
    """Pages of bytes that are held."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, start: int, limit: int) -> Piece:
        found = self._content[start : start + limit]
        return Piece(found, start, start + len(found), len(self._content))

    def turn(self, place: int) -> str:
        return ""

    def close(self) -> None:
        pass


class Evil:
    """Another machine's API that answers with whatever a text may be, wherever a text may stand."""

    title = "http://evil.example"
    paths: Paths | None = None

    def __init__(self, names: list[str], content: bytes = b"") -> None:
        self._names = names
        self._content = content

    def first(self) -> Overview | None:
        return None

    def reach(self) -> None: ...
    def record(self) -> None: ...

    def look(self) -> Overview:
        names = self._names
        return Overview(
            at=NOW,
            vitals=Vitals(Life.RUNNING, 7, NOW, NOW, "up", True, names[0]),
            verdict=Verdict(Level.BAD, " ".join(names)),
            coverage=self.week(),
            promises=Promises(NOW, 1, 1, 1, 1, 1, tuple(Promise(name, NOW, State.MISSED, name) for name in names)),
            jobs=tuple(map(_job, names)),
            config=ConfigView(names[0], tuple(names)),
            journal=JournalView(len(self._content)),
            host=HostView(),
        )

    def week(self) -> Coverage:
        began = NOW - timedelta(hours=20)
        gaps = [
            Gap(began + number * timedelta(minutes=5), began + timedelta(minutes=5 * number + 2), Cause.UNKNOWN, name)
            for number, name in enumerate(self._names)
        ]
        return Coverage(began, NOW, 1200, 800, tuple(gaps))

    def why(self, job: str, at: object) -> Answer:
        return Answer(job, None, job, tuple({"event": name, "seq": name, name: name} for name in self._names))

    def runs(self, filters: Filters) -> list[Row]:
        return [_row(name) for name in self._names]

    def run(self, run_id: str) -> Row:
        return _row(run_id)

    def search(self, filters: Filters) -> list[Hit]:
        return [Hit(_row(name), f"\x02{name}\x03") for name in self._names]

    def journal(self) -> Pages:
        return Memory(self._content)

    def output(self, run_id: str) -> Pages:
        return Memory(self._content)

    def command(self, *words: str) -> Done:
        return Done(False, " ".join(self._names[:60]))


def _row(name: str) -> Row:
    return Row(name, name, name, name, 1, name, name, name, 1, 1.0, 1, name, 2, name, 1)


def _job(name: str) -> JobView:
    paused = PauseView(name, name, name) if len(name) % 2 else None
    running = (name,) if len(name) % 3 == 0 else ()
    return JobView(name, name, name, name, name, True, name, SOON, paused, running, _row(name), (1.0, 2.0))


def entry_of(text: str) -> bytes:
    """An entry as hostile as the journal's own writer lets it be, or as another program would write it."""
    found = {"ts": text, "event": "run_finished", "job": text, "outcome": text, "reason": text, "run_id": text}
    return json.dumps(found).encode()


def foreign(view: View) -> set[str]:
    """Characters on screen that a terminal might obey."""
    strips = view.app.screen._compositor.render_strips()
    text = "".join(segment.text for strip in strips for segment in strip)
    return {char for char in text if unicodedata.category(char) in FORBIDDEN}


def visit(source: Evil, steps: Callable) -> None:
    fly(Dashboard(source, Settings()), steps)


def journal_of(made: Callable[[int], bytes]) -> bytes:
    return b"".join(made(number) + b"\n" for number in range(len(LINES)))


# The rule


def test_there_are_two_hundred_of_them():
    assert len(set(STRINGS)) >= 200


def test_a_cleaned_string_has_nothing_in_it_that_a_terminal_obeys():
    found = {text: {char for char in clean(text) if unicodedata.category(char) in FORBIDDEN} for text in STRINGS}
    assert {text: chars for text, chars in found.items() if chars} == {}


def test_a_hostile_line_is_told_and_bounded():
    told = [sum(len(span.text) for span in lines.entry(line) + lines.raw(line)) for line in LINES]
    assert max(told) < 16 * 4096


def test_a_hostile_entry_is_told_in_one_form_or_another():
    assert all(lines.entry(entry_of(text)) for text in STRINGS)


# On screen


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "people"])
def test_hostile_lines_of_the_journal_reach_the_screen_clean(raw: bool):
    async def steps(view: View) -> None:
        log = view.app.screen.query_one(LogView)
        log.focus()
        await view.shown("Journal ─ following")
        log.raw = raw
        await view.press("g")
        await view.shown("0 % of")
        seen = 0
        while not log.roll.following:
            assert foreign(view) == set()
            seen += 1
            await view.press("pagedown")
        assert seen > 5

    visit(Evil(["a"], b"\n".join(LINES) + b"\n"), steps)


def test_hostile_fields_of_entries_reach_the_screen_clean():
    async def steps(view: View) -> None:
        log = view.app.screen.query_one(LogView)
        log.focus()
        await view.press("g")
        await view.shown("0 % of")
        while not log.roll.following:
            assert foreign(view) == set()
            await view.press("pagedown")

    visit(Evil(["a"], b"".join(entry_of(text) + b"\n" for text in STRINGS)), steps)


def test_hostile_jobs_reach_the_screen_clean():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING", f"Jobs ─ {len(STRINGS)}")
        table = view.app.screen.query_one(JobTable)
        for number in range(0, len(STRINGS), 9):
            table.move_cursor(row=number)
            await view.pilot.pause()
            assert foreign(view) == set()

    visit(Evil(STRINGS), steps)


def test_hostile_gaps_reach_the_strip_clean():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press("shift+tab")
        for _ in STRINGS[::8]:
            await view.press("left_square_bracket")
            assert foreign(view) == set()

    visit(Evil(STRINGS[::8]), steps)


@pytest.mark.parametrize("search", [False, True], ids=["list", "search"])
def test_hostile_runs_reach_the_screen_clean(search: bool):
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press("h")
        await view.shown("all jobs ─ any outcome")
        if search:
            await view.press("slash", "x", "enter")
            await view.shown("“x” in the output")
        table = view.app.screen.query_one(RunTable)
        await view.until(lambda: len(table.rows_shown) == len(STRINGS))
        for _ in range(10):
            await view.press("pagedown")
            assert foreign(view) == set()

    visit(Evil(STRINGS), steps)


def test_a_run_of_a_hostile_name_opens_with_its_hostile_output():
    name = "[/x]\x1b[31m\u202e" + STRINGS[3]

    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press("h")
        await view.shown("[/x]")
        await view.press("enter")
        await view.shown("Output ─ following", "attempt 1")
        await view.press("g")
        for _ in range(20):
            assert foreign(view) == set()
            await view.press("pagedown")
        await view.press("x", "w")
        await view.shown("Why")
        assert foreign(view) == set()

    visit(Evil([name], b"\n".join(LINES) + b"\n"), steps)


def test_a_hostile_answer_to_why_is_shown_clean():
    async def steps(view: View) -> None:
        view.app.push_screen(Why(view.app.source.why(" ".join(STRINGS), None)))
        await view.shown("Why")
        for _ in range(12):
            assert foreign(view) == set()
            await view.press("pagedown")

    visit(Evil(STRINGS[::4]), steps)


def test_a_hostile_name_in_a_question_is_asked_clean():
    async def steps(view: View) -> None:
        for text in STRINGS[::40]:
            view.app.push_screen(Confirm(f"Stop {text}?", text, "Stop"))
            await view.pilot.pause()
            assert foreign(view) == set()
            await view.press("escape")

    visit(Evil(["a"]), steps)


def test_a_hostile_name_is_asked_about_before_it_is_paused():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press("p")
        await view.shown("For how long?", "Pause [/x]")
        assert foreign(view) == set()

    visit(Evil(["[/x]\x1b]0;t\x07\u202ez"]), steps)


def test_hostile_words_of_the_other_side_are_notified_clean():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        for text in STRINGS[::9]:
            view.app.notify(text)
            await view.pilot.pause()
            assert foreign(view) == set(), repr(text)
            view.app.clear_notifications()
        await view.press("s")
        await view.pilot.pause()
        assert foreign(view) == set()

    visit(Evil(STRINGS), steps)


def test_hostile_names_in_the_palette_are_found_and_shown_clean():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press("ctrl+p")
        await view.until(lambda: type(view.app.screen).__name__ == "CommandPalette")
        await view.type("Why")
        await view.shown("why did it run")
        for _ in range(12):
            await view.press("pagedown")
            assert foreign(view) == set()

    visit(Evil(STRINGS), steps)


def test_two_jobs_of_one_name_break_nothing():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING", "twin")
        await view.press("h")
        await view.shown("any outcome", "twin")

    visit(Evil(["twin", "twin", "other"]), steps)


def test_a_name_of_two_megabytes_breaks_nothing():
    async def steps(view: View) -> None:
        await view.shown("● RUNNING", "xxxxxxxx")
        assert foreign(view) == set()

    visit(Evil(["x" * 2_000_000, "\x1b[31m" * 400_000]), steps)


def test_as_plain_text_hostile_strings_are_clean_too(capsys: pytest.CaptureFixture[str]):
    content = b"".join(encode(Entry("error", {"message": text}, NOON), 1, FIRST_PREV) + b"\n" for text in STRINGS[-9:])
    plain.show(Evil(STRINGS, content), NOW)
    said = capsys.readouterr().out.replace("\n", "")
    assert {char for char in said if unicodedata.category(char) in FORBIDDEN} == set()
