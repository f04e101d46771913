"""What a user makes it do: by key, mouse, palette and arguments; and what it does where there is no terminal.

The door is fake and writes down what it is told, so that nothing a test presses can start or stop anything.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automations import clock, pause
from automations.errors import Exit
from tests.conftest import free_port
from tests.pilots import DOOR, ONE_JOB, Site, View, a_day, begin_run, called, record, settle_in, site_in
from tui import __main__ as program
from tui import help as help_window
from tui import plain, settings
from tui.app import THEMES, Dashboard
from tui.runs import Run
from tui.settings import Settings
from tui.source import Local
from tui.widgets.jobs import JobTable


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle_in(monkeypatch, tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A home with a day of history, alive."""
    with site_in(tmp_path, a_day()) as made:
        yield made


@pytest.fixture
def down(tmp_path: Path) -> Iterator[Site]:
    """A home with a day of history, whose scheduler does not run."""
    with site_in(tmp_path, a_day(), alive=False) as made:
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    """A home with a job file and nothing else."""
    with site_in(tmp_path, alive=False) as made:
        Path(made.paths.config).write_text(ONE_JOB)
        yield made


# Control


def test_s_starts(site: Site):
    async def steps(view: View) -> None:
        await view.press("s")
        await called(view, site, "start")
        await view.shown("Scheduler started, pid 4711")

    site.fly(steps)


@pytest.mark.parametrize(
    ("key", "question", "word"), [("x", "Stop the scheduler?", "stop"), ("R", "Restart", "restart")]
)
def test_stop_and_restart_ask_and_y_does_it(site: Site, key: str, question: str, word: str):
    async def steps(view: View) -> None:
        await view.press(key)
        await view.shown(question)
        assert site.calls() == []
        await view.press("y")
        await called(view, site, word)

    site.fly(steps)


@pytest.mark.parametrize("answer", ["n", "escape", "enter"])
def test_any_other_answer_stops_nothing(site: Site, answer: str):
    async def steps(view: View) -> None:
        await view.press("x")
        await view.shown("Stop the scheduler?")
        await view.press(answer)
        await view.gone("Stop the scheduler?")
        await view.press("s")
        await called(view, site, "start")

    site.fly(steps)


def test_stop_tells_how_many_runs_will_be_told_to_end(site: Site):
    begin_run(site)

    async def steps(view: View) -> None:
        await view.until(lambda: "▶" in view.row_of("backup"))
        await view.press("x")
        await view.shown("1 run under")

    site.fly(steps)


def test_r_runs_the_job_under_the_cursor(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("down", "r")
        await called(view, site, "run --detach -- report")
        await view.shown("Run started: brief/20261122T080000.000Z")

    site.fly(steps)


@pytest.mark.parametrize(
    ("end", "note", "words"),
    [
        ("2h", "away", "--for=2h --note=away"),
        ("2026-11-25T08:00", "", "--until=2026-11-25T08:00"),
        ("", "", ""),
    ],
)
def test_p_pauses_with_an_end_and_a_note(site: Site, end: str, note: str, words: str):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("p")
        await view.shown("Pause brief", "For how long?")
        await view.type(end)
        await view.press("enter")
        await view.type(note)
        await view.press("enter")
        await called(view, site, " ".join(f"pause --json {words} -- brief".split()))
        await view.shown("brief paused")

    site.fly(steps)


def test_a_pause_may_be_thought_better_of(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("p")
        await view.shown("Pause brief")
        await view.press("escape")
        await view.gone("Pause brief")
        assert site.calls() == []

    site.fly(steps)


def test_p_resumes_a_paused_job(site: Site):
    pause.pause(site.paths, "brief", clock.read().utc, None, "")

    async def steps(view: View) -> None:
        await view.shown("‖ paused")
        await view.press("p")
        await called(view, site, "resume --json -- brief")
        await view.shown("brief resumed")

    site.fly(steps)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("""echo '{"ok":false,"error":"the disk is full"}'; exit 74""", "start: the disk is full"),
        ("echo 'sh: oops' >&2; exit 127", "did not answer in JSON: sh: oops"),
    ],
)
def test_what_fails_is_said(site: Site, script: str, said: str):
    site.door(script)

    async def steps(view: View) -> None:
        await view.press("s")
        await view.shown(said)

    site.fly(steps)


def test_what_is_under_way_is_told_and_the_screen_goes_on(site: Site, tmp_path: Path):
    os.mkfifo(tmp_path / "gate")
    site.door(f"read -r _ <{tmp_path}/gate\n{DOOR}")

    async def steps(view: View) -> None:
        await view.press("s")
        await view.shown("◌ start: under way")
        record(site, "error", message="still looking")
        await view.shown("still looking")
        (tmp_path / "gate").write_text("go\n")
        await view.shown("Scheduler started")
        await view.gone("under way")

    site.fly(steps)


# The mouse


def test_a_click_in_the_footer_is_the_key(site: Site):
    async def steps(view: View) -> None:
        await view.shown("s Start")
        await view.pilot.click(offset=(2, 41))
        await called(view, site, "start")

    site.fly(steps)


def test_a_click_puts_the_cursor_on_a_job(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Last runs")
        table = view.app.screen.query_one(JobTable)
        await view.pilot.click(offset=(3, view.rows().index(view.row_of("sync-mail"))))
        await view.until(lambda: table.chosen == "sync-mail")

    site.fly(steps)


@pytest.mark.parametrize(("button", "words"), [("#yes", ["stop"]), ("#no", [])])
def test_a_click_on_a_button_answers(site: Site, button: str, words: list[str]):
    async def steps(view: View) -> None:
        await view.press("x")
        await view.shown("Stop the scheduler?")
        await view.pilot.click(button)
        await view.gone("Stop the scheduler?")
        await called(view, site, *words)

    site.fly(steps)


# The palette


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("Run backup", "run --detach -- backup"),
        ("Pause sync", "pause --json -- sync-mail"),
        ("Start", "start"),
    ],
)
def test_the_palette_does_it_by_name(site: Site, typed: str, words: str):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await palette(view, typed)
        await called(view, site, words)

    site.fly(steps)


async def palette(view: View, typed: str) -> None:
    """Choose the first of what the palette finds for these words."""
    await view.press("ctrl+p")
    await view.until(lambda: type(view.app.screen).__name__ == "CommandPalette")
    await view.type(typed)
    await view.until(lambda: typed.split()[-1] in view.text.partition(typed)[2], f"{typed} not found")
    await view.press("enter")


def test_the_palette_knows_all_that_the_keys_of_the_screen_do(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        offered = {command.title for command in view.app.get_system_commands(view.app.screen)}
        keys = {"Start", "Stop", "Restart", "Run", "Pause", "Why", "Runs", "Filter", "Follow", "Raw", "Sort", "Zoom"}
        assert keys | {"Theme", "Help", "Copy line", "Next error", "Error before", "Why brief", "Run brief"} <= offered

    site.fly(steps)


# Help


def test_the_help_window_tells_every_key_and_every_mark(site: Site):
    async def steps(view: View) -> None:
        await view.press("question_mark")
        await view.shown("Help", "start the scheduler", "Control", "Look", "Lines")
        await view.press("escape")
        await view.gone("start the scheduler")

    site.fly(steps, (140, 60))


def test_every_key_of_every_screen_is_in_the_help_window():
    from tui.dashboard import Main
    from tui.runs import Runs

    told = " ".join(key for _, keys in help_window.KEYS for key, _ in keys)
    told += " ".join(said for _, keys in help_window.KEYS for _, said in keys)
    names = {"slash": "/", "question_mark": "?", "escape": "esc"}
    bindings = [binding for screen in (Main, Run, Runs, Dashboard) for binding in screen.BINDINGS]
    keys = {names.get(key, key) for binding in bindings for key in binding.key.split(",")}
    assert {key for key in keys if key not in told} <= {"ctrl+c", "?"}


# Themes, settings, readonly


def test_t_goes_through_the_themes_and_the_last_one_is_remembered(site: Site):
    async def steps(view: View) -> None:
        for theme in (*THEMES[1:], THEMES[0], THEMES[1]):
            await view.press("t")
            await view.until(lambda theme=theme: view.app.theme == theme)
        await view.shown(f"Theme: {THEMES[1]}")

    site.fly(steps)
    assert settings.load().theme == THEMES[1]


def test_sort_raw_and_zoom_are_remembered(site: Site):
    async def change(view: View) -> None:
        await view.press("o", "v", "z")
        await view.shown("by name", "raw", "7 d  9")

    async def find(view: View) -> None:
        await view.shown("by name", "raw", "7 d  9")

    site.fly(change)
    site.fly(find)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"theme":7}', '{"theme":"none","sort":"none","raw":true}', "\x00"])
def test_settings_that_are_none_are_no_trouble(site: Site, tmp_path: Path, content: str):
    file = tmp_path / "config" / "echopilot-automations" / "tui.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)

    async def steps(view: View) -> None:
        await view.shown("● RUNNING")

    site.fly(steps)


def test_settings_that_cannot_be_written_are_no_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    settings.save(Settings(raw=True))
    assert settings.load() == Settings()


def test_readonly_controls_nothing(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        await view.press("s", "r", "x", "y", "R", "y", "p", "escape", "question_mark")
        await view.shown("start the scheduler")
        assert site.calls() == []

    site.fly(steps, readonly=True)


def test_readonly_offers_no_control_in_the_footer(site: Site):
    async def steps(view: View) -> None:
        await view.shown("h Runs")
        assert not [word for word in ("Start", "Stop", "Pause") if word in view.rows()[-1]]

    site.fly(steps, readonly=True)


def test_readonly_offers_no_control_in_the_palette(site: Site):
    async def steps(view: View) -> None:
        await view.shown("Jobs ─ 9")
        offered = {command.title for command in view.app.get_system_commands(view.app.screen)}
        assert not offered & {"Start", "Stop", "Restart", "Run", "Pause", "Run brief", "Pause brief"}
        assert "Why brief" in offered

    site.fly(steps, readonly=True)


# Leaving


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_a_key_leaves(site: Site, key: str):
    async def steps(view: View) -> None:
        await view.shown("● RUNNING")
        await view.press(key)
        await view.until(lambda: not view.app.is_running)
        assert view.app.return_code == Exit.OK

    site.fly(steps)


# Without a terminal


def shown_plain(site: Site, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = plain.show(Local(site.paths), clock.read().utc)
    return code, capsys.readouterr().out


def test_without_a_terminal_the_facts_are_text(site: Site, capsys: pytest.CaptureFixture[str]):
    code, said = shown_plain(site, capsys)
    assert code == Exit.OK
    assert all(word in said for word in ("● RUNNING", "report failed", "coverage of 24 h: 9", "asleep", "sync-mail"))


def _make_stopped(site: Site) -> None:
    Path(site.paths.want).write_text("down\n")


def _make_dead(site: Site) -> None:
    Path(site.paths.log("scheduler.pid")).write_text("1\n")


def _make_unreadable(site: Site) -> None:
    os.rename(site.paths.journal, site.paths.log("elsewhere"))
    os.symlink("elsewhere", site.paths.journal)


@pytest.mark.parametrize(
    ("make", "code", "sign"),
    [
        (_make_stopped, Exit.STOPPED, "○ STOPPED"),
        (_make_dead, Exit.FAILED, "✗ NO SIGNAL (dead)"),
        (_make_unreadable, Exit.FAILED, "✗ NO SIGNAL: "),
    ],
)
def test_as_text_every_state_has_its_sign_and_the_exit_code_of_status(
    down: Site, capsys: pytest.CaptureFixture[str], make: Callable[[Site], None], code: int, sign: str
):
    make(down)
    found, said = shown_plain(down, capsys)
    assert (found, sign in said) == (code, True)


def test_as_text_a_home_that_never_started_is_told_too(empty: Site, capsys: pytest.CaptureFixture[str]):
    code, said = shown_plain(empty, capsys)
    assert (code, "○ NEVER STARTED" in said) == (Exit.STOPPED, True)


def test_as_text_a_missing_server_is_no_signal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DASHBOARD_KEY", "a-key")
    code = program.main(["--url", f"127.0.0.1:{free_port()}"])
    assert (code, "✗ NO SIGNAL: no server answers" in capsys.readouterr().out) == (Exit.FAILED, True)


def test_home_chooses_whose_facts_are_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("AUTOMATIONS_HOME", "/nowhere")
    code = program.main(["--home", str(site.home)])
    assert (code, "sync-mail" in capsys.readouterr().out) == (Exit.OK, True)


def test_a_url_without_a_key_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str]):
    code = program.main(["--url", "http://127.0.0.1:5000"])
    assert code != Exit.OK
    assert "tui: no key for --url" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--home", "a", "--url", "b"], ["--what"]])
def test_arguments_that_make_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
