"""A job's process: a small `sh` between us and the command, and the environment both get.

The shim holds two locks while the command lives and passes on neither; it writes its pid into the run's lock file
and, at the end, the command's exit status. What a job's process gets is built from nothing: no descriptor, no
signal setting and no variable of whoever started us.
"""

import contextlib
import fcntl
import os
import pwd
import signal
import sys
from collections.abc import Sequence

from automations.locks import proc_stat

_JOB_FD, _RUN_FD = 8, 9  # single digits are all that every sh can close
_SHIM = """
folder=$1; shift
trap : HUP INT TERM
echo "$$" >&9 || echo - >&9
umask 022
if cd "$folder"; then unset OLDPWD; (exec "$@" 8>&- 9>&-); else (exit 126); fi
code=$?
echo "$code" >&9
exit "$code"
"""
_DEFAULTS = [n for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP) and n < 32]


def spawn(folder: str, argv: Sequence[str], environment: dict[str, str], fds: tuple[int, int, int]) -> int:
    """Start `argv` in `folder` under the shim, in a session of its own; the shim's pid.

    `fds`: the output file, the job's lock, the run's lock. Raises OSError, and ValueError for a NUL in a word.
    """
    high: list[int] = []
    try:
        high += (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds)  # clear of 8 and 9
        out_fd, job_fd, run_fd = high
        return os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", _SHIM, "run", folder, *argv],
            environment,
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_fd, 1),
                (os.POSIX_SPAWN_DUP2, out_fd, 2),
                (os.POSIX_SPAWN_DUP2, job_fd, _JOB_FD),
                (os.POSIX_SPAWN_DUP2, run_fd, _RUN_FD),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULTS,
        )
    finally:
        for fd in high:
            os.close(fd)


def environment() -> dict[str, str]:
    """What every job's process gets, the same however the run began."""
    name, folder = _user()
    return {
        "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": folder,
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }


def _user() -> tuple[str, str]:
    """Name and home of whom we run as; a container's user may have neither."""
    try:
        user = pwd.getpwuid(os.getuid())
    except KeyError:
        return str(os.getuid()), os.environ.get("HOME", "/")
    return user.pw_name, user.pw_dir


def group_lives(group: int) -> bool:
    """Does any process of this group still run? Without /proc nobody can say, and nobody is waited for."""
    if not os.path.isdir("/proc/self"):
        return False
    stats = (proc_stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return any(stat[2] == str(group) and stat[0] not in "ZX" for stat in stats if stat)


def _inheritable() -> list[int]:
    """Descriptors that whoever started us left open for our children too: no job of ours gets them."""
    found = []
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
