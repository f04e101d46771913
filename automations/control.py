"""How the faces start and stop things: they call `run_automations.sh`, with a guard of 30 seconds."""

import json
import os
import signal
import subprocess
import tempfile
from typing import BinaryIO, NamedTuple

from automations.errors import AutomationsError
from automations.paths import Paths

GUARD_S = 30.0
MAX_ANSWER_BYTES = 1 << 20


class Answer(NamedTuple):
    """What the script said: its exit code and the JSON object it printed."""

    code: int
    said: dict[str, object]


class ScriptSilent(AutomationsError):
    """The script did not answer within its guard; what it was doing may or may not have happened."""


class ScriptFailed(AutomationsError):
    """The script answered with something that is not its JSON object."""


def call(paths: Paths, *arguments: str, guard_s: float = GUARD_S) -> Answer:
    """Run the script with these arguments. Raises ScriptSilent, ScriptFailed."""
    with _scratch() as out, _scratch() as err:
        child = subprocess.Popen(
            ["/bin/sh", paths.door, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, "AUTOMATIONS_HOME": paths.home},
            start_new_session=True,  # so that the guard ends the script and all that it waits for
        )
        try:
            child.wait(guard_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise ScriptSilent(f"run_automations.sh {' '.join(arguments)} gave no answer in {guard_s:g} s") from None
        return Answer(child.returncode, _object(_read(out), _read(err), arguments))


def _scratch() -> BinaryIO:
    """A file rather than a pipe: what a process left behind by the script keeps open makes nobody wait.

    In memory where the system can, so that a full disk does not silence the script.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("answer"), "w+b")
    return tempfile.TemporaryFile()


def _read(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(MAX_ANSWER_BYTES)


def _object(out: bytes, err: bytes, arguments: tuple[str, ...]) -> dict[str, object]:
    try:
        said = json.loads(out)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        heard = (err or out).decode("utf-8", "backslashreplace").strip()[-500:]
        raise ScriptFailed(f"run_automations.sh {' '.join(arguments)} did not answer in JSON: {heard}")
    return said
