"""The home as Prometheus metrics: base units, few labels, nothing counted that is not on record.

Rules:
- Runs are counted by the history, coverage and promises by the overview of the last 24 hours: what a restart of the
  server forgets is nothing.
- Labels are jobs of the job file in force, outcomes, states; never a run, a reason or a path. A job that is taken out
  of the file takes its series along.

Source: prometheus.io, "Metric and label naming", "Writing exporters".
"""

import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from automations import __version__, clock, overview, verdict
from automations.history import History, Total
from automations.lookout import Lookout
from automations.model import Outcome
from automations.overview import Overview
from automations.paths import Paths
from automations.vitals import State

MEDIA = CONTENT_TYPE_PLAIN_0_0_4
LONG_S = 0.1
BOUNDS_S = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0)


class Facts(NamedTuple):
    """What is told: an overview, what is on record, and how many seconds ago the scheduler made progress last."""

    seen: Overview
    totals: Sequence[Total]
    tick_age_s: float | None


class Metrics:
    """The metrics of one home, in a registry of its own."""

    def __init__(self, paths: Paths, lookout: Lookout) -> None:
        self._paths = paths
        self._lookout = lookout
        self._turn = threading.Lock()
        self._totals: Sequence[Total] = ()
        self._good_until_s = float("-inf")

    def text(self) -> bytes:
        """In Prometheus' text format. Raises AutomationsError when the history cannot be asked."""
        with History(self._paths) as history:
            totals = self._count(history)
            record = overview.record(history)
        registry = CollectorRegistry()
        registry.register(_Once(Facts(self._lookout.look(record), totals, self._tick_age_s())))
        return generate_latest(registry)

    def _count(self, history: History) -> Sequence[Total]:
        """What is on record. A count that took long (200,000 runs: half a second) is good for fifty times as long."""
        with self._turn:
            began_s = time.monotonic()
            if began_s >= self._good_until_s:
                self._totals = history.totals(BOUNDS_S)
                took_s = time.monotonic() - began_s
                self._good_until_s = began_s + 50 * took_s if took_s > LONG_S else began_s
            return self._totals

    def _tick_age_s(self) -> float | None:
        try:
            return max(0.0, time.time() - os.stat(self._paths.log("scheduler.lock")).st_mtime)
        except OSError:
            return None


class _Once(Collector):
    """Tells one set of facts."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        yield from families(self._facts)

    def describe(self) -> Iterator[Metric]:
        return iter(())  # else the registry would collect twice


def families(facts: Facts) -> Iterator[Metric]:
    """All metrics that these facts make."""
    yield from _of_the_scheduler(facts)
    jobs = {job.name for job in facts.seen.jobs}
    yield from _of_the_jobs([total for total in facts.totals if total.job in jobs])


def _of_the_scheduler(facts: Facts) -> Iterator[Metric]:
    seen = facts.seen
    build = GaugeMetricFamily("automations_build_info", "Version of the program.", labels=["version", "python"])
    build.add_metric([__version__, platform.python_version()], 1)
    yield build
    is_up = seen.vitals.state in (State.RUNNING, State.STALLED)
    yield GaugeMetricFamily("automations_up", "Does a scheduler live?", value=is_up)
    yield GaugeMetricFamily("automations_wanted", "Did its user want it up?", value=seen.vitals.want == "up")
    if facts.tick_age_s is not None:
        help_ = "Seconds since the scheduler made progress last."
        yield GaugeMetricFamily("automations_tick_age_seconds", help_, value=facts.tick_age_s)
    if seen.coverage.minutes:
        ratio = seen.coverage.covered / seen.coverage.minutes
        yield GaugeMetricFamily("automations_coverage_ratio", "Minutes with a tick, of the last 24 hours.", value=ratio)
    promises = GaugeMetricFamily("automations_promises", "Slots of the last 24 hours by state.", labels=["state"])
    for state, count in verdict.counts(seen.promises).items():
        promises.add_metric([state], count)
    yield promises
    yield GaugeMetricFamily("automations_journal_bytes", "Size of the journal.", value=seen.journal.bytes)
    yield GaugeMetricFamily("automations_journal_breaks", "Lines read that do not hold.", value=seen.journal.breaks)
    if seen.vitals.memory_bytes is not None:
        help_ = "Resident memory of the scheduler."
        yield GaugeMetricFamily("automations_scheduler_resident_memory_bytes", help_, value=seen.vitals.memory_bytes)


def _of_the_jobs(totals: Sequence[Total]) -> Iterator[Metric]:
    runs = CounterMetricFamily("automations_runs", "Ended runs by job and outcome.", labels=["job", "outcome"])
    missed = CounterMetricFamily("automations_missed_slots", "Slots that nobody ran in time.", labels=["job"])
    help_ = "When the job succeeded last."
    success = GaugeMetricFamily("automations_last_success_timestamp_seconds", help_, labels=["job"])
    for total in totals:
        if total.runs:
            runs.add_metric([total.job, total.outcome], total.runs)
        if total.outcome == Outcome.MISSED:
            missed.add_metric([total.job], total.slots)
        if total.outcome == Outcome.SUCCEEDED and total.last_ended:
            success.add_metric([total.job], clock.parse_iso(total.last_ended).timestamp())
    yield from (runs, missed, success, _durations(totals))


def _durations(totals: Sequence[Total]) -> Metric:
    durations = HistogramMetricFamily("automations_run_duration_seconds", "How long runs took.", labels=["job"])
    for job in sorted({total.job for total in totals if total.timed}):
        mine = [total for total in totals if total.job == job]
        counts = [sum(counted) for counted in zip(*(total.within for total in mine), strict=True)]
        buckets = [(str(bound_s), float(count)) for bound_s, count in zip(BOUNDS_S, counts, strict=True)]
        buckets.append(("+Inf", float(sum(total.timed for total in mine))))
        durations.add_metric([job], buckets, sum(total.duration_s for total in mine))
    return durations
