"""The contract and the server are one table: what is described is registered, what is registered is described.

Then schemathesis reads the contract and asks the application what a client would ask, and what no client should.
"""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings, strategies
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from automations import api, contract
from automations.route import Failure, Route
from tests.site import KEY, OUR_HOST, Site, alone

CONTRACT = contract.of(api.ROUTES)
HEALTH = list(HealthCheck)  # a rejected case is no illness, and the first one builds the validators
EXAMPLES = 60  # of each operation; the storm has 300
_ENDLESS = "/api/automations/events"  # it is asked in test_events and test_server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.live_in()
    return site


def rules(site: Site) -> set[tuple[str, str]]:
    """Verb and path of what Bottle knows, its parts written as in the table."""
    return {(route.method, re.sub(r"<(\w+):re:[^>]*>", r"{\1}", route.rule)) for route in site.app.routes}


# One table


def test_the_server_knows_the_routes_of_the_table_and_no_other(site: Site):
    assert rules(site) == {(route.verb, route.path) for route in api.ROUTES}


def test_the_contract_describes_the_routes_of_the_table_and_no_other():
    described = {(verb.upper(), path) for path, verbs in CONTRACT["paths"].items() for verb in verbs}
    assert described == {(route.verb, route.path) for route in api.ROUTES}


def test_the_contract_is_what_the_server_hands_out(site: Site):
    answer = site.ask("GET", "/openapi.json", key=None)
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == json.loads(json.dumps(CONTRACT))


def test_every_operation_has_a_name_of_its_own():
    names = [one["operationId"] for verbs in CONTRACT["paths"].values() for one in verbs.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere():
    found = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(CONTRACT)))
    assert found <= CONTRACT["components"]["schemas"].keys()


def test_all_but_the_public_routes_ask_for_the_key(site: Site):
    for route in api.ROUTES:
        is_open = site.ask(route.verb, filled(route), key=None).status != 401
        assert is_open is not route.needs_key, route.path
        assert bool(CONTRACT["paths"][route.path][route.verb.lower()]["security"]) is route.needs_key
    assert {"/healthz", "/readyz", "/openapi.json", "/"} == api.PUBLIC


def test_every_part_of_a_path_has_its_pattern_in_the_contract():
    for route in api.ROUTES:
        parameters = CONTRACT["paths"][route.path][route.verb.lower()]["parameters"]
        described = {one["name"]: one["schema"]["pattern"] for one in parameters if one["in"] == "path"}
        assert set(described) == set(re.findall(r"{(\w+)}", route.path))
        assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in described.values())


def test_what_is_answered_is_described_in_full():
    for name, schema in CONTRACT["components"]["schemas"].items():
        if name != "PauseWish" and "properties" in schema:
            assert set(schema["required"]) == set(schema["properties"]), name


def test_a_refusal_is_told_from_an_answer_by_its_ok():
    assert CONTRACT["components"]["schemas"]["Failure"]["properties"]["ok"]["const"] is False
    told = [route.says for route in api.ROUTES if route.says]
    assert all(CONTRACT["components"]["schemas"][kind.__name__]["properties"]["ok"]["const"] is True for kind in told)
    assert Failure not in told


def filled(route: Route) -> str:
    return route.path.replace("{job}", "brief").replace("{run}", "20261122T080000.000Z")


# What a client would ask, and what none should


def operations() -> list[tuple[str, str]]:
    return [(route.verb, route.path) for route in api.ROUTES if route.path != _ENDLESS]


def at_home(site: Site) -> Any:
    """The application, asked under our own name."""

    addresses = (f"10.0.{number // 256}.{number % 256}" for number in itertools.count())

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        ours = {"HTTP_HOST": OUR_HOST, "REMOTE_ADDR": next(addresses)}  # so that none of them guesses too often
        plain = {"HTTP_ACCEPT_ENCODING": "identity"}  # schemathesis says that it takes gzip, and does not unpack it
        return site.app({**environ, **ours, **plain}, start_response)

    return app


def ask_all_sorts(site: Site, verb: str, path: str, examples: int) -> None:
    """Half of the cases are good by the contract, half are not, where there is anything that could be wrong."""
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(CONTRACT)))
    schema.app = at_home(site)
    operation = schema[path][verb]
    has_input = bool(CONTRACT["paths"][path][verb.lower()]["parameters"]) or "requestBody" in operation.definition.raw
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=HEALTH)
    @given(strategies.one_of(good, bad) if has_input else good)
    def ask(case: Any) -> None:
        # What the case calls wrong may be nothing any more, or the empty text, once it is written into a URL.
        assume(not any(value in ([], {}, None, "", [None]) for value in (case.query or {}).values()))
        # A text may be no time, a moment may be to come: the types cannot tell, so a 400 is an answer to good data too.
        case.call_and_validate(headers={"X-Dash-Key": KEY}, excluded_checks=[positive_data_acceptance])

    ask()


@pytest.mark.parametrize(("verb", "path"), operations())
def test_the_server_keeps_its_contract(site: Site, verb: str, path: str):
    ask_all_sorts(site, verb, path, EXAMPLES)
    assert "Traceback" not in site.errors.getvalue()


@pytest.mark.storm
@pytest.mark.parametrize(("verb", "path"), operations())
def test_the_server_keeps_its_contract_in_a_storm(site: Site, verb: str, path: str):
    ask_all_sorts(site, verb, path, 300)
    assert "Traceback" not in site.errors.getvalue()
