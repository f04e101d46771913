"""Answers packed with gzip, for whoever accepts it: what two hundred jobs have to tell is 120 kB of JSON, packed 9.

Rules:
- What is small stays as it is, and so does a stream, which would be held back.
- The answer to one who accepts it and the answer to one who does not are told apart by `Vary`.
- No answer holds the key, so that the length of one tells nothing of it.
"""

import gzip
from collections.abc import Mapping

SMALL_BYTES = 1400  # one packet
_LEVEL = 5  # most of what 9 saves, in a third of its time


def packed(content: bytes, accepts: str) -> tuple[bytes, Mapping[str, str]]:
    """The content as it is to be sent, and the headers that say how it is packed."""
    if len(content) < SMALL_BYTES:
        return content, {}
    headers = {"Vary": "Accept-Encoding"}
    if not _is_accepted(accepts):
        return content, headers
    return gzip.compress(content, _LEVEL, mtime=0), headers | {"Content-Encoding": "gzip"}


def _is_accepted(accepts: str) -> bool:
    """Is gzip named, and not with a weight of nothing? Source: RFC 9110, 12.5.3; `*` is not taken for a wish."""
    for one in accepts.lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";")
        if name in ("gzip", "x-gzip"):
            return not (weight.startswith("q=0") and not weight.strip("q=.0"))
    return False
