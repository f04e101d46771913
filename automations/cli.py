"""The commands behind `run_automations.sh`: parse, call the core, say what came of it, exit.

`start`, `stop`, `restart`, `run --detach` and whatever is given `--json` are for programs as much as for people:
they print one JSON object on stdout, `{"ok":true,…}` or `{"ok":false,"error":"…"}`. The others are for people and
speak in plain words, their failures on stderr. The exit code is that of the failure's kind.

Each command imports what it needs, so that `stop` works where the virtual environment is gone.
"""

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from automations.errors import AutomationsError, Exit, StartFailed
from automations.model import Outcome
from automations.paths import Paths

_FOR_PROGRAMS = {"start", "stop", "restart", "revive", "give-up"}
_Command = Callable[[Paths, argparse.Namespace], int]


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
        if "--json" in sys.argv:  # whoever asked for it reads nothing else
            print(json.dumps({"ok": False, "error": message}))
        self.exit(Exit.USAGE, f"{self.format_usage()}{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="run_automations.sh")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: _Command) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        sub.set_defaults(command=command, name=name, detach=False, json=False)
        return sub

    for name, command in (("start", _start), ("stop", _stop), ("restart", _restart), ("up", _up), ("down", _down)):
        add(name, command)
    run = add("run", _run)
    run.add_argument("job")
    run.add_argument("--detach", action="store_true", help="answer with the run id as soon as the run has begun")
    add("trigger", _trigger).add_argument("job")
    _add_job_commands(add)
    _add_run_commands(add)
    for sub in (add("revive", _revive), add("give-up", _give_up)):
        sub.add_argument("cause")
        sub.add_argument("attempt", type=int)
    return parser


def _add_job_commands(add: Callable[[str, _Command], argparse.ArgumentParser]) -> None:
    check = add("check", _later("cli_jobs", "check"))
    check.add_argument("file", nargs="?")
    coming = add("next", _later("cli_jobs", "upcoming"))
    coming.add_argument("job", nargs="?")
    coming.add_argument("-n", dest="count", type=int, default=10, help="how many slots")
    pause = add("pause", _later("cli_jobs", "pause_job"))
    pause.add_argument("job")
    end = pause.add_mutually_exclusive_group()
    end.add_argument("--until", type=_reader("moment"), help="a time: 2026-11-22T08:00")
    end.add_argument("--for", dest="length", type=_reader("length"), help="a duration: 2h")
    pause.add_argument("--note", default="", help="why")
    resume = add("resume", _later("cli_jobs", "resume_job"))
    resume.add_argument("job")
    importing = add("import-crontab", _later("cli_jobs", "import_crontab"))
    importing.add_argument("file", nargs="?", help="default: stdin")
    importing.add_argument("--system", action="store_true", help="the form of /etc/crontab, with a user")
    importing.add_argument("--timezone", help="the zone its times are meant in; default: the machine's")
    for sub in (add("jobs", _later("cli_jobs", "jobs")), coming, check, pause, resume):
        sub.add_argument("--json", action="store_true")


def _add_run_commands(add: Callable[[str, _Command], argparse.ArgumentParser]) -> None:
    output = add("output", _later("cli_runs", "output"))
    output.add_argument("run", help="a run's id, or a job for its newest run")
    output.add_argument("--times", action="store_true", help="each line with its time")
    output.add_argument("--follow", action="store_true", help="go on until the run has ended")
    stop = add("stop-run", _later("cli_runs", "stop_run"))
    stop.add_argument("run")
    runs, search = add("runs", _later("cli_runs", "runs")), add("search", _later("cli_runs", "search"))
    search.add_argument("text")
    runs.add_argument("--text", help="words in the output")
    for sub in (runs, search):
        sub.add_argument("--job")
        sub.add_argument("--outcome", choices=[*map(str, Outcome), "running"])
        sub.add_argument("--since", type=_reader("ago_or_moment"), help="a time, or 2h for two hours ago")
        sub.add_argument("--until", type=_reader("ago_or_moment"))
        sub.add_argument("-n", dest="limit", type=int, default=30, help="how many at most")
    for sub in (runs, search, stop):
        sub.add_argument("--json", action="store_true")


def _later(module: str, name: str) -> _Command:
    """A command whose module is imported when it is called: `stop` must work where the environment is gone."""

    def call(paths: Paths, arguments: argparse.Namespace) -> int:
        code: int = getattr(importlib.import_module(f"automations.{module}"), name)(paths, arguments)
        return code

    return call


def _reader(name: str) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        return getattr(importlib.import_module("automations.cli_jobs"), name)(value)

    return read


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
    print("next       make tui · make status · make run-brief · edit automations.toml · make down")
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
    for_program = arguments.name in _FOR_PROGRAMS or arguments.detach or arguments.json
    text = json.dumps({"ok": False, "error": reason}) if for_program else reason
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        os.write(1 if for_program else 2, f"{text}\n".encode("utf-8", "backslashreplace"))
    return code
