"""A route of the control API: what it takes, what it answers, and how it refuses. Knows no web framework.

Rules:
- A route is one line of one table (see `api`): the server registers it and the contract describes it from there, so
  that neither can drift from the other.
- What comes in is held against a type before the route sees it; an unknown name in the query or the body is refused,
  since a misspelt filter that is passed over answers another question.
- What goes out is a type too. `Refused` is the one way to say no.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from automations.errors import AutomationsError

PATTERNS = {"job": "[a-z0-9][a-z0-9_-]{0,63}", "run": "[0-9TZ.]{16,24}"}  # of the names in a path
_Known = TypeVar("_Known", bound=Struct)


class Refused(AutomationsError):
    """An answer that is a no: its status, its sentence, and perhaps when to ask again."""

    def __init__(self, status: int, words: str, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.retry_after_s = retry_after_s


class Ok(Struct, frozen=True, kw_only=True):
    """What every answer in JSON begins with."""

    ok: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class Failure(Struct, frozen=True):
    """What every refusal is."""

    error: str
    ok: Annotated[bool, Meta(extra_json_schema={"const": False})] = False


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No query, no body."""


class Text(NamedTuple):
    """An answer that is not JSON."""

    content: bytes
    headers: Mapping[str, str] = {}


class Stream(NamedTuple):
    """An answer without an end. The pieces have `close`, which is called when nobody reads them any more."""

    pieces: Iterator[bytes]


class Asked(NamedTuple):
    """One request: the parts of its path by name, its query, its body, and the few headers that mean something.

    `is_gone` says whether whoever asked has left meanwhile.
    """

    parts: Mapping[str, str] = {}
    query: Any = Nothing()
    body: Any = Nothing()
    headers: Mapping[str, str] = {}
    is_gone: Callable[[], bool] = bool

    @property
    def run_id(self) -> str:
        return f"{self.parts['job']}/{self.parts['run']}"


class Route(NamedTuple):
    """One verb on one path, whose `{names}` are those of PATTERNS; `says` is what it answers, None if not in JSON."""

    verb: str
    path: str
    answer: Callable[[Any, Asked], Struct | Text | Stream]
    says: type[Struct] | None
    summary: str
    status: int = 200
    query: type[Struct] = Nothing
    body: type[Struct] | None = None
    headers: tuple[str, ...] = ()
    media: str = "application/json"
    refusals: tuple[int, ...] = ()
    needs_key: bool = True


def query(kind: type[_Known], given: Mapping[str, str]) -> _Known:
    """The query as its type. Raises Refused."""
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, f"the query: {_plainly(error)}") from None


def body(kind: type[_Known], media: str, content: bytes) -> _Known:
    """The body as its type; an empty one is an empty object. Raises Refused."""
    if not content:
        return kind()
    if media.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "expected Content-Type: application/json")
    try:
        return msgspec.json.decode(content, type=kind)
    except (ValueError, RecursionError) as error:
        names = " ".join(kind.__struct_encode_fields__)
        words = _plainly(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise Refused(400, f"the body: {words}; expected a JSON object of {names}") from None


def _plainly(error: msgspec.ValidationError) -> str:
    """`limit: expected an int <= 1000` rather than msgspec's ``Expected `int` <= 1000 - at `$.limit` ``."""
    words, at, place = str(error).replace("`", "").partition(" - at $.")
    return f"{place}: {words[0].lower()}{words[1:]}" if at else f"{words[0].lower()}{words[1:]}"
