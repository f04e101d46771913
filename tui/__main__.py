"""The dashboard of this machine's home, or of another machine's API: `run_automations.sh tui`, `python -m tui`.

Usage: [--home DIR | --url URL [--key-file FILE]] [--readonly]. Exit: 0 left with q; 128 + signal; where there is no
terminal to draw on, the facts as text and the exit code of `status`: 0 running, 3 stopped, 1 dead.
"""

import os
import sys
from typing import NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # also when run isolated

from automations import clock
from automations.errors import AutomationsError, Exit
from automations.paths import Paths
from tui.source import Local, Source


def main(argv: list[str] | None = None) -> int:
    """Show the dashboard until it is left."""
    arguments = _parsed(sys.argv[1:] if argv is None else argv)
    os.umask(0o077)
    try:
        source = _source(arguments)
    except AutomationsError as error:
        print(f"tui: {error}", file=sys.stderr)
        return error.exit_code
    if not (sys.stdout.isatty() and sys.stdin.isatty()) or os.environ.get("TERM", "dumb") in ("", "dumb"):
        from tui import plain

        return plain.show(source, clock.read().utc)
    from tui import settings
    from tui.app import Dashboard

    no_color = os.environ.get("NO_COLOR")
    app = Dashboard(source, settings.load(), arguments.readonly)
    if no_color is not None:
        os.environ["NO_COLOR"] = no_color  # Textual takes it out; what is started from here is to see it too
    app.run()
    return app.return_code or Exit.OK


class _Arguments(NamedTuple):
    """What it was started with."""

    home: str | None = None
    url: str | None = None
    key_file: str | None = None
    readonly: bool = False


def _parsed(argv: list[str]) -> _Arguments:
    if not argv:
        return _Arguments()
    import argparse  # only now: it takes as long to load as all that the dashboard reads before its first frame

    parser = argparse.ArgumentParser(prog="tui", description="The terminal dashboard of EchoPilot Automations.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--home", metavar="DIR", help="the folder with automations.toml and logs/")
    where.add_argument("--url", help="another machine's control API, as http://127.0.0.1:5000")
    parser.add_argument("--key-file", metavar="FILE", help="with --url: a file (0600) with DASHBOARD_KEY=…")
    parser.add_argument("--readonly", action="store_true", help="look, and control nothing")
    return _Arguments(**vars(parser.parse_args(argv)))


def _source(arguments: _Arguments) -> Source:
    if arguments.url:
        from tui.remote import Remote

        return Remote(arguments.url, arguments.key_file)
    if arguments.home:
        os.environ["AUTOMATIONS_HOME"] = os.path.abspath(arguments.home)
    return Local(Paths.from_environment())


if __name__ == "__main__":
    sys.exit(main())
