"""The commands behind `run_automations.sh`: parse, call the core, say what came of it, exit.

`start`, `stop`, `restart` and `run --detach` are for programs as much as for people: they print one JSON object
on stdout, `{"ok":true,…}` or `{"ok":false,"error":"…"}`. The others are for people and speak in plain words, their
failures on stderr. The exit code is that of the failure's kind.

Each command imports what it needs, so that `stop` works where the virtual environment is gone.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from automations.errors import AutomationsError, Exit, StartFailed
from automations.paths import Paths

_FOR_PROGRAMS = {"start", "stop", "restart", "revive", "give-up"}


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    os.umask(0o077)
    arguments = _parser().parse_args(argv)
    paths = Paths.from_environment()
    try:
        code: int = arguments.command(paths, arguments)
        return code
    except AutomationsError as error:
        return _failed(arguments, str(error), error.exit_code)
    except ModuleNotFoundError as error:
        return _failed(arguments, f"not installed: no module {error.name}; next: make up", Exit.UNAVAILABLE)
    except FileNotFoundError as error:
        return _failed(arguments, f"{error.filename}: not found; expected an existing AUTOMATIONS_HOME", Exit.IO_ERROR)
    except OSError as error:
        reason = f"{error.filename or paths.logs}: {error.strerror or error}"
        return _failed(arguments, f"{reason}; expected a writable folder with free space", Exit.IO_ERROR)


class _Parser(argparse.ArgumentParser):
    """argparse with the exit code for wrong use that the other commands have."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.format_usage()}{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="run_automations.sh")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Paths, argparse.Namespace], int]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        sub.set_defaults(command=command, name=name, detach=False)
        return sub

    for name, command in (("start", _start), ("stop", _stop), ("restart", _restart), ("up", _up), ("down", _down)):
        add(name, command)
    run = add("run", _run)
    run.add_argument("job")
    run.add_argument("--detach", action="store_true", help="answer with the run id as soon as the run has begun")
    add("trigger", _trigger).add_argument("job")
    add("check", _check).add_argument("file", nargs="?")
    for sub in (add("revive", _revive), add("give-up", _give_up)):
        sub.add_argument("cause")
        sub.add_argument("attempt", type=int)
    return parser


def _start(paths: Paths, _: argparse.Namespace) -> int:
    from automations import lifecycle

    result = lifecycle.start(paths)
    return _done(result.status, result.pid)


def _stop(paths: Paths, _: argparse.Namespace) -> int:
    from automations import lifecycle

    result = lifecycle.stop(paths)
    return _done(result.status, result.pid)


def _restart(paths: Paths, _: argparse.Namespace) -> int:
    from automations import lifecycle

    result = lifecycle.restart(paths)
    return _done(result.status, result.pid)


def _up(paths: Paths, _: argparse.Namespace) -> int:
    """Key, scheduler, API, and what to do next."""
    from automations import key, lifecycle

    key_is = key.ensure(paths)
    scheduler = lifecycle.start(paths)
    print(f"scheduler  {scheduler.status}, pid {scheduler.pid}")
    print(f"jobs       {_jobs_in_words(paths)}")
    try:
        api, address = lifecycle.start_server(paths)
    except StartFailed as error:
        raise StartFailed(f"the scheduler is up, the API is not: {error}", error.exit_code) from None
    print(f"API        {api.status}, pid {api.pid}: {address}")
    print(f"key        {key_is}; the page asks for it once")
    print("next       make status · make run-brief · edit automations.toml · make down")
    return Exit.OK


def _jobs_in_words(paths: Paths) -> str:
    from automations import config
    from automations.errors import ConfigError

    try:
        return f"{len(config.load(paths.config, paths.project)[0].jobs)} in {paths.config}"
    except ConfigError as error:
        return f"REFUSED, the last good job file stays in force: {error.faults[0]}; next: make check-jobs"


def _down(paths: Paths, _: argparse.Namespace) -> int:
    from automations import lifecycle

    print(f"API        {lifecycle.stop_server(paths).status}")
    print(f"scheduler  {lifecycle.stop(paths).status}")
    return Exit.OK


def _run(paths: Paths, arguments: argparse.Namespace) -> int:
    from automations import byhand

    if not arguments.detach:
        return byhand.run(paths, arguments.job)
    print(json.dumps({"ok": True, "run_id": byhand.run_detached(paths, arguments.job)}))
    return Exit.OK


def _trigger(paths: Paths, arguments: argparse.Namespace) -> int:
    from automations import trigger

    return trigger.run(paths, arguments.job)


def _check(paths: Paths, arguments: argparse.Namespace) -> int:
    from automations import config

    path = os.path.abspath(arguments.file or paths.config)
    found, _ = config.load(path, paths.project)
    print(f"{path}: good, {len(found.jobs)} jobs")
    return Exit.OK


def _revive(paths: Paths, arguments: argparse.Namespace) -> int:
    from automations import lifecycle

    result = lifecycle.revive(paths, arguments.cause, arguments.attempt)
    return _done(result.status, result.pid) if result else Exit.STOPPED


def _give_up(paths: Paths, arguments: argparse.Namespace) -> int:
    from automations import lifecycle

    lifecycle.give_up(paths, arguments.cause, arguments.attempt)
    return Exit.OK


def _done(status: str, pid: int | None) -> int:
    print(json.dumps({"ok": True, "status": status, "pid": pid}))
    return Exit.OK


def _failed(arguments: argparse.Namespace, reason: str, code: int) -> int:
    """Say why not, past Python's buffers: what cannot be written there must not change the exit code."""
    for_program = arguments.name in _FOR_PROGRAMS or arguments.detach
    text = json.dumps({"ok": False, "error": reason}) if for_program else reason
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        os.write(1 if for_program else 2, f"{text}\n".encode("utf-8", "backslashreplace"))
    return code
