"""Make the pictures of the page from a sample home with a day of history, in a real Chromium: dark, light, a phone.

Usage: .venv/bin/python docs/make_page_pictures.py. Each stays under 200 kB.
"""

import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from playwright.sync_api import Browser, expect, sync_playwright  # noqa: E402

from tests.browsing import CHROMIUM, QUIET, READ_KEY, enter, showing  # noqa: E402

PICTURES = (
    ("page-dark", {"width": 1280, "height": 960}, "dark"),
    ("page-light", {"width": 1280, "height": 960}, "light"),
    ("page-phone", {"width": 320, "height": 1400}, "dark"),
)
MOST_BYTES = 200_000


def picture(browser: Browser, origin: str, size: dict[str, int], scheme: str) -> bytes:
    """The page of this server as PNG."""
    tabs = browser.new_context(base_url=origin, viewport=size, color_scheme=scheme)
    page = tabs.new_page()
    enter(page, READ_KEY)
    expect(page.locator("#run-rows tr").first).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("document.activeElement.blur(); say('', '')")
    png: bytes = page.screenshot()
    tabs.close()
    return png


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, showing(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for name, size, scheme in PICTURES:
            png = picture(browser, server.origin, size, scheme)
            if len(png) >= MOST_BYTES:
                raise SystemExit(f"{name}: {len(png)} bytes")
            path = DOCS / f"{name}.png"
            path.write_bytes(png)
            print(path.relative_to(DOCS.parent), len(png))
        browser.close()


if __name__ == "__main__":
    main()
