"""The control API: what it answers, what it refuses, and what it survives.

First the application through WSGI, without a port; then `server.py` itself on a free one. Behind both stands a
fake door: a real process that answers what the test wants, so that nothing a test sends can start or stop anything.
"""

import base64
import hashlib
import json
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

import server
from automations import api, control
from automations.errors import Exit
from automations.locks import Identity
from automations.paths import Paths
from tests.conftest import PROJECT, Home, free_port, until
from tests.site import GOOD_DOOR, KEY, OUR_HOST, Answer, Live, Site, alone, answers, exchange, refused, serving

CONTROL = [
    ("POST", "/api/automations/start"),
    ("POST", "/api/automations/stop"),
    ("GET", "/api/automations/status"),
    ("POST", "/api/automations/jobs/brief/run"),
]
ROUTES = [
    (route.verb, route.path.replace("{job}", "brief").replace("{run}", "20241122T080000.000Z")) for route in api.ROUTES
]
GONE = {"HTTP_LAST_EVENT_ID": "x"}  # a stream is refused rather than begun


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# What it answers


def test_start_says_that_the_scheduler_started_and_its_pid(site: Site) -> None:
    answer = site.ask("POST", "/api/automations/start")
    assert answer.status == 200
    assert answer.said == {"ok": True, "status": "Scheduler started", "pid": 4711}
    assert site.calls() == ["start"]


def test_stop_says_that_the_scheduler_stopped(site: Site) -> None:
    answer = site.ask("POST", "/api/automations/stop")
    assert answer.status == 200
    assert answer.said == {"ok": True, "status": "Scheduler stopped"}
    assert site.calls() == ["stop"]


def test_status_hands_on_what_the_script_says(site: Site) -> None:
    answer = site.ask("GET", "/api/automations/status")
    data = {"running": True, "pid": 4711, "last_activity": "2026-11-22T22:35:00.003Z"}
    assert answer.status == 200
    assert answer.said == {"ok": True, "data": data}


@pytest.mark.parametrize("code", [Exit.STOPPED, Exit.FAILED])
def test_a_scheduler_that_is_down_is_an_answer_and_no_failure(site: Site, code: int) -> None:
    site.door(f"""echo '{{"running":false,"pid":null,"last_activity":null}}'; exit {code}""")
    answer = site.ask("GET", "/api/automations/status")
    assert answer.status == 200
    assert answer.said["data"] == {"running": False, "pid": None, "last_activity": None}


def test_a_run_is_accepted_with_its_run_id(site: Site) -> None:
    answer = site.ask("POST", "/api/automations/jobs/brief/run")
    assert answer.status == 202
    assert answer.said == {"ok": True, "run_id": "brief/20261122T080000.000Z"}
    assert site.calls() == ["run --detach -- brief"]


def test_an_answer_is_never_cached(site: Site) -> None:
    for verb, path in [*CONTROL, ("GET", "/api/nowhere")]:
        assert site.ask(verb, path).headers["cache-control"] == "no-store"


# The key


@pytest.mark.parametrize(("verb", "path"), [route for route in ROUTES if route[1] not in api.PUBLIC])
def test_no_route_but_the_public_ones_answers_without_the_key_to_a_foreign_host_or_a_foreign_page(
    site: Site, verb: str, path: str
) -> None:
    for asked in (
        {"key": None},
        {"key": "wrong"},
        {"HTTP_HOST": "evil.example"},
        {"HTTP_ORIGIN": "http://evil.example"},
    ):
        answer = site.ask(verb, path, **asked)  # type: ignore[arg-type]
        assert answer.status in (401, 403, 421)
        assert answer.said["error"]
    assert site.calls() == []


@pytest.mark.parametrize(
    "given",
    [None, "", " ", KEY[:-1], KEY + "x", KEY.upper(), f" {KEY}", "ÿþ", "\x80" * 64, "k" * 1_000_000, f"{KEY}, {KEY}"],
    ids=["missing", "empty", "blank", "short", "long", "upper", "padded", "non-ascii", "bytes", "1-MB", "duplicated"],
)
@pytest.mark.parametrize(("verb", "path"), CONTROL)
def test_a_key_that_is_not_the_key_is_refused(site: Site, verb: str, path: str, given: str | None) -> None:
    answer = site.ask(verb, path, key=given)
    assert answer.status == 401
    assert "X-Dash-Key" in answer.said["error"]
    assert site.calls() == []


def test_without_a_configured_key_nobody_gets_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHBOARD_KEY")
    for given in (None, "", KEY):
        answer = site.ask("POST", "/api/automations/start", key=given)
        assert answer.status == 503
        assert "DASHBOARD_KEY" in answer.said["error"]
    assert site.calls() == []


@pytest.mark.parametrize("text", ["", "DASHBOARD_KEY=\n", 'DASHBOARD_KEY=""\n', "OTHER=x\n", "#DASHBOARD_KEY=x\n"])
def test_a_key_file_without_a_key_is_no_key(site: Site, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delenv("DASHBOARD_KEY")
    site.key_file(text)
    assert site.ask("GET", "/api/automations/status", key="").status == 503


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_key_file_open_to_others_closes_the_api_and_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.delenv("DASHBOARD_KEY")
    site.key_file(f"DASHBOARD_KEY={KEY}\n", mode)
    answer = site.ask("GET", "/api/automations/status")
    assert answer.status == 503
    assert str(site.home / ".env") in answer.said["error"]
    assert KEY not in answer.body.decode()


def test_a_new_key_in_the_file_holds_from_the_next_request_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHBOARD_KEY")
    site.key_file("DASHBOARD_KEY=first\n")
    assert site.ask("GET", "/api/automations/status", key="first").status == 200
    site.key_file("DASHBOARD_KEY=second\n")
    assert site.ask("GET", "/api/automations/status", key="first").status == 401
    assert site.ask("GET", "/api/automations/status", key="second").status == 200


@pytest.mark.parametrize("key", ["schlüssel-ключ".encode(), b"\xff\xfe\x80"], ids=["utf-8", "bytes"])
def test_a_key_of_any_bytes_opens_to_the_same_bytes(site: Site, monkeypatch: pytest.MonkeyPatch, key: bytes) -> None:
    monkeypatch.setenv("DASHBOARD_KEY", os.fsdecode(key))
    assert site.ask("GET", "/api/automations/status", key=key.decode("latin-1")).status == 200
    assert site.ask("GET", "/api/automations/status", key="x").status == 401


def test_the_right_key_is_heard_after_any_number_of_wrong_ones(site: Site) -> None:
    for _ in range(300):
        assert site.ask("GET", "/api/automations/status", key="wrong").status in (401, 429)
    assert site.ask("GET", "/api/automations/status").status == 200


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nowhere", "/api/automations", "/api/automations/jobs/x/y"])
def test_the_key_is_demanded_before_it_is_told_what_exists(site: Site, verb: str, path: str) -> None:
    assert site.ask(verb, path, key=None).status == 401
    assert site.ask(verb, path).status == 404


# No way round: each spelling of a control route that a server may hand over, unquoted.
ODD_PATHS = [
    "//api/automations/start",
    "///api/automations/start",
    "/./api/automations/start",
    "/x/../api/automations/start",
    "/API/automations/start",
    "/Api/automations/start",
    "/api;x/automations/start",
    "/api/automations/start;x",
    "/api/automations/start/",
    "/api//automations/start",
    "/%61pi/automations/start",
    "/api\\automations\\start",
    "\\api/automations/start",
    "/api/automations/start\0",
    "/\0api/automations/start",
    "/api/automations/start\n",
    "\n/api/automations/start",
    "/\xffapi/automations/start",
    "/a\xffpi/automations/start",
    "/api\xff/automations/start",
    "/api/automations/st\xc1\xa1rt",
    "api/automations/start",
    "",
    "*",
]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_no_spelling_of_a_path_leads_to_the_door_without_the_key(site: Site, path: str) -> None:
    answer = site.ask("POST", path, key=None)
    assert answer.status in (401, 404, 405)
    assert not answer.said["ok"]
    assert site.calls() == []


# Host and Origin


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/automations/status", "/nowhere"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "127.0.0.1", "127.0.0.1:80", f"{OUR_HOST}, evil.example", "", "x\xff"]
)
def test_a_foreign_host_gets_nothing(site: Site, path: str, host: str) -> None:
    answer = site.ask("GET", path, HTTP_HOST=host)
    assert answer.status == 421
    assert answer.said["error"]
    assert site.calls() == []


@pytest.mark.parametrize("host", [OUR_HOST, "localhost:5000", "LocalHost:5000", "[::1]:5000"])
def test_our_own_names_are_served(site: Site, host: str) -> None:
    assert site.ask("GET", "/healthz", HTTP_HOST=host).said == {"ok": True}


@pytest.mark.parametrize("written", ["dash.example.org", "dash.example.org:8443"])
def test_a_host_named_in_the_environment_is_served_as_written(
    site: Site, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("AUTOMATIONS_HOSTS", written)
    site.app = server.create_app(site.paths)
    assert site.ask("GET", "/healthz", HTTP_HOST=written).status == 200
    assert site.ask("GET", "/healthz", HTTP_HOST="other.example.org").status == 421


@pytest.mark.parametrize("verb", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1:5000", "http://127.0.0.1", "null", ""])
def test_a_page_of_another_origin_gets_nothing(site: Site, verb: str, origin: str) -> None:
    for path in ("/", "/healthz", "/api/automations/start"):
        answer = site.ask(verb, path, HTTP_ORIGIN=origin)
        assert answer.status == 403
        assert answer.said["error"]
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert site.calls() == []


def test_our_own_page_may_ask(site: Site) -> None:
    assert site.ask("POST", "/api/automations/start", HTTP_ORIGIN=f"http://{OUR_HOST}").status == 200


@pytest.mark.parametrize(
    "name", ["X_FORWARDED_HOST", "X_FORWARDED_SERVER", "X_ORIGINAL_HOST", "X_HOST", "FORWARDED", "X_ORIGINAL_URL"]
)
def test_what_a_proxy_says_is_not_believed(site: Site, name: str) -> None:
    assert site.ask("GET", "/healthz", HTTP_HOST="evil.example", **{f"HTTP_{name}": OUR_HOST}).status == 421
    assert site.ask("GET", "/healthz", **{f"HTTP_{name}": "evil.example"}).status == 200


# Failures


@pytest.mark.parametrize(
    ("code", "status"),
    [(Exit.USAGE, 400), (Exit.BUSY, 409), (Exit.CONFIG, 409), (Exit.IO_ERROR, 507), (Exit.FAILED, 500), (2, 500)],
)
@pytest.mark.parametrize(("verb", "path"), [route for route in CONTROL if route[0] == "POST"])
def test_a_refusal_of_the_script_is_passed_on_with_a_fitting_status(
    site: Site, verb: str, path: str, code: int, status: int
) -> None:
    site.door(f"""echo '{{"ok":false,"error":"held by pid 12"}}'; exit {code}""")
    answer = site.ask(verb, path)
    assert answer.status == status
    assert answer.said["error"] == "held by pid 12"


@pytest.mark.parametrize(
    "script",
    ["exit 0", "exit 75", "kill -9 $$", "echo OK", "echo '[1]'", "echo 4711", "printf '\\377'", "echo '{\"ok\":true'"],
)
@pytest.mark.parametrize(("verb", "path"), CONTROL)
def test_a_script_that_talks_nonsense_is_a_bad_gateway(site: Site, verb: str, path: str, script: str) -> None:
    site.door(script)
    answer = site.ask(verb, path)
    assert answer.status == 502
    assert "did not answer in JSON" in answer.said["error"]


def test_a_script_that_is_missing_is_a_bad_gateway(site: Site) -> None:
    (site.project / "scripts" / "run_automations.sh").unlink()
    assert site.ask("POST", "/api/automations/start").status == 502
    assert "run_automations.sh" in site.ask("POST", "/api/automations/start").said["error"]


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000\u001b[2J", r"<b>\u2028</b>", "\\uD83D\\uDE00 \xe9"])
def test_whatever_words_the_script_uses_the_answer_is_json(site: Site, text: str) -> None:
    site.door(f"""cat <<'END'\n{{"ok":false,"error":"{text}"}}\nEND\nexit 1""")
    answer = site.ask("POST", "/api/automations/start")
    assert answer.status == 500
    assert answer.said["error"] == json.loads(f'"{text}"')


def test_a_silent_script_is_a_timeout_and_nothing_of_it_lives_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.door("trap '' TERM; sleep 60 & echo $! $$ >\"$AUTOMATIONS_HOME/pids\"; wait; wait")
    monkeypatch.setattr(control, "call", partial(control.call, guard_s=0.5))
    answer = site.ask("POST", "/api/automations/start")
    assert answer.status == 504
    assert "no answer in 0.5 s" in answer.said["error"]
    pids = [int(word) for word in (site.home / "pids").read_text().split()]
    assert len(pids) == 2
    until(lambda: not [pid for pid in pids if Identity.of(pid)], 5, "the script's group has ended")


def test_an_internal_error_says_nothing_of_its_insides(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of /root/inside")

    monkeypatch.setattr(control, "call", broken)
    answer = site.ask("POST", "/api/automations/start")
    assert answer.status == 500
    assert not re.search(r"secret|inside|RuntimeError|Traceback|/|line \d", answer.said["error"])
    assert "a secret of /root/inside" in site.errors.getvalue()
    assert KEY not in site.errors.getvalue()


def test_an_answer_that_lacks_what_it_owes_is_an_internal_error(site: Site) -> None:
    site.door("""echo '{"ok":true}'""")
    for verb, path in CONTROL:
        if verb == "POST":
            assert site.ask(verb, path).status in (500, 502)
            assert not site.ask(verb, path).said["ok"]


@pytest.mark.parametrize(("verb", "path"), ROUTES)
def test_every_other_verb_is_refused_alike_and_does_nothing(site: Site, verb: str, path: str) -> None:
    for other in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "PROXY", "ANY"):
        if other != verb:
            answer = site.ask(other, path)
            assert answer.status == 405
            assert answer.headers["allow"] == verb
            assert answer.said["error"] == f"{other} is not allowed here"
    assert site.ask("HEAD", path, **GONE).status == (405 if verb == "POST" else site.ask("GET", path, **GONE).status)
    assert site.calls() in ([], ["status", "status"])


@pytest.mark.parametrize("path", ["/api/automations/status", "/healthz", "/", "/nowhere", "/api/automations/start"])
def test_head_is_what_get_would_be_without_the_body(site: Site, path: str) -> None:
    get, head = site.ask("GET", path), site.ask("HEAD", path)
    assert head.status == get.status
    assert head.body == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert "start" not in site.calls()


def test_an_unknown_path_is_named(site: Site) -> None:
    answer = site.ask("GET", "/nowhere")
    assert answer.status == 404
    assert answer.said["error"] == "no such route: GET /nowhere"


ODD_JOBS = [
    *("--detach", "-h", "--", "-", ".", "..", "../brief", "brief/../x", "%2e%2e", "_x", "Brief", "é", "x" * 65),
    *("", "a b", "a\nb", "a\0", "brief --detach", "a;b", "$(id)", "*", "brief;x", "brief?x"),
]


@pytest.mark.parametrize("job", ODD_JOBS)
def test_an_odd_job_name_never_reaches_the_script(site: Site, job: str) -> None:
    answer = site.ask("POST", f"/api/automations/jobs/{job.encode().decode('latin-1')}/run")
    assert answer.status in (400, 404)
    assert not answer.said["ok"]
    assert site.calls() == []


def test_a_job_name_is_the_whole_of_its_part_of_the_path(site: Site) -> None:
    answer = site.ask("POST", "/api/automations/jobs/brief/run\n")
    assert answer.status == 404
    assert site.calls() == []


def test_a_job_that_does_not_exist_is_the_callers_fault(tmp_path: Path) -> None:
    (tmp_path / "automations.toml").write_text('[jobs.tidy]\nevery = "6h"\ncommand = "true"\n')
    site = Site(tmp_path / "site")
    site.app = server.create_app(Paths(str(tmp_path)))  # the real door
    answer = site.ask("POST", "/api/automations/jobs/nosuch/run")
    assert 400 <= answer.status < 500
    assert "tidy" in answer.said["error"]


# The page


class Page(HTMLParser):
    """What a browser would run or fetch of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.blocks: list[tuple[str, str]] = []
        self.inline_attributes: list[str] = []
        self.fetched: list[str] = []
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag if tag in ("script", "style") else ""
        self.inline_attributes += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_data(self, data: str) -> None:
        if self._open:
            self.blocks.append((self._open, data))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def policy_of(answer: Answer) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {words[0]: words[1:] for words in parts}


def allows(policy: dict[str, list[str]], tag: str, text: str) -> bool:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'" in policy[f"{tag}-src"]


def test_the_page_is_served_to_a_browser_that_has_no_key_yet(site: Site) -> None:
    answer = site.ask("GET", "/", key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body == (PROJECT / "dashboard.html").read_bytes()


def test_the_policy_allows_nothing_but_what_is_in_the_page(site: Site) -> None:
    policy = policy_of(site.ask("GET", "/"))
    sources = [source for sources in policy.values() for source in sources]
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert all(re.fullmatch(r"'none'|'self'|data:|'sha256-[A-Za-z0-9+/]{43}='", source) for source in sources)
    assert "data:" not in policy["script-src"] + policy["style-src"]


def test_every_script_and_style_of_the_page_runs_under_its_policy(site: Site) -> None:
    answer = site.ask("GET", "/")
    page = Page(answer.body.decode())
    assert {tag for tag, _ in page.blocks} == {"script", "style"}
    assert [tag for tag, text in page.blocks if not allows(policy_of(answer), tag, text)] == []
    assert page.inline_attributes == []
    assert [url for url in page.fetched if not url.startswith(("data:", "#"))] == []


def test_the_policy_follows_a_changed_page_and_an_alien_block_is_not_in_it(site: Site) -> None:
    page = site.project / "dashboard.html"
    page.unlink()
    page.write_text("<style>a{}</style>\n<script>\none()</script><script>two('é')</script>")
    policy = policy_of(site.ask("GET", "/"))
    assert allows(policy, "style", "a{}")
    assert allows(policy, "script", "\none()")
    assert allows(policy, "script", "two('é')")
    assert not allows(policy, "script", "three()")


def test_a_missing_page_is_a_failure_of_the_contract_that_tells_no_path(site: Site) -> None:
    (site.project / "dashboard.html").unlink()
    answer = site.ask("GET", "/")
    assert answer.status == 500
    assert "dashboard.html" not in answer.said["error"]


# server.py on a port


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for the tests that only ask."""
    with serving(Site(tmp_path_factory.mktemp("live"))) as live:
        yield live


@pytest.fixture
def own(site: Site) -> Iterator[Live]:
    """A server that the test may spoil."""
    with serving(site) as live:
        yield live


def test_it_answers_over_a_real_connection_as_it_does_without(live: Live) -> None:
    assert live.ask("POST", "/api/automations/start").said["pid"] == 4711
    assert live.ask("POST", "/api/automations/stop").said == {"ok": True, "status": "Scheduler stopped"}
    assert live.ask("GET", "/api/automations/status").said["data"]["running"] is True
    assert live.ask("POST", "/api/automations/jobs/brief/run").status == 202
    assert live.ask("GET", "/").status == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(live: Live) -> None:
    answer = live.send(live.head("POST /api/automations/start HTTP/1.1", "Content-Length: 70000"))
    assert answer.status == 413
    assert "65536" in answer.said["error"]


def test_a_body_that_grows_too_large_in_chunks_is_refused(live: Live) -> None:
    before = live.site.calls()
    head = live.head("POST /api/automations/start HTTP/1.1", "Transfer-Encoding: chunked")
    answer = live.send(head + b"4000\r\n" + b"x" * 0x4000 + (b"\r\n4000\r\n" + b"x" * 0x4000) * 4)
    assert answer.status == 413
    assert answer.said["error"]
    assert live.site.calls() == before


def test_a_client_that_sends_all_of_a_large_body_hears_why_it_was_refused(live: Live) -> None:
    head = live.head("POST /api/automations/start HTTP/1.1", "Content-Length: 200000")
    answer = live.send(head + b"x" * 200_000)
    assert answer.status == 413
    assert answer.said["error"]


def test_headers_that_are_too_large_are_refused(live: Live) -> None:
    for line in ("X-Long: " + "x" * 17_000, "X-Dash-Key: " + "k" * 17_000):
        answer = live.send(live.head("GET /api/automations/status HTTP/1.1", line))
        assert answer.status == 431
        assert "16384" in answer.said["error"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/x\r\n\r\n",
        b"GET / HTTP/1.1 x\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_malformed_request_is_told_so(live: Live, raw: bytes) -> None:
    answer = live.send(raw)
    assert answer.status in (400, 413)
    assert answer.said["error"]


def test_an_unknown_transfer_coding_is_the_callers_fault_and_no_fault_of_the_server(live: Live) -> None:
    answer = live.send(live.head("POST /api/automations/start HTTP/1.1", "Transfer-Encoding: gzip"))
    assert answer.status == 400
    assert answer.said["error"]


@pytest.mark.parametrize("host", ["", "Host: \r\n", "Host: a\r\nHost: b\r\n", "Host: evil.example\r\n"])
def test_a_request_without_one_good_host_gets_nothing(live: Live, host: str) -> None:
    answer = live.send(f"GET /healthz HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
    assert answer.status == 421
    assert answer.said["error"]


def test_a_good_host_twice_is_no_good_host(live: Live) -> None:
    again = f"Host: 127.0.0.1:{live.port}"
    assert live.send(live.head("GET /healthz HTTP/1.1", again, "Connection: close")).status == 421


@pytest.mark.parametrize("line", ["X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X_Dash_Key: x"])
def test_headers_that_name_another_host_or_key_are_of_no_effect(live: Live, line: str) -> None:
    assert live.send(live.head("GET /api/automations/status HTTP/1.1", line, "Connection: close")).status == 200
    host = f"X-Forwarded-Host: 127.0.0.1:{live.port}"
    assert live.send(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{host}\r\nConnection: close\r\n\r\n".encode()).status == 421


def test_a_key_under_another_name_is_no_key(live: Live) -> None:
    raw = f"GET /api/automations/status HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nConnection: close\r\n"
    for name in ("X_Dash_Key", "X-Dash_Key", "HTTP_X_DASH_KEY", "HTTP-X-Dash-Key", "Authorization", "Cookie"):
        assert live.send(f"{raw}{name}: {KEY}\r\n\r\n".encode()).status == 401


# The same question to the whole server, which unquotes, cuts and joins before the application sees a path.
ODD_TARGETS = [
    "/%61pi/automations/start",
    "/%2561pi/automations/start",
    "/api%2fautomations%2fstart",
    "//api/automations/start",
    "///api/automations/start",
    "/./api/automations/start",
    "/x/../api/automations/start",
    "/API/automations/start",
    "/api;x/automations/start",
    "/api/automations/start;x",
    "/api/automations/start#x",
    "/api/automations/start%00",
    "/api/automations/start%0a",
    f"/api/automations/start?key={KEY}",
    "/a\tpi/automations/start",
    "/%ffapi/automations/start",
    "/a%ffpi/automations/start",
    "/%c0%afapi/automations/start",
    "/api\0/automations/start",
    "\\api\\automations\\start",
    "api/automations/start",
    "//evil.example/api/automations/start",
    "http://evil.example/api/automations/start",
]


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_no_spelling_of_a_target_leads_to_the_door_without_the_key(live: Live, target: str) -> None:
    before = live.site.calls()
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nConnection: close\r\n\r\n"
    answer = live.send(head.encode("latin-1"))
    assert answer.status in (400, 401, 404, 405)
    assert not answer.said["ok"]
    assert live.site.calls() == before


def test_half_open_connections_do_not_keep_an_honest_request_waiting(own: Live) -> None:
    with ExitStack() as stack:
        for number in range(300):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", own.port), timeout=10))
            half.sendall(own.head("POST /api/automations/start HTTP/1.1", "Content-Length: 9")[: 20 + number])
        began = time.monotonic()
        assert own.ask("GET", "/api/automations/status").status == 200
        assert time.monotonic() - began < 2
    assert own.site.calls() == ["status"]


def test_ten_callers_are_served_at_the_same_time(own: Live) -> None:
    """The door answers only once ten stand before it."""
    own.site.door(f"""
    : >"$AUTOMATIONS_HOME/logs/here.$$"
    until [ "$(ls "$AUTOMATIONS_HOME"/logs/here.* | wc -l)" -ge 10 ]; do sleep 0.02; done
    {GOOD_DOOR}""")
    with ThreadPoolExecutor(10) as crowd:
        heard = list(crowd.map(lambda _: own.ask("GET", "/api/automations/status"), range(10)))
    assert [answer.said["data"]["pid"] for answer in heard] == [4711] * 10


def test_twenty_requests_at_once_are_all_answered(live: Live) -> None:
    together = threading.Barrier(20)

    def ask(number: int) -> Answer:
        together.wait(10)
        return live.ask(*CONTROL[number % len(CONTROL)])

    with ThreadPoolExecutor(20) as crowd:
        assert {answer.said["ok"] for answer in crowd.map(ask, range(20))} == {True}


def test_a_name_with_two_addresses_is_served_by_the_same_rules(site: Site) -> None:
    """Here `localhost` has one; many systems give it two, and waitress then makes two servers."""
    two_addresses = """
import runpy, socket, sys
one = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest: one("127.0.0.1", *rest) + one("127.0.0.2", *rest)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
    with serving(site, ["-c", two_addresses]) as live:
        answer = live.send(b"GARBAGE\r\n\r\n")
        live.process.terminate()
        assert live.process.wait(10) == 0
    assert answer.status == 400
    assert answer.said["error"]


# Its life


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_request_and_takes_its_pid_file_along(own: Live, number: int) -> None:
    pid_file = own.site.home / "logs" / "server.pid"
    assert pid_file.read_text() == f"{own.process.pid}\n"
    with socket.create_connection(("127.0.0.1", own.port)):  # an idle client does not hold it up
        own.process.send_signal(number)
        assert own.process.wait(10) == 0
    assert not pid_file.exists()
    assert "Traceback" not in own.heard()


def test_a_second_server_for_one_home_is_refused(own: Live) -> None:
    assert refused(own.site, free_port()) == Exit.BUSY
    assert f"another API server lives for this home: {own.site.home}/logs/server.lock" in own.heard()
    assert f"pid {own.process.pid}" in own.heard()
    assert (own.site.home / "logs" / "server.pid").read_text() == f"{own.process.pid}\n"
    assert own.ask("GET", "/healthz").status == 200


def test_a_killed_server_is_no_obstacle_for_the_next(own: Live) -> None:
    own.process.kill()
    own.process.wait()
    assert (own.site.home / "logs" / "server.pid").exists()
    with serving(own.site) as second:
        assert second.ask("GET", "/healthz").status == 200


def test_a_taken_port_is_an_honest_failure(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(site, port) == Exit.UNAVAILABLE
    heard = (site.home / "server.out").read_text()
    assert (
        heard
        == f"server: cannot serve 127.0.0.1:{port}: Address already in use; set AUTOMATIONS_HOST or AUTOMATIONS_PORT\n"
    )
    assert not (site.home / "logs" / "server.pid").exists()


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_port_that_is_none_is_an_honest_failure(site: Site, port: str) -> None:
    assert refused(site, port) != 0
    heard = (site.home / "server.out").read_text()
    assert "AUTOMATIONS_PORT" in heard
    assert "Traceback" not in heard


def test_up_and_down_bring_the_server_and_take_it_away(home: Home) -> None:
    assert home.door("up").returncode == 0
    port = int(home.environment["AUTOMATIONS_PORT"])
    raw = f"GET /api/automations/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    (answer,) = answers(exchange(port, raw.encode()))
    assert answer.status in (401, 503)
    assert home.door("down").returncode == 0
    with pytest.raises(ConnectionRefusedError):
        exchange(port, b"")


# Mutations of valid requests

SEED = 20261122
MUTATIONS = 5000
_SPLICES = [
    *(
        b"\0",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"?",
        b"#",
        b"[",
        b"//",
        b"%",
        b"%00",
        b"%zz",
        b"%ff",
        b"%2e%2e/",
    ),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"-1", b"0x10", b"1e9", b"9" * 400, b"A" * 3000, b"{" * 200, b"HTTP/9.9"),
]
_LINES = [
    b"Content-Length: 5",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: " + b"9" * 5000,
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Expect: 100-continue",
    b"Connection: keep-alive, Upgrade",
    b"Origin: null",
    b"Host: evil.example",
    b"X-Forwarded-Host: evil.example",
    b"X-Dash-Key: \xff\xfe",
    b"X-Dash-Key: " + b"k" * 4000,
    b" folded",
]


def valid_requests(port: int) -> list[bytes]:
    """What is mutated: each route, with the right key, a wrong one and none, with and without a body."""
    host = f"Host: 127.0.0.1:{port}\r\n"
    requests = []
    for verb, path in [*ROUTES, *CONTROL * 2, ("HEAD", "/api/automations/status"), ("OPTIONS", "/api/nowhere")]:
        for key in (f"X-Dash-Key: {KEY}\r\n", "X-Dash-Key: wrong\r\n", ""):
            head = f"{verb} {path} HTTP/1.1\r\n{host}{key}Connection: close\r\n"
            requests.append(f"{head}\r\n")
            requests.append(f'{head}Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{{"until":"x"}}')
            requests.append(f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    return [request.encode() for request in requests]


def mutated(request: bytes, chance: random.Random) -> bytes:
    """One to three things wrong with a request."""
    for _ in range(chance.randint(1, 3)):
        request = chance.choice([_changed, _cut_off, _shortened, _spliced, _with_a_line, _with_a_line_again])(
            request, chance
        )
    return request


def _changed(request: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(request) + 1)
    return request[:at] + bytes([chance.randrange(256)]) + request[at + 1 :]


def _cut_off(request: bytes, chance: random.Random) -> bytes:
    return request[: chance.randrange(len(request) + 1)]


def _shortened(request: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(request) + 1)
    return request[:at] + request[at + chance.randint(1, 20) :]


def _spliced(request: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(request) + 1)
    return request[:at] + chance.choice(_SPLICES) + request[at:]


def _with_a_line(request: bytes, chance: random.Random) -> bytes:
    first, *rest = request.split(b"\r\n")
    return b"\r\n".join([first, chance.choice(_LINES), *rest])


def _with_a_line_again(request: bytes, chance: random.Random) -> bytes:
    first, *rest = request.split(b"\r\n")
    return b"\r\n".join([first, chance.choice([first, *rest]), *rest])


def test_no_mutated_request_breaks_the_server_or_gets_past_the_key(site: Site) -> None:
    site.live_in()
    chance = random.Random(SEED)
    with serving(site) as live:
        valid = valid_requests(live.port)
        requests = [mutated(chance.choice(valid), chance) for _ in range(MUTATIONS)]
        with ThreadPoolExecutor(8) as crowd:
            heard = list(crowd.map(partial(exchange, live.port, hang_up=True), requests))
        assert live.process.poll() is None
        assert live.ask("GET", "/api/automations/status").status == 200

    statuses: dict[int, int] = {}
    for request, stream in zip(requests, heard, strict=True):
        for answer in answers(stream):
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            assert answer.status < 500 or b"streams are open" in answer.body or b"not ready" in answer.body, answer
            assert KEY.encode() in request or is_for_all(answer), (request, answer)
    assert {200, 202, 400, 401, 403, 404, 405, 413, 421, 429} <= statuses.keys(), statuses  # they reach all parts
    assert KEY not in live.heard()
    assert not re.search("Traceback|uncaptured python exception", live.heard())


def is_for_all(answer: Answer) -> bool:
    """A refusal, or what is told to anybody: the page, the contract, that it lives and that it is ready."""
    if not answer.body or answer.body == (PROJECT / "dashboard.html").read_bytes():
        return True
    return answer.body.startswith(b'{"openapi"') or not answer.said["ok"] or answer.said.keys() <= {"ok", "scheduler"}
