"""One request, one run: what was begun under an `Idempotency-Key`, remembered for a day.

Rules:
- `logs/requests/DIGEST` (of job and key) is written before the run is begun, and again with its run id after. So
  neither a repeated request nor a restart of the server begins a second run.
- A request whose answer nobody knows (the server was killed in between, or the script gave none) is not carried out
  again: the asker is told to look at the job's runs. One that was refused is forgotten, and may be tried again.
- Two at the same time: one begins the run, the other waits for its id.
- One server a home carries out requests, since `server.lock` is held for life.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable

from automations import clock
from automations.files import read_text, replace
from automations.paths import Paths
from automations.route import Refused

KEPT_S = 24 * 3600.0
MOST_CHARS = 255
_WAIT_S = 35.0  # the script's guard is 30
_PRUNE_S = 3600.0


class Requests:
    """The requests of one home."""

    def __init__(self, paths: Paths) -> None:
        self._folder = paths.log("requests")
        self._turn = threading.Condition()
        self._busy: set[str] = set()
        self._pruned_s = float("-inf")

    def once(self, job: str, given: str, begin: Callable[[], str]) -> str:
        """The id of the run that `begin` begins, or began under the same key. Raises Refused, and what `begin` does."""
        if not 0 < len(given) <= MOST_CHARS:
            raise Refused(400, f"Idempotency-Key: expected 1 to {MOST_CHARS} characters, got {len(given)}")
        name = hashlib.sha256(f"{job}\n{given}".encode()).hexdigest()[:32]
        with self._turn:
            if not self._turn.wait_for(lambda: name not in self._busy, _WAIT_S):
                raise Refused(409, "the same request is being carried out", retry_after_s=5)
            self._busy.add(name)
        try:
            return self._once(job, os.path.join(self._folder, name), begin)
        finally:
            with self._turn:
                self._busy.remove(name)
                self._turn.notify_all()

    def _once(self, job: str, path: str, begin: Callable[[], str]) -> str:
        self._prune()
        if _is_kept(path):
            run_id = read_text(path, 200).strip()
            if not run_id:
                raise Refused(409, f"what became of this request is not known; next: look at the runs of {job}")
            return run_id
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            replace(path, b"")
        except OSError as error:
            raise Refused(507, f"the request cannot be remembered, so nothing was begun: {error.strerror}") from None
        try:
            run_id = begin()
        except Refused as refusal:
            if refusal.status not in (502, 504):  # those two do not say whether it was begun
                os.unlink(path)
            raise
        with contextlib.suppress(OSError):  # who repeats it is then told that nobody knows
            replace(path, f"{run_id}\n".encode())
        return run_id

    def _prune(self) -> None:
        """Forget what is older than a day, once an hour."""
        if time.monotonic() - self._pruned_s < _PRUNE_S:
            return
        self._pruned_s = time.monotonic()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(self._folder):
                if not _is_kept(entry.path):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)


def _is_kept(path: str) -> bool:
    """Is there something that is younger than a day, by the clock on the wall? A restart ends any other clock."""
    try:
        age_s = clock.read().utc.timestamp() - os.stat(path).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return False
    return age_s < KEPT_S
