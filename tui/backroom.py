"""A thread that does what takes time, one thing after the other, and hands the result to the event loop.

A daemon: a long reading of an old journal must not keep the dashboard from closing.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Backroom:
    """Ask it from the event loop."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    async def ask(self, question: Callable[[], _Result]) -> _Result:
        """Have `question` called there, and wait for its result without holding up the loop."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Result] = loop.create_future()
        self._work.put((question, loop, answer))
        return await answer

    def _serve(self) -> None:
        while True:
            question, loop, answer = self._work.get()
            try:
                result, error = question(), None
            except Exception as caught:  # it is raised where it was asked
                result, error = None, caught
            try:
                loop.call_soon_threadsafe(_hand_over, answer, result, error)
            except RuntimeError:
                return  # the loop has closed


def _hand_over(answer: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
    if answer.done():  # nobody waits any more
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
