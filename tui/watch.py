"""Notices that something in a folder has changed: watchfiles on the *folder*, since a watched file goes dead when it
is replaced. A look every second beside it finds what no notice tells of.
"""

import os
import threading
from collections.abc import Callable

DEBOUNCE_MS, STEP_MS = 50, 20


class Watcher:
    """Calls `changed` with the names that changed, from a thread of its own, until it is closed."""

    def __init__(self, folders: list[str], names: Callable[[str], bool], changed: Callable[[set[str]], None]) -> None:
        self._folders = folders
        self._names = names
        self._changed = changed
        self._closed = threading.Event()
        threading.Thread(target=self._serve, name="watcher", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _serve(self) -> None:
        from watchfiles import watch  # after the first frame: it takes a while to load

        while not self._closed.is_set():
            there = [folder for folder in self._folders if os.path.isdir(folder)]
            try:
                for changes in watch(
                    *there,
                    watch_filter=lambda _, path: self._names(path),
                    debounce=DEBOUNCE_MS,
                    step=STEP_MS,
                    stop_event=self._closed,
                    rust_timeout=5000,
                    yield_on_timeout=True,
                    recursive=False,
                    raise_interrupt=False,
                ):
                    if changes:
                        self._changed({os.path.basename(path) for _, path in changes})
                    elif [folder for folder in self._folders if os.path.isdir(folder)] != there:
                        break  # a folder came or went: watch what is there now
            except (OSError, RuntimeError):  # no folder yet, or no more watches to be had: the look every second serves
                self._closed.wait(1.0)
