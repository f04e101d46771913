"""The control API and the page: Bottle on waitress, a thin face over `run_automations.sh`.

Rules:
- Every answer under /api is `{"ok":true,…}` or `{"ok":false,"error":"…"}` with a fitting status, whatever the
  route, the verb or the failure; also what waitress itself refuses.
- All under /api needs `X-Dash-Key`; with no key configured it is closed (503). Digests of bytes are compared in
  constant time.
- Every route demands a Host from an exact list, and an Origin, where there is one, of ours: a web page that
  resolves its own name to 127.0.0.1 gets nothing.
- No rule of scheduling lives here, no pid is signalled from here.

`create_app(paths)` gives the WSGI application; `main` serves it, on 127.0.0.1 unless told otherwise.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # also when run isolated

import msgspec
import waitress
from bottle import Bottle, HTTPError, HTTPResponse, request, response
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import BadRequest, ServerNotImplemented

from automations import claim, clock, config, control, key, locks, overview, readiness
from automations import pause as pauses
from automations.control import ScriptFailed, ScriptSilent
from automations.errors import AutomationsError, ConfigError, Exit, JournalError, LockBusy, SettingError, UnknownJob
from automations.history import Filters, History, Hit, Row
from automations.lookout import Lookout
from automations.output import PIECE_BYTES, Output, Piece, as_text
from automations.paths import Paths, prepare_logs
from automations.process import remove_pid_file, write_pid_file
from automations.reading import JournalFile, place_of_lines
from automations.trigger import address

MAX_BODY_BYTES = 65536
MAX_HEADER_BYTES = 16384
FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
_JOB = "<job:re:[a-z0-9][a-z0-9_-]{0,63}>"
_RUN = "<run_id:re:[a-z0-9][a-z0-9_-]{0,63}/[0-9TZ.]{16,24}>"
_HTTP_OF: dict[int, int] = {
    Exit.STOPPED: 409,
    Exit.USAGE: 400,
    Exit.NO_INPUT: 404,
    Exit.BUSY: 409,
    Exit.CONFIG: 409,
    Exit.IO_ERROR: 507,
}


class Api(Bottle):
    """A Bottle whose every error is the JSON of the contract."""

    def default_error_handler(self, res: HTTPError) -> str:
        response.content_type = "application/json"
        response.set_header("Cache-Control", "no-store")
        _harden()
        return json.dumps({"ok": False, "error": _words(res)})


def create_app(paths: Paths) -> Api:
    """The application for one home. The key is read at each request, so that a new one needs no restart."""
    app = Api()
    app.catchall = True
    guard = _Guard(paths)

    @app.hook("before_request")
    def check_every_request() -> None:
        guard.check()

    app.add_hook("after_request", _harden)

    @app.post("/api/automations/start")
    def start() -> HTTPResponse:
        said = _ask(paths, "start")
        return _json(200, {"ok": True, "status": said["status"], "pid": said["pid"]})

    @app.post("/api/automations/stop")
    def stop() -> HTTPResponse:
        said = _ask(paths, "stop")
        return _json(200, {"ok": True, "status": said["status"]})

    @app.get("/api/automations/status")
    def status() -> HTTPResponse:
        return _json(200, {"ok": True, "data": _call(paths, "status").said})

    @app.post(f"/api/automations/jobs/{_JOB}/run")
    def run(job: str) -> HTTPResponse:
        said = _ask(paths, "run", "--detach", "--", job)
        return _json(202, {"ok": True, "run_id": said["run_id"]})

    _add_job_routes(app, paths)
    _add_run_routes(app, paths)
    _add_view_routes(app, paths)

    @app.get("/healthz")
    def healthz() -> HTTPResponse:
        return _json(200, {"ok": True})

    @app.get("/")
    def page() -> HTTPResponse:
        return _page(paths)

    return app


def _add_job_routes(app: Api, paths: Paths) -> None:
    @app.get("/api/automations/jobs")
    def jobs() -> HTTPResponse:
        try:
            known = config.load_last_good(paths.config, paths.project, paths.log("configs"))[0].jobs
        except ConfigError as error:
            raise HTTPError(409, f"no job file that could be used: {error.faults[0]}") from None
        with History(paths) as history:
            found = overview.jobs(known, pauses.read(paths), overview.record(history), clock.read().utc)
        return _json(200, {"ok": True, "jobs": found})

    @app.post(f"/api/automations/jobs/{_JOB}/pause")
    def pause(job: str) -> HTTPResponse:
        wish = _object(request)
        given = [f"--{name}={wish[name]}" for name in ("until", "for", "note") if wish.get(name) is not None]
        return _json(200, _ask(paths, "pause", "--json", *given, "--", job))

    @app.post(f"/api/automations/jobs/{_JOB}/resume")
    def resume(job: str) -> HTTPResponse:
        return _json(200, _ask(paths, "resume", "--json", "--", job))


def _add_run_routes(app: Api, paths: Paths) -> None:
    @app.get("/api/automations/runs")
    def runs() -> HTTPResponse:
        with History(paths) as history:
            found = history.runs(_filters())
        cursor = found[-1].seq if found else None
        return _json(200, {"ok": True, "runs": found, "before": cursor})

    @app.get(f"/api/automations/runs/{_RUN}")
    def run(run_id: str) -> HTTPResponse:
        return _json(200, {"ok": True, "run": _known_run(paths, run_id)})

    @app.get(f"/api/automations/runs/{_RUN}/output")
    def output(run_id: str) -> HTTPResponse:
        start, limit = _number("from", 0, 1 << 60), _number("limit", PIECE_BYTES, 1 << 20)
        is_open = claim.is_open(paths, run_id)  # asked first: what it prints last is read after it
        try:
            piece = Output(paths, run_id).read(start, max(limit, 4))
        except FileNotFoundError:
            raise HTTPError(404, f"no output of {run_id}; retention prunes it by age and size") from None
        text, end = as_text(piece)
        answer = {"output": text, "from": piece.start, "next": end, "written": piece.written, "running": is_open}
        return _json(200, {"ok": True, **answer})

    @app.post(f"/api/automations/runs/{_RUN}/stop")
    def stop(run_id: str) -> HTTPResponse:
        return _json(200, _ask(paths, "stop-run", "--json", "--", run_id))


def _add_view_routes(app: Api, paths: Paths) -> None:
    lookout = Lookout(paths)

    @app.get("/api/automations/overview")
    def overview() -> HTTPResponse:
        return _json(200, {"ok": True, "overview": lookout.overview()})

    @app.get("/api/automations/why")
    def why() -> HTTPResponse:
        try:
            return _json(200, {"ok": True, "why": lookout.why(request.query.get("job") or "", _moment("at"))})
        except UnknownJob as error:
            raise HTTPError(404, str(error)) from None

    @app.get("/api/automations/coverage")
    def coverage() -> HTTPResponse:
        days = max(1, _number("days", 7, 31))
        return _json(200, {"ok": True, "coverage": lookout.coverage(timedelta(days=days))})

    @app.get("/api/automations/log")
    def log() -> HTTPResponse:
        limit = max(4, _number("limit", PIECE_BYTES, 1 << 20))
        try:
            file = JournalFile(paths.journal)
        except JournalError as error:
            raise HTTPError(503, str(error)) from None
        with closing(file):
            if request.query.get("from") is None:
                start, limit = place_of_lines(file, _number("tail", 100, 100_000)), 1 << 20
            else:
                start = _number("from", 0, 1 << 60)
            content = file.read(start, limit)
            piece = Piece(content, start, start + len(content), file.size())
        text, end = as_text(piece)
        answer = {"log": text, "from": start, "next": end, "written": piece.written, "file": file.inode}
        return _json(200, {"ok": True, **answer})

    @app.get("/api/automations/search")
    def search() -> HTTPResponse:
        filters = _filters()
        if not filters.text:
            raise HTTPError(400, "text: expected the words to search for")
        with History(paths) as history:
            hits = [_hit(hit) for hit in history.search(filters)]
        return _json(200, {"ok": True, "hits": hits})


def _hit(hit: Hit) -> dict[str, object]:
    """A hit, the words told by their place in the snippet instead of by marks."""
    before, _, rest = hit.snippet.partition("\x02")
    words, _, after = rest.partition("\x03")
    return {"run": hit.row, "snippet": before + words + after, "start": len(before), "length": len(words)}


def _moment(name: str) -> datetime | None:
    """A moment that has been."""
    text = request.query.get(name)
    if not text:
        return None
    try:
        found = clock.moment(text)
    except ValueError as error:
        raise HTTPError(400, f"{name}: {error}") from None
    if not FIRST_MOMENT <= found <= clock.read().utc + timedelta(minutes=1):
        raise HTTPError(400, f"{name}: {text[:40]!r}: expected a moment that has been, since {FIRST_MOMENT.year}")
    return found


def _known_run(paths: Paths, run_id: str) -> Row:
    with History(paths) as history:
        row = history.run(run_id)
    if row is None:
        raise HTTPError(404, f"no run {run_id} on record")
    return row


def _filters() -> Filters:
    """The filters of the run list, from the query."""
    given: dict[str, Any] = {name: request.query.get(name) or None for name in ("job", "outcome", "text")}
    for name in ("since", "until"):
        text = request.query.get(name)
        try:
            given[name] = clock.moment(text) if text else None
        except ValueError as error:
            raise HTTPError(400, f"{name}: {error}") from None
    before = _number("before", 0, 1 << 60)
    return Filters(**given, before=before or None, limit=_number("limit", 50, 1000))


def _number(name: str, default: int, most: int) -> int:
    text = request.query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= most):
        raise HTTPError(400, f"{name}: got {text[:40]!r}; expected a whole number up to {most}")
    return int(text)


def _object(asked: Any) -> dict[str, object]:
    """The JSON object in the body; an empty body is an empty one."""
    body = asked.body.read()
    if not body:
        return {}
    if asked.content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPError(415, "expected Content-Type: application/json")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str | None) for value in found.values()):
        raise HTTPError(400, 'expected a JSON object of strings, such as {"for": "2h", "note": "why"}')
    return found


class _Guard:
    """Who may ask: Host and Origin for every route, the key for all under /api."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._hosts = allowed_hosts(*address())
        self._origins = allowed_origins(self._hosts)

    def check(self) -> None:
        """Let the request through or raise the refusal."""
        environ: dict[str, Any] = request.environ
        if environ.get("HTTP_HOST", "").lower() not in self._hosts:
            raise HTTPError(421, f"this Host is not served; expected one of {' '.join(sorted(self._hosts))}")
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.lower() not in self._origins:
            raise HTTPError(403, "requests from another origin are refused")
        path = environ.get("PATH_INFO", "")
        if path.startswith("/api"):
            self._check_key(environ.get("HTTP_X_DASH_KEY"))
        if not path.isprintable():  # Bottle's routes end in `$`, which lets a newline pass
            raise HTTPError(404, "no such route")

    def _check_key(self, given: str | None) -> None:
        try:
            expected = key.load(self._paths)
        except (AutomationsError, OSError) as error:
            raise HTTPError(503, f"the key cannot be read: {error}") from None
        if not expected:
            raise HTTPError(503, f"no key configured; expected {key.NAME} in the environment or in .env; next: make up")
        if given is None:
            raise HTTPError(401, "the header X-Dash-Key is missing")
        # WSGI hands over header bytes as latin-1; digests of bytes compare whatever was sent.
        if not hmac.compare_digest(
            _digest(given.encode("latin-1")), _digest(expected.encode("utf-8", "surrogateescape"))
        ):
            raise HTTPError(401, "the key in X-Dash-Key is wrong")


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


def _ask(paths: Paths, *arguments: str) -> dict[str, Any]:
    """Call the script for something to be done; its refusal becomes the response."""
    answer = _call(paths, *arguments)
    if answer.said.get("ok") is not True:
        raise HTTPError(_HTTP_OF.get(answer.code, 500), str(answer.said.get("error")))
    return answer.said


def _call(paths: Paths, *arguments: str) -> control.Answer:
    try:
        return control.call(paths, *arguments)
    except ScriptSilent as error:
        raise HTTPError(504, str(error)) from None
    except ScriptFailed as error:
        raise HTTPError(502, str(error)) from None


def _json(status: int, body: dict[str, object]) -> HTTPResponse:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return HTTPResponse(msgspec.json.encode(body), status, headers)


def _page(paths: Paths) -> HTTPResponse:
    """`dashboard.html`, under a policy that allows just the script and style that are in it."""
    with open(os.path.join(paths.project, "dashboard.html"), encoding="utf-8") as file:
        html = file.read()
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src {_hashes(html, 'script')}; "
        f"style-src {_hashes(html, 'style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
    }
    return HTTPResponse(html, 200, headers)


def _hashes(html: str, tag: str) -> str:
    """CSP sources for each inline block of this tag. Source: CSP Level 3, section 2.3.1."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def _harden() -> None:
    response.set_header("X-Content-Type-Options", "nosniff")
    response.set_header("Referrer-Policy", "no-referrer")


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


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

    def execute(self) -> None:
        error = self.request.error
        if isinstance(error, ServerNotImplemented):  # a transfer coding that nobody has: the asker's fault, not ours
            error = BadRequest(error.body)
        body = json.dumps({"ok": False, "error": f"{error.reason}: {error.body}"}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.extend([("Content-Type", "application/json"), ("Connection", "close")])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Parser(HTTPRequestParser):
    """What waitress's parser trips over (an absurd Content-Length, a target like `http://[`) is a bad request."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError(str(error)[:200]) from None


class _Channel(HTTPChannel):
    error_task_class = _JsonErrorTask
    parser_class = _Parser


def serve(app: Api, host: str, port: int, ready: Callable[[], None]) -> None:
    """Serve until SystemExit is raised in this thread. `ready` is called once the port is ours."""
    BaseWSGIServer.channel_class = _Channel  # here, since a name with two addresses makes two servers
    server = waitress.create_server(
        app,
        host=host,
        port=port,
        threads=16,
        connection_limit=2000,
        channel_timeout=5,
        cleanup_interval=2,
        max_request_body_size=MAX_BODY_BYTES,
        max_request_header_size=MAX_HEADER_BYTES,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    ready()
    server.run()


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
        print(f"serving http://{host}:{port}/ for {paths.home}", flush=True)
        readiness.announce("ready")

    def leave(*_: object) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, readiness.HELD_BACK)
    try:
        prepare_logs(paths)
        lock.acquire(wait_s=2.0)
        _warn_if_open(host)
        serve(create_app(paths), host, port, ready)
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
        print(f"warning: {host} is reachable from other machines, without TLS; the key crosses the network in clear")


def _refuse(reason: str, code: int) -> int:
    readiness.refuse("server", reason)
    return code


if __name__ == "__main__":
    sys.exit(main())
