"""How the faces start and stop things: they call `run_automations.sh`, with a guard of 30 seconds."""

import json
import os
import signal
import subprocess
from typing import NamedTuple

from automations.errors import AutomationsError
from automations.paths import Paths

GUARD_S = 30.0


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
    child = subprocess.Popen(
        ["/bin/sh", paths.door, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "AUTOMATIONS_HOME": paths.home},
        start_new_session=True,  # so that the guard ends the script and all that it waits for
    )
    try:
        out, err = child.communicate(timeout=guard_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise ScriptSilent(f"run_automations.sh {' '.join(arguments)} gave no answer in {guard_s:g} s") from None
    return Answer(child.returncode, _object(out, err, arguments))


def _object(out: bytes, err: bytes, arguments: tuple[str, ...]) -> dict[str, object]:
    try:
        said = json.loads(out)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        heard = (err or out).decode("utf-8", "backslashreplace").strip()[-500:]
        raise ScriptFailed(f"run_automations.sh {' '.join(arguments)} did not answer in JSON: {heard}")
    return said
