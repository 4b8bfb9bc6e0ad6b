"""The API description: valid OpenAPI 3.1, complete, the same every time, and its schemas agree with the checks."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from actors.door import bodies
from actors.door.openapi import document
from actors.door.routes import ROUTES, Route, errors_of
from actors.door.shapes import read_value
from runtime.errors import FaultError

DOCUMENT = document("1.2.3")


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for child in part.values() for found in references(child)]
    return [found for child in part for found in references(child)] if isinstance(part, list) else []


def resolve(reference: str) -> Any:
    part: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


def validator(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_it_is_valid_openapi_3_1() -> None:
    schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT))).validate()


def test_the_check_of_validity_can_fail() -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    broken["paths"]["/health/live"]["get"]["responses"]["200"].pop("description")
    with pytest.raises(Exception, match="description"):
        schemathesis.openapi.from_dict(broken).validate()


def test_it_is_the_same_every_time() -> None:
    assert json.dumps(document("1.2.3")) == json.dumps(DOCUMENT)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        assert resolve(reference), reference


def test_every_schema_is_a_json_schema() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert schema, name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_described_with_all_its_statuses(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["operationId"] == route.name
    responses = operation["responses"]
    assert {str(status) for status in route.success} <= responses.keys()
    for status, codes in errors_of(route).items():
        if status in route.success:
            continue
        (_, named) = responses[str(status)]["content"]["application/json"]["schema"]["allOf"]
        assert named["properties"]["code"]["enum"] == list(codes)
    assert {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"} == set(route.parameter_names)


def test_who_may_call_is_described() -> None:
    security = {route.name: DOCUMENT["paths"][route.path][route.method.lower()]["security"] for route in ROUTES}
    assert security["list_peers"] == [{"bearer": []}]
    assert security["federation_heartbeat"] == [{"mutualTls": []}]
    assert security["federation_accept"] == security["login"] == security["health_live"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"remote_instance_url": "https://b.example.com"},
        {"remote_instance_url": "https://b.example.com", "spawn_role": "parent", "token_ttl_seconds": 3600, "endpoints": []},
        {},
        {"remote_instance_url": 5},
        {"remote_instance_url": "https://b.example.com", "token_ttl_seconds": 1},
        {"remote_instance_url": "https://b.example.com", "spawn_role": "boss"},
        {"remote_instance_url": "https://b.example.com", "extra": 1},
        {"remote_instance_url": "https://b.example.com", "endpoints": [{"scope": "wan"}]},
    ],
    ids=str,
)
def test_the_described_schema_and_the_check_agree(body: dict[str, Any]) -> None:
    described = validator({"$ref": "#/components/schemas/ProposePeerRequest"}).is_valid(body)
    try:
        read_value(bodies.PROPOSE_PEER, body)
        accepted = True
    except FaultError:
        accepted = False
    assert described is accepted


def test_no_read_only_field_is_offered() -> None:
    assert "status" not in DOCUMENT["components"]["schemas"]["UpdatePeerRequest"]["properties"]
