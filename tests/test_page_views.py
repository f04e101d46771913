"""What the page shows of a day of history, in a real Chromium: coverage, jobs, runs, why, the log; for everybody.

The day is `sample.day`: a night in which the machine slept, a crash at noon, a report that fails. What is shown is held
against what the API says, and its words and marks against those of the terminal dashboard.
"""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from automations.text import clean
from tests.browsing import (
    READ_KEY,
    Server,
    Visit,
    button,
    chromium,
    enter,
    fits,
    press,
    said,
    showing,
    value_of,
    visiting,
)
from tui import lines, words

SIZES = [(1280, 800), (320, 640)]
SCHEMES = ["dark", "light"]
EVIL = [
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "<svg onload='window.ran = 1'>",
    "javascript:window.ran=1",
    '"><b onmouseover=window.ran=1>',
    "'};window.ran=1;//",
    "${window.ran=1}",
    "{{constructor.constructor('window.ran=1')()}}",
    "</td><iframe srcdoc='<script>parent.ran=1</script>'>",
    "__proto__",
]
HOSTILE = [f"{EVIL[number % len(EVIL)]} {number}" for number in range(200)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with showing(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    os.utime(server.home.logs / "scheduler.lock")  # as the scheduler does at each tick
    with visiting(browser, server.origin) as visit:
        yield visit


@pytest.fixture
def page(visit: Visit) -> Page:
    """A tab in which the read key was given and all is there."""
    look(visit.page)
    return visit.page


@pytest.fixture(scope="module")
def still(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab without a key, for what the page's functions make of values."""
    with visiting(browser, server.origin) as visit:
        visit.page.goto("/")
        yield visit.page


def look(page: Page) -> None:
    enter(page, READ_KEY)
    expect(page.locator("#run-rows tr").first).to_be_visible()
    expect(page.locator("#job-rows tr").first).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")


def overview(page: Page) -> dict[str, Any]:
    """What the API told the page: the last minute may be another one by now."""
    found: dict[str, Any] = page.evaluate("state.overview")
    return found


def asked(server: Server, path: str, **query: str) -> dict[str, Any]:
    return server.ask("GET", f"{path}?{urlencode(query)}")


def row(page: Page, table: str, text: str) -> Any:
    return page.locator(f"{table} tr", has_text=text).first


def column(page: Page, table: str, number: int) -> list[str]:
    """The words of one column, the small print left out."""
    cells = page.locator(f"{table} td:nth-child({number}) > bdi")
    return [text.strip() for text in cells.all_inner_texts()]


# Verdict and coverage


def test_the_verdict_is_the_api_s_sentence_with_the_terminal_s_mark(page: Page) -> None:
    verdict = overview(page)["verdict"]
    expect(page.locator("#verdict")).to_have_text(f"{words.VERDICTS[verdict['level']][0]}{verdict['text']}")
    expect(value_of(page, "running")).to_contain_text(words.SIGNS["running"][0])


def test_each_cell_of_the_strip_is_some_minutes_and_each_gap_has_its_letter(page: Page) -> None:
    cells = page.locator("#strip > span").all_inner_texts()
    gaps = overview(page)["coverage"]["gaps"]
    assert len(cells) in (96, 97)
    assert set(cells) - {""} == {words.CAUSE_MARKS[gap["cause"]] for gap in gaps}
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator("#strip > span")).to_have_count(len(cells) // 2 + len(cells) % 2)


def test_the_percentage_is_never_rounded_up_to_100(page: Page) -> None:
    coverage = overview(page)["coverage"]
    assert coverage["covered"] < coverage["minutes"]
    percent = round(100 * coverage["covered"] / coverage["minutes"], 1)
    expect(page.locator("#percent")).to_have_text(f"{percent:g} % of all minutes")
    page.evaluate("state.overview.coverage.covered = state.overview.coverage.minutes - 1e-6; drawCoverage()")
    expect(page.locator("#percent")).to_contain_text("99.9 %")


def test_who_points_at_a_gap_is_told_its_name_and_its_reason(page: Page) -> None:
    gap = max(overview(page)["coverage"]["gaps"], key=lambda gap: gap["until"])
    page.locator("#strip > .gap").last.hover()
    moment = page.locator("#moment")
    expect(moment).to_contain_text(f"{words.CAUSE_MARKS[gap['cause']]} {gap['cause'].replace('_', ' ')}")
    expect(moment).to_contain_text(gap["detail"])
    page.locator("#strip > span:not(.gap)").nth(40).hover()
    expect(moment).to_contain_text("alive")


def test_the_strip_goes_from_gap_to_gap_by_keyboard_and_says_so_to_a_screen_reader(page: Page) -> None:
    strip = page.get_by_role("slider", name="Moment of the last 24 hours")
    strip.focus()
    expect(strip).to_have_attribute("aria-valuetext", re.compile("alive$"))
    causes = [gap["cause"].replace("_", " ") for gap in overview(page)["coverage"]["gaps"]]
    for cause in reversed(causes):
        strip.press("[")
        expect(strip).to_have_attribute("aria-valuetext", re.compile(cause))
        expect(page.locator("#moment")).to_contain_text(cause)
    strip.press("Home")
    expect(strip).to_have_attribute("aria-valuenow", "0")
    strip.press("ArrowRight")
    expect(strip).to_have_attribute("aria-valuenow", "1")


# Jobs


def test_every_job_has_its_row_in_the_order_of_the_file_with_what_the_api_says(page: Page) -> None:
    jobs = overview(page)["jobs"]
    assert column(page, "#job-rows", 1) == [job["name"] for job in jobs]
    for job in jobs:
        told = row(page, "#job-rows", job["description"])
        expect(told).to_contain_text(job["in_words"])
        expect(told).to_contain_text(words.MARKS[job["last"]["outcome"]] if job["last"] else "never ran")


def test_the_next_slot_is_a_countdown_and_a_time(page: Page) -> None:
    job = next(job for job in overview(page)["jobs"] if job["name"] == "brief")
    cell = row(page, "#job-rows", "brief").locator("td").nth(2)
    now = datetime.now(UTC)
    expect(cell).to_contain_text(re.compile(r"in \d+ h|in \d+ min"))
    expect(cell).to_contain_text(words.wall(job["next"], now))


def test_a_sparkline_has_a_bar_for_each_of_the_last_durations(page: Page) -> None:
    for job in overview(page)["jobs"]:
        bars = row(page, "#job-rows", job["description"]).locator("path")
        shown = min(12, len(job["durations_s"]))
        assert (bars.get_attribute("d") or "").count("z") == shown if shown else bars.count() == 0


def test_jobs_can_be_filtered_and_put_in_order(page: Page) -> None:
    page.get_by_label("Filter jobs").fill("disk")
    expect(page.locator("#job-rows tr")).to_have_count(2)
    expect(page.get_by_role("heading", name="Jobs (2 of 9)")).to_be_visible()
    page.get_by_label("Filter jobs").fill("no such thing")
    expect(page.get_by_text("No job fits the filter.")).to_be_visible()
    page.get_by_label("Filter jobs").fill("")
    page.get_by_label("Order").select_option("trouble first")
    expect(page.locator("#job-rows tr").first).to_contain_text("failed")
    page.get_by_label("Order").select_option("by name")
    assert column(page, "#job-rows", 1) == sorted(column(page, "#job-rows", 1))
    page.reload()
    expect(page.get_by_label("Order")).to_have_value("name")


# Runs and why


def test_recent_runs_are_the_newest_first_and_older_ones_on_demand(page: Page, server: Server) -> None:
    newest = asked(server, "runs", limit="50")["runs"]
    expect(page.locator("#run-rows tr")).to_have_count(50)
    assert column(page, "#run-rows", 2) == [run["job"] for run in newest]
    press(page, "Older runs")
    expect(page.locator("#run-rows tr")).to_have_count(100)


def test_runs_can_be_filtered_by_job_and_by_outcome(page: Page, server: Server) -> None:
    page.get_by_label("Job", exact=True).select_option("report")
    page.get_by_label("Outcome", exact=True).select_option("✗ failed")
    expected = asked(server, "runs", job="report", outcome="failed")["runs"]
    expect(page.locator("#run-rows tr")).to_have_count(len(expected))
    assert set(column(page, "#run-rows", 2)) == {"report"}
    assert set(column(page, "#run-rows", 1)) == {"✗ failed"}
    page.get_by_label("Outcome", exact=True).select_option("∅ missed")
    expect(page.get_by_text("No run fits the filter.")).to_be_visible()


def test_a_search_marks_the_words_where_they_stand_in_the_output(page: Page) -> None:
    page.get_by_label("Search output").fill("missing a leg")
    expect(page.locator("#run-rows mark").first).to_have_text("missing a legend")
    expect(page.locator("#no-runs")).to_have_text("1 run found.")
    page.get_by_label("Search output").fill("")
    expect(page.locator("#run-rows tr")).to_have_count(50)


def test_a_run_opens_to_what_it_printed_and_closes_to_where_one_was(page: Page) -> None:
    page.get_by_label("Job", exact=True).select_option("report")
    opener = page.locator("#run-rows").get_by_role("button", name=re.compile("^Open report")).first
    opener.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="Output")).to_contain_text("report: giving up")
    expect(dialog.get_by_role("status")).to_contain_text("✗ failed")
    expect(dialog.get_by_role("status")).to_contain_text("exit 78")
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()


@pytest.mark.parametrize("place", ["#promises", "#run-rows"])
def test_why_a_slot_was_missed_is_told_with_the_entries_that_prove_it(place: str, page: Page, server: Server) -> None:
    page.get_by_label("Outcome", exact=True).select_option("∅ missed")
    expect(page.locator("#run-rows tr").first).to_contain_text("missed")
    missed = asked(server, "runs", outcome="missed")["runs"][0]
    line = page.locator(f"{place} > *", has_text="missed").first
    opener = line.get_by_role("button", name=re.compile("^Why"))
    opener.click()
    answer = asked(server, "why", job=missed["job"], at=missed["due"])["why"]
    dialog = page.get_by_role("dialog", name=f"Why: {missed['job']}")
    expect(dialog).to_contain_text(answer["sentence"])
    expect(dialog.locator("#proof li")).to_have_count(len(answer["proof"]))
    dialog.get_by_role("button", name="Close").click()
    expect(opener).to_be_focused()


def test_why_a_job_did_what_it_did_last_can_be_asked_of_each_job(page: Page, server: Server) -> None:
    press(page, "Why report")
    sentence = asked(server, "why", job="report")["why"]["sentence"]
    expect(page.get_by_role("dialog")).to_contain_text(sentence.partition(". Next")[0])


# The log


def test_the_log_tells_its_entries_as_the_terminal_does_ticks_in_a_row_as_one(page: Page) -> None:
    told = page.locator("#lines > div").all_inner_texts()
    assert any(re.search(r"· \d+ ticks  next ", line) for line in told)
    assert any(re.search(r"✓ [\w-]+ succeeded in ", line) for line in told)


def test_the_log_can_be_filtered_and_the_filter_inverted(page: Page) -> None:
    lines_shown = page.locator("#lines > div")
    page.get_by_label("Filter log").fill("succeeded")
    expect(lines_shown.first).to_contain_text("succeeded")
    assert all("succeeded" in line for line in lines_shown.all_inner_texts())
    page.get_by_label("Filter log").fill("!tick")
    assert not any("tick" in line for line in lines_shown.all_inner_texts())


# The same words, marks and tones as the terminal


def test_marks_tones_and_letters_are_the_terminal_s(still: Page) -> None:
    assert still.evaluate("MARKS") == {str(key): value for key, value in words.MARKS.items()}
    assert still.evaluate("TONES") == {str(key): value for key, value in words.TONES.items()}
    assert still.evaluate("CAUSE_MARKS") == {str(key): value for key, value in words.CAUSE_MARKS.items()}
    assert still.evaluate("SIGNS") == {str(key): list(value) for key, value in words.SIGNS.items()}
    assert still.evaluate("VERDICTS") == {str(key): list(value) for key, value in words.VERDICTS.items()}


def test_lengths_sizes_and_times_are_told_as_the_terminal_does(still: Page) -> None:
    for seconds in (0, 0.05, 0.9994, 1, 9.96, 12, 59.94, 60, 61, 754, 3599, 3600, 7261, 86_400, 90_000, 360_000):
        assert still.evaluate("span", seconds) == words.span(seconds)
        assert still.evaluate("took", seconds) == words.took(seconds)
        assert still.evaluate("coarse", seconds) == words.coarse(seconds)
    for count in (0, 7, 999, 1000, 9_340_000, 340_000_000, 12_500_000_000, 4e12):
        assert still.evaluate("size", count) == words.size(count)
    for values in ([1.0], [2, 2, 2.05], [1, 2, 3, 4, 5, 6, 7, 8, 9], [0.4, 30, 0.5]):
        assert still.evaluate("bars", values) == ["▁▂▃▄▅▆▇█".index(bar) + 1 for bar in words.sparkline(values, 20)]
    now = datetime.now(UTC)
    for moment in (now, now - timedelta(days=3), now + timedelta(days=40)):
        assert still.evaluate("wall", moment.isoformat()) == words.wall(moment, now)


@pytest.mark.parametrize(
    "entry",
    [
        {"event": "tick", "next": {"b": "2026-11-24T08:00:00.000Z", "a": "2026-11-24T08:00:00.000Z", "c": None}},
        {"event": "tick", "next": {}},
        {"event": "startup", "pid": 1, "version": "0.1.0", "config": "abc"},
        {"event": "shutdown", "reason": "a bad job file"},
        {"event": "stopped", "pid": 1, "how": "by TERM"},
        {"event": "run_started", "job": "a", "trigger": "schedule", "attempt": 1},
        {"event": "run_started", "job": "a", "trigger": "retry", "attempt": 3},
        {"event": "run_finished", "job": "a", "outcome": "timed_out", "exit": None, "duration_s": 61.4, "reason": "x"},
        {"event": "run_finished", "job": "a", "outcome": "failed", "exit": 3, "retry_at": "2026-11-24T08:00:00.000Z"},
        {"event": "run_finished", "job": "a", "outcome": "succeeded", "exit": 0, "duration_s": 0.0944},
        {"event": "run_skipped", "job": "a", "outcome": "missed", "slots": 3, "reason": "down"},
        {"event": "run_waiting", "job": "a", "reason": "jitter"},
        {"event": "job_paused", "job": "a", "until": "2026-11-24T08:00:00.000Z", "note": "moving"},
        {"event": "job_paused", "job": "a", "until": None, "note": ""},
        {"event": "job_resumed", "job": "a", "reason": "asked"},
        {"event": "config_loaded", "jobs": 4, "config": "abc"},
        {"event": "config_rejected", "faults": ["one", "two"]},
        {"event": "watchdog_restart", "cause": "hung"},
        {"event": "watchdog_gave_up", "cause": "again and again"},
        {"event": "error", "message": "no"},
        {"event": "journal_recovered", "cut": "half a li"},
        {"event": "journal_gap", "reason": "disk full"},
        {"event": "selfheal", "found": 2},
    ],
    ids=lambda entry: entry["event"],
)
def test_an_entry_is_told_as_the_terminal_tells_it(entry: dict[str, Any], still: Page) -> None:
    entry = {"ts": "2026-11-23T22:35:00.003Z", **entry, "seq": 7, "prev": "0"}
    expected = [[span.text, span.tone] for span in lines.entry(json.dumps(entry).encode())]
    shown = [[text, *(tone or ["plain"])] for text, *tone in still.evaluate("told", entry)]
    assert [[text, tone or "plain"] for text, tone in shown] == expected


def test_what_moves_a_cursor_or_turns_text_round_is_cleaned_as_in_the_terminal(still: Page) -> None:
    nasty = ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07x", "a\x07b\x7f", "\u202egpj.exe", "\u2066x\u2069", "plain ✓ é 😀"]
    assert still.evaluate("(all) => all.map(clean)", nasty) == [clean(text) for text in nasty]


# Who may only look, and who means harm


@pytest.mark.parametrize("name", ["Start", "Run now brief", "Pause brief", "Stop"])
def test_a_key_that_only_reads_is_told_so_kindly_and_goes_on_reading(name: str, page: Page) -> None:
    press(page, name)
    if name.startswith("Pause"):
        press(page, "Pause it")
    elif name == "Stop":
        press(page, "Stop it")
    words_said = "This key only reads, so nothing was changed. To act, forget it and enter DASHBOARD_KEY."
    expect(said(page)).to_have_text(words_said)
    expect(page.get_by_text("read-only key")).to_be_visible()
    expect(button(page, name)).to_be_enabled()
    expect(value_of(page, "running")).to_contain_text("● RUNNING")


def test_200_hostile_strings_in_names_and_output_run_no_script_and_are_shown_as_they_are(page: Page) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.route("**/overview", lambda route: route.fulfill(json=spoilt_overview(route)))
    page.route("**/runs?*", lambda route: route.fulfill(json=spoilt_runs(route)))
    page.route("**/output?*", lambda route: route.fulfill(json=spoilt_output()))
    press(page, "Status")
    expect(page.locator("#job-rows tr")).to_have_count(len(HOSTILE))
    expect(page.locator("#run-rows tr")).to_have_count(len(HOSTILE))
    assert column(page, "#job-rows", 1) == HOSTILE
    assert column(page, "#run-rows", 2) == HOSTILE
    page.evaluate("(all) => hearEntries(all.map((text) => ({ ts: text, event: text, job: text })))", HOSTILE)
    page.locator("#run-rows button").first.click()
    expect(page.get_by_role("region", name="Output")).to_have_text("\n".join(HOSTILE), use_inner_text=True)
    assert page.locator("img, iframe, b[onmouseover], body script:not(:last-of-type), svg[onload]").count() == 0
    assert page.evaluate("window.ran") is None
    assert page.evaluate("({}).job") is None
    assert dialogs == []


def spoilt_overview(route: Route) -> Any:
    """The real one, each job's and gap's words replaced."""
    whole = route.fetch().json()
    seen = whole["overview"]
    job = seen["jobs"][0]
    seen["jobs"] = [{**job, "name": text, "description": text, "in_words": text, "group": text} for text in HOSTILE]
    seen["verdict"]["text"] = " ".join(HOSTILE)
    seen["coverage"]["gaps"] = [{**gap, "detail": HOSTILE[0]} for gap in seen["coverage"]["gaps"]]
    seen["promises"]["not_kept"] = [{**one, "job": HOSTILE[1]} for one in seen["promises"]["not_kept"]]
    return whole


def spoilt_runs(route: Route) -> Any:
    whole = route.fetch().json()
    run = whole["runs"][0]
    return {**whole, "runs": [{**run, "job": text, "run_id": f"a/{text}", "reason": text} for text in HOSTILE]}


def spoilt_output() -> Any:
    text = "\n".join(HOSTILE)
    return {"ok": True, "output": text, "from": 0, "next": len(text), "written": len(text), "running": False}


def test_nothing_is_asked_of_another_host_and_the_key_is_in_no_address(visit: Visit, server: Server) -> None:
    look(visit.page)
    press(visit.page, "Why report")
    assert len(visit.asked) >= 6
    assert [url for url in visit.asked if not url.startswith((f"{server.origin}/", "data:"))] == []
    assert [url for url in visit.asked if READ_KEY in url] == []


def test_the_page_writes_no_markup(page: Page) -> None:
    source = page.content()
    for word in (
        "innerHTML",
        "outerHTML =",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        ".cookie",
    ):
        assert word not in source


def test_the_policy_allows_only_the_blocks_that_are_in_the_page(page: Page) -> None:
    policy = page.request.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.count("'sha256-") == 2


# For everybody


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]} px")
def test_it_fits_and_can_be_read_and_touched(scheme: Any, size: tuple[int, int], visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    look(page)
    assert fits(page)
    assert page.evaluate(FAINT) == []
    for name in ("Start", "Stop", "Status", "Run now brief", "Pause brief", "Why brief", "Older runs", "Pause log"):
        button(page, name).scroll_into_view_if_needed()
        expect(button(page, name)).to_be_in_viewport()
    assert min(page.evaluate(HEIGHTS)) >= (44 if size[0] < 500 else 24)
    for opener in ("Why report", "Pause brief"):
        press(page, opener)
        expect(page.get_by_role("dialog")).to_be_in_viewport(ratio=0.99)
        assert fits(page)
        assert page.evaluate(FAINT) == []
        page.keyboard.press("Escape")


HEIGHTS = """[...document.querySelectorAll("main button, main select, main [type=search]")]
  .map((node) => node.getBoundingClientRect().height).filter(Boolean)"""

# Each text whose contrast with its ground is below 4.5. Source: WCAG 2.2, 1.4.3.
FAINT = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (node) => {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    return colour.length === 3 || colour[3] > 0 ? colour : ground(node.parentElement);
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *:not(option):not(.vh):not(script)")) {
    const text = [...node.childNodes].map((child) => (child.nodeType === 3 ? child.data : "")).join("").trim();
    if (!text || !node.checkVisibility({ visibilityProperty: true }) || node.closest("noscript")) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${node.tagName} ${node.className} ${text.slice(0, 40)}`);
  }
  return faint;
}"""


def test_200_percent_and_more_need_no_scrolling_sideways(page: Page) -> None:
    for width in (640, 427, 320, 900):
        page.set_viewport_size({"width": width, "height": 400})
        assert fits(page), width


def test_everything_that_can_be_used_has_a_name_of_its_own_and_a_role(page: Page) -> None:
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    nodes = [node for node in tree if not node["ignored"]]
    named = [(role_of(node), node.get("name", {}).get("value", "")) for node in nodes]
    used = [(role, name) for role, name in named if role in USABLE]
    assert [one for one in used if not one[1].strip()] == []
    buttons = [name for role, name in used if role == "button" and not name.startswith(("Open", "Why"))]
    assert len(set(buttons)) == len(buttons)
    roles = [role for role, _ in named]
    assert (roles.count("banner"), roles.count("main"), roles.count("contentinfo")) == (1, 1, 1)
    regions = {name for role, name in named if role == "region"}
    assert {"⚙️ Automations (Scheduler)", "Coverage of 24 h", "Recent runs", "Log"} <= regions
    levels = [level_of(node) for node in nodes if role_of(node) == "heading"]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert roles.count("table") == 2
    assert roles.count("row") >= 50


USABLE = ("button", "link", "textbox", "searchbox", "combobox", "checkbox", "slider")


def role_of(node: Any) -> str:
    return str(node["role"]["value"])


def level_of(node: Any) -> int:
    return next(int(one["value"]["value"]) for one in node["properties"] if one["name"] == "level")


def test_cards_on_a_phone_are_still_a_table_for_a_screen_reader(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.get_by_role("table", name="Recent runs").get_by_role("row").nth(3)).to_be_visible()
    expect(page.get_by_role("table", name=re.compile("^Jobs")).get_by_role("cell").first).to_be_visible()


def test_nothing_is_told_by_colour_alone(page: Page) -> None:
    for told in column(page, "#job-rows", 4) + column(page, "#run-rows", 1):
        assert re.fullmatch(r"[^\w\s] [a-z ×\d]+|never ran", told), told
    page.emulate_media(forced_colors="active")
    expect(page.locator("#strip > .gap").first).to_have_text(re.compile(r"\S"))


def test_whoever_wants_no_motion_gets_none(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    moving = (
        "[...document.querySelectorAll('*')].filter((node) => parseFloat(getComputedStyle(node).transitionDuration))"
    )
    assert page.evaluate(f"{moving}.length") == 0
    assert page.evaluate("document.getAnimations().length") == 0


def test_the_focus_is_seen_on_everything_that_can_have_it(page: Page) -> None:
    seen = 0
    for _ in range(24):
        page.keyboard.press("Tab")
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring != "none", page.evaluate("document.activeElement.outerHTML")
        seen += 1
    assert seen == 24
