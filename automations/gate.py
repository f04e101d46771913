"""Who may ask the control API: Host and Origin first, on every route, then the key on all but the public ones.

Rules:
- Host is one of an exact list, and Origin, where there is one, is ours: a web page that resolves its own name to
  127.0.0.1 gets nothing.
- The key is demanded before it is told what exists. With no key configured all but the public is closed.
- Keys are compared by digests of bytes, in constant time. The right one is let through whatever was sent before it.
- The read key opens what only reads.
- A missing key is no guess and is not counted; a wrong one is (see `guesses`).
"""

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from typing import Any

from automations import key
from automations.errors import AutomationsError
from automations.guesses import Guesses
from automations.paths import Paths
from automations.route import Refused

_READING = ("GET", "HEAD")


class Gate:
    """The gate of one server. The key is read at each request, so that a new one needs no restart."""

    def __init__(self, paths: Paths, host: str, port: int, public: frozenset[str]) -> None:
        self._paths = paths
        self._hosts = allowed_hosts(host, port)
        self._origins = allowed_origins(self._hosts)
        self._public = public
        self._guesses = Guesses()

    def check(self, environ: Mapping[str, Any]) -> None:
        """Let a request through, told by its WSGI environment, or raise Refused."""
        if environ.get("HTTP_HOST", "").lower() not in self._hosts:
            raise Refused(421, f"this Host is not served; expected one of {' '.join(sorted(self._hosts))}")
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.lower() not in self._origins:
            raise Refused(403, "requests from another origin are refused")
        path = environ.get("PATH_INFO", "")
        if path not in self._public:
            self._check_key(environ)
        if not path.isprintable():  # Bottle's routes end in `$`, which lets a newline pass
            raise Refused(404, "no such route")

    def _check_key(self, environ: Mapping[str, Any]) -> None:
        opens, reads = self._keys()
        given = environ.get("HTTP_X_DASH_KEY")
        if given is None:
            raise Refused(401, "the header X-Dash-Key is missing")
        if _is(given, opens):
            return
        if _is(given, reads):
            if environ["REQUEST_METHOD"] in _READING:
                return
            raise Refused(403, f"{key.READ_NAME} opens what only reads; expected {key.NAME}")
        wait_s = self._guesses.count(environ.get("REMOTE_ADDR", ""), time.monotonic())
        if wait_s:
            raise Refused(429, "too many wrong keys from this address; the right one is heard at any time", wait_s)
        raise Refused(401, "the key in X-Dash-Key is wrong")

    def _keys(self) -> tuple[str, str]:
        """The key and the read key. Raises Refused when there is neither."""
        try:
            opens, reads = key.load(self._paths), key.load(self._paths, key.READ_NAME)
        except (AutomationsError, OSError) as error:
            raise Refused(503, f"the key cannot be read: {error}") from None
        if not opens and not reads:
            raise Refused(503, f"no key configured; expected {key.NAME} in the environment or in .env; next: make up")
        return opens, reads


def _is(given: str, expected: str) -> bool:
    """WSGI hands over header bytes as latin-1; digests of bytes compare whatever was sent. No key fits an empty one."""
    sent, known = _digest(given.encode("latin-1")), _digest(expected.encode("utf-8", "surrogateescape"))
    return hmac.compare_digest(sent, known) and bool(expected)


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """The Host headers that are ours, exactly. AUTOMATIONS_HOSTS adds some, as a proxy sends them."""
    names = {host, "127.0.0.1", "localhost", "[::1]"}
    ours = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    return frozenset(ours | _proxied_hosts())


def allowed_origins(hosts: frozenset[str]) -> frozenset[str]:
    """The Origins that are ours: this server without TLS, and a proxy with it."""
    return frozenset({f"http://{host}" for host in hosts} | {f"https://{host}" for host in _proxied_hosts()})


def _proxied_hosts() -> set[str]:
    return set(os.environ.get("AUTOMATIONS_HOSTS", "").lower().split())
