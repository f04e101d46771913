"""The routes that do something: they call `run_automations.sh` and hand on what it says."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from automations import control
from automations.control import ScriptFailed, ScriptSilent
from automations.desk import Desk
from automations.errors import Exit
from automations.overview import PauseView
from automations.paths import Paths
from automations.route import Asked, Ok, Refused

IDEMPOTENCY_KEY = "Idempotency-Key"
_HTTP_OF: dict[int, int] = {
    Exit.STOPPED: 409,
    Exit.USAGE: 400,
    Exit.NO_INPUT: 404,
    Exit.BUSY: 409,
    Exit.CONFIG: 409,
    Exit.IO_ERROR: 507,
}
_Known = TypeVar("_Known", bound=Struct)
_Words = Annotated[str, Meta(max_length=1000, pattern="^[^\\x00]*$")]  # no argument of a command can hold a NUL


class SchedulerStarted(Ok, frozen=True, kw_only=True):
    """A scheduler lives, and this is its pid."""

    status: str
    pid: int


class SchedulerStopped(Ok, frozen=True, kw_only=True):
    """None lives."""

    status: str


class Status(Struct, frozen=True):
    """Does it run, since when is nothing known of it?"""

    running: bool
    pid: int | None
    last_activity: str | None


class StatusTold(Ok, frozen=True, kw_only=True):
    """What the script's `status` says."""

    data: Status


class RunBegun(Ok, frozen=True, kw_only=True):
    """The run's beginning is on record."""

    run_id: str


class RunStopped(Ok, frozen=True, kw_only=True):
    """The run has ended."""

    run_id: str
    status: str


class PauseWish(Struct, frozen=True, forbid_unknown_fields=True, rename={"length": "for"}):
    """For how long, or until when, to let a job's slots pass, and why; neither: until it is resumed."""

    length: _Words | None = None
    until: _Words | None = None
    note: _Words | None = None


class Paused(Ok, frozen=True, kw_only=True):
    """The job's slots pass."""

    job: str
    paused: PauseView


class Resumed(Ok, frozen=True, kw_only=True):
    """They do not pass any more."""

    job: str
    was_paused: bool


def start(desk: Desk, _: Asked) -> Ok:
    return _do(desk.paths, SchedulerStarted, "start")


def stop(desk: Desk, _: Asked) -> Ok:
    return _do(desk.paths, SchedulerStopped, "stop")


def status(desk: Desk, _: Asked) -> Ok:
    return StatusTold(data=_as_said(Status, _call(desk.paths, "status").said))


def run(desk: Desk, asked: Asked) -> Ok:
    job = asked.parts["job"]

    def begin() -> str:
        return _do(desk.paths, RunBegun, "run", "--detach", "--", job).run_id

    given = asked.headers.get(IDEMPOTENCY_KEY)
    return RunBegun(run_id=begin() if given is None else desk.requests.once(job, given, begin))


def stop_run(desk: Desk, asked: Asked) -> Ok:
    return _do(desk.paths, RunStopped, "stop-run", "--json", "--", asked.run_id)


def pause(desk: Desk, asked: Asked) -> Ok:
    wish: PauseWish = asked.body
    wishes = {"until": wish.until, "for": wish.length, "note": wish.note}
    given = [f"--{name}={words}" for name, words in wishes.items() if words is not None]
    return _do(desk.paths, Paused, "pause", "--json", *given, "--", asked.parts["job"])


def resume(desk: Desk, asked: Asked) -> Ok:
    return _do(desk.paths, Resumed, "resume", "--json", "--", asked.parts["job"])


def _do(paths: Paths, kind: type[_Known], *arguments: str) -> _Known:
    """Have the script do something, and hand on what it says; its refusal becomes ours."""
    answer = _call(paths, *arguments)
    if answer.said.get("ok") is not True:
        raise Refused(_HTTP_OF.get(answer.code, 500), str(answer.said.get("error")))
    return _as_said(kind, answer.said)


def _call(paths: Paths, *arguments: str) -> control.Answer:
    """Call the script. Raises Refused when it is silent or talks nonsense."""
    try:
        return control.call(paths, *arguments)
    except ScriptSilent as error:
        raise Refused(504, str(error)) from None
    except ScriptFailed as error:
        raise Refused(502, str(error)) from None


def _as_said(kind: type[_Known], said: Mapping[str, object]) -> _Known:
    """The script's words as their type; a script that leaves out what it owes is a bad gateway."""
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise Refused(502, f"run_automations.sh answered with something else than its answer: {error}") from None
