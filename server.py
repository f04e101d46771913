"""The control API and the page: Bottle on waitress, a thin face over the table of routes in `automations.api`.

Rules:
- Every answer under /api is `{"ok":true,…}` or `{"ok":false,"error":"…"}` with a fitting status, whatever the
  route, the verb or the failure; also what waitress itself refuses.
- Who may ask is decided in `gate`, before anything is told of what exists.
- Each request is one line on stdout, without its secrets (see `access`).
- No rule of scheduling lives here, no pid is signalled from here.

`create_app(paths)` gives the WSGI application; `main` serves it, on 127.0.0.1 unless told otherwise.
"""

import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # also when run isolated

import msgspec
import waitress
from bottle import Bottle, HTTPError, HTTPResponse, request, response
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, ServerNotImplemented

from automations import api, clock, events, locks, packing, readiness, route
from automations.access import AccessLog, say
from automations.desk import Desk
from automations.errors import Exit, LockBusy, SettingError
from automations.gate import Gate
from automations.paths import Paths, prepare_logs
from automations.process import remove_pid_file, write_pid_file
from automations.route import Asked, Refused, Route, Stream, Text
from automations.trigger import address

MAX_BODY_BYTES = 65536
MAX_HEADER_BYTES = 16384
THREADS = events.SEATS + 16  # each stream holds one; the rest are for whoever asks something
MOST_CLIENTS = 2000
MOST_DESCRIPTORS = 4096
DESCRIPTORS_A_THREAD = 12  # the history and its log, the script's answer, a file that is read
_IS_GONE = "automations.is_gone"


class Api(Bottle):
    """A Bottle whose every error is the JSON of the contract, and whose every request is on record."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.record = AccessLog(api.PUBLIC, say)

    def default_error_handler(self, res: HTTPError) -> str:
        response.content_type = "application/json"
        response.set_header("Cache-Control", "no-store")
        _harden()
        return json.dumps({"ok": False, "error": _words(res)})

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began_s, heard = time.monotonic(), ["-"]

        def start(status: str, *rest: Any) -> Any:
            heard[0] = status[:3]
            return start_response(status, *rest)

        try:
            answer: Iterable[bytes] = super().wsgi(environ, start)
            return answer
        finally:
            self._note(environ, heard[0], time.monotonic() - began_s)

    def _note(self, environ: dict[str, Any], status: str, took_s: float) -> None:
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        verb, address = environ.get("REQUEST_METHOD", ""), environ.get("REMOTE_ADDR", "")
        self.record.note(clock.read().utc, verb, path, status, took_s, address)


def create_app(paths: Paths) -> Api:
    """The application for one home."""
    app = Api(Desk(paths))
    gate = Gate(paths, *address(), api.PUBLIC)

    @app.hook("before_request")
    def check_every_request() -> None:
        try:
            gate.check(request.environ)
        except Refused as refused:
            raise _error(refused) from None

    app.add_hook("after_request", _harden)
    for one in api.ROUTES:
        app.route(_rule(one.path), one.verb, partial(_answer, app.desk, one))
    return app


def _rule(path: str) -> str:
    """A path of the table as Bottle writes it."""
    for name, pattern in route.PATTERNS.items():
        path = path.replace(f"{{{name}}}", f"<{name}:re:{pattern}>")
    return path


def _answer(desk: Desk, one: Route, **parts: str) -> HTTPResponse:
    """Take what was asked out of the request, have the route answer it, and put the answer into a response."""
    try:
        said = one.answer(desk, _asked(one, parts))
    except Exception as error:
        refused = api.refusal(error)
        if refused is None:  # for Bottle, which writes it to the server's output and tells nobody else
            raise
        raise _error(refused) from None
    headers = {"Content-Type": one.media, "Cache-Control": "no-store"}
    if isinstance(said, Stream):
        return HTTPResponse(said.pieces, one.status, headers | {"X-Accel-Buffering": "no"})
    content, more = (said.content, said.headers) if isinstance(said, Text) else (msgspec.json.encode(said), {})
    content, how = packing.packed(content, request.environ.get("HTTP_ACCEPT_ENCODING", ""))
    return HTTPResponse(content, one.status, headers | dict(more) | dict(how))


def _asked(one: Route, parts: dict[str, str]) -> Asked:
    """What a route is told of the request; taken now, since Bottle's `request` is another one in another thread."""
    is_gone = request.environ.get(_IS_GONE, bool)
    headers = {name: request.environ.get(_variable(name)) for name in one.headers}
    given = {name: value for name, value in headers.items() if value is not None}
    wish = route.body(one.body, request.content_type, request.body.read()) if one.body else route.Nothing()
    return Asked(parts, route.query(one.query, _query()), wish, given, is_gone)


def _query() -> dict[str, str]:
    try:
        return dict(request.query.decode())
    except UnicodeError:
        raise Refused(400, "the query: expected UTF-8") from None


def _variable(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"


def _error(refused: Refused) -> HTTPError:
    wait_s = refused.retry_after_s
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    return HTTPError(refused.status, str(refused), **headers)


def _harden() -> None:
    response.set_header("X-Content-Type-Options", "nosniff")
    response.set_header("Referrer-Policy", "no-referrer")


def _words(error: HTTPError) -> str:
    """The sentence for a client; what went wrong inside stays inside."""
    if error.status_code == 404 and str(error.body).startswith("Not found"):  # Bottle's own words
        return f"no such route: {request.method} {request.path[:200]}"
    if error.status_code == 405:
        return f"{request.method} is not allowed here"
    if error.exception is not None:
        return "internal error; the reason is in the server's output"
    return str(error.body)


class _JsonErrorTask(ErrorTask):
    """What waitress refuses before any route (too large, malformed) in the contract's form too."""

    record: ClassVar[AccessLog]

    def execute(self) -> None:
        error = self.request.error
        if isinstance(error, ServerNotImplemented):  # a transfer coding that nobody has: the asker's fault, not ours
            error = BadRequest(error.body)
        body = json.dumps({"ok": False, "error": f"{error.reason}: {error.body}"}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.extend([("Content-Type", "application/json"), ("Connection", "close")])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.record.note(clock.read().utc, "", "", str(error.code), 0.0, str(self.channel.addr[0]))
        self.write(body)


class _Parser(HTTPRequestParser):
    """What waitress's parser trips over (an absurd Content-Length, a target like `http://[`) is a bad request."""

    path = "-"  # waitress logs it, also of what was never parsed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError(str(error)[:200]) from None


class _Task(WSGITask):
    """A request that can be asked whether its client has gone.

    waitress's own `client_disconnected` would need it to read ahead, and it then drops the answer to a client that
    has said all and closed its half.
    """

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[_IS_GONE] = self._is_gone
        return environ

    def _is_gone(self) -> bool:
        try:
            return not self.channel.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


class _Channel(HTTPChannel):
    task_class = _Task
    error_task_class = _JsonErrorTask
    parser_class = _Parser


def serve(app: Api, host: str, port: int, ready: Callable[[], None]) -> None:
    """Serve until SystemExit is raised in this thread. `ready` is called once the port is ours."""
    _JsonErrorTask.record = app.record
    BaseWSGIServer.channel_class = _Channel  # here, since a name with two addresses makes two servers
    server = waitress.create_server(
        app,
        host=host,
        port=port,
        threads=THREADS,
        connection_limit=_connections(),
        asyncore_use_poll=True,  # select, the default, ends the server at descriptor 1024
        channel_timeout=5,
        cleanup_interval=2,
        max_request_body_size=MAX_BODY_BYTES,
        max_request_header_size=MAX_HEADER_BYTES,
        ident=None,
        clear_untrusted_proxy_headers=True,
        outbuf_high_watermark=1 << 20,  # who does not read makes his own thread wait, with so much in memory
        send_bytes=1,  # else a stream's pieces wait until there are 18,000 bytes of them
    )
    ready()
    server.run()


def _connections() -> int:
    """How many clients may be connected: as many as there are descriptors for, with those left that answers need.

    Beyond it waitress lets them wait; without a descriptor left it would try in vain, and say so, without pause.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MOST_DESCRIPTORS:  # 1024 on many systems, with a hard limit far above
        soft = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(THREADS, min(MOST_CLIENTS, soft - DESCRIPTORS_A_THREAD * THREADS))


def main() -> int:
    """Hold `server.lock` and serve; exit 0 on TERM or INT."""
    os.umask(0o077)
    readiness.keep_ready_fd()
    paths = Paths.from_environment()
    try:
        host, port = address()
    except SettingError as error:
        return _refuse(str(error), Exit.USAGE)
    lock = locks.Lock(paths.log("server.lock"))
    pid_file = paths.log("server.pid")

    def ready() -> None:
        lock.sign(note=f"http://{host}:{port}/")
        write_pid_file(pid_file)
        say(f"serving http://{host}:{port}/ for {paths.home}")
        readiness.announce("ready")

    app = None

    def leave(*_: object) -> None:
        if app:
            app.desk.seats.is_closing = True  # else the end would wait for its streams
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, readiness.HELD_BACK)
    try:
        prepare_logs(paths)
        lock.acquire(wait_s=2.0)
        _warn_if_open(host)
        app = create_app(paths)
        serve(app, host, port, ready)
    except LockBusy as error:
        return _refuse(f"another API server lives for this home: {error}", Exit.BUSY)
    except (OSError, socket.gaierror) as error:
        return _refuse(
            f"cannot serve {host}:{port}: {error.strerror or error}; set AUTOMATIONS_HOST or AUTOMATIONS_PORT",
            Exit.UNAVAILABLE,
        )
    finally:
        remove_pid_file(pid_file, os.getpid())
    return Exit.OK


def _warn_if_open(host: str) -> None:
    if host not in ("127.0.0.1", "localhost", "::1"):
        say(f"warning: {host} is reachable from other machines, without TLS; the key crosses the network in clear")


def _refuse(reason: str, code: int) -> int:
    readiness.refuse("server", reason)
    return code


if __name__ == "__main__":
    sys.exit(main())
