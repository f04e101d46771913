"""The record: runs, success rate and durations of each job, as one HTML file without any link to elsewhere.

Writes `logs/reports/`, and leaves one `report` entry in the journal. Covers what the journal's end holds, and
says from when to when.
"""

import html
import os
from collections import defaultdict
from datetime import UTC, datetime
from statistics import quantiles
from typing import NamedTuple

from automations import clock
from automations.files import replace
from automations.journal import Entry, Journal
from automations.model import Outcome
from automations.paths import Paths
from automations.replay import entries_since


class Row(NamedTuple):
    """One job's record; durations in seconds."""

    job: str
    runs: int
    succeeded: int
    not_run: int
    p50_s: float
    p95_s: float


def rows(entries: list[dict[str, object]]) -> list[Row]:
    """Fold entries into a row for each job, in the order of their names."""
    durations: dict[str, list[float]] = defaultdict(list)
    runs: dict[str, int] = defaultdict(int)
    succeeded: dict[str, int] = defaultdict(int)
    not_run: dict[str, int] = defaultdict(int)
    for entry in entries:
        job = str(entry.get("job"))
        if entry["event"] == "run_finished":
            runs[job] += 1
            if entry.get("duration_s") is not None:
                durations[job].append(float(str(entry["duration_s"])))
            succeeded[job] += entry.get("outcome") == Outcome.SUCCEEDED
        elif entry["event"] == "run_skipped":
            not_run[job] += int(str(entry.get("slots") or 1))
    names = sorted(runs.keys() | not_run.keys())
    return [Row(n, runs[n], succeeded[n], not_run[n], *_percentiles(durations[n])) for n in names]


def _percentiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (values[0], values[0]) if values else (0.0, 0.0)
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]


def page(table: list[Row], since: str, until: str) -> str:
    """The rows as a page."""
    body = "".join(
        f"<tr><th scope=row>{html.escape(row.job)}<td>{row.runs}<td>{_rate(row)}<td>{row.not_run}"
        f"<td>{row.p50_s:.2f} s<td>{row.p95_s:.2f} s"
        for row in table
    )
    return f"""<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Report of {until}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884 }}
</style>
<h1>Report</h1>
<p>From {since} to {until}.
<table><thead><tr><th>Job<th>Runs<th>Succeeded<th>Not run<th>p50<th>p95</thead>
<tbody>{body or "<tr><td colspan=6>No run has ended in this time."}</tbody></table>
</html>
"""


def _rate(row: Row) -> str:
    return f"{row.succeeded} ({100 * row.succeeded / row.runs:.0f} %)" if row.runs else "–"


def main() -> None:
    paths = Paths.from_environment()
    now = clock.read().utc
    entries = entries_since(paths.journal, datetime.min.replace(tzinfo=UTC))
    table = rows(entries)
    since = str(entries[0]["ts"]) if entries else clock.iso(now)
    os.makedirs(paths.log("reports"), mode=0o700, exist_ok=True)
    name = f"reports/{clock.slot_name(now)}.html"
    replace(paths.log(name), page(table, since, clock.iso(now)).encode())
    Journal(paths).append(Entry("report", {"file": name, "jobs": len(table), "since": since}))
    for row in table:
        print(f"{row.job}: {row.runs} runs, {_rate(row)} succeeded, p50 {row.p50_s:.2f} s, p95 {row.p95_s:.2f} s")


if __name__ == "__main__":
    main()
