"""What draws spans: text with tones.

Whatever is drawn passes `fit` here: no foreign string reaches the terminal as it came, nor one without end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from automations.text import clean
from tui.lines import Span

if TYPE_CHECKING:
    from tui.app import Dashboard

MOST_CHARS = 4096


def fit(text: str) -> str:
    """A text as it may be drawn: clean, and no longer than any screen is wide."""
    return clean(text[:MOST_CHARS])


class Toned(Widget):
    """A widget that draws spans. What a tone looks like, `tones` says."""

    _entitled = ""

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return cast("Dashboard", self.app)

    def tone(self, name: str) -> Style:
        """A tone as the theme has it; the background is the widget's own."""
        return self.dashboard.tones[name]

    def text(self, spans: Iterable[Span]) -> Text:
        """Spans as one line of rich text."""
        made = Text(no_wrap=True, overflow="ellipsis")
        for span in spans:
            made.append(fit(span.text), self.tone(span.tone))
        return made

    def entitle(self, title: str) -> None:
        """Set the words in the border, as they are: a plain string would be read as markup."""
        if title != self._entitled:
            self._entitled = title
            self.border_title = Content(fit(title))

    def strip(self, spans: Iterable[Span]) -> Strip:
        """Spans as one strip of the line API."""
        base = self.rich_style
        return Strip([Segment(fit(span.text), base + self.tone(span.tone)) for span in spans])
