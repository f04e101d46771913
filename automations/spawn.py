"""A job's process: a small `sh` between us and the command, and the environment both get.

The shim holds the locks of the run, its job and its group while the command lives and passes on none; it writes its
pid into the run's lock file and, at the end, the command's exit status. What a job's process gets is built from
nothing: no descriptor, no signal setting and no variable of whoever started us.
"""

import contextlib
import fcntl
import os
import pwd
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache

SHELL = "/bin/sh"
_LOCK_FDS = (9, 8, 7)  # run, job, group: single digits are all that every sh can close
_SHIM = """
folder=$1; shift
trap : HUP INT TERM
echo "pid $$" >&9
umask 022
if cd "$folder"; then
	unset OLDPWD
	case $1 in
	*/*) "$@" 7>&- 8>&- 9>&- ;; # a path is never a word of the shell, and costs no fork of it
	*) (exec "$@" 7>&- 8>&- 9>&-) ;;
	esac
else (exit 126); fi
code=$?
echo "exit $code" >&9
exit "$code"
"""
_DEFAULTS = [n for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP) and n < 32]


def spawn(folder: str, argv: Sequence[str], environment: dict[str, str], out: int, locks: Sequence[int]) -> int:
    """Start `argv` in `folder` under the shim, in a session of its own; the shim's pid.

    Descriptors: `out` for what it prints; `locks` of the run, the job and, if it has one, the group. Raises OSError,
    and ValueError for a NUL in a word.
    """
    high: list[int] = []
    try:
        high += (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (out, *locks))  # clear of 7, 8 and 9
        return os.posix_spawn(
            SHELL,
            [SHELL, "-c", _SHIM, "run", folder, *argv],
            environment,
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, high[0], 1),
                (os.POSIX_SPAWN_DUP2, high[0], 2),
                *((os.POSIX_SPAWN_DUP2, fd, place) for fd, place in zip(high[1:], _LOCK_FDS, strict=False)),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULTS,
        )
    finally:
        for fd in high:
            os.close(fd)


@cache
def environment() -> Mapping[str, str]:
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


def read_env_file(path: str) -> dict[str, str]:
    """Variables from a file of `NAME=value` lines; `#` comments, `export` and quotes around a value are understood.

    Read at each run, so that a changed secret needs no reload. Raises OSError, and ValueError naming the line but
    never its value.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().split("\n")
    variables = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if text and not text.startswith("#"):
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals or not name.isidentifier() or name.startswith("AUTOMATIONS_") or "\0" in value:
                raise ValueError(f"{path}:{number}: expected NAME=value, and no AUTOMATIONS_ name")
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            variables[name] = value[1:-1] if is_quoted else value
    return variables


def _user() -> tuple[str, str]:
    """Name and home of whom we run as; a container's user may have neither."""
    try:
        user = pwd.getpwuid(os.getuid())
    except KeyError:
        return str(os.getuid()), os.environ.get("HOME", "/")
    return user.pw_name, user.pw_dir


@cache
def _inheritable() -> list[int]:
    """Descriptors that whoever started us left open for our children too: no job of ours gets them.

    Looked up once: whatever we open ourselves is closed on exec.
    """
    found = []
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
