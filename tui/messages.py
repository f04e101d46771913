"""What widgets tell the app: each a small value, handled in `app`."""

from dataclasses import dataclass
from datetime import datetime

from textual.message import Message


@dataclass
class OpenRun(Message):
    """Show this run with its output."""

    run_id: str


@dataclass
class JobChosen(Message):
    """The cursor stands on this job (None: there is none)."""

    name: str | None


@dataclass
class MomentChosen(Message):
    """The cursor of the coverage strip stands on this minute (None: it was put away)."""

    at: datetime | None


@dataclass
class Filtered(Message):
    """The words in the filter line changed; `is_final`: they are to stay, and the line closes."""

    text: str
    is_final: bool = False


@dataclass
class Failed(Message):
    """Something that was to be shown could not be read."""

    words: str
