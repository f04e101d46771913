"""The line in which a filter is written; it is there only while it is written."""

from textual.binding import Binding
from textual.widgets import Input

from tui.messages import Filtered


class FilterLine(Input):
    """Enter keeps what was written, escape takes it back."""

    BINDINGS = [Binding("escape", "take_back", "Take back", show=False)]

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, compact=True, id="filter")
        self.display = False

    def ask(self, text: str) -> None:
        """Open, with what is in force now."""
        self.display = True
        self.value = text
        self.cursor_position = len(text)
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.display:
            self.post_message(Filtered(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(self.value)

    def action_take_back(self) -> None:
        self._close("")

    def _close(self, text: str) -> None:
        self.display = False
        self.post_message(Filtered(text, is_final=True))
