"""Bodies and query strings: hostile JSON is refused, every problem is told at once, and what is documented is what is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import limits
from actors.door import bodies
from actors.door.grants.bodies import SECRET_WORDS
from actors.door.routes import ROUTES
from actors.door.shapes import (
    NESTING_MAX,
    Choice,
    Field,
    Identifier,
    Instant,
    Integer,
    ListOf,
    Object,
    Text,
    is_json,
    parse_json,
    read_body,
    read_query,
)
from actors.problems import PROBLEMS_REPORTED_MAX
from runtime.errors import Fault, FaultError
from runtime.secret import Secret

JSON = "application/json"
UUID = "01890a5d-ac96-774b-bcce-b302099a8057"


def refused(shape: Object, body: Any, content_type: str | None = JSON, **options: Any) -> Fault:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(FaultError) as caught:
        read_body(shape, raw, content_type, **options)
    return caught.value.fault


def depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth, children), default=0)


def codes(fault: Fault) -> dict[str, str]:
    return {problem["field"]: problem["code"] for problem in fault.details["problems"]}


# --- JSON text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}{}",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 400 + b"}",
        b'{"a":' + b"9" * 6_000 + b"}",
        b'{"a":9223372036854775808}',
        b'{"a":0.' + b"1" * 5_000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'["\\ud800\\ud800"]',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\n"}',
        b"{'a':1}",
        b'{"a":01}',
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"[" * 17 + b"]" * 17,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_hostile_json_is_malformed(body: bytes) -> None:
    with pytest.raises(FaultError) as caught:
        parse_json(body)
    assert (caught.value.fault.code, caught.value.fault.status) == ("malformed_json", 400)


def test_nesting_up_to_the_limit_is_fine() -> None:
    value = parse_json(b"[" * NESTING_MAX + b"]" * NESTING_MAX)
    for _ in range(NESTING_MAX - 1):
        (value,) = value
    assert value == []


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse_json(b"[" + b"[]," * 1_000 + b"{}]")[-1] == {}


def test_the_largest_whole_numbers_survive() -> None:
    assert parse_json(b"[9223372036854775807,-9223372036854775807]") == [2**63 - 1, -(2**63 - 1)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_ordinary_json_reads_as_python_reads_it(value: Any) -> None:
    text = json.dumps(value)
    if depth(value) <= NESTING_MAX:
        assert parse_json(text.encode()) == json.loads(text)
    else:
        with pytest.raises(FaultError):
            parse_json(text.encode())


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\u0dea18eE+-.ntf ', max_size=80).map(str.encode))
def test_any_bytes_read_or_are_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except FaultError as error:
        refusal = error.fault.code
    else:
        refusal = "malformed_json"
        assert value == json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    assert refusal == "malformed_json"


# --- Bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/merge-patch+json", True),
        (None, False),
        ("", False),
        ("text/plain", False),
        ("application/json; charset=utf-16", False),
        ("application/jsonx", False),
        ("application/x-www-form-urlencoded", False),
    ],
)
def test_media_types(content_type: str | None, accepted: bool) -> None:
    assert is_json(content_type) is accepted
    if accepted:
        assert read_body(bodies.NO_ARGUMENTS, b"{}", content_type) == {}
    else:
        fault = refused(bodies.NO_ARGUMENTS, b"{}", content_type)
        assert (fault.code, fault.status) == ("unsupported_media_type", 415)


def test_no_body_is_an_empty_object_whatever_its_type() -> None:
    assert read_body(bodies.REGENERATE_TOKEN, b"", None) == {}


def test_a_body_beyond_the_limit_is_refused_before_it_is_parsed() -> None:
    fault = refused(bodies.NO_ARGUMENTS, b"[" * 101, bytes_max=100)
    assert (fault.code, fault.status, fault.details) == ("body_too_large", 413, {"bytes_max": 100})


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    fault = refused(bodies.PROPOSE_PEER, body)
    assert (fault.code, fault.status) == ("invalid_parameter", 400)


def test_every_problem_is_told_at_once_and_the_first_names_the_answer() -> None:
    fault = refused(
        bodies.PROPOSE_PEER,
        {
            "spawn_role": "boss",
            "spawn_mode": 7,
            "token_ttl_seconds": "3600",
            "endpoints": [{"url": "https://a.example.com"}, {"url": "http://b.example.com", "priority": -1}],
            "remote_ca_fingerprint": "sha256:short",
            "spawn_rol": "symmetric",
        },
    )
    assert (fault.code, fault.status) == ("remote_instance_url_required", 400)
    assert codes(fault) == {
        "remote_instance_url": "remote_instance_url_required",
        "spawn_role": "invalid_spawn_role",
        "spawn_mode": "invalid_parameter",
        "token_ttl_seconds": "invalid_ttl",
        "endpoints[1].url": "invalid_endpoint",
        "endpoints[1].priority": "invalid_endpoint",
        "remote_ca_fingerprint": "invalid_fingerprint",
        "spawn_rol": "unknown_argument",
    }
    assert "spawn_role" in next(p["message"] for p in fault.details["problems"] if p["field"] == "spawn_rol")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "remote_instance_url_required"),
        ({"remote_instance_url": None}, 400, "remote_instance_url_required"),
        ({"remote_instance_url": "  "}, 400, "remote_instance_url_required"),
        ({"remote_instance_url": 5}, 400, "invalid_parameter"),
        ({"remote_instance_url": "http://b.example.com"}, 422, "invalid_remote_url"),
        ({"remote_instance_url": "https://b.example.com/x?y"}, 422, "invalid_remote_url"),
        ({"remote_instance_url": "https://b.example.com", "token_ttl_seconds": 59}, 400, "invalid_ttl"),
        ({"remote_instance_url": "https://b.example.com", "token_ttl_seconds": True}, 400, "invalid_ttl"),
        ({"remote_instance_url": "https://b.example.com", "token_ttl_seconds": 60.0}, 400, "invalid_ttl"),
        ({"remote_instance_url": "https://b.example.com", "peer_kind": "node"}, 400, "unknown_argument"),
        ({"remote_instance_url": "https://b.example.com", "remote_prefix_advertisement": "2001:db8::/48"}, 422, "invalid_prefix"),
        ({"remote_instance_url": "https://b.example.com", "metadata": {"a": {"b": {"c": {"d": {"e": {}}}}}}}, 422, "invalid_metadata"),
    ],
)
def test_proposals_are_refused_by_name(body: dict[str, Any], status: int, code: str) -> None:
    fault = refused(bodies.PROPOSE_PEER, body)
    assert (fault.status, fault.code) == (status, code)


def test_a_proposal_is_read_into_domain_values() -> None:
    read = read_body(
        bodies.PROPOSE_PEER,
        json.dumps({"remote_instance_url": "HTTPS://B.example.com:443/", "endpoints": [{"url": "https://b.example.com"}]}).encode(),
        JSON,
    )
    assert read["remote_instance_url"] == "https://b.example.com"
    assert read["spawn_role"] == "symmetric"
    assert "spawn_mode" not in read
    (endpoint,) = read["endpoints"]
    assert (endpoint.url, endpoint.scope, endpoint.priority) == ("https://b.example.com", "wan", 100)


@pytest.mark.parametrize("name", ["status", "id", "spawn_role", "version"])
def test_known_fields_that_cannot_be_set_are_named_so(name: str) -> None:
    fault = refused(bodies.UPDATE_PEER, {name: "accepted"})
    assert (fault.status, codes(fault)) == (422, {name: "field_not_editable"})


def test_absent_null_and_empty_differ_in_an_update() -> None:
    assert read_body(bodies.UPDATE_PEER, b"{}", JSON) == {}
    assert read_body(bodies.UPDATE_PEER, b'{"expires_at":null,"endpoints":[]}', JSON) == {"expires_at": None, "endpoints": ()}
    assert read_body(bodies.UPDATE_PEER, b'{"expires_at":"1970-01-01T00:01:00Z"}', JSON) == {"expires_at": 60.0}
    assert refused(bodies.UPDATE_PEER, {"overlay_only": None}).code == "invalid_parameter"


def test_secrets_come_out_masked_and_never_stand_in_an_error() -> None:
    read = read_body(bodies.LOGIN, b'{"email":"a@b.example","password":"hunter2hunter2"}', JSON)
    assert read["password"] == Secret("hunter2hunter2")
    assert "hunter2" not in repr(read)
    for body in ({"email": "hunter2", "password": "hunter2" * 100}, {"email": ["hunter2"], "password": {"hunter2": 1}}):
        assert "hunter2" not in repr(refused(bodies.LOGIN, body))


def test_the_federation_side_ignores_what_a_later_release_adds() -> None:
    body = {"sequence": 4, "new_in_next_release": {"x": 1}, "last_ack": {"epoch": 1, "sequence": 2, "more": 3}, "release_tag": None}
    assert read_body(bodies.FEDERATION_HEARTBEAT, json.dumps(body).encode(), JSON) == {
        "sequence": 4,
        "last_ack": {"epoch": 1, "sequence": 2},
    }


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "acceptance_token_required"),
        ({"acceptance_token": ""}, 422, "acceptance_token_required"),
        ({"acceptance_token": "x" * 10_000}, 401, "acceptance_token_invalid"),
        ({"acceptance_token": "t", "contract_version": "vX"}, 422, "unsupported_contract_version"),
        ({"acceptance_token": "t", "capabilities": []}, 422, "invalid_capabilities"),
        ({"acceptance_token": "t", "caller_inbound_subject": "CN=x"}, 422, "inbound_subject_required"),
        ({"acceptance_token": "t", "csr_pem": 5}, 400, "invalid_parameter"),
    ],
)
def test_accepts_are_refused_by_name(body: dict[str, Any], status: int, code: str) -> None:
    fault = refused(bodies.FEDERATION_ACCEPT, body)
    assert (fault.status, fault.code) == (status, code)


@pytest.mark.parametrize("version", [1, "1", "v1"])
def test_three_spellings_of_a_contract_version(version: object) -> None:
    read = read_body(bodies.ACCEPT_PEER, json.dumps({"acceptance_token": "t", "contract_version": version}).encode(), JSON)
    assert read["contract_version"] == 1


def test_a_body_made_of_mistakes_costs_a_bounded_answer() -> None:
    fault = refused(bodies.PROPOSE_PEER, {f"wrong_{index}": index for index in range(3_000)})
    assert len(fault.details["problems"]) <= PROBLEMS_REPORTED_MAX
    assert len(json.dumps(dict(fault.details))) < 8_192


@pytest.mark.parametrize(
    "text", ["a\x00b", "a\x1bb", "a\nb", "x" * 65, "a\x9b2Jb", "a\x85b", "a\u2028b", "a\u202eb", "a\u2066b"], ids=ascii
)
def test_text_refuses_control_characters_and_excess(text: str) -> None:
    shape = Object((Field("name", Text(chars_max=64)),))
    assert codes(refused(shape, {"name": text})) == {"name": "invalid_parameter"}


def test_findings_are_filtered_by_a_kind_that_there_is() -> None:
    filters = Object(bodies.GOVERNANCE_FILTERS)
    assert codes(refused(filters, {"kind": "expired_trust"})) == {"kind": "invalid_parameter"}
    assert read_body(filters, b'{"kind": "expired_trust_jwt"}', JSON)["kind"] == "expired_trust_jwt"


def test_a_field_cannot_be_declared_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Object((Field("a", Integer()), Field("a", Text())))


# --- Query strings --------------------------------------------------------------------------------------------------


def test_a_query_is_read_with_defaults() -> None:
    read = read_query(bodies.PEER_FILTERS, {"status": "active,degraded", "limit": "7", "spawn_role": ""})
    assert read == {"status": ["active", "degraded"], "limit": 7}
    assert read_query(bodies.PEER_FILTERS, {}) == {"limit": limits.PAGE_DEFAULT}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "active,gone"},
        {"status": "active,"},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "1e2"},
        {"limit": "٣"},
        {"limit": " 3"},
        {"limit": "9" * 40},
        {"spawn_mode": "node"},
        {"remote_instance_url": "ftp://x"},
        {"stat": "active"},
        {"access_token": "eyJ"},
    ],
    ids=str,
)
def test_a_bad_filter_is_an_invalid_parameter(query: dict[str, str]) -> None:
    with pytest.raises(FaultError) as caught:
        read_query(bodies.PEER_FILTERS, query)
    assert (caught.value.fault.code, caught.value.fault.status) == ("invalid_parameter", 400)


# --- Valid bodies pass, mutated ones fail as documented --------------------------------------------------------------

_HEX = "0123456789abcdef"


def _no_secret(key: str) -> bool:
    """Whether the metadata of a grant takes this key."""
    return not any(word in key.lower() for word in SECRET_WORDS)


def _example(field: Field) -> st.SearchStrategy[Any]:
    special: dict[str, st.SearchStrategy[Any]] = {
        "remote_instance_url": st.sampled_from(["https://b.example.com", "https://[2001:db8::1]:8443", "https://b.example.com/"]),
        "endpoints": st.lists(st.integers(1, 999), max_size=4, unique=True).map(
            lambda ports: [{"url": f"https://b.example.com:{port}", "scope": "lan", "priority": port} for port in ports]
        ),
        "remote_prefix_advertisement": st.sampled_from(["fd00:1::/48", "fd12:3456:789a:1::/64", None]),
        "source_address": st.sampled_from(["192.0.2.9", "2001:db8::9"]),
        "scope": st.sampled_from(["read", "write"]),
        "fingerprint": st.text(_HEX, min_size=64, max_size=64).map("sha256:{}".format),
        "remote_ca_fingerprint": st.text(_HEX, min_size=64, max_size=64).map("sha256:{}".format) | st.none(),
        "metadata": st.dictionaries(st.text(max_size=8).filter(_no_secret), st.integers(0, 9) | st.text(max_size=8), max_size=5),
        "sources": st.sampled_from([[], ["192.0.2.0/24", "2001:db8::/32"]]),
        "filter": st.dictionaries(st.text(max_size=8), st.integers(0, 9) | st.text(max_size=8), max_size=5),
        "attributes": st.dictionaries(st.text(max_size=8), st.integers(0, 9) | st.text(max_size=8), max_size=5),
        "resources": st.lists(st.fixed_dictionaries({"kind": st.just("NodeModule")}), min_size=1, max_size=3),
        "contract_version": st.sampled_from([1, "2", "v3"]),
        "email": st.sampled_from(["a@b.example", "first.last@sub.example.org"]),
        "permission_scopes": st.lists(st.sampled_from(["read", "write"]), min_size=1, unique=True),
        "resource_kind": st.sampled_from(["NodeModule", "node_template"]),
        "node_instance_ids": st.sampled_from([["*"], [UUID]]),
        "sdwan_network_ids": st.sampled_from([["*"], [UUID]]),
        "source_cidrs": st.sampled_from([["*"], ["192.0.2.0/24", "2001:db8::/32"]]),
        "ttl_seconds": st.none(),
        "receipt": st.just({}),
        "denied": st.sampled_from([[], ["192.0.2.0/24"]]),
        "slug": st.sampled_from(["wiki", "a-1"]),
        "local_hostname": st.sampled_from(["wiki.b.example", "localhost:8080"]),
        "backend_host": st.sampled_from(["10.7.0.9", "wiki.a.example", "fd00::9"]),
        "backend_server_name": st.sampled_from(["wiki.a.example", None]),
        "backend_anchor_pem": st.none(),
        "default_grant_scopes": st.sampled_from([["read"], ["read", "write"]]),
        "default_axes": st.sampled_from([{}, {"source_cidrs": ["192.0.2.0/24"]}]),
        "visibility": st.sampled_from(["all_peers", {"peers": [UUID]}]),
        "capacity_metadata": st.just({"cpu": 2}),
        "latency_metadata": st.just({}),
        "permissions": st.lists(st.sampled_from(["system.peers.read", "system.peers.manage"]), unique=True),
    }
    if field.name in special:
        return special[field.name]
    match field.shape:
        case Choice(words):
            return st.sampled_from(words)
        case Integer(least, most):
            return st.integers(least, most)
        case Identifier():
            return st.just(UUID)
        case Instant():
            return st.just("2026-01-31T12:00:00.5+01:00")
        case ListOf(element=element):
            return st.lists(_example(Field("element", element)), max_size=3)
        case Object(fields=fields):
            settable = [field for field in fields if not field.read_only]
            return st.fixed_dictionaries(
                {field.name: _example(field) for field in settable if field.required},
                optional={field.name: _example(field) for field in settable if not field.required},
            )
        case Text() as text:
            letters = st.characters(categories=("L", "N"), max_codepoint=0x7FF)
            return st.text(letters, min_size=max(1, text.chars_min), max_size=min(text.chars_max, text.chars_min + 20))
        case _:
            return st.booleans()


NEEDED_BY_RULE = dict.fromkeys(("ExplainRequest", "ExplainWithoutPeerRequest"), ("resource_kind",))
"""Fields without which a body is refused by a rule over several of them."""
OPERATOR_BODIES = [route.body for route in ROUTES if route.body is not None and route.face != "federation"]


@st.composite
def _valid(draw: st.DrawFn) -> tuple[Object, dict[str, Any]]:
    shape = draw(st.sampled_from([body for body in OPERATOR_BODIES if body.fields]))
    settable = [field for field in shape.fields if not field.read_only]
    needed = NEEDED_BY_RULE.get(shape.name, ())
    chosen = [field for field in settable if field.required or field.name in needed or draw(st.booleans())]
    return shape, {field.name: draw(_example(field)) for field in chosen}


@given(_valid())
def test_valid_bodies_pass(case: tuple[Object, dict[str, Any]]) -> None:
    shape, body = case
    read = read_body(shape, json.dumps(body).encode(), JSON)
    assert body.keys() <= read.keys()


@given(_valid(), st.data())
def test_mutated_bodies_fail_with_documented_codes(case: tuple[Object, dict[str, Any]], data: st.DataObject) -> None:
    shape, body = case
    field = data.draw(st.sampled_from([field for field in shape.fields if not field.read_only]))
    wrong = data.draw(st.sampled_from(["missing", "type", "extra"] if field.required else ["type", "extra"]))
    expected = {"missing": (field.name, field.required_code), "extra": ("no_such_key", "unknown_argument")}
    if wrong == "missing":
        body.pop(field.name)
    elif wrong == "extra":
        body["no_such_key"] = 1
    else:
        body[field.name] = [{"of": ["a", "wrong", "type"]}]
    documented = {field.type_code, field.code or "invalid_parameter", "invalid_endpoint", "unknown_argument"}
    found = {problem["field"].partition("[")[0]: problem["code"] for problem in refused(shape, body).details["problems"]}
    if wrong == "type":
        assert found[field.name] in documented
        assert found.keys() == {field.name}
    else:
        assert list(found.items()) == [expected[wrong]]
