"""Detach a program, wait for its proof of life, print its pid.

Usage: daemonize.py [--notifies] [--out FILE] [--pid-file FILE] [--settle SECONDS] -- PROGRAM [ARGUMENT ...]

The program gets a session of its own, stdin from /dev/null, stdout and stderr appended to FILE (default
`logs/scheduler.out`). With --notifies it must also speak the READY_FD protocol of automations/detach.py; without,
surviving the settle time (default 1.5 s) is its only proof. --pid-file is written here, for programs that write
none themselves. Exit 0 and the pid on stdout when it lives; exit 1 and the reason on stderr when it does not.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from automations import detach
from automations.errors import Exit, StartFailed
from automations.files import replace
from automations.paths import Paths, prepare_logs


def main() -> int:
    os.umask(0o077)
    paths = Paths.from_environment()
    parser = argparse.ArgumentParser(prog="daemonize.py", description=__doc__.split("\n")[0])
    parser.add_argument("--notifies", action="store_true", help="the program follows the READY_FD protocol")
    parser.add_argument("--out", default=paths.log("scheduler.out"), help="file for its stdout and stderr")
    parser.add_argument("--pid-file", help="file that shall name its pid")
    parser.add_argument("--settle", type=float, default=detach.SETTLE_S, help="seconds it must survive")
    parser.add_argument("program", nargs="+", help="after --: the program and its arguments")
    chosen = parser.parse_args()
    try:
        prepare_logs(paths)
        pid, _ = detach.launch(chosen.program, chosen.out, notifies=chosen.notifies, settle_s=chosen.settle)
        if chosen.pid_file:
            replace(os.path.abspath(chosen.pid_file), f"{pid}\n".encode())
    except (StartFailed, OSError) as error:
        print(f"daemonize: {error}", file=sys.stderr)
        return Exit.FAILED
    print(pid)
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
