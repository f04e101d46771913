"""The status bar and the verdict below it: is it running, since when, and is all well?"""

from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from automations.overview import Overview
from automations.vitals import State, Vitals
from tui import words
from tui.lines import Span
from tui.widgets.toned import Toned


class StatusBar(Toned):
    """One line. What has no room is left out, the least important first."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Span] = []

    def forget(self) -> None:
        """Draw it anew with the next look: the theme has changed."""
        self._shown = []

    def show(self, seen: Overview | None, now: datetime, lost: str = "") -> None:
        """Draw this overview as of `now`; `lost`: why nobody answers any more."""
        offered = parts(seen, now, lost)
        if self.dashboard.readonly:
            offered.append((1, [Span("read only", "warn")]))
        shown = self._fitting(offered)
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def _fitting(self, offered: list[tuple[int, list[Span]]]) -> list[Span]:
        """The parts that have room, each with its rank: 0 always stays."""
        left = self.size.width or 80
        kept: set[int] = set()
        for place, (_, spans) in sorted(enumerate(offered), key=lambda pair: pair[1][0]):
            width = sum(len(span.text) for span in spans) + (2 if kept else 0)
            if width <= left:
                kept.add(place)
                left -= width
        shown: list[Span] = []
        for place, (_, spans) in enumerate(offered):
            if place in kept:
                shown += ([Span("  ")] if shown else []) + spans
        return shown

    def render(self) -> RenderableType:
        return self.text(self._shown)


def parts(seen: Overview | None, now: datetime, lost: str) -> list[tuple[int, list[Span]]]:
    """What the bar tells, in its order, each with its rank."""
    if lost:
        since = f"last heard {words.ago(seen.at, now)}" if seen else ""
        return [(0, [Span("✗ NO SIGNAL (no server)", "bad")]), (1, [Span(since)])]
    if seen is None:
        return [(0, [Span("◌ CONNECTING", "warn")])]
    vitals, offered = seen.vitals, [(0, [Span(*words.SIGNS[seen.vitals.state])])]
    if vitals.pid:
        offered.append((2, [Span("pid ", "dim"), Span(str(vitals.pid))]))
    if vitals.started:
        offered.append((3, [Span("up ", "dim"), Span(words.span((now - vitals.started).total_seconds()))]))
    if vitals.last_activity:
        offered.append((1, [Span("activity ", "dim"), Span(words.ago(vitals.last_activity, now))]))
    if vitals.cpu_percent is not None and vitals.pid:
        offered.append((5, [Span("cpu ", "dim"), Span(f"{vitals.cpu_percent:.1f} %")]))
        offered.append((6, [Span("mem ", "dim"), Span(words.size(vitals.memory_bytes))]))
    offered += [(4, _watchdog(vitals)), (4, _config(seen)), *_machine(seen)]
    return [part for part in offered if part[1]]


def _watchdog(vitals: Vitals) -> list[Span]:
    if vitals.state not in (State.RUNNING, State.STALLED):
        return []
    return [Span("watchdog ", "dim"), Span("✓", "good") if vitals.watchdog else Span("none", "warn")]


def _config(seen: Overview) -> list[Span]:
    if seen.vitals.state is State.UNREADABLE:
        return []
    return [Span("jobs ", "dim"), Span("✗ refused", "bad") if seen.config.faults else Span(str(len(seen.jobs)))]


def _machine(seen: Overview) -> list[tuple[int, list[Span]]]:
    host = seen.host
    offered = []
    if host.load is not None:
        offered.append((7, [Span("load ", "dim"), Span(f"{host.load:.2f}")]))
    if host.disk_free_bytes is not None:
        offered.append((8, [Span("disk free ", "dim"), Span(words.size(host.disk_free_bytes))]))
    return offered


class VerdictLine(Toned):
    """One sentence."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = Text()

    def forget(self) -> None:
        """Draw it anew with the next look: the theme has changed."""
        self._shown = Text()

    def show(self, seen: Overview | None, lost: str = "", note: str = "") -> None:
        """Draw the verdict; `lost`: why nobody answers; `note`: what is under way just now."""
        if note:
            spans = [Span("◌ ", "accent"), Span(note)]
        elif lost:
            spans = [Span("✖ ", "bad"), Span(lost)]
        elif seen is None:
            spans = [Span("  waiting for the first answer", "dim")]
        else:
            mark, tone = words.VERDICTS[seen.verdict.level]
            spans = [Span(mark, tone), Span(seen.verdict.text)]
        shown = self.text(Span(span.text.replace("\n", " "), span.tone) for span in spans)
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> RenderableType:
        return self._shown
