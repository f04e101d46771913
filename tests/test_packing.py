"""Answers packed with gzip: for whom, and that they are what they would have been."""

import gzip
from pathlib import Path

import pytest

from automations.packing import SMALL_BYTES, packed
from tests.site import Site, alone

LONG = b'{"ok":true}' * SMALL_BYTES


@pytest.mark.parametrize("accepts", ["gzip", "gzip, deflate, br, zstd", "br;q=1, GZIP ; q=0.5", "x-gzip"])
def test_who_accepts_gzip_gets_the_same_packed(accepts: str) -> None:
    content, headers = packed(LONG, accepts)
    assert gzip.decompress(content) == LONG
    assert len(content) < len(LONG) / 10
    assert headers == {"Vary": "Accept-Encoding", "Content-Encoding": "gzip"}


@pytest.mark.parametrize("accepts", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "*", "notgzip"])
def test_who_does_not_accept_it_gets_it_as_it_is(accepts: str) -> None:
    assert packed(LONG, accepts) == (LONG, {"Vary": "Accept-Encoding"})


def test_what_is_small_is_not_packed() -> None:
    assert packed(b"{}", "gzip") == (b"{}", {})


def test_the_same_content_is_packed_into_the_same_bytes() -> None:
    assert packed(LONG, "gzip") == packed(LONG, "gzip")


def test_the_server_packs_the_page_and_a_long_answer_for_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    site = Site(tmp_path)
    for path in ("/", "/openapi.json"):
        plain, answer = site.ask("GET", path), site.ask("GET", path, HTTP_ACCEPT_ENCODING="gzip, deflate, br, zstd")
        assert gzip.decompress(answer.body) == plain.body
        assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert answer.headers["content-type"] == plain.headers["content-type"]
        assert len(answer.body) < len(plain.body) / 2
