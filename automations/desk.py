"""What the routes of one server share: the home, who looks at it, the seats of the streams, the requests remembered."""

from automations.events import Seats
from automations.idempotency import Requests
from automations.lookout import Lookout
from automations.metrics import Metrics
from automations.paths import Paths


class Desk:
    """One for each application."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.lookout = Lookout(paths)
        self.metrics = Metrics(paths, self.lookout)
        self.requests = Requests(paths)
        self.seats = Seats()
