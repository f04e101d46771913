"""The keys and the marks in words, for the help window; and all that can be done, for the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.screen import Screen

from automations.text import clean
from tui import words
from tui.lines import Span

if TYPE_CHECKING:
    from tui.app import Dashboard

KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Control",
        (
            ("s", "start the scheduler"),
            ("x", "stop it, or the run that is open (asks)"),
            ("R", "restart it (asks)"),
            ("r", "run the job under the cursor now"),
            ("p", "pause it, with an end; resume it"),
        ),
    ),
    (
        "Look",
        (
            ("tab", "from pane to pane: coverage, jobs, journal"),
            ("enter", "open: a job's runs, a run's output"),
            ("h", "the runs of all jobs; o: by outcome, a: of all jobs or one, /: search in the output"),
            ("w", "why did it run, or not run?"),
            ("z", "coverage of 24 hours or 7 days; ← → move its cursor, [ ] go from gap to gap"),
            ("o", "sort the jobs: as in the file, by name, by next slot, trouble first"),
        ),
    ),
    (
        "Lines",
        (
            ("/", "filter the pane with the cursor: text, /regular expression/, ! inverts; esc takes it back"),
            ("n  N", "next error, error before, however far away it is"),
            ("f", "follow what is written"),
            ("g  G", "to the beginning of the file, to its end"),
            ("v", "the journal raw or for people"),
            ("c", "copy the line under the cursor"),
        ),
    ),
    ("Else", (("t", "theme"), ("ctrl+p", "command palette: all of it by name"), ("esc", "back"), ("q", "quit"))),
)


def keys_and_marks() -> list[list[Span]]:
    """The help window's lines."""
    lines: list[list[Span]] = []
    for title, keys in KEYS:
        lines.append([Span(title, "job")])
        lines += [[Span(f"  {key:<8}", "accent"), Span(said)] for key, said in keys]
        lines.append([Span("")])
    lines.append([Span("Marks", "job")])
    marks = [f"{mark} {outcome.replace('_', ' ')}" for outcome, mark in words.MARKS.items()]
    lines += [[Span("  " + "   ".join(marks[:5]))], [Span("  " + "   ".join(marks[5:]))], [Span("")]]
    lines.append([Span("Coverage", "job")])
    gaps = [f"{mark} {cause.replace('_', ' ')}" for cause, mark in words.CAUSE_MARKS.items()]
    lines += [[Span("  ▇ every minute has a tick   · nothing on record yet")], [Span("  " + "   ".join(gaps))]]
    return lines


def commands(app: Dashboard, screen: Screen[object]) -> Iterator[SystemCommand]:
    """What the keys of this screen do, and what can be done with each job."""
    for _, binding, enabled, _tooltip in screen.active_bindings.values():
        if binding.description and enabled and binding.action not in ("command_palette", "quit"):
            yield SystemCommand(
                binding.description, f"key {binding.key_display or binding.key}", _action(app, screen, binding.action)
            )
    for job in app.seen.jobs if app.seen else ():
        name = clean(job.name)
        yield SystemCommand(
            f"Why {name}", "why did it run, or not?", lambda name=job.name: app.explain(name, None), False
        )
        if app.readonly:
            continue
        yield SystemCommand(f"Run {name}", "run it now", lambda name=job.name: app.do("run", name), False)
        if job.paused:
            yield SystemCommand(
                f"Resume {name}", "let it run again", lambda name=job.name: app.do("resume", name), False
            )
        else:
            yield SystemCommand(
                f"Pause {name}", "let its slots pass", lambda name=job.name: app.do("pause", name), False
            )


def _action(app: Dashboard, screen: Screen[object], action: str):  # type: ignore[no-untyped-def]
    async def run() -> None:
        await app.run_action(action, default_namespace=screen)

    return run
