"""Wrong keys, counted by address: so many a minute are told that they are wrong, the rest to come back later.

Rules: only wrong keys count, and nobody asks here before the right one was let through, so that nobody can lock its
owner out. A counted address is forgotten after a minute; of more addresses than MOST the longest known goes first.
An IPv6 network of 64 bits is one address, since whoever has one address of it has all.
"""

import ipaddress
import threading
from collections import OrderedDict, deque

A_MINUTE = 60
WINDOW_S = 60.0
MOST = 4096


class Guesses:
    """The wrong keys of the last minute, for any number of threads."""

    def __init__(self, most: int = A_MINUTE) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, address: str, now_s: float) -> int:
        """Count one wrong key. Returns 0, or in how many seconds to come back when there were too many."""
        with self._lock:
            times = self._times.setdefault(network(address), deque())
            self._times.move_to_end(network(address))
            while times and times[0] <= now_s - WINDOW_S:
                times.popleft()
            if len(times) >= self._most:
                return max(1, round(times[0] + WINDOW_S - now_s))
            times.append(now_s)
            self._forget(now_s)
            return 0

    def _forget(self, now_s: float) -> None:
        """Let go of addresses that were quiet for a minute, and of the oldest where there are too many."""
        while self._times:
            times = next(iter(self._times.values()))
            if times and times[-1] > now_s - WINDOW_S and len(self._times) <= MOST:
                return
            self._times.popitem(last=False)


def network(address: str) -> str:
    """The address as it is counted."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    mapped = found.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(found), 64), strict=False))
