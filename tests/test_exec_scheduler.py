"""The loop itself, as a real process: what came due is written down, whatever happens around it."""

from datetime import datetime, timedelta
from itertools import pairwise

from automations.clock import parse_iso
from tests.conftest import Home, until

EVERY_SECOND = '[jobs.a]\nevery = "1s"\ncommand = "true"\n'


def settled(home: Home) -> list[tuple[datetime, datetime]]:
    """First and last slot of each entry that settles slots of the job, in order."""
    found = [entry for entry in home.entries() if entry["event"] in ("run_started", "run_skipped")]
    return sorted((parse_iso(str(e["due"])), parse_iso(str(e.get("until", e["due"])))) for e in found)


def test_no_slot_is_lost_when_the_job_file_changes_just_before_it(home: Home):
    home.jobs(EVERY_SECOND)
    home.start()
    edits = iter(range(10_000))
    until(
        lambda: home.jobs(f"{EVERY_SECOND}# edit {next(edits)}\n") or len(home.entries("config_loaded")) >= 6,
        what="six job files in force",
    )
    slots = settled(home)
    lost = [str(later) for (_, last), (later, _) in pairwise(slots) if later - last > timedelta(seconds=1)]
    assert lost == []
    assert slots[-1][1] - slots[0][0] >= timedelta(seconds=3)
