"""The contract of the API, OpenAPI 3.1, made from the table of routes and the types of what they take and answer. Pure.

Source: spec.openapis.org/oas/v3.1.0.
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from automations import __version__
from automations.route import PATTERNS, Failure, Route

_REF = "#/components/schemas/{name}"
_OF_THE_KEY = (401, 403, 429, 503)
_OF_ALL = (400, 403, 421)


def of(routes: Sequence[Route]) -> dict[str, Any]:
    """The contract of these routes."""
    kinds = {kind for route in routes for kind in (route.says, route.body) if kind} | {Failure}
    in_order = sorted(kinds, key=lambda kind: kind.__name__)
    found, components = msgspec.json.schema_components(in_order, schema_hook=_anything, ref_template=_REF)
    for name in set(components) - {route.body.__name__ for route in routes if route.body}:
        components[name]["required"] = list(components[name].get("properties", ()))  # what is said is said in full
    schemas = dict(zip(in_order, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, schemas)
    key = {"type": "apiKey", "in": "header", "name": "X-Dash-Key"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EchoPilot Automations",
            "version": __version__,
            "description": 'Every answer in JSON is {"ok":true,…}, every refusal {"ok":false,"error":"…"}.',
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": key}},
    }


def _anything(kind: type) -> dict[str, Any]:
    """An entry of the journal holds whatever its writer put into it."""
    if kind is object:
        return {"description": "anything"}
    raise NotImplementedError(kind)


def _operation(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    media = route.media.partition(";")[0]
    content = {media: {"schema": schemas[route.says]} if route.says else {}}
    operation: dict[str, Any] = {
        "operationId": route.answer.__name__,
        "summary": route.summary,
        "parameters": [*_of_the_path(route), *_of_the_query(route), *_of_the_headers(route)],
        "responses": {
            str(route.status): {"description": HTTPStatus(route.status).phrase, "content": content},
            **{str(code): _refusal(code, schemas) for code in _refusals(route)},
            "default": {"description": "Any other refusal", "content": _json(schemas[Failure])},
        },
        "security": [{"key": []}] if route.needs_key else [],
    }
    if route.body:
        operation["requestBody"] = {"required": False, "content": _json(schemas[route.body])}
    return operation


def _refusals(route: Route) -> list[int]:
    return sorted({*_OF_ALL, *route.refusals, *(_OF_THE_KEY if route.needs_key else ())})


def _refusal(code: int, schemas: dict[Any, Any]) -> dict[str, Any]:
    return {"description": HTTPStatus(code).phrase, "content": _json(schemas[Failure])}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _of_the_path(route: Route) -> Iterator[dict[str, Any]]:
    for name, pattern in PATTERNS.items():
        if f"{{{name}}}" in route.path:
            schema = {"type": "string", "pattern": f"^{pattern}$"}
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _of_the_query(route: Route) -> Iterator[dict[str, Any]]:
    """Each field of the query's type."""
    _, components = msgspec.json.schema_components([route.query], ref_template=_REF)
    schema = components[route.query.__name__]
    for name, field in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema["required"], "schema": field}


def _of_the_headers(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.headers:
        yield {"name": name, "in": "header", "required": False, "schema": HEADERS.get(name, {"type": "string"})}


HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 255},
    "Last-Event-ID": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
