"""How a launched program tells its launcher that it lives: the program's side of `detach`.

It writes `ready` (or the reason why not) and an end mark into the descriptor named by READY_FD. SIGTERM, SIGINT
and SIGHUP are blocked when it begins, and it unblocks them once its handlers stand, so that none is lost in the
first moments. Source: s6, notification-fd.
"""

import contextlib
import os
import signal

READY_FD = "READY_FD"
END = b"\0"
RUN_VARIABLES = ("AUTOMATIONS_JOB", "AUTOMATIONS_RUN_ID", "AUTOMATIONS_DUE")  # what marks a process as a run's
HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def keep_ready_fd() -> None:
    """Keep the launcher's descriptor from what this program itself starts. Call it first of all."""
    fd = os.environ.get(READY_FD, "")
    if fd.isdigit():
        with contextlib.suppress(OSError):  # a launcher of another kind, and a number that means nothing here
            os.set_inheritable(int(fd), False)


def announce(word: str) -> None:
    """Tell the launcher, if there is one: `ready`, `ready WORDS`, or the reason why it will not be."""
    fd = os.environ.pop(READY_FD, "")
    if fd.isdigit():
        with contextlib.suppress(OSError):  # the launcher gave up waiting
            os.write(int(fd), word.encode("utf-8", "backslashreplace")[:4000] + END)
            os.close(int(fd))


def refuse(program: str, reason: str) -> None:
    """Say why this program does not come up: to the launcher, and on stderr, which may lie on a full disk."""
    announce(reason)
    with contextlib.suppress(OSError):
        os.write(2, f"{program}: {reason}\n".encode("utf-8", "backslashreplace"))
