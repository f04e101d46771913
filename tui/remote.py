"""Another machine's home, seen and controlled through its control API. The key comes from the environment or a file.

Every call opens a connection of its own: the threads that ask are several, and a server that went away and came back
needs no care.
"""

import http.client
import json
import os
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from msgspec import ValidationError, convert
from msgspec.json import decode

from automations import clock
from automations.coverage import Coverage
from automations.errors import AutomationsError, ServerError, SettingError
from automations.files import read_text
from automations.history import Filters, Hit, Row
from automations.output import Piece
from automations.overview import Overview
from automations.paths import Paths
from automations.why import Answer
from tui.pages import Pages
from tui.source import REPLACED, Done, done

_PATIENCE_S = 35.0  # the server's own guard is 30
_Shape = TypeVar("_Shape")


class Remote:
    """The API at `url`."""

    paths: Paths | None = None

    def __init__(self, url: str, key_file: str | None = None) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError(f"--url: got {url!r}; expected an address such as http://127.0.0.1:5000")
        self.title = f"{parts.scheme}://{parts.netloc}"
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._key = _key(key_file)

    def first(self) -> Overview | None:
        return None

    def look(self) -> Overview:
        return self._typed("GET", "overview", "overview", Overview)

    def reach(self) -> None:
        """The other machine has read as far as it must."""

    def week(self) -> Coverage:
        return self._typed("GET", "coverage?days=7", "coverage", Coverage)

    def why(self, job: str, at: datetime | None) -> Answer:
        asked = {"job": job, **({"at": clock.iso(at)} if at else {})}
        return self._typed("GET", f"why?{urlencode(asked)}", "why", Answer)

    def record(self) -> None:
        """It is in the overview."""

    def runs(self, filters: Filters) -> list[Row]:
        return self._typed("GET", f"runs?{_query(filters)}", "runs", list[Row])

    def run(self, run_id: str) -> Row:
        return self._typed("GET", f"runs/{_quoted(run_id)}", "run", Row)

    def search(self, filters: Filters) -> list[Hit]:
        said = self._ask("GET", f"search?{_query(filters)}")
        hits = said.get("hits")
        return [Hit(_shaped(hit["run"], Row), str(hit["snippet"])) for hit in hits] if isinstance(hits, list) else []

    def journal(self) -> Pages:
        return _Pages(self, "log", "log")

    def output(self, run_id: str) -> Pages:
        return _Pages(self, f"runs/{_quoted(run_id)}/output", "output")

    def command(self, *words: str) -> Done:
        """What the door would do, through the API."""
        verb, *rest = words
        try:
            if verb == "restart":  # the API has no word for it
                stopped = self._order("POST", "stop")
                if stopped.get("ok") is not True:
                    return done(("stop",), stopped)
                return done(words, self._order("POST", "start"))
            if verb == "stop-run":
                return done(words, self._order("POST", f"runs/{_quoted(rest[0])}/stop"))
            if verb in ("run", "pause", "resume"):
                wish = dict(word.removeprefix("--").split("=", 1) for word in rest[1:])
                return done(words, self._order("POST", f"jobs/{quote(rest[0], safe='')}/{verb}", wish))
            return done(words, self._order("POST", verb))
        except AutomationsError as error:
            return Done(False, str(error))

    def page(self, path: str, field: str, start: int, limit: int) -> tuple[Piece, object]:
        """A piece of a text, and what file it is of."""
        said = self._ask("GET", f"{path}?{urlencode({'from': start, 'limit': limit})}")
        content = str(said.get(field, "")).encode("utf-8", "surrogatepass")
        places = [said.get(name) for name in ("from", "next", "written")]
        if not all(isinstance(place, int) for place in places):
            raise ServerError(f"{self.title}: {path}: an answer without places; is it an older version?")
        return Piece(content, *(int(str(place)) for place in places)), said.get("file")

    def _typed(self, verb: str, path: str, field: str, shape: type[_Shape]) -> _Shape:
        return _shaped(self._ask(verb, path).get(field), shape)

    def _ask(self, verb: str, path: str) -> dict[str, object]:
        """An answer that is one. Raises ServerError with its reason otherwise."""
        said = self._order(verb, path)
        if said.get("ok") is not True:
            raise ServerError(f"{self.title}: {said.get('error')}")
        return said

    def _order(self, verb: str, path: str, wish: dict[str, str] | None = None) -> dict[str, object]:
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_PATIENCE_S)
        headers = {"X-Dash-Key": self._key, "Content-Type": "application/json"}
        try:
            body = json.dumps(wish).encode() if wish else None
            connection.request(verb, f"/api/automations/{path}", body, headers)  # type: ignore[arg-type]
            said = decode(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ServerError(f"no server answers at {self.title}: {reason}; next: make up there") from None
        finally:
            connection.close()
        if not isinstance(said, dict):
            raise ServerError(f"{self.title} answers, but not as the control API does")
        return said


class _Pages:
    """The journal or an output of the other machine, by place."""

    def __init__(self, remote: Remote, path: str, field: str) -> None:
        self._remote, self._path, self._field = remote, path, field
        self._file: object = None
        self._was_replaced = False

    def read(self, start: int, limit: int) -> Piece:
        piece, file = self._remote.page(self._path, self._field, start, limit)
        if self._file not in (None, file) or piece.written < start:
            self._was_replaced = True
        self._file = file
        return piece if not self._was_replaced else Piece(b"", start, start, start)

    def turn(self, place: int) -> str:  # noqa: ARG002
        was, self._was_replaced = self._was_replaced, False
        return REPLACED if was else ""

    def close(self) -> None:
        pass


def _key(key_file: str | None) -> bytes:
    """DASHBOARD_KEY, or the line of that name, or the only line, of a file that nobody else may read."""
    if not key_file:
        found = os.environ.get("DASHBOARD_KEY", "")
    else:
        try:
            mode = os.stat(key_file).st_mode & 0o777
            lines = read_text(key_file).split("\n")
        except OSError as error:
            raise SettingError(f"{key_file}: {error.strerror}") from None
        if mode & 0o077:
            raise SettingError(f"{key_file}: mode {mode:o}; expected 600; next: chmod 600 {key_file}")
        named = [line.partition("=")[2] for line in lines if line.strip().startswith("DASHBOARD_KEY=")]
        found = (named or [line for line in lines if line.strip()] or [""])[0].strip().strip("'\"")
    if not found:
        raise SettingError("no key for --url; expected DASHBOARD_KEY in the environment, or --key-file FILE (0600)")
    return found.encode("utf-8", "surrogateescape")


def _query(filters: Filters) -> str:
    given = {name: value for name, value in filters._asdict().items() if value is not None}
    return urlencode(
        {name: clock.iso(value) if isinstance(value, datetime) else value for name, value in given.items()}
    )


def _quoted(run_id: str) -> str:
    return quote(run_id, safe="/")


def _shaped(value: object, shape: type[_Shape]) -> _Shape:
    try:
        return convert(value, shape)
    except ValidationError as error:
        raise ServerError(
            f"the server answers in a form that is not understood ({error}); is it of this version?"
        ) from None
