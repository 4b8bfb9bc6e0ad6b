"""The description of the HTTP API: OpenAPI 3.1, made from the route table and the shapes.

Lives here: the translation. Must not live here: anything about one route; that belongs to `routes` and `bodies`. The same input always
gives the same document, down to the order of keys, so that a change of the API shows as a readable difference.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from actors.door.routes import ROUTES, Route, errors_of
from actors.door.shapes import Field, ListOf, Schemas, Shape
from actors.limits import IDEMPOTENCY_KEY_CHARS_MAX

OPENAPI_VERSION: Final = "3.1.0"
JSON: Final = "application/json"
PROBLEM_NOTE: Final = "`code` is stable and meant for programs; `error` is a sentence for people."

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "description": PROBLEM_NOTE,
    "properties": {
        "success": {"const": False},
        "error": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z0-9_]+$"},
        "details": {
            "type": "object",
            "properties": {
                "problems": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
            },
        },
        "request_id": {"type": "string"},
    },
    "required": ["success", "error", "code", "details", "request_id"],
}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"field": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["field", "code", "message"],
}
_LIST_META: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "description": "Rows in this answer."},
        "next_cursor": {"type": ["string", "null"], "description": "Give it as `cursor` to go on; null at the end."},
    },
    "required": ["count"],
}
_SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Access token of an operator."},
    "workerToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Worker-Token",
        "description": "Token of a scheduler.",
    },
    "mutualTls": {"type": "mutualTLS", "description": "Client certificate of a peer, on the TLS port."},
}
_HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {"description": "Names this call in logs and errors.", "schema": {"type": "string"}},
    "ETag": {"description": "Version of what was read; send it back in `If-None-Match` or `If-Match`.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer", "minimum": 1}},
}
_RETRY_STATUSES: Final = frozenset({429, 503})


def document(version: str) -> dict[str, Any]:
    """The whole document; `version` is that of the platform."""
    schemas: Schemas = {"Error": _ERROR, "Problem": _PROBLEM, "ListMeta": _LIST_META}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        item = paths.setdefault(route.path, {})
        item[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "Powernode",
            "version": version,
            "description": "Operators sign in and send a bearer token. Remote platforms call the federation API with a client certificate.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": _SECURITY_SCHEMES, "headers": _HEADERS},
    }


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    out: dict[str, Any] = {"operationId": route.name, "tags": [route.tag], "summary": route.summary}
    notes = [route.description] if route.description else []
    if route.permission is not None:
        notes.append(f"Needs the permission `{route.permission}`.")
        out["x-permission"] = route.permission
    if notes:
        out["description"] = " ".join(notes)
    parameters = _parameters(route, schemas)
    if parameters:
        out["parameters"] = parameters
    if route.body is not None:
        demanded = any(field.required for field in route.body.fields)
        out["requestBody"] = {"required": demanded, "content": {JSON: {"schema": route.body.schema(schemas)}}}
    out["responses"] = _responses(route, schemas)
    out["security"] = _security(route)
    return out


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.face == "operator":
        return [{"bearer": []}]
    if route.face == "worker":
        return [{"workerToken": []}]
    if route.face == "federation" and route.name != "federation_accept":
        return [{"mutualTls": []}]
    return []


def _parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    out = [_parameter("path", name, route.parameter_shape(name), schemas) for name in route.parameter_names]
    out += [_query_parameter(field, schemas) for field in route.query]
    if route.idempotent:
        shape: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX, "pattern": "^[!-~]+$"}
        out.append(_header("Idempotency-Key", "Repeating a call under its key within 24 hours repeats the answer, not the act.", shape))
    if route.conditional:
        reading = route.method == "GET"
        name = "If-None-Match" if reading else "If-Match"
        what = "Answer 304 if nothing changed since." if reading else "Answer 409 `version_conflict` if somebody changed it since."
        out.append(_header(name, what, {"type": "string"}))
    return out


def _parameter(place: str, name: str, shape: Shape, schemas: Schemas) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": shape.schema(schemas)}


def _query_parameter(field: Field, schemas: Schemas) -> dict[str, Any]:
    schema = field.schema(schemas)
    out: dict[str, Any] = {"name": field.name, "in": "query", "required": field.required}
    if "description" in schema:
        out["description"] = schema.pop("description")
    out["schema"] = schema
    if isinstance(field.shape, ListOf):
        out |= {"style": "form", "explode": False}
    return out


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    out: dict[int, Any] = {status: _success(route, status, shape, schemas) for status, shape in route.success.items()}
    if route.conditional and route.method == "GET":
        out[304] = {"description": "Not modified"}
    for status, codes in errors_of(route).items():
        out[status] = _error(status, codes)
    return {str(status): out[status] for status in sorted(out)}


def _success(route: Route, status: int, shape: Shape | None, schemas: Schemas) -> dict[str, Any]:
    names = ["X-Request-Id", *(["ETag"] if route.conditional else [])]
    out: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _header_references(names)}
    if shape is None:
        return out
    data = shape.schema(schemas)
    if route.websocket:
        out["description"] = "Switching protocols; each text message is one event."
        out["x-message"] = data
        return out
    out["content"] = {JSON: {"schema": _envelope(data, isinstance(shape, ListOf)) if route.envelope else data}}
    return out


def _envelope(data: dict[str, Any], is_list: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {"success": {"const": True}, "data": data}
    if is_list:
        properties["meta"] = {"$ref": "#/components/schemas/ListMeta"}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _error(status: int, codes: tuple[str, ...]) -> dict[str, Any]:
    names = ["X-Request-Id", *(["Retry-After"] if status in _RETRY_STATUSES else [])]
    named = {"properties": {"code": {"enum": list(codes)}}}
    return {
        "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in codes),
        "headers": _header_references(names),
        "content": {JSON: {"schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, named]}}},
    }


def _header_references(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
