"""A real Chromium for the tests of the page: servers of their own, tabs that note what they ask for and complain of."""

import http.client
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from automations import clock
from tests import sample
from tests.conftest import DOOR, Home, made

CHROMIUM = "/usr/bin/chromium"
KEY = "clé-of-the-tests"  # not ASCII: a header carries it as UTF-8 bytes
READ_KEY = "only-to-look"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=15_000)


class Server:
    """`run_automations.sh serve` for one home, as a child of the tests."""

    def __init__(self, home: Home, key: str) -> None:
        self.home = home
        self.port = int(home.environment["AUTOMATIONS_PORT"])
        self.origin = f"http://127.0.0.1:{self.port}"
        self._key = key
        home.environment["DASHBOARD_KEY"] = key

    def begin(self) -> None:
        self._process = subprocess.Popen([DOOR, "serve"], env=self.home.environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("serving ")

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)

    def ask(self, verb: str, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(verb, f"/api/automations/{path}", headers={"X-Dash-Key": self._key.encode()})
        said: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return said

    def status(self) -> dict[str, Any]:
        data: dict[str, Any] = self.ask("GET", "status")["data"]
        return data


class Visit:
    """One tab and all that it asked for or complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self._hear(message.type, message.text))

    def status_requests(self) -> int:
        return sum(url.endswith("/status") for url in self.asked)

    def _hear(self, kind: str, text: str) -> None:
        # Chromium itself reports each 401 and each server that is gone; tests bring these about on purpose.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(text)


@contextmanager
def serving(folder: Path, key: str) -> Iterator[Server]:
    """A server with a home of its own; no process of that home is left afterwards."""
    with contextmanager(made)(folder, 60.0) as home:
        server = Server(home, key)
        server.begin()
        try:
            yield server
        finally:
            server.end()


def _day(folder: Path, now: datetime) -> sample.Sample:
    """With two slots in the 23 minutes of sleep, so that one of them is missed."""
    return sample.day(folder, now, sample.JOBS.replace('every = "15m"', 'every = "10m"'))


@contextmanager
def showing(folder: Path, history: Callable[[Path, datetime], sample.Sample] = _day) -> Iterator[Server]:
    """A server over a day of history, in which this process stands in for the scheduler: enter with the read key only.

    Whoever has the other key could stop the scheduler, which is whoever runs the tests.
    """
    with contextmanager(made)(folder, 60.0) as home, sample.alive(history(folder, clock.read().utc)):
        home.environment["DASHBOARD_READ_KEY"] = READ_KEY
        (home.logs / "scheduler.pid").write_text(f"{os.getpid()}\n")
        server = Server(home, KEY)
        server.begin()
        try:
            yield server
        finally:
            server.end()
            (home.logs / "scheduler.pid").unlink()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skipped without one, but for the CI that is a failure."""
    if not os.path.exists(CHROMIUM):
        reason = f"{CHROMIUM} is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, origin: str, **options: Any) -> Iterator[Visit]:
    """A tab that must end without a complaint and without having asked another host for anything."""
    tabs = browser.new_context(base_url=origin, **options)
    visit = Visit(tabs)
    yield visit
    visit.page.wait_for_timeout(0)  # what it complains of arrives by a queue
    tabs.close()
    assert visit.complaints == []
    assert [url for url in visit.asked if not url.startswith((origin, "data:"))] == []


def enter(page: Page, key: str = KEY) -> None:
    """Give the key, and wait for what it opens."""
    page.goto("/")
    give_key(page, key)
    expect(said(page)).to_contain_text("Status at")


def give_key(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    press(page, "Open")


def said(page: Page) -> Locator:
    """The line that says what was done, or what went wrong."""
    return page.get_by_role("main").get_by_role("status")


def press(page: Page, name: str) -> None:
    button(page, name).click()


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def value_of(page: Page, term: str) -> Locator:
    """The description that stands beside a term in the list."""
    return page.locator("dl > div", has=page.locator("dt", has_text=term)).locator("dd")


def fits(page: Page) -> bool:
    """Is nothing wider than the window, nor than the part of it that it stands in?"""
    parts = "[document.documentElement, ...document.querySelectorAll('.scroll, #lines, #output, dialog[open]')]"
    answer: bool = page.evaluate(f"{parts}.every((part) => part.scrollWidth <= Math.min(part.clientWidth, innerWidth))")
    return answer
