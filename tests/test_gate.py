"""Who may ask: two keys, guesses that are counted, and a right key that nobody can lock out."""

import os
from pathlib import Path

import pytest

from automations.guesses import A_MINUTE, MOST, WINDOW_S, Guesses, network
from tests.site import KEY, Site, alone

READ_KEY = "only-looking"
STATUS = "/api/automations/status"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# Guesses


def test_so_many_wrong_keys_a_minute_are_told_and_the_rest_are_to_come_back(site: Site):
    heard = [site.ask("GET", STATUS, key=f"guess {number}") for number in range(A_MINUTE + 5)]
    assert [answer.status for answer in heard] == [401] * A_MINUTE + [429] * 5
    assert 1 <= int(heard[-1].headers["retry-after"]) <= WINDOW_S
    assert "too many wrong keys" in heard[-1].said["error"]


def test_a_right_key_is_let_through_whatever_was_guessed_from_its_address(site: Site):
    for number in range(A_MINUTE * 3):
        site.ask("GET", STATUS, key=f"guess {number}")
    assert site.ask("GET", STATUS).status == 200
    assert site.ask("GET", STATUS, key="one more").status == 429


def test_who_guesses_takes_nothing_from_another_address(site: Site):
    for number in range(A_MINUTE * 2):
        site.ask("GET", STATUS, key=f"guess {number}", REMOTE_ADDR="192.0.2.1")
    assert site.ask("GET", STATUS, key="wrong", REMOTE_ADDR="192.0.2.2").status == 401


@pytest.mark.parametrize("header", ["X_FORWARDED_FOR", "X_REAL_IP", "FORWARDED"])
def test_no_header_gives_a_guesser_another_address(site: Site, header: str):
    for number in range(A_MINUTE):
        site.ask("GET", STATUS, key="wrong", **{f"HTTP_{header}": f"192.0.2.{number}"})
    assert site.ask("GET", STATUS, key="wrong", **{f"HTTP_{header}": "192.0.2.250"}).status == 429


def test_a_missing_key_is_no_guess(site: Site):
    assert {site.ask("GET", STATUS, key=None).status for _ in range(A_MINUTE * 2)} == {401}


def test_guesses_are_forgotten_after_a_minute():
    guesses = Guesses(most=2)
    assert [guesses.count("a", now_s) for now_s in (0, 30, 59)] == [0, 0, 1]
    assert [guesses.count("a", now_s) for now_s in (60.5, 61)] == [0, 29]


def test_a_refused_guess_does_not_prolong_the_wait():
    guesses = Guesses(most=1)
    assert [guesses.count("a", now_s) for now_s in (0, 50, 59, 60)] == [0, 10, 1, 0]


def test_the_memory_of_guesses_is_bounded():
    guesses = Guesses()
    for number in range(MOST * 2):
        guesses.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(guesses._times) == MOST
    guesses.count("192.0.2.1", WINDOW_S + 1)
    assert len(guesses._times) == 1


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_a_network_of_64_bits_is_one_address(address: str, counted: str):
    assert network(address) == counted


# The read key


@pytest.fixture(params=["environment", "file"])
def read_key(request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "environment":
        monkeypatch.setenv("DASHBOARD_READ_KEY", READ_KEY)
    else:
        site.key_file(f"DASHBOARD_READ_KEY={READ_KEY}\n")
    return READ_KEY


def test_the_read_key_opens_what_only_reads(site: Site, read_key: str):
    site.live_in()
    for path in (STATUS, "/api/automations/jobs", "/api/automations/overview", "/metrics"):
        assert site.ask("GET", path, key=read_key).status == 200
        assert site.ask("HEAD", path, key=read_key).status == 200


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_the_read_key_does_nothing_else(site: Site, read_key: str, verb: str):
    for path in ("start", "stop", "jobs/brief/run", "jobs/brief/pause", "status", "nowhere"):
        answer = site.ask(verb, f"/api/automations/{path}", key=read_key)
        assert answer.status == 403
        assert "DASHBOARD_READ_KEY" in answer.said["error"]
    assert site.calls() == []


def test_beside_the_read_key_the_key_opens_all(site: Site, read_key: str):
    assert site.ask("POST", "/api/automations/start").status == 200
    assert site.ask("GET", STATUS, key=read_key + "x").status == 401


def test_a_read_key_alone_opens_no_more_than_it_does(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DASHBOARD_KEY")
    monkeypatch.setenv("DASHBOARD_READ_KEY", READ_KEY)
    assert site.ask("GET", STATUS, key=READ_KEY).status == 200
    assert site.ask("POST", "/api/automations/start", key=READ_KEY).status == 403
    assert [site.ask("POST", "/api/automations/start", key=given).status for given in ("", KEY)] == [401, 401]


def test_without_a_read_key_an_empty_one_opens_nothing(site: Site):
    assert site.ask("GET", STATUS, key="").status == 401


def test_both_keys_may_stand_in_one_file(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DASHBOARD_KEY")
    site.key_file(f"DASHBOARD_READ_KEY={READ_KEY}\nDASHBOARD_KEY={KEY}\n")
    assert [site.ask("POST", "/api/automations/stop", key=given).status for given in (READ_KEY, KEY)] == [403, 200]


def test_no_answer_tells_the_read_key(site: Site, read_key: str):
    heard = [site.ask("GET", path, key=key) for path in (STATUS, "/readyz", "/nowhere") for key in ("x", None, KEY)]
    assert not any(READ_KEY.encode() in answer.body for answer in heard)
    assert READ_KEY not in site.errors.getvalue()
    assert os.environ.get("DASHBOARD_KEY") == KEY
