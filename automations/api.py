"""All routes of the control API, in one table: the server registers it, and the contract is made from it."""

import sqlite3
from functools import cache

import msgspec

from automations import api_control as act
from automations import api_runs as record
from automations import api_views as view
from automations import contract, health, metrics, page
from automations.desk import Desk
from automations.errors import AutomationsError, ConfigError, UnknownJob
from automations.route import Asked, Ok, Refused, Route, Text
from automations.vitals import State


class Ready(Ok, frozen=True, kw_only=True):
    """Fit to be asked; and how the scheduler is."""

    scheduler: State


def live(_: Desk, __: Asked) -> Ok:
    return Ok()


def ready(desk: Desk, _: Asked) -> Ok:
    state, want = health.state(desk.paths)
    found = list(health.reasons(desk.paths, state, want))
    if found:
        raise Refused(503, f"not ready: {'; '.join(found)}")
    return Ready(scheduler=state)


def measures(desk: Desk, _: Asked) -> Text:
    return Text(desk.metrics.text())


@cache
def _contract() -> bytes:
    return msgspec.json.encode(contract.of(ROUTES))


def described(_: Desk, __: Asked) -> Text:
    return Text(_contract())


def front(desk: Desk, _: Asked) -> Text:
    return page.read(desk.paths)


_IN = "/api/automations"
_RUN = f"{_IN}/runs/{{job}}/{{run}}"
_JOB = f"{_IN}/jobs/{{job}}"
_SCRIPT = (409, 500, 502, 504, 507)
ROUTES = (
    Route("POST", f"{_IN}/start", act.start, act.SchedulerStarted, "Bring the scheduler up", refusals=_SCRIPT),
    Route("POST", f"{_IN}/stop", act.stop, act.SchedulerStopped, "Take it down, and keep it down", refusals=_SCRIPT),
    Route("GET", f"{_IN}/status", act.status, act.StatusTold, "Is it running?", refusals=(502, 504)),
    Route("GET", f"{_IN}/overview", view.whole, view.OverviewTold, "All that a screen needs, in one read"),
    Route("GET", f"{_IN}/jobs", view.jobs, view.Jobs, "Every job: next slot, last outcome", refusals=(409,)),
    Route(
        "POST",
        f"{_JOB}/run",
        act.run,
        act.RunBegun,
        "Run it now",
        status=202,
        headers=(act.IDEMPOTENCY_KEY,),
        refusals=(404, *_SCRIPT),
    ),
    Route(
        "POST",
        f"{_JOB}/pause",
        act.pause,
        act.Paused,
        "Let its slots pass",
        body=act.PauseWish,
        refusals=(404, 415, *_SCRIPT),
    ),
    Route("POST", f"{_JOB}/resume", act.resume, act.Resumed, "Let them pass no longer", refusals=(404, *_SCRIPT)),
    Route("GET", f"{_IN}/runs", record.runs, record.Runs, "What became of runs and slots", query=record.RunQuery),
    Route("GET", _RUN, record.one_run, record.Run, "One run", refusals=(404,)),
    Route(
        "GET",
        f"{_RUN}/output",
        record.output,
        record.Printed,
        "What it printed",
        query=record.PieceQuery,
        refusals=(404,),
    ),
    Route(
        "POST",
        f"{_RUN}/stop",
        act.stop_run,
        act.RunStopped,
        "End it with all that it started",
        refusals=(404, *_SCRIPT),
    ),
    Route("GET", f"{_IN}/search", record.search, record.Hits, "By words in the output", query=record.SearchQuery),
    Route(
        "GET",
        f"{_IN}/why",
        view.why,
        view.WhyTold,
        "Why a job ran or not, and the proof",
        query=view.WhyQuery,
        refusals=(404,),
    ),
    Route(
        "GET",
        f"{_IN}/coverage",
        view.coverage,
        view.CoverageTold,
        "Which minutes have a tick, and why the others have none",
        query=view.CoverageQuery,
    ),
    Route("GET", f"{_IN}/log", view.log, view.Logged, "The journal by place", query=view.LogQuery),
    Route(
        "GET",
        f"{_IN}/events",
        view.entries,
        None,
        "The journal as it grows",
        query=view.EventsQuery,
        headers=(view.LAST_EVENT_ID,),
        media="text/event-stream",
    ),
    Route("GET", "/metrics", measures, None, "For Prometheus", media=metrics.MEDIA),
    Route("GET", "/healthz", live, Ok, "Does the server live?", needs_key=False),
    Route("GET", "/readyz", ready, Ready, "Is it fit to be asked?", refusals=(503,), needs_key=False),
    Route("GET", "/openapi.json", described, None, "This contract", media="application/json", needs_key=False),
    Route("GET", "/", front, None, "The page", media="text/html; charset=utf-8", needs_key=False),
)
PUBLIC = frozenset(route.path for route in ROUTES if not route.needs_key)


def refusal(error: Exception) -> Refused | None:
    """What an error of the core is to whoever asked; None for what nobody foresaw."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, UnknownJob):
        return Refused(404, str(error))
    if isinstance(error, ConfigError):
        return Refused(409, f"no job file that could be used: {error.faults[0]}")
    if isinstance(error, AutomationsError):
        return Refused(503, str(error))
    if isinstance(error, sqlite3.OperationalError):
        return Refused(503, f"the history does not answer: {error}")
    return None
