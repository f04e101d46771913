"""Is this server fit to be asked? Each thing that it lives on is tried, and what fails is a reason.

Rules:
- Ready means: the key is there, `logs/` and the journal can be read, a job file can be used, the history answers.
- A scheduler that was stopped on request is no fault. One that ought to run and does not, or hangs, is one.
- Anybody may ask, so a reason names no path and no fault in full.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator

from automations import config, key, vitals
from automations.errors import AutomationsError
from automations.history import Filters, History
from automations.paths import Paths, tick_s
from automations.reading import JournalFile
from automations.vitals import State


def reasons(paths: Paths, state: State, want: str) -> Iterator[str]:
    """Why the server is not ready; none when it is."""
    tried: dict[str, Callable[[Paths], object]] = {
        "logs/ cannot be read": lambda paths: os.listdir(paths.logs),
        "the journal cannot be read": _read_journal,
        "no job file can be used": lambda paths: config.load_last_good(
            paths.config, paths.project, paths.log("configs")
        ),
        "the history does not answer": _ask_history,
        "the key cannot be read": key.load,
    }
    for words, attempt in tried.items():
        try:
            found = attempt(paths)
        except (AutomationsError, OSError, sqlite3.Error):
            yield words
        else:
            if attempt is key.load and not found:
                yield "no key is configured"
    if state.no_signal or (state is State.NEVER_STARTED and want == "up"):
        yield f"the scheduler is {state}"


def state(paths: Paths) -> tuple[State, str]:
    """How the scheduler is, and what is wanted of it."""
    seen = vitals.look(paths, tick_s())
    return seen.state, seen.want


def _read_journal(paths: Paths) -> None:
    JournalFile(paths.journal).close()


def _ask_history(paths: Paths) -> None:
    with History(paths) as history:
        history.runs(Filters(limit=1))
