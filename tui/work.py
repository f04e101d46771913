"""What is done beside the keys: begun when the loop gets to it, so that what is overtaken before is never begun."""

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode

from automations.errors import AutomationsError


def begin(node: DOMNode, work: Callable[[], Coroutine[Any, Any, object]], group: str, exclusive: bool = False) -> None:
    """Have this done for a widget, a screen or the app; `exclusive`: in place of what its group does now.

    What could not be done is told; it ends nothing, be it a file that cannot be read or a fault of our own.
    """

    async def guarded() -> None:
        try:
            await work()
        except Exception as error:  # one piece of work must not end the dashboard, nor fail in silence
            node.app.notify(told(error), severity="warning", markup=False)

    node.run_worker(guarded, group=group, exclusive=exclusive, exit_on_error=False)  # type: ignore[arg-type]


def told(error: Exception) -> str:
    """What an error says to a person."""
    return str(error) if isinstance(error, AutomationsError | OSError) else f"{type(error).__name__}: {error}"
