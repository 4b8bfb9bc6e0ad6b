"""Every route of the API's description, in every role, on every kind of object: who is served, and what the others learn.

The expectation is stated here, by paths and permissions, and never asked of the code under test. A route that no rule places, or whose
path takes an id that no table can fill, fails: so a new route must be placed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import pytest

from actors.door.call import Answer
from actors.door.door import Stream
from actors.operator.permissions import PERMISSIONS
from actors.registry import KINDS
from runtime.values import evolve
from tests.support.grants import SEED_BODY
from tests.support.matrix import (
    ACCEPTED_ONLY,
    GOING_ON,
    NOBODYS,
    NOT_MADE,
    OPERATIONS,
    OTHER_ACCOUNT,
    WORDS,
    Matrix,
    Operation,
    body_of,
    build,
    digests,
    roles,
    uuids,
)

READ, INVITE, MANAGE = "system.peers.read", "system.peers.invite", "system.peers.manage"
PUBLIC, SIGNED_IN, PEER, WORKER = "anybody", "anybody who is signed in", "a peer", "a worker"

RULES: Final[tuple[tuple[str, str, str], ...]] = (
    ("POST", "/auth/(login|refresh)", PUBLIC),
    ("POST", "/auth/logout", SIGNED_IN),
    ("GET", "/events", READ),
    (".*", "/system/federation_api(/.*)?", PEER),
    ("POST", "/system/worker_api/federation/[a-z_]+", WORKER),
    ("GET", "/system/platform/(health|periodic_work)", "system.platform.health.read"),
    ("GET", "/system/actors/{kind}/{id}", "system.platform.health.read"),
    ("GET", "/system/operators(/.*)?", "system.operators.read"),
    ("POST|PATCH|DELETE", "/system/operators(/.*)?", "system.operators.manage"),
    ("GET", "/system/platform/resources(/.*)?", "system.resources.read"),
    ("POST|PATCH|DELETE", "/system/platform/resources(/.*)?", "system.resources.manage"),
    ("GET", "/system/platform/mirrors(/.*)?", "system.resources.read"),
    ("POST", "/system/platform/capabilities/sync_now", MANAGE),
    ("POST", "/system/platform/peers(/accept|/{id}/accept|/{id}/acceptance_token)?", INVITE),
    ("POST", "/system/platform/(peers/{id}/)?grants/explain", READ),
    ("POST", "/system/platform/grants/test", READ),
    ("POST", "/system/platform/peers/{id}/grant_tests/run", READ),
    ("GET", "/system/platform/(peers|trust|grants|hub|audit|clock)(/.*)?", READ),
    ("GET", "/system/sdwan/federation_peers/{id}/audit_log", READ),
    ("GET", "/system/sdwan/federation_peers(/{id})?", "sdwan.federation.read"),
    ("POST|PATCH|DELETE", "/system/sdwan/federation_peers(/.*)?", "sdwan.federation.manage"),
    ("POST|PATCH|PUT|DELETE", "/system/platform/(peers|trust|grants|audit|clock)(/.*)?", MANAGE),
    ("GET", "/system/platform/migration_chains(/.*)?", "system.platform.read"),
    ("POST", "/system/platform/migration_chains", "system.migrations.plan"),
    ("POST", "/system/platform/migration_chains/{id}/cancel", "system.migrations.cancel"),
    ("POST", "/system/platform/migration_chains/{id}/(run|advance|retry)", "system.migrations.apply"),
    ("GET", "/ai/autonomy/approvals(/.*)?", "system.infra_tasks.read"),
    ("POST", "/ai/autonomy/approvals/{id}/cancel", SIGNED_IN),
    ("POST", "/ai/autonomy/approvals/{id}/(approve|reject)", "system.infra_tasks.control"),
    ("GET", "/system/platform/migrations(/.*)?", "system.platform.read"),
    ("POST", "/system/platform/migrations/{id}/(apply|retry|resolve)", "system.migrations.apply"),
    ("POST", "/system/platform/migrations/{id}/cancel", "system.migrations.cancel"),
    ("POST|PATCH", "/system/platform/migrations(/.*)?", "system.migrations.plan"),
    ("GET", "/system/federation/service_offerings(/.*)?", "system.service_offerings.read"),
    ("POST|PATCH|DELETE", "/system/federation/service_offerings(/.*)?", "system.service_offerings.manage"),
    ("GET", "/system/federation/(peers/{peer_id}/catalog|service_subscriptions(/.*)?)", "system.service_subscriptions.read"),
    ("POST", "/system/federation/service_subscriptions/{id}/cancel", "system.service_subscriptions.cancel"),
    (
        "POST",
        "/system/federation/(peers/{peer_id}/subscriptions|service_subscriptions/{id}/(renew|retry))",
        "system.service_subscriptions.subscribe",
    ),
    ("GET", "/system/federation/(governance|contract_versions|schema_compatibility)(/.*)?", READ),
    ("POST|PATCH|DELETE", "/system/federation/(governance|schema_compatibility)(/.*)?", MANAGE),
)
"""Who may call: the first rule whose method and path (below `/api/v1`) match the whole of them."""

OF_THE_FACES: Final = {"get_openapi", "health_live", "health_ready"}
"""Answered by the listeners to anybody, and never by the door."""

WAITS: Final = ("update_peer", "update_overlay_peer", "retire_offering", "plan_migration", "subscribe")
WAITING: Final = [evolve(each, name=f"{each.name}, which waits") for each in OPERATIONS if each.name in WAITS]
"""Calls that are answered at once or wait for approval, by what they ask for: here with a body that waits."""

FRESH: Final = {
    *("get_overlay_peer", "update_overlay_peer", "delete_overlay_peer", "revoke_overlay_peer"),
    *("cancel_peer", "accept_peer", "regenerate_acceptance_token", "suspend_peer", "resume_peer", "revoke_peer", "update_peer"),
    "emancipate",
    *(f"{name}, which waits" for name in ("update_peer", "update_overlay_peer", "retire_offering")),
}
"""Calls that would change the peers of which the matrix is made; each is given a peer of its own."""

OTHERWISE: Final[Mapping[tuple[str, str], tuple[int, str]]] = {
    ("cancel_operation", "no permission"): (403, "not_an_approver"),
    ("update_overlay_peer, which waits", "sdwan.federation.manage"): (403, "forbidden"),
}
"""Where it depends on the object who may call: only who asked, or who could decide, withdraws a request. What waits is carried out with the
permission that it needs for any peer."""

_BEARER: Final = re.compile(r"f[gt]-[A-Za-z0-9]")
ALLOWLIST: Final = "203.0.113."
"""What the source axes of every grant here begin with."""


def rule_of(operation: Operation) -> str | None:
    below = operation.path.removeprefix("/api/v1")
    return next((who for method, path, who in RULES if re.fullmatch(method, operation.method) and re.fullmatch(path, below)), None)


_OTHERS: Final = (PUBLIC, PEER, WORKER, None)
OPERATORS: Final = [each for each in (*OPERATIONS, *WAITING) if rule_of(each) not in _OTHERS and each.name != "stream_events"]
OF_AN_OBJECT: Final = [each for each in OPERATORS if not WORDS.keys() >= set(each.parameters)]
# The channel is an upgrade, which a platform without a listener does not hold; its own tests call it.
FEDERATION: Final = [each for each in OPERATIONS if rule_of(each) == PEER and each.name != "federation_channel"]


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return build()


def named(operation: Operation) -> str:
    return operation.name


def code_of(answer: Answer) -> str | None:
    return None if answer.status < 400 else str((answer.body or {})["code"])


def told(answer: Answer) -> dict[str, Any]:
    """What the caller learns from a refusal, whichever object the call named: its body without the ids."""
    body = {name: value for name, value in (answer.body or {}).items() if name != "request_id"}
    return dict(json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", json.dumps(body))))


def ids(matrix: Matrix, operation: Operation, token: str, peer: str | None) -> dict[str, str]:
    """Values of the path parameters: objects of the operator whose token makes them, inside `peer` where they can be."""
    inside = None if operation.name in FRESH else peer
    made = matrix.objects(token, inside)
    out: dict[str, str] = {}
    for place, name in operation.parameters:
        if (place, name) in WORDS:
            out[name] = WORDS[place, name]
        elif (place, name) in (("peers", "id"), ("federation_peers", "id")) and inside is not None:
            out[name] = inside
        elif operation.name == "subscribe, which waits" and peer is not None:
            out[name] = matrix.peers["abroad"].b_at_a
        elif operation.name == "get_actor_history":
            out[name] = inside or made["peers", "id"]()
        else:
            out[name] = made[place, name]()
    return out


def objects(matrix: Matrix, operation: Operation) -> dict[str, dict[str, str]]:
    """The path parameters of each case: own, and all that must look as if it did not exist."""
    own_peer, other_peer = (matrix.peers[name].b_at_a for name in "bc")
    own = ids(matrix, operation, matrix.tokens["all"], own_peer)
    names = [name for place, name in operation.parameters if (place, name) not in WORDS]
    cases = {"own": own}
    if names:
        cases["nobody's"] = {**own, names[-1]: NOBODYS}
        if len(names) > 1:
            cases["nobody's above"] = {**own, names[0]: NOBODYS}
            cases["another peer's"] = {**own, names[0]: other_peer}
        if not ACCEPTED_ONLY & set(operation.parameters):
            cases["the other account's"] = ids(matrix, operation, matrix.tokens["other account"], None)
            if len(names) > 1:
                cases["the other account's below"] = {**own, names[-1]: cases["the other account's"][names[-1]]}
    return cases


def call(matrix: Matrix, operation: Operation, case: Mapping[str, str], token: str | None, **headers: str) -> Answer:
    return matrix.call(operation.method, operation.at(case), matrix.body(operation), token=token, **headers)


def forged(matrix: Matrix) -> dict[str, str]:
    """Headers by which a caller may say that somebody else calls, from elsewhere."""
    peer = matrix.peers["b"]
    return {
        "x_forwarded_for": "127.0.0.1",
        "x_calling_instance": peer.b.instance_id,
        "x_sdwan_network": NOBODYS,
        "x_federation_subject": str(SEED_BODY["remote_subject"]),
    }


def check_refusal(operation: Operation, case: Mapping[str, str], answer: Answer) -> None:
    """A refusal is a documented one, and tells nothing that the caller did not say."""
    code = code_of(answer)
    assert operation.documents(answer.status, code), f"{answer.status} {code} is not documented"
    body = {name: value for name, value in (answer.body or {}).items() if name != "request_id"}
    assert uuids(body) <= set(case.values()), body
    assert not digests(body), body
    assert ALLOWLIST not in json.dumps(body)
    assert not _BEARER.search(json.dumps(body)), body


def owned(matrix: Matrix, account_id: str) -> set[str]:
    """The ids of everything that belongs to an account."""
    rows = (record for records in matrix.content().values() for record in records.values())
    return {record.id for record in rows if getattr(record, "account_id", None) == account_id}


def refused_roles(matrix: Matrix, needed: str) -> dict[str, tuple[str | None, str]]:
    """Who must be refused whatever the object is: the token, and the code."""
    out: dict[str, tuple[str | None, str]] = {
        "nobody": (None, "unauthenticated"),
        "not a token": ("x.y.z", "unauthenticated"),
        "expired": (matrix.tokens["expired"], "unauthenticated"),
        "signed out": (matrix.tokens["signed out"], "unauthenticated"),
        "disabled": (matrix.tokens["disabled"], "unauthenticated"),
    }
    if needed != SIGNED_IN:
        others = {role: token for role, token in matrix.tokens.items() if role in roles() and needed not in roles()[role]}
        out |= {role: (token, "forbidden") for role, token in others.items()}
    return out


def test_of_what_is_compared_only_notes_of_a_look_are_left_out() -> None:
    fields = {kind.name: {field.name for field in attrs.fields(kind.record)} for kind in KINDS if kind.name in GOING_ON}
    assert fields.keys() == GOING_ON.keys()
    assert all(noted < fields[name] and len(noted) == 3 for name, noted in GOING_ON.items())


def test_every_route_is_placed() -> None:
    unplaced = [each.name for each in OPERATIONS if rule_of(each) is None and each.name not in OF_THE_FACES]
    assert unplaced == []
    stated = {each.name: rule_of(each) for each in OPERATIONS if each.described.get("x-permission")}
    assert stated == {each.name: each.described["x-permission"] for each in OPERATIONS if each.described.get("x-permission")}
    assert {rule for rule in stated.values() if rule is not None} <= set(PERMISSIONS)
    assert len(OPERATORS) > 50
    assert len(FEDERATION) > 5


@pytest.mark.parametrize("operation", OPERATORS, ids=named)
def test_who_may_not_call_learns_nothing_and_changes_nothing(matrix: Matrix, operation: Operation) -> None:
    needed = rule_of(operation)
    assert needed is not None
    cases = objects(matrix, operation)
    matrix.world.run_for(1.0)
    before = matrix.content()
    for role, (token, code) in refused_roles(matrix, needed).items():
        answers = {name: call(matrix, operation, case, token) for name, case in cases.items()}
        for name, answer in answers.items():
            expected = (403 if code == "forbidden" else 401, code)
            assert (answer.status, code_of(answer)) == expected, (role, name, answer.body)
            assert told(answer) == told(answers["own"])
            check_refusal(operation, cases[name], answer)
        assert told(call(matrix, operation, cases["own"], token, **forged(matrix))) == told(answers["own"])
    assert matrix.content() == before


@pytest.mark.parametrize("operation", OF_AN_OBJECT, ids=named)
def test_what_is_not_the_callers_looks_as_if_it_did_not_exist(matrix: Matrix, operation: Operation) -> None:
    cases = objects(matrix, operation)
    hidden = {name: case for name, case in cases.items() if name != "own"}
    matrix.world.run_for(1.0)
    before = matrix.content()
    needed = rule_of(operation)
    assert needed is not None
    for role in ("all", "no permission" if needed == SIGNED_IN else needed):
        answers = {name: call(matrix, operation, case, matrix.tokens[role]) for name, case in hidden.items()}
        for name, answer in answers.items():
            like = "nobody's above" if name in ("the other account's", "nobody's above") and "nobody's above" in answers else "nobody's"
            assert (answer.status, told(answer)) == (404, told(answers[like])), (role, name, answer.body)
            check_refusal(operation, hidden[name], answer)
    # The operator of the other account sees of what is ours no more than we see of theirs.
    seen = call(matrix, operation, cases["own"], matrix.tokens["other account"])
    absent = call(matrix, operation, dict.fromkeys(cases["own"], NOBODYS) | words(operation), matrix.tokens["other account"])
    assert (seen.status, told(seen)) == (404, told(absent)), seen.body
    check_refusal(operation, cases["own"], seen)
    assert matrix.content() == before


def words(operation: Operation) -> dict[str, str]:
    return {name: WORDS[place, name] for place, name in operation.parameters if (place, name) in WORDS}


@pytest.mark.parametrize("operation", OPERATORS, ids=named)
def test_who_may_call_is_answered_as_documented(matrix: Matrix, operation: Operation) -> None:
    needed = rule_of(operation)
    assert needed is not None
    theirs = owned(matrix, OTHER_ACCOUNT)
    for role in ("all", needed) if needed != SIGNED_IN else ("all", "no permission"):
        token = matrix.sign_in(f"{role.replace(' ', '-')}@matrix.example") if operation.name == "logout" else matrix.tokens[role]
        case = objects(matrix, operation)["own"]
        answer = call(matrix, operation, case, token)
        assert operation.documents(answer.status, code_of(answer)), (role, answer.status, answer.body)
        assert (answer.status, code_of(answer)) == OTHERWISE.get((operation.name, role)) or answer.status not in (401, 403, 500), (
            role,
            answer.body,
        )
        assert answer.status != 404 or NOT_MADE & set(operation.parameters), (role, answer.body)
        assert answer.status == 202 or operation not in WAITING or (operation.name, role) in OTHERWISE, (role, answer.body)
        assert not uuids(answer.body) & theirs, (role, answer.body)


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATORS if each.method == "GET" and each not in OF_AN_OBJECT and not NOT_MADE & set(each.parameters)],
    ids=named,
)
def test_lists_of_the_other_account_show_nothing_of_ours(matrix: Matrix, operation: Operation) -> None:
    ours = owned(matrix, matrix.a.account_id)
    answer = call(matrix, operation, words(operation), matrix.tokens["other account"])
    assert answer.status == 200, answer.body
    assert not uuids(answer.body) & ours, answer.body


@pytest.mark.parametrize("operation", OPERATORS, ids=named)
def test_head_is_get_and_another_method_is_not_allowed(matrix: Matrix, operation: Operation) -> None:
    case = objects(matrix, operation)["own"]
    matrix.world.run_for(1.0)
    before = matrix.content()
    for token in (None, matrix.tokens["no permission"], matrix.tokens["all"]):
        other = matrix.call("TRACE", operation.at(case), {}, token=token)
        assert (other.status, code_of(other)) == (405, "method_not_allowed")
        assert operation.method in other.headers["allow"]
        if operation.method == "GET":
            pair = [matrix.call(method, operation.at(case), token=token) for method in ("HEAD", "GET")]
            assert pair[0].status == pair[1].status
    assert matrix.content() == before


def test_the_flight_recorder_shows_an_account_its_own_actors_alone(matrix: Matrix) -> None:
    token, other = matrix.tokens["all"], matrix.tokens["other account"]
    body = {"resources": [{"kind": "NodePlatform", "attributes": {"name": f"shown{matrix.number()}"}}]}
    assert matrix.call("POST", "/api/v1/system/platform/resources", body, token=token).status == 200
    rule = {"local_version": "1.0", "remote_version": f"8.{matrix.number()}", "status": "compatible"}
    assert matrix.call("POST", "/api/v1/system/federation/schema_compatibility", rule, token=token).status == 201
    for place in (("bridges", "bridge_id"), ("grants", "grant_id")):
        matrix.objects(token, matrix.peers["b"].b_at_a)[place]()
    of_each_kind = {(kind, id) for kind, records in matrix.content().items() for id in list(records)[:50]}
    named_by_others = {("grant_book", matrix.peers["b"].b_at_a), ("catalogue", matrix.a.account_id)}
    ours = {
        (kind, id)
        for kind, id in of_each_kind | named_by_others
        if matrix.call("GET", f"/api/v1/system/actors/{kind}/{id}", token=token).status == 200
    }
    assert {"peer", "operator", "schema_rule", "resource", "bridge", "grant", "grant_book", "catalogue"} <= {kind for kind, _ in ours}
    theirs = owned(matrix, OTHER_ACCOUNT) | {OTHER_ACCOUNT}
    absent = told(matrix.call("GET", f"/api/v1/system/actors/peer/{NOBODYS}", token=other))
    for kind, id in sorted(of_each_kind | named_by_others):
        status = matrix.call("GET", f"/api/v1/system/actors/{kind}/{id}", token=other).status
        assert (status == 200) is (id in theirs), (kind, id)
        assert status == 200 or told(matrix.call("GET", f"/api/v1/system/actors/{kind}/{id}", token=other)) == absent


# The calls of a migration, and a pushed mirror, are judged by their grant, with its scope, before their body is looked at.
JUDGED_FIRST: Final = re.compile("/federation_api/(migration|resources/)")
WRITERS: Final = [each for each in (*OPERATORS, *FEDERATION) if "requestBody" in each.described and not JUDGED_FIRST.search(each.path)]
HOSTILE: Final[Mapping[str, tuple[bytes, int, str]]] = {
    "too large": (b'{"a":"' + b"x" * 40_000_000 + b'"}', 413, "body_too_large"),
    "too deep": (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", 400, "malformed_json"),
    "a key twice": (b'{"a":1,"a":2}', 400, "malformed_json"),
    "not JSON": (b"{'a':1}", 400, "malformed_json"),
    "no number": (b'{"a":NaN}', 400, "malformed_json"),
    "not UTF-8": (b'{"a":"\xff"}', 400, "malformed_json"),
    "no object": (b"[]", 400, "invalid_parameter"),
}


@pytest.mark.parametrize("operation", WRITERS, ids=named)
def test_hostile_bodies_are_refused_and_change_nothing(matrix: Matrix, operation: Operation) -> None:
    peer = operation in FEDERATION
    case = ids(matrix, operation, matrix.tokens["all"], matrix.peers["b"].b_at_a)
    who: dict[str, Any] = {"source": matrix.sources["b"]} if peer else {"token": matrix.tokens["all"]}
    matrix.world.run_for(1.0)
    before = matrix.content()
    for name, (raw, status, code) in HOSTILE.items():
        answer = matrix.call(operation.method, operation.at(case), raw=raw, **who)
        assert (answer.status, code_of(answer)) == (status, code), (name, answer.body)
        check_refusal(operation, case, answer)
    plain = matrix.call(operation.method, operation.at(case), raw=b"a=1", content_type="application/x-www-form-urlencoded", **who)
    assert (plain.status, code_of(plain)) == (415, "unsupported_media_type")
    assert matrix.content() == before


def test_events_are_streamed_to_who_may_read_peers(matrix: Matrix) -> None:
    from actors.door.call import Call, Source  # what the listener asks before it upgrades

    leave = {}
    for role, token in matrix.tokens.items():
        asked = Call("GET", "/api/v1/events", {}, {"authorization": f"Bearer {token}"}, b"", Source("127.0.0.1", "loopback"))
        found = matrix.a.door.authorize_stream(asked)
        leave[role] = found.account_id if isinstance(found, Stream) else found.status
    ended = ("expired", "signed out", "disabled")
    may = {"all": matrix.a.account_id, READ: matrix.a.account_id, "other account": OTHER_ACCOUNT}
    assert leave == {role: may.get(role, 401 if role in ended else 403) for role in matrix.tokens}


# --- peers ----------------------------------------------------------------------------------------------------------

REFUSED: Final[Mapping[str, tuple[int, str]]] = {
    "no certificate": (401, "client_certificate_required"),
    "stranger": (401, "unknown_peer_subject"),
    "suspended": (403, "peer_suspended"),
    "revoked": (403, "peer_revoked"),
    "loopback": (404, "not_found"),
}
"""How the federation API refuses these callers, whatever they ask for."""

SERVED: Final[Mapping[str, tuple[int, str]]] = {
    "federation_accept": (401, "acceptance_token_invalid"),
    "federation_certificate": (409, "certificate_not_applicable"),
    "federation_subscribe": (404, "offering_not_found"),
    "federation_preflight_migration": (422, "unknown_resource_kind"),
    "federation_open_migration": (400, "invalid_parameter"),
    "federation_commit_migration": (409, "plan_incomplete"),
    "federation_finalize_migration": (409, "migration_not_applied"),
    "federation_start_hop": (422, "unknown_resource_kind"),
    "federation_grant_delivery": (422, "grant_token_malformed"),
    "federation_push_mirror": (403, "grant_scope_missing"),
    "federation_relayed": (422, "server_name_foreign"),
}
"""What an active peer is told where a sample body is not enough; everything else it is served with 200."""

EXCEPTIONS: Final[Mapping[tuple[str, str], tuple[int, str | None]]] = {
    **{("federation_accept", role): (401, "acceptance_token_invalid") for role in ("no certificate", "stranger", "suspended", "revoked")},
}


@pytest.mark.parametrize("operation", FEDERATION, ids=named)
def test_callers_of_the_federation_api(matrix: Matrix, operation: Operation) -> None:
    moves = {("arrivals", "id"), ("wishes", "id")} & set(operation.parameters)
    bearer = matrix.mover() if moves else matrix.bearer(f"matrix-{matrix.number()}")
    case = ids(matrix, operation, matrix.tokens["all"], None)
    gated = "/resources" in operation.path
    matrix.world.run_for(1.0)
    before = matrix.content()
    for role, expected in REFUSED.items():
        for headers in ({}, forged(matrix)):
            who: dict[str, Any] = {"source": matrix.sources[role], "token": bearer, **headers}
            answer = matrix.call(operation.method, operation.at(case), federation_body(operation), **who)
            assert (answer.status, code_of(answer)) == EXCEPTIONS.get((operation.name, role), expected), (role, answer.body)
            check_refusal(operation, case, answer)
    if gated:
        for role, token, code in (
            ("c", bearer, "grant_token_invalid"),
            ("b", None, "grant_token_required"),
            ("c", None, "grant_token_required"),
        ):
            answer = matrix.call(operation.method, operation.at(case), source=matrix.sources[role], token=token)
            assert (answer.status, code_of(answer)) == (401, code), (role, answer.body)
            check_refusal(operation, case, answer)
    assert matrix.content() == before
    served = matrix.call(operation.method, operation.at(case), federation_body(operation), source=matrix.sources["b"], token=bearer)
    assert operation.documents(served.status, code_of(served)), served.body
    if NOT_MADE & set(operation.parameters):
        assert served.status in (400, 403, 404, 422), served.body
        return
    assert (served.status, code_of(served)) == SERVED.get(operation.name, (200, None)), served.body


OF_A_PEER: Final = {("subscriptions", "grant_id"), ("arrivals", "id"), ("wishes", "id")}
"""What a peer has here and no other peer hears of."""


MAKING: Final = {"federation_fence_migration", "federation_start_hop"}
"""A fence of an id that nobody has is a promise about it, and so says something else than a refusal; to ask for a hop makes one."""


@pytest.mark.parametrize(
    "operation", [each for each in FEDERATION if OF_A_PEER & set(each.parameters) and each.name not in MAKING], ids=named
)
def test_what_belongs_to_another_peer_looks_as_if_it_did_not_exist(matrix: Matrix, operation: Operation) -> None:
    case = ids(matrix, operation, matrix.tokens["all"], None)
    other = matrix.peers["c"]
    mover = {**SEED_BODY, "remote_subject": f"mover-{matrix.number()}", "permission_scopes": ["migrate"]}
    bearer = str(matrix.call("POST", other.path, mover, token=matrix.tokens["all"]).body["data"]["bearer_token"])  # type: ignore[index]
    matrix.world.run_for(1.0)
    before = matrix.content()
    pair = [
        matrix.call(operation.method, operation.at(each), federation_body(operation), source=matrix.sources["c"], token=bearer)
        for each in (case, dict.fromkeys(case, NOBODYS) | words(operation))
    ]
    assert (pair[0].status, told(pair[0])) == (404, told(pair[1])), pair[0].body
    check_refusal(operation, case, pair[0])
    assert matrix.content() == before


def federation_body(operation: Operation) -> Any:
    return body_of(operation, 0)


def test_a_granted_resource_of_the_other_account_is_no_resource(matrix: Matrix) -> None:
    bearer = matrix.bearer(f"foreign-{matrix.number()}")
    theirs = matrix.objects(matrix.tokens["other account"])["{kind}", "id"]()
    base = "/api/v1/system/federation_api/resources/NodePlatform"
    seen, absent = (matrix.call("GET", f"{base}/{id}", source=matrix.sources["b"], token=bearer) for id in (theirs, NOBODYS))
    assert (seen.status, told(seen)) == (404, told(absent)), seen.body
    listed = matrix.call("GET", base, source=matrix.sources["b"], token=bearer)
    assert listed.status == 200
    assert theirs not in uuids(listed.body)
    fixed = {**SEED_BODY, "remote_subject": "fixed", "resource_kind": "NodePlatform"}
    path = matrix.peers["b"].path
    refused = [matrix.call("POST", path, {**fixed, "resource_id": id}, token=matrix.tokens["all"]) for id in (theirs, NOBODYS)]
    assert told(refused[0]) == told(refused[1])
    assert refused[0].status == 422, refused[0].body
