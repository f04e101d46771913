"""The page in a real Chromium with 200 jobs and 1,000 runs: when is it there, and what does it weigh?

Usage: bench_page.py [ROUNDS]    (default 15). A round is a fresh tab that has the key. Prints, in milliseconds since
the navigation began: the first paint of the door (the same page without a key: the floor); of status, verdict, coverage
and the jobs in sight; of every job, the runs and the log. Then the bytes that crossed the network for all of it.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, sync_playwright

from tests import sample
from tests.browsing import CHROMIUM, QUIET, READ_KEY, showing
from tests.conftest import until

JOBS = 200
HOURS = 25  # of which each job has five slots: 1,000 runs
KEEP_KEY = f"sessionStorage.setItem('key', {READ_KEY!r})"
WATCH = f"""
window.painted = {{}};
const seen = {{
  sight: () => document.querySelectorAll("#job-rows tr").length >= 20 && document.querySelector("#strip > *"),
  all: () => document.querySelectorAll("#job-rows tr").length === {JOBS} && document.querySelector("#run-rows tr")
    && document.querySelector("#lines > *"),
}};
const painted = (name) => requestAnimationFrame(() => {{
  const after = new MessageChannel(); // a task of its own comes after the frame
  after.port1.onmessage = () => {{
    window.painted[name] ??= performance.now();
    if (name === "all") console.log("all is painted"); // waited for, since asking again and again takes its time
  }};
  after.port2.postMessage(0);
}});
const look = () => Object.keys(seen).filter((name) => !(name in window.painted) && seen[name]()).forEach(painted);
new MutationObserver(look).observe(document, {{ childList: true, subtree: true }});
"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


class Many(sample.Sample):
    """As the scheduler does it: of the slots to come the soonest twenty."""

    def _upcoming(self, since: datetime) -> dict[str, object]:
        return dict(islice(super()._upcoming(since).items(), 20))


class Round(NamedTuple):
    """Moments in milliseconds; bytes by what was asked for."""

    door_ms: float
    sight_ms: float
    all_ms: float
    sizes: dict[str, int]


def many(folder: Path, now: datetime) -> sample.Sample:
    """A home of so many jobs that had a day without trouble."""
    jobs = "".join(
        f'[jobs.job-{number:03}]\ndescription = "Copies the folder {number} to the disk in the hall"\n'
        f'every = "5h"\ntimezone = "Europe/Zurich"\ncommand = ["./copy.sh", "{number}"]\n'
        for number in range(JOBS)
    )
    home = Many(folder, now, jobs)
    home.start(now - timedelta(hours=HOURS), 4123)
    home.minutes(now - timedelta(hours=HOURS), now)
    home.write()
    return home


def visit(browser: Browser, origin: str) -> Round:
    """One fresh tab."""
    tabs = browser.new_context(base_url=origin)
    page = tabs.new_page()
    page.goto("/")
    door_ms = float(str(until(lambda: page.evaluate(FIRST_PAINT))))
    tabs.close()
    tabs = browser.new_context(base_url=origin)
    tabs.add_init_script(KEEP_KEY)
    tabs.add_init_script(WATCH)
    page = tabs.new_page()
    network, names, sizes = tabs.new_cdp_session(page), {}, {}
    network.send("Network.enable")
    network.on("Network.requestWillBeSent", lambda sent: names.update({sent["requestId"]: sent["request"]["url"]}))
    network.on("Network.loadingFinished", lambda done: sizes.update({done["requestId"]: done["encodedDataLength"]}))
    with page.expect_console_message(lambda message: message.text == "all is painted"):
        page.goto("/")
    painted = page.evaluate("window.painted")
    runs = page.evaluate("state.overview.jobs.reduce((sum, job) => sum + job.durations_s.length, 0)")
    assert runs >= 1000, runs
    tabs.close()
    by_name = {names[one].removeprefix(origin): int(size) for one, size in sizes.items() if "data:" not in names[one]}
    return Round(door_ms, painted["sight"], painted["all"], by_name)


def told(moments: Sequence[float]) -> str:
    return f"{statistics.median(moments):5.0f} ms, fastest {min(moments):.0f}, slowest {max(moments):.0f}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with (
        tempfile.TemporaryDirectory() as folder,
        showing(Path(folder), many) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        first, *rest = [visit(browser, server.origin) for _ in range(rounds + 1)]
        browser.close()
    print(f"the door, first paint          {told([one.door_ms for one in rest])}")
    print(f"status to the jobs in sight    {told([one.sight_ms for one in rest])}")
    print(f"every job, the runs, the log   {told([one.all_ms for one in rest])}")
    print(f"server just started: {first.sight_ms:.0f} ms, {first.all_ms:.0f} ms")
    for name, size in sorted(rest[-1].sizes.items(), key=lambda pair: -pair[1]):
        print(f"  {size:7} bytes  {name}")
    print(f"together {sum(rest[-1].sizes.values())} bytes")


if __name__ == "__main__":
    main()
