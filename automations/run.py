"""One run that has begun, as whoever watches it knows it."""

from automations import claim, clock
from automations.capture import Capture
from automations.clock import Reading
from automations.model import Outcome, Slot
from automations.paths import Paths


class Run:
    """A run that has begun; `outcome` and exit `code` are None until it has ended."""

    __slots__ = (
        "adopted",
        "capture",
        "code",
        "deadline",
        "due",
        "has_ended",
        "job",
        "kill_at",
        "outcome",
        "pid",
        "reason",
        "run_id",
        "slot",
        "started",
        "stopping_as",
    )

    def __init__(self, paths: Paths, slot: Slot, run_id: str, started: Reading) -> None:
        self.slot = slot
        self.job = slot.job
        self.due = slot.due
        self.run_id = run_id
        self.started = started
        self.deadline = started.mono + slot.job.timeout.total_seconds()
        self.capture = Capture(claim.file(paths, run_id, "log"), slot.job.max_output_bytes)
        self.pid = 0
        self.adopted = False
        self.has_ended = False
        self.kill_at: float | None = None
        self.stopping_as: Outcome | None = None
        self.outcome: Outcome | None = None
        self.code: int | None = None
        self.reason: str | None = None

    def names(self) -> dict[str, object]:
        """What every entry about this run says first."""
        due = clock.iso(self.due) if self.due else None
        return {"job": self.job.name, "run_id": self.run_id, "due": due}
