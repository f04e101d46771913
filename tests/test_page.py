"""The page in a real Chromium, against a real server and a real scheduler in a home of their own: its control.

What the user sees must be what the API says; what the browser would refuse or complain of fails the test.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browsing import (
    KEY,
    Server,
    Visit,
    button,
    chromium,
    enter,
    fits,
    give_key,
    press,
    said,
    serving,
    value_of,
    visiting,
)
from tests.conftest import until

RUN_ID = re.compile(r"Run started: (\S+)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), KEY) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    with visiting(browser, server.origin) as visit:
        yield visit


@pytest.fixture
def context(visit: Visit) -> BrowserContext:
    return visit.page.context


@pytest.fixture
def page(visit: Visit) -> Page:
    """A tab in which the key was given."""
    enter(visit.page)
    return visit.page


@pytest.fixture
def running(server: Server) -> int:
    """The scheduler is up; its pid."""
    pid: int = server.ask("POST", "start")["pid"]
    return pid


@pytest.fixture
def stopped(server: Server) -> None:
    server.ask("POST", "stop")


# The key


def test_the_key_is_asked_first_and_nothing_is_asked_of_the_api_before(visit: Visit) -> None:
    visit.page.goto("/")
    expect(visit.page.get_by_label("Key", exact=True)).to_be_focused()
    expect(visit.page.get_by_label("Key", exact=True)).to_have_attribute("type", "password")
    expect(button(visit.page, "Start")).to_be_hidden()
    assert [url for url in visit.asked if "/api" in url] == []


def test_the_key_is_kept_for_this_tab_and_not_for_another(page: Page, context: BrowserContext) -> None:
    page.reload()
    expect(said(page)).to_contain_text("Status at")
    other = context.new_page()
    other.goto("/")
    expect(other.get_by_label("Key", exact=True)).to_be_visible()
    assert KEY not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location")


def test_a_wrong_key_is_said_to_be_wrong_and_asked_again(visit: Visit) -> None:
    visit.page.goto("/")
    give_key(visit.page, "not the key")
    expect(said(visit.page)).to_have_text("Failed: the key in X-Dash-Key is wrong; enter it again.")
    expect(visit.page.get_by_label("Key", exact=True)).to_be_focused()
    give_key(visit.page, KEY)
    expect(button(visit.page, "Start")).to_be_visible()


def test_a_key_that_is_changed_on_the_server_is_asked_again(page: Page) -> None:
    page.evaluate("key = 'the old one'")
    press(page, "Status")
    expect(said(page)).to_contain_text("is wrong; enter it again")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    expect(button(page, "Start")).to_be_hidden()


def test_a_server_without_a_key_is_shown_as_closed(context: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path, "") as closed:
        page = context.new_page()
        page.goto(closed.origin)
        give_key(page, "any")
        expect(said(page)).to_have_text(f"Failed: {closed.ask('GET', 'status')['error']}")
        expect(said(page)).to_contain_text("no key configured")


def test_a_forgotten_key_is_gone_with_all_that_it_opened(page: Page) -> None:
    press(page, "Forget key")
    expect(said(page)).to_have_text("Key forgotten.")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    expect(value_of(page, "last_activity")).to_have_text(re.compile(r"unknown\s*"))
    assert KEY not in page.evaluate("JSON.stringify(sessionStorage)")
    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()


# Start, stop, status


def test_start_shows_running_and_the_pid_that_the_api_tells(stopped: None, page: Page, server: Server) -> None:
    expect(value_of(page, "running")).to_contain_text("○ STOPPED")
    expect(value_of(page, "pid")).to_have_text("none")
    press(page, "Start")
    expect(value_of(page, "running")).to_contain_text("● RUNNING")
    pid = server.status()["pid"]
    expect(value_of(page, "pid")).to_have_text(str(pid))
    expect(said(page)).to_have_text(f"Scheduler started, pid {pid}.")
    expect(page).to_have_title("● RUNNING – EchoPilot Automations")


def test_a_button_says_that_its_request_is_under_way_and_none_can_be_pressed(page: Page) -> None:
    held: list[Route] = []
    page.route("**/status", lambda route: held.append(route))
    press(page, "Status")
    waiting = button(page, "Asking…")
    expect(waiting).to_be_focused()
    for name in ("Asking…", "Start", "Stop", "Run now brief", "Run now selfheal", "Pause brief"):
        expect(button(page, name)).to_be_disabled()
    waiting.press("Enter")
    held[0].continue_()
    expect(button(page, "Status")).to_be_enabled()
    assert len(held) == 1


def test_stop_asks_and_without_a_yes_stops_nothing(running: int, page: Page, server: Server) -> None:
    for answer in ("Escape", "Enter"):  # Enter is pressed on what has the focus: Keep it
        press(page, "Stop")
        expect(page.get_by_role("dialog", name="Stop the scheduler?")).to_be_visible()
        page.keyboard.press(answer)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(button(page, "Stop")).to_be_focused()
    assert server.status()["pid"] == running


def test_stop_shows_stopped_once_it_is_confirmed(running: int, page: Page, server: Server) -> None:
    press(page, "Stop")
    press(page, "Stop it")
    expect(value_of(page, "running")).to_contain_text("○ STOPPED")
    expect(said(page)).to_have_text("Scheduler stopped.")
    assert not server.status()["running"]


def test_status_shows_what_changed_behind_the_page(stopped: None, page: Page, server: Server) -> None:
    expect(value_of(page, "running")).to_contain_text("○ STOPPED")
    pid = server.home.start()
    press(page, "Status")
    expect(value_of(page, "running")).to_contain_text("● RUNNING")
    expect(said(page)).to_have_text(re.compile(rf"Status at \d\d:\d\d:\d\d: RUNNING, pid {pid}\."))


def test_last_activity_is_the_api_s_time_with_its_age_in_words(visit: Visit, server: Server) -> None:
    server.home.door("run", "brief")
    visit.page.clock.install()
    enter(visit.page)
    activity = value_of(visit.page, "last_activity")
    expect(activity).to_contain_text(server.status()["last_activity"])
    expect(activity).to_have_text(re.compile(r"Z \d+ s ago$"))
    visit.page.clock.fast_forward("02:00:00")
    expect(activity).to_have_text(re.compile(r"Z 2 h( \d+ min)? ago$"))


# Auto-refresh


def test_auto_refresh_is_off_at_first_and_then_nothing_is_asked(visit: Visit) -> None:
    visit.page.clock.install()
    enter(visit.page)
    expect(visit.page.get_by_label("Auto-refresh status")).not_to_be_checked()
    visit.page.clock.run_for(60_000)
    press(visit.page, "Status")
    expect(button(visit.page, "Status")).to_be_enabled()
    assert visit.status_requests() == 2  # with the key, and just now


def test_auto_refresh_asks_every_ten_seconds_and_is_remembered(visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    enter(page)
    page.get_by_label("Auto-refresh status").check()
    before = visit.status_requests()
    for _ in range(2):
        with page.expect_response("**/status"):
            page.clock.run_for(10_000)
    assert visit.status_requests() == before + 2
    page.reload()
    expect(page.get_by_label("Auto-refresh status")).to_be_checked()
    expect(said(page)).to_contain_text("Status at")
    with page.expect_response("**/status"):
        page.clock.run_for(10_000)


def test_auto_refresh_says_that_the_server_went_and_came_back(visit: Visit, server: Server) -> None:
    page = visit.page
    page.clock.install()
    enter(page)
    page.get_by_label("Auto-refresh status").check()
    server.end()
    try:
        page.clock.run_for(10_000)
        expect(said(page)).to_contain_text("No server answers")
    finally:
        server.begin()
    page.clock.run_for(10_000)
    expect(said(page)).to_have_text(re.compile(r"Now (RUNNING, pid \d+|STOPPED|NEVER STARTED)\."))


# Runs


@pytest.mark.parametrize("job", ["brief", "selfheal"])
def test_a_run_button_shows_the_run_id_that_the_journal_has(job: str, page: Page, server: Server) -> None:
    press(page, f"Run now {job}")
    expect(said(page)).to_have_text(RUN_ID)
    (run_id,) = RUN_ID.findall(said(page).inner_text())
    assert run_id.startswith(f"{job}/")
    assert run_id in [entry["run_id"] for entry in server.home.entries("run_started")]
    until(lambda: run_id in [entry["run_id"] for entry in server.home.entries("run_finished")])


# What goes wrong


def test_a_refusal_is_told_in_the_api_s_own_words(page: Page, server: Server) -> None:
    jobs = (server.home.folder / "automations.toml").read_text()
    expect(button(page, "Run now brief")).to_be_visible()
    server.home.jobs("")
    try:
        press(page, "Run now brief")
        expect(said(page)).to_have_text(f"Failed: {server.ask('POST', 'jobs/brief/run')['error']}")
        expect(said(page)).to_contain_text("no job 'brief'")
    finally:
        server.home.jobs(jobs)


def test_what_the_api_says_is_shown_as_text_and_never_as_markup(page: Page) -> None:
    error = "<img src=x onerror=alert(1)><b>no</b>"
    page.route("**/start", lambda route: route.fulfill(status=500, json={"ok": False, "error": error}))
    press(page, "Start")
    expect(said(page)).to_have_text(f"Failed: {error}")
    assert page.locator("img, b").count() == 0


def test_an_answer_that_is_not_the_api_s_is_no_success(page: Page) -> None:
    page.route("**/start", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    press(page, "Start")
    expect(said(page)).to_have_text("Failed: HTTP 502, without a reason")


def test_a_server_that_is_gone_is_shown_beside_what_is_known(page: Page, server: Server) -> None:
    known = server.status()["last_activity"] or "none"
    expect(value_of(page, "last_activity")).to_contain_text(known)
    server.end()
    try:
        press(page, "Status")
        words = re.compile(r"No server answers; what you see is from \d\d:\d\d:\d\d\.")
        expect(said(page)).to_have_text(words)
        expect(value_of(page, "running")).to_have_text(
            re.compile(r"✗ NO SIGNAL \(no server\) was (RUNNING|STOPPED|NEVER STARTED)")
        )
        expect(value_of(page, "last_activity")).to_contain_text(known)
    finally:
        server.begin()
    press(page, "Status")
    expect(value_of(page, "running")).to_have_text(re.compile(r"(● RUNNING|○ STOPPED|○ NEVER STARTED)\s*"))


# For everybody


def test_everything_can_be_done_by_keyboard(stopped: None, visit: Visit) -> None:
    page, keyboard = visit.page, visit.page.keyboard
    page.goto("/")
    keyboard.type(KEY)
    keyboard.press("Enter")
    expect(button(page, "Status")).to_be_focused()
    keyboard.press("Shift+Tab")
    keyboard.press("Shift+Tab")
    keyboard.press("Enter")
    expect(value_of(page, "running")).to_contain_text("● RUNNING")
    expect(button(page, "Start")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Space")
    expect(button(page, "Keep it")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(value_of(page, "running")).to_contain_text("○ STOPPED")
    expect(button(page, "Stop")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.press("Space")
    expect(page.get_by_label("Auto-refresh status")).to_be_checked()


def test_it_has_landmarks_one_main_heading_and_the_section_of_the_contract(page: Page) -> None:
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("EchoPilot Automations")
    expect(page.get_by_role("region", name="⚙️ Automations (Scheduler)", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="⚙️ Automations (Scheduler)", exact=True, level=2)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_needs_scrolling_sideways_at_320_px_or_200_percent(scheme: Any, visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 320, "height": 640})
    page.emulate_media(color_scheme=scheme)
    page.goto("/")
    assert fits(page)
    enter(page)
    assert fits(page)
    error = f"/a/path/without/any/space/{'x' * 200}"
    page.route("**/start", lambda route: route.fulfill(status=500, json={"ok": False, "error": error}))
    press(page, "Start")
    expect(said(page)).to_contain_text("xxx")
    assert fits(page)
    press(page, "Stop")
    expect(button(page, "Stop it")).to_be_in_viewport()
    assert fits(page)
    page.set_viewport_size({"width": 640, "height": 400})  # what 200 % leaves of 1280 × 800
    assert fits(page)


def test_a_script_smuggled_into_the_page_does_not_run(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/")
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.appendChild(document.createElement('script')).text = 'window.smuggled = 1'")
    assert page.evaluate("window.smuggled") is None
