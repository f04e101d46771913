"""What happens while somebody looks at the page, in a real Chromium: runs, pauses, the stream, what is lost."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browsing import (
    KEY,
    Server,
    Visit,
    button,
    chromium,
    enter,
    give_key,
    press,
    said,
    serving,
    value_of,
    visiting,
)
from tests.conftest import until

JOBS = """
[jobs.slow]
description = "Prints, waits for the file `go`, prints again"
schedule = "0 8 1 1 *"
command = ["sh", "-c", "echo first; while ! [ -e go ]; do sleep 0.1; done; echo last"]
cwd = "."

[jobs.quick]
schedule = "0 9 1 1 *"
command = "echo '<b>done</b>'"
"""
RUN_ID = re.compile(r"Run started: (quick/\S+)")
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), KEY) as server:
        server.home.jobs(JOBS)
        server.ask("POST", "start")
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
def page(visit: Visit) -> Page:
    """A tab in which the key was given, and to which the journal is told as it grows."""
    enter(visit.page)
    expect(live(visit.page)).to_have_text("live")
    expect(visit.page.locator("#job-rows tr")).to_have_count(2)
    return visit.page


@pytest.fixture
def streams(visit: Visit) -> list[Request]:
    """Each request for the journal as it grows."""
    found: list[Request] = []
    visit.page.on("request", lambda request: found.append(request) if "/events" in request.url else None)
    return found


@pytest.fixture
def slow(server: Server) -> Iterator[str]:
    """A run that waits; its id. It has ended when the test has."""
    go = server.home.folder / "go"
    go.unlink(missing_ok=True)
    run_id = server.ask("POST", "jobs/slow/run")["run_id"]
    yield run_id
    go.touch()
    until(lambda: run_id in finished(server))


def failing(page: Page) -> list[Request]:
    """Each request that ends without an answer, or in the middle of one."""
    found: list[Request] = []
    page.on("requestfailed", lambda request: found.append(request))
    return found


def finished(server: Server) -> list[object]:
    return [entry["run_id"] for entry in server.home.entries("run_finished")]


def live(page: Page) -> Any:
    return page.locator("#live")


def first_run(page: Page) -> Any:
    return page.locator("#run-rows tr").first


def run_quick(page: Page, server: Server) -> Any:
    """Run it by hand on the page; the button that opens this run, once it has ended."""
    press(page, "Run now quick")
    expect(said(page)).to_have_text(RUN_ID)
    (run_id,) = RUN_ID.findall(said(page).inner_text())
    until(lambda: run_id in finished(server))
    return page.locator(f'#run-rows tr:has-text("succeeded") [data-run^="{run_id} 1 0"]')


def log(page: Page) -> Any:
    return page.get_by_role("log", name="Log")


def seqs(server: Server) -> list[int]:
    return [int(str(entry["seq"])) for entry in server.home.entries()]


def in_log(page: Page) -> list[int]:
    found: list[int] = page.evaluate("state.entries.map((entry) => entry.seq)")
    return found


# Runs


def test_a_run_by_hand_shows_up_by_itself_and_ends_by_itself(page: Page, server: Server) -> None:
    expect(run_quick(page, server)).to_be_visible()
    expect(first_run(page)).to_contain_text("✓ succeeded")
    expect(first_run(page)).to_contain_text("quick")
    expect(first_run(page)).to_contain_text("by hand")
    expect(page.locator("#job-rows tr", has_text="quick")).to_contain_text("✓ succeeded")
    expect(log(page)).to_contain_text("✓ quick succeeded in")


def test_an_open_run_shows_its_output_as_it_grows_and_then_how_it_ended(slow: str, page: Page, server: Server) -> None:
    expect(page.locator("#job-rows tr", has_text="slow")).to_contain_text("▶")
    expect(first_run(page)).to_contain_text("▶ running")
    first_run(page).get_by_role("button", name="Open").click()
    dialog = page.get_by_role("dialog", name=slow)
    output = dialog.get_by_role("region", name="Output")
    expect(output).to_have_text("first\n", use_inner_text=True)
    expect(dialog.get_by_role("status")).to_contain_text("▶ running")
    (server.home.folder / "go").touch()
    expect(output).to_have_text("first\nlast\n", use_inner_text=True)
    expect(dialog.get_by_role("status")).to_contain_text("✓ succeeded")
    expect(button(page, "Stop this run")).to_be_hidden()
    press(page, "Close")
    expect(dialog).to_be_hidden()


def test_an_output_is_shown_as_text_and_never_as_markup(page: Page, server: Server) -> None:
    run_quick(page, server).click()
    expect(page.get_by_role("region", name="Output")).to_have_text("<b>done</b>\n", use_inner_text=True)


def test_an_open_run_can_be_stopped_and_that_asks_first(slow: str, page: Page, server: Server) -> None:
    expect(first_run(page)).to_contain_text("▶ running")
    first_run(page).get_by_role("button", name="Open").click()
    press(page, "Stop this run")
    press(page, "Keep it")
    assert slow not in finished(server)
    press(page, "Stop this run")
    press(page, "Stop it")
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("■ stopped")
    assert slow in finished(server)


def test_stopping_the_scheduler_says_how_many_runs_it_would_end(slow: str, page: Page) -> None:
    expect(first_run(page)).to_contain_text("▶ running")
    press(page, "Stop")
    expect(page.get_by_role("dialog")).to_contain_text("1 run under way will be told to end.")
    press(page, "Keep it")


# Pauses


def test_a_pause_asks_how_long_and_why_and_a_resume_ends_it(page: Page, server: Server) -> None:
    press(page, "Pause slow")
    dialog = page.get_by_role("dialog", name="Pause slow?")
    dialog.get_by_label("For how long?").select_option("4 hours")
    dialog.get_by_label("Why?").fill("moving <the> disk")
    press(page, "Pause it")
    expect(said(page)).to_have_text(re.compile(r"slow is paused until .*\d\d:\d\d\."))
    told = page.locator("#job-rows tr", has_text="slow")
    expect(told).to_contain_text("‖ until")
    expect(told).to_contain_text("moving <the> disk")
    expect(button(page, "Resume slow")).to_be_focused()
    assert (server.home.logs / "paused" / "slow").exists()
    press(page, "Resume slow")
    expect(said(page)).to_have_text("slow is resumed.")
    expect(button(page, "Pause slow")).to_be_focused()
    assert not (server.home.logs / "paused" / "slow").exists()


def test_a_pause_that_is_thought_better_of_pauses_nothing(page: Page, server: Server) -> None:
    press(page, "Pause quick")
    press(page, "Not now")
    expect(button(page, "Pause quick")).to_be_focused()
    assert not (server.home.logs / "paused" / "quick").exists()


# The log and its stream


def test_what_is_journalled_elsewhere_is_seen_without_asking(page: Page, server: Server) -> None:
    server.home.door("pause", "quick", "--note", "from elsewhere")
    expect(log(page)).to_contain_text("‖ quick paused until resumed: from elsewhere")
    expect(button(page, "Resume quick")).to_be_visible()
    server.home.door("resume", "quick")
    expect(button(page, "Pause quick")).to_be_visible()


def test_a_scheduler_that_is_stopped_elsewhere_is_seen_and_said(page: Page, server: Server) -> None:
    server.home.door("stop")
    expect(value_of(page, "running")).to_contain_text("○ STOPPED")
    expect(said(page)).to_have_text("Now STOPPED.")
    pid = server.home.start()
    expect(said(page)).to_have_text(f"Now RUNNING, pid {pid}.")


def test_a_paused_log_counts_what_comes_and_shows_it_when_it_goes_on(page: Page, server: Server) -> None:
    press(page, "Pause log")
    expect(button(page, "Pause log")).to_have_attribute("aria-pressed", "true")
    before = log(page).inner_text()
    server.home.door("run", "quick")
    expect(live(page)).to_have_text("paused, 2 new lines")
    assert log(page).inner_text() == before
    press(page, "Pause log")
    expect(live(page)).to_have_text("live")
    expect(log(page).locator("div").last).to_contain_text("✓ quick succeeded")


def test_the_stream_is_asked_with_the_key_in_a_header_and_after_the_last_entry(
    visit: Visit, streams: list[Request], server: Server
) -> None:
    enter(visit.page)
    expect(live(visit.page)).to_have_text("live")
    (asked,) = streams
    assert asked.headers["x-dash-key"].encode("latin-1").decode() == KEY
    assert asked.headers["last-event-id"] == str(max(in_log(visit.page)))
    assert asked.url == f"{server.origin}/api/automations/events"


def test_the_stream_is_closed_while_the_tab_is_hidden_and_goes_on_after_the_last_entry(
    visit: Visit, streams: list[Request], page: Page, server: Server
) -> None:
    ended = failing(page)
    last = max(in_log(page))
    page.evaluate(HIDE, True)
    expect(live(page)).to_have_text("live")
    until(lambda: page.wait_for_timeout(10) or streams[0] in ended, what="the stream was not closed")
    server.home.door("run", "quick")
    assert max(in_log(page)) == last
    page.evaluate(HIDE, False)
    expect(log(page).locator("div").last).to_contain_text("✓ quick succeeded")
    assert streams[-1].headers["last-event-id"] == str(last)
    assert in_log(page) == seqs(server)[-len(in_log(page)) :]


def test_a_hidden_tab_asks_nothing(visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    enter(page)
    page.get_by_label("Auto-refresh status").check()
    page.evaluate(HIDE, True)
    before = len(visit.asked)
    page.clock.run_for(60_000)
    assert len(visit.asked) == before
    with page.expect_response("**/status"):
        page.evaluate(HIDE, False)


# What is lost, and found again


def test_a_server_that_goes_is_seen_without_asking_and_so_is_its_return(page: Page, server: Server) -> None:
    server.end()
    try:
        expect(value_of(page, "running")).to_contain_text("✗ NO SIGNAL (no server)")
        expect(page.locator("#verdict")).to_contain_text("✖ No server answers; what you see is from")
        expect(live(page)).to_have_text("not live: no server answers")
        expect(page.locator("#job-rows tr")).to_have_count(2)
        server.home.door("run", "quick")
    finally:
        server.begin()
    expect(live(page)).to_have_text("live")
    expect(value_of(page, "running")).to_contain_text("● RUNNING")
    expect(said(page)).to_have_text(re.compile(r"Now RUNNING, pid \d+\."))
    expect(log(page).locator("div").last).to_contain_text("✓ quick succeeded")
    assert in_log(page) == seqs(server)[-len(in_log(page)) :]


def test_a_device_that_is_offline_is_told_so_and_seen_again_when_it_is_not(page: Page) -> None:
    page.context.set_offline(True)
    expect(value_of(page, "running")).to_contain_text("✗ NO SIGNAL (offline)")
    expect(said(page)).to_contain_text("This device is offline; what you see is from")
    page.context.set_offline(False)
    expect(value_of(page, "running")).to_contain_text("● RUNNING")
    expect(live(page)).to_have_text("live")


def test_without_a_seat_for_the_stream_the_rest_works_and_the_reason_is_shown(visit: Visit) -> None:
    page = visit.page
    error = "8 streams are open, which is all there may be"
    page.route("**/events", lambda route: route.fulfill(status=503, json={"ok": False, "error": error}))
    enter(page)
    expect(live(page)).to_have_text(f"not live: {error}")
    press(page, "Status")
    expect(said(page)).to_contain_text("Status at")


def test_an_overview_that_is_refused_is_shown_and_the_status_is_still_told(page: Page) -> None:
    error = "the history does not answer: <locked>"
    page.route("**/overview", lambda route: route.fulfill(status=503, json={"ok": False, "error": error}))
    press(page, "Status")
    expect(page.locator("#verdict")).to_have_text(f"✖ {error}")
    expect(value_of(page, "running")).to_contain_text("● RUNNING")
    page.unroute("**/overview")
    press(page, "Status")
    expect(page.locator("#verdict")).not_to_contain_text(error)


def test_an_output_that_was_pruned_is_told_so(page: Page, server: Server) -> None:
    opener = run_quick(page, server)
    for file in (server.home.logs / "runs" / "quick").glob("*.log"):
        file.unlink()
    opener.click()
    expect(page.get_by_role("dialog")).to_contain_text("retention prunes it by age and size")


def test_a_forgotten_key_closes_the_stream_and_leaves_nothing_of_what_was_seen(
    streams: list[Request], page: Page
) -> None:
    ended = failing(page)
    press(page, "Forget key")
    expect(button(page, "Start")).to_be_hidden()
    until(lambda: page.wait_for_timeout(10) or streams[-1] in ended, what="the stream was not closed")
    assert page.locator("#job-rows tr, #run-rows tr, #lines > *, #strip > *, #promises > *").count() == 0
    assert "quick" not in (page.locator("#home").text_content() or "")
    give_key(page, KEY)
    expect(live(page)).to_have_text("live")
    expect(page.locator("#job-rows tr")).to_have_count(2)
