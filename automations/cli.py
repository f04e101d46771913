"""The commands behind `run_automations.sh`: parse, call the core, print one JSON object or plain words, exit.

Start, stop and their kin print `{"ok":true,…}` on stdout; a failure prints `{"ok":false,"error":…}` there, so
that a program reads one stream, and exits with the code of its kind.
"""

import argparse
import json
import os
from collections.abc import Callable

from automations import byhand, config, key, lifecycle, trigger
from automations.errors import AutomationsError, Exit
from automations.paths import Paths


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    os.umask(0o077)
    arguments = _parser().parse_args(argv)
    paths = Paths.from_environment()
    try:
        code: int = arguments.command(paths, arguments)
        return code
    except AutomationsError as error:
        return _failed(str(error), error.exit_code)
    except OSError as error:
        reason = f"{error.filename or paths.logs}: {error.strerror or error}"
        return _failed(f"{reason}; expected a writable folder with free space", Exit.IO_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run_automations.sh")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Paths, argparse.Namespace], int]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        sub.set_defaults(command=command)
        return sub

    add("start", lambda paths, _: _done(lifecycle.start(paths)))
    add("stop", lambda paths, _: _done(lifecycle.stop(paths)))
    add("restart", lambda paths, _: _restart(paths))
    add("up", lambda paths, _: _up(paths))
    add("down", lambda paths, _: _down(paths))
    run = add("run", _run)
    run.add_argument("job")
    run.add_argument("--detach", action="store_true", help="answer with the run id as soon as the run has begun")
    add("trigger", lambda paths, a: trigger.run(paths, a.job)).add_argument("job")
    add("check", _check).add_argument("file", nargs="?")
    revive = add("revive", _revive)
    give_up = add("give-up", _give_up)
    for sub in (revive, give_up):
        sub.add_argument("cause")
        sub.add_argument("attempt", type=int)
    return parser


def _restart(paths: Paths) -> int:
    lifecycle.stop(paths)
    return _done(lifecycle.start(paths))


def _up(paths: Paths) -> int:
    """Key, scheduler, API, and what to do next."""
    key_is = key.ensure(paths)
    scheduler = lifecycle.start(paths)
    print(f"scheduler  {scheduler.status}, pid {scheduler.pid}")
    api = lifecycle.start_server(paths)
    host, port = trigger.address()
    print(f"API        {api.status}, pid {api.pid}: http://{host}:{port}/")
    print(f"key        {key_is}; the page asks for it once")
    print("next       make status · make run-brief · edit automations.toml · make down")
    return Exit.OK


def _down(paths: Paths) -> int:
    _done(lifecycle.stop_server(paths))
    return _done(lifecycle.stop(paths))


def _run(paths: Paths, arguments: argparse.Namespace) -> int:
    if not arguments.detach:
        return byhand.run(paths, arguments.job)
    print(json.dumps({"ok": True, "run_id": byhand.run_detached(paths, arguments.job)}))
    return Exit.OK


def _check(paths: Paths, arguments: argparse.Namespace) -> int:
    path = os.path.abspath(arguments.file or paths.config)
    found, _ = config.load(path, paths.project)
    print(f"{path}: good, {len(found.jobs)} jobs")
    return Exit.OK


def _revive(paths: Paths, arguments: argparse.Namespace) -> int:
    result = lifecycle.revive(paths, arguments.cause, arguments.attempt)
    return _done(result) if result else Exit.STOPPED


def _give_up(paths: Paths, arguments: argparse.Namespace) -> int:
    lifecycle.give_up(paths, arguments.cause, arguments.attempt)
    return Exit.OK


def _done(result: lifecycle.Result) -> int:
    print(json.dumps({"ok": True, "status": result.status, "pid": result.pid}))
    return Exit.OK


def _failed(reason: str, code: int) -> int:
    print(json.dumps({"ok": False, "error": reason}))
    return code
