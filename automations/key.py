"""The key of the control API: from DASHBOARD_KEY, else from `.env` (0600); made once, never shown.

DASHBOARD_READ_KEY, from the same places, opens what only reads; there is none unless the user makes one.

Read by the API and by those who call it. Never in argv, URLs, logs or a job's environment.
"""

import os
import secrets

from automations.errors import AutomationsError
from automations.files import open_private, read_text, write_all
from automations.paths import Paths

NAME = "DASHBOARD_KEY"
READ_NAME = "DASHBOARD_READ_KEY"


def load(paths: Paths, wanted: str = NAME) -> str:
    """The key; empty when none is configured. Raises AutomationsError when others may read or change the file."""
    from_environment = os.environ.get(wanted, "")
    if from_environment:
        return from_environment
    try:
        mode = os.stat(paths.key_file).st_mode & 0o777
    except FileNotFoundError:
        return ""
    if mode & 0o077:
        raise AutomationsError(f"{paths.key_file}: mode {mode:o}; expected 600; next: chmod 600 {paths.key_file}")
    for line in read_text(paths.key_file).split("\n"):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        found = value.strip().strip("'\"")
        if equals and name.strip() == wanted and found:
            return found
    return ""


def ensure(paths: Paths) -> str:
    """Make a key in `.env` unless one is configured; other lines of the file are kept. Says where the key is."""
    if os.environ.get(NAME):
        return f"{NAME} from the environment"
    if load(paths):
        return f"{NAME} in {paths.key_file}"
    before = read_text(paths.key_file)
    newline = "\n" if before and not before.endswith("\n") else ""
    fd = open_private(paths.key_file, os.O_WRONLY | os.O_APPEND)
    try:
        write_all(fd, f"{newline}{NAME}={secrets.token_urlsafe(32)}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    return f"{NAME} in {paths.key_file}, made just now"
