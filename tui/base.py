"""What every screen of the dashboard has: the app as it is, its source, and the keys of a text that is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.binding import Binding
from textual.screen import Screen

from tui.messages import Failed, Filtered
from tui.widgets.filterline import FilterLine
from tui.widgets.log import LogView
from tui.work import begin

if TYPE_CHECKING:
    from datetime import datetime

    from automations.overview import Overview
    from tui.app import Dashboard

CONTROLS = {"start", "stop", "restart", "run", "pause", "stop_run"}
LOG_KEYS = [
    Binding("slash", "filter", "Filter"),
    Binding("f", "follow", "Follow", show=False),
    Binding("n", "error(1)", "Next error", show=False),
    Binding("N", "error(-1)", "Error before", show=False),
    Binding("c", "copy", "Copy line", show=False),
]


class Page(Screen[None]):
    """A screen with a text in it."""

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return cast("Dashboard", self.app)

    @property
    def log_view(self) -> LogView:
        return self.query_one(LogView)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """With --readonly nothing that controls is offered."""
        return not (self.dashboard.readonly and action in CONTROLS)

    def show(self, seen: Overview | None, now: datetime) -> None:
        """Draw this overview."""

    def redraw(self) -> None:
        """The theme has changed."""
        for view in self.query(LogView):
            view.redraw()

    async def catch_up(self) -> bool:
        """Something was written: show it."""
        return await self.log_view.catch_up()

    def action_filter(self) -> None:
        self.query_one(FilterLine).ask(self.log_view.filter_text)

    def on_filtered(self, message: Filtered) -> None:
        self.filter_by(message)  # a handler in a subclass would be called beside this one, not in its place

    def filter_by(self, message: Filtered) -> None:
        """Show what fits these words."""
        self._filter_log(message.text)
        if message.is_final:
            self.log_view.focus()

    def _filter_log(self, text: str) -> None:
        begin(self, lambda: self._set_filter(text), "filter", exclusive=True)

    async def _set_filter(self, text: str) -> None:
        try:
            await self.log_view.set_filter(text)
        except ValueError as error:
            self.query_one(FilterLine).tooltip = str(error)  # while it is written, it may be half a pattern

    def action_follow(self) -> None:
        self.log_view.action_follow()

    def action_error(self, direction: int) -> None:
        begin(self, lambda: self.log_view.seek_error(direction), "seek")

    def action_copy(self) -> None:
        line = self.log_view.line_at_cursor()
        if line:
            self.app.copy_to_clipboard(line.content.decode("utf-8", "backslashreplace"))
            self.app.notify("The line is in the clipboard, if the terminal allows it", markup=False, timeout=3)

    def on_failed(self, message: Failed) -> None:
        self.app.notify(message.words, severity="warning", markup=False)
