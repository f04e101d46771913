"""The small windows: are you sure, for how long, why, and help."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from automations.text import clean
from automations.why import Answer
from tui import lines
from tui.lines import Span
from tui.widgets.toned import Toned


class Confirm(ModalScreen[bool]):
    """A question that changes something: `y` or Enter on the button does it, anything else does not."""

    BINDINGS = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right", "app.focus_next", "Other", show=False),
    ]

    def __init__(self, question: str, explained: str, verb: str) -> None:
        super().__init__()
        self._words = (question, explained, verb)

    def compose(self) -> ComposeResult:
        question, explained, verb = self._words
        with Vertical(classes="dialog"):
            yield Label(clean(question), markup=False, classes="question")
            yield Label(clean(explained), markup=False)
            with Horizontal(classes="buttons"):
                yield Button("No  (esc)", id="no")
                yield Button(f"{verb}  (y)", id="yes", variant="error")

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, is_yes: bool) -> None:
        self.dismiss(is_yes)


class AskPause(ModalScreen[tuple[str, str] | None]):
    """How long, and why. Answers with the end as it was written and the note; None: not at all."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Not now")]

    def __init__(self, job: str) -> None:
        super().__init__()
        self._job = job

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(f"Pause {clean(self._job)}", markup=False, classes="question")
            yield Label("Its slots pass and are recorded as skipped. For how long?", markup=False)
            yield Input(placeholder="2h · 1d · 2026-11-25T08:00 · empty: until it is resumed", id="end")
            yield Input(placeholder="a note: why (may be empty)", id="note")
            with Horizontal(classes="buttons"):
                yield Button("No  (esc)", id="no")
                yield Button("Pause  (enter)", id="yes", variant="warning")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "end":
            self.query_one("#note").focus()
        else:
            self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        self.dismiss((self.query_one("#end", Input).value.strip(), self.query_one("#note", Input).value.strip()))


class _Told(Toned):
    """Lines of spans, folded where they are too long."""

    def __init__(self, told: Sequence[Sequence[Span]]) -> None:
        super().__init__()
        self._told = told

    def render(self) -> Group:
        return Group(*(self._folded(line) for line in self._told))

    def _folded(self, line: Sequence[Span]) -> Text:
        text = self.text(line)
        text.no_wrap, text.overflow = False, "fold"
        return text


class Why(ModalScreen[None]):
    """One sentence, and the entries that prove it."""

    BINDINGS = [Binding("escape,enter,w,q", "dismiss(None)", "Close")]

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def compose(self) -> ComposeResult:
        told: list[list[Span]] = [[Span(self._answer.sentence)], [Span("")]]
        if self._answer.proof:
            told.append([Span("The entries that say so:", "job")])
            for entry in self._answer.proof:
                line = lines.entry(_encoded(entry))
                told.append([Span(f"{entry.get('seq')}  ", "dim"), *line])
        else:
            told.append([Span("No entry of the journal is about it.", "dim")])
        with VerticalScroll(classes="dialog wide") as scroll:
            scroll.border_title = "Why"
            yield _Told(told)


def _encoded(entry: dict[str, object]) -> bytes:
    import json

    return json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace")


class Help(ModalScreen[None]):
    """What every key does, and what every mark means."""

    BINDINGS = [Binding("escape,enter,question_mark,q", "dismiss(None)", "Close")]

    def __init__(self, told: Sequence[Sequence[Span]]) -> None:
        super().__init__()
        self._told = told

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog wide") as scroll:
            scroll.border_title = "Help"
            yield _Told(self._told)
