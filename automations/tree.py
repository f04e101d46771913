"""The processes of a run: its group, its session, their descendants, and those that left all of these.

A process that left the session and was adopted by init is still known by the AUTOMATIONS_RUN_ID that it was started
with, or by its output, which goes to the run's file. What leaves the session, loses its parents, cleans its environment
*and* closes its output is not found; a control group would be needed for that. Needs /proc; where there is none
(macOS) only the group can be ended.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from automations.locks import Identity, boot_id, proc_stat
from automations.process import opened


class Member(NamedTuple):
    """A living process of a run, and its process group."""

    identity: Identity
    group: int


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    session: int
    start: str


def members(home: str, leaders: Mapping[str, int]) -> dict[str, list[Member]]:
    """The living processes of each run, by run id. `leaders`: run id to the shim's pid (0: it is gone)."""
    found: dict[str, list[Member]] = {run_id: [] for run_id in leaders}
    everyone = list(_everyone())
    owner: dict[int, str] = {pid: run_id for run_id, pid in leaders.items() if pid}
    marks = {f"AUTOMATIONS_RUN_ID={run_id}".encode(): run_id for run_id in leaders}
    at_home = f"AUTOMATIONS_HOME={home}".encode()
    outputs = {os.path.join(os.path.realpath(home), "logs", "runs", f"{run_id}.log"): run_id for run_id in leaders}
    for process in everyone:
        run_id = owner.get(process.pid) or owner.get(process.session) or owner.get(process.group)
        run_id = run_id or _marked(process.pid, marks, at_home) or _printing(process.pid, outputs)
        if run_id:
            owner[process.pid] = run_id
    _inherit(everyone, owner)
    for process in everyone:
        if process.pid in owner and process.pid != os.getpid():
            identity = Identity(process.pid, process.start, boot_id())
            found[owner[process.pid]].append(Member(identity, process.group))
    return found


def send(identities: Iterable[Identity], number: int) -> None:
    """Signal these very processes."""
    for identity in identities:
        with contextlib.suppress(OSError), opened(identity) as target:
            if target:
                target.send(number)


def _everyone() -> Iterable[_Process]:
    """Every living process that is not a zombie."""
    if not os.path.isdir("/proc/self"):
        return
    for name in os.listdir("/proc"):
        stat = proc_stat(int(name)) if name.isdigit() else None
        if stat and stat[0] not in "ZX":
            yield _Process(int(name), int(stat[1]), int(stat[2]), int(stat[3]), stat[19])


def _marked(pid: int, marks: Mapping[bytes, str], at_home: bytes) -> str | None:
    """The run whose id is in the environment that this process was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:  # not ours, or gone
        return None
    if at_home not in variables:
        return None
    return next((marks[variable] for variable in variables if variable in marks), None)


def _printing(pid: int, outputs: Mapping[str, str]) -> str | None:
    """The run whose output file is where this process prints."""
    for fd in (1, 2):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target in outputs:
                return outputs[target]
    return None


def _inherit(everyone: list[_Process], owner: dict[int, str]) -> None:
    """A child belongs where its parent belongs, at any depth."""
    grew = True
    while grew:
        grew = False
        for process in everyone:
            if process.pid not in owner and process.parent in owner:
                owner[process.pid] = owner[process.parent]
                grew = True
