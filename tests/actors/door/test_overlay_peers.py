"""Peers on the overlay's surface: those that share overlay networks and nothing else, and platforms under another form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.continuity.record import FROZEN_HERE
from actors.door.call import Call, Source
from actors.operator.messages import CreateOperator
from actors.peer import tokens
from actors.peer.record import PeerRecord
from runtime.actor import Ref
from runtime.errors import FaultError
from runtime.ids import uuid7
from runtime.secret import Secret
from sim.world import Host, Reply, World
from tests.support.grants import PEERS, Peers, pair, source_of

OVERLAY = "/api/v1/system/sdwan/federation_peers"
REMOTE_ACCOUNT = "0190c0de-0000-7000-8000-00000000acc9"
PASSWORD = "correct horse battery staple"
WRONG = "A" * 43
B = {"remote_instance_url": "https://b.example"}


def met(seed: str) -> Peers:
    """Two platforms that are peers, each with an operator who may do everything."""
    world = World(seed)
    return pair(world, world.platform("a").sign_in(), world.platform("b").sign_in())


@pytest.fixture
def host() -> Host:
    return World("overlay peers").platform("a").sign_in()


def ask(host: Host, method: str, path: str = "", body: Any = None, **headers: str) -> Reply:
    reply = host.call(method, f"{OVERLAY}{path}", body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert reply is not None
    return reply


def proposed(host: Host, **fields: Any) -> tuple[str, str]:
    """A new peer: its id and its token."""
    reply = ask(host, "POST", body={"federation_peer": {"remote_instance_url": "https://b.example", **fields}})
    assert reply.status == 201, reply.body
    return reply.data["federation_peer"]["id"], reply.data["acceptance_token"]


def change(host: Host, peer_id: str, beside: Any = None, **changes: Any) -> Reply:
    return ask(host, "PATCH", f"/{peer_id}", {"federation_peer": changes, **(beside or {})})


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body["code"]


def record(host: Host, peer_id: str) -> PeerRecord:
    found: PeerRecord = host.engine.directory.row("peer", peer_id).record  # type: ignore[union-attr]
    return found


def network(host: Host) -> str:
    body = {"attributes": {"name": "Backbone", "slug": "backbone"}}
    reply = host.call("POST", "/api/v1/system/platform/resources/SdwanNetwork", body)
    assert reply is not None
    return str(reply.data["resource"]["id"])


def signed_in(host: Host, name: str, *permissions: str) -> str:
    """The access token of an operator who holds these permissions."""
    outcomes: list[Any] = []
    email = f"{name}@overlay.example"
    id = uuid7(host.clock.wall(), host.randomness.stream(name))
    create = CreateOperator(by=None, account_id=host.account_id, email=email, name=name, password=Secret(PASSWORD), permissions=permissions)
    host.engine.ask(Ref("operator", id), create, 30.0, outcomes.append)
    assert host.world.run_until(lambda: bool(outcomes), 10.0)
    answers: list[Any] = []
    raw = json.dumps({"email": email, "password": PASSWORD}).encode()
    call = Call("POST", "/api/v1/auth/login", {}, {"content-type": "application/json"}, raw, Source("127.0.0.1", "loopback"))
    host.door.handle(call, answers.append)
    assert host.world.run_until(lambda: bool(answers), 10.0)
    return str(answers[0].body["data"]["access_token"])


def test_such_a_peer_is_proposed_here_alone_and_is_of_its_own_kind(host: Host) -> None:
    fields = {"remote_account_id": REMOTE_ACCOUNT, "remote_prefix_advertisement": "fd00:7::/48"}
    peer_id, token = proposed(host, **fields)
    shown = ask(host, "GET", f"/{peer_id}").data["federation_peer"]
    assert {name: shown[name] for name in fields} == fields
    assert (shown["peer_kind"], shown["status"], shown["allowed_transitions"]) == ("sdwan_only", "proposed", ["accepted", "revoked"])
    assert record(host, peer_id).spawn_role is None
    assert token not in str(ask(host, "GET").body) + str(shown)
    # It is no platform, so the platform's surface does not know it.
    assert code_of(host, "GET", f"{PEERS}/{peer_id}") == (404, "not_found")
    listed = host.call("GET", PEERS)
    assert listed is not None
    assert listed.data == []
    assert code_of(host, "POST", f"{PEERS}/{peer_id}/grants", {"remote_subject": "x", "resource_kind": "NodeModule"}) == (
        404,
        "peer_not_found",
    )


def code_of(host: Host, method: str, path: str, body: Any = None) -> tuple[int, str]:
    reply = host.call(method, path, body)
    assert reply is not None
    return code(reply)


def test_an_answer_holds_no_invitation_because_nobody_is_called(host: Host) -> None:
    data = ask(host, "POST", body={"federation_peer": {"remote_instance_url": "https://b.example"}}).data
    assert set(data) == {"federation_peer", "acceptance_token", "acceptance_expires_at"}


@pytest.mark.parametrize("field", ["peer_kind", "spawn_role", "spawn_mode", "endpoints", "remote_ca_fingerprint"])
def test_what_makes_a_platform_is_refused(host: Host, field: str) -> None:
    reply = ask(host, "POST", body={"federation_peer": {"remote_instance_url": "https://b.example", field: "platform"}})
    assert code(reply) == (400, "unknown_argument")
    assert ask(host, "GET").data == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "invalid_parameter")),
        ({"federation_peer": {}}, (400, "remote_instance_url_required")),
        ({"federation_peer": {"remote_instance_url": "https://a.example"}}, (409, "self_peering")),
        ({"federation_peer": {"remote_instance_url": "http://b.example"}}, (422, "invalid_remote_url")),
        ({"federation_peer": {"remote_instance_url": "https://127.0.0.1"}}, (422, "address_not_allowed")),
        ({"federation_peer": {**B, "remote_prefix_advertisement": "10.0.0.0/8"}}, (422, "invalid_prefix")),
        ({"federation_peer": {**B, "token_ttl_seconds": 1}}, (400, "invalid_ttl")),
        ({"federation_peer": {**B, "metadata": {"node_id": 1}}}, (422, "reserved_metadata_key")),
        ({"federation_peer": {**B, "sdwan_network_id": REMOTE_ACCOUNT}}, (422, "network_not_found")),
    ],
)  # fmt: skip
def test_a_bad_proposal_makes_nothing(host: Host, body: Any, expected: tuple[int, str]) -> None:
    if expected[1] == "self_peering":
        body["federation_peer"]["remote_instance_url"] = host.url
    assert code(ask(host, "POST", body=body)) == expected
    assert ask(host, "GET").data == []


def test_its_own_token_accepts_it_and_nothing_is_sent(host: Host) -> None:
    peer_id, token = proposed(host)
    assert code(change(host, peer_id, status="accepted")) == (422, "acceptance_token_required")
    assert code(change(host, peer_id, status="accepted", acceptance_token=WRONG)) == (422, "acceptance_token_mismatch")
    reply = change(host, peer_id, status="accepted", beside={"acceptance_token": token})
    assert (reply.status, reply.data["federation_peer"]["status"]) == (200, "accepted")
    assert reply.data["federation_peer"]["signed_at"] is not None
    assert code(change(host, peer_id, status="accepted", acceptance_token=token)) == (422, "invalid_transition")
    host.world.run_for(3_600.0)
    row = record(host, peer_id)
    assert (row.status, row.outbound, row.inbound_subject, row.contract_version_agreed) == ("accepted", None, None, None)
    entries = [entry.action for entry in host.store.audit(peer_id, 0, 100)]
    assert entries == ["peer.proposed", "peer.accepted"]


def test_a_token_that_has_ended_accepts_nothing(host: Host) -> None:
    peer_id, token = proposed(host, token_ttl_seconds=60)
    host.world.run_for(61.0)
    assert code(change(host, peer_id, status="accepted", acceptance_token=token)) == (422, "acceptance_token_expired")


def test_its_token_is_nothing_to_a_remote() -> None:
    two = met("overlay token")
    peer_id, token = proposed(two.a)
    body = {"acceptance_token": token, "contract_version": 1, "handshake_id": REMOTE_ACCOUNT}
    answers: list[Any] = []
    call = Call(
        "POST", "/api/v1/system/federation_api/accept", {}, {"content-type": "application/json"}, json.dumps(body).encode(),
        source_of(two.b, two.a_at_b),
    )  # fmt: skip
    two.a.door.handle(call, answers.append)
    assert two.world.run_until(lambda: bool(answers), 10.0)
    assert (answers[0].status, answers[0].body["code"]) == (401, "acceptance_token_invalid")
    row = record(two.a, peer_id)
    assert row.status == "proposed"
    assert tokens.matches(token, row.acceptance_token_digest)


def test_it_is_paused_resumed_and_ended(host: Host) -> None:
    peer_id, token = proposed(host)
    assert code(change(host, peer_id, status="suspended")) == (422, "invalid_transition")
    assert change(host, peer_id, status="accepted", acceptance_token=token).status == 200
    paused = change(host, peer_id, status="suspended", reason="maintenance")
    assert paused.data["federation_peer"]["status"] == "suspended"
    assert code(change(host, peer_id, status="suspended")) == (409, "peer_suspended")
    assert change(host, peer_id, status="accepted").data["federation_peer"]["status"] == "accepted"
    ended = ask(host, "POST", f"/{peer_id}/revoke", {"reason": "moved away"}).data["federation_peer"]
    assert (ended["status"], ended["revocation_reason"], ended["allowed_transitions"]) == ("revoked", "moved away", [])
    assert code(ask(host, "DELETE", f"/{peer_id}")) == (409, "already_revoked")
    assert code(change(host, peer_id, status="accepted")) == (422, "invalid_transition")
    host.world.run_for(600.0)
    assert record(host, peer_id).revocation.phase == "complete"  # type: ignore[union-attr]


@pytest.mark.parametrize("target", ["proposed", "enrolled", "active", "degraded"])
def test_no_operator_brings_a_peer_there(host: Host, target: str) -> None:
    peer_id, _ = proposed(host)
    reply = change(host, peer_id, status=target)
    assert code(reply) == (422, "invalid_transition")
    assert reply.body["details"] == {"from": "proposed", "to": target, "allowed": ["accepted", "revoked"]}


def test_a_delete_ends_the_peering_and_keeps_the_row(host: Host) -> None:
    peer_id, _ = proposed(host)
    assert ask(host, "DELETE", f"/{peer_id}").data["federation_peer"]["status"] == "revoked"
    assert [row["id"] for row in ask(host, "GET", "?status=revoked").data] == [peer_id]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"federation_peer": {"status": "revoked", "data_residency": "EU"}}, (422, "residency_with_status_change")),
        ({"federation_peer": {"status": "revoked", "metadata": {}}}, (422, "status_not_alone")),
        ({"federation_peer": {"reason": "because"}}, (422, "status_not_alone")),
        ({"federation_peer": {}, "acceptance_token": WRONG}, (422, "status_not_alone")),
        ({"federation_peer": {"status": "revoked"}, "acceptance_token": WRONG}, (422, "status_not_alone")),
        ({"federation_peer": {"status": "accepted", "acceptance_token": WRONG}, "acceptance_token": WRONG}, (400, "invalid_parameter")),
        ({"federation_peer": {"status": "gone"}}, (400, "invalid_parameter")),
        ({"federation_peer": {"remote_account_id": REMOTE_ACCOUNT}}, (400, "unknown_argument")),
    ],
)
def test_a_confused_change_changes_nothing(host: Host, body: Any, expected: tuple[int, str]) -> None:
    peer_id, _ = proposed(host)
    before = record(host, peer_id)
    assert code(ask(host, "PATCH", f"/{peer_id}", body)) == expected
    assert record(host, peer_id) == before


def test_fields_change_by_the_version_that_was_read(host: Host) -> None:
    peer_id, _ = proposed(host)
    etag = ask(host, "GET", f"/{peer_id}").headers["etag"]
    body = {"federation_peer": {"remote_prefix_advertisement": "fd00:8::/48", "metadata": {"label": "site 8"}}}
    changed = ask(host, "PATCH", f"/{peer_id}", body, if_match=etag)
    assert changed.data["federation_peer"]["remote_prefix_advertisement"] == "fd00:8::/48"
    assert changed.data["federation_peer"]["metadata"]["label"] == "site 8"
    assert code(ask(host, "PATCH", f"/{peer_id}", body, if_match=etag)) == (409, "version_conflict")
    assert code(ask(host, "PATCH", f"/{peer_id}", {"federation_peer": {"status": "revoked"}}, if_match=etag)) == (409, "version_conflict")
    assert code(ask(host, "DELETE", f"/{peer_id}", if_match=etag)) == (409, "version_conflict")
    waiting = change(host, peer_id, data_residency="EU")
    assert waiting.status == 202
    assert record(host, peer_id).data_residency is None


def test_a_repeated_request_is_answered_as_the_first_one(host: Host) -> None:
    body = {"federation_peer": {"remote_instance_url": "https://b.example"}}
    first, again = (ask(host, "POST", body=body, idempotency_key="one") for _ in range(2))
    assert again.data["federation_peer"]["id"] == first.data["federation_peer"]["id"]
    assert (again.data["acceptance_token"], again.data["token_already_revealed"]) == (None, True)
    assert len(ask(host, "GET").data) == 1
    path = f"/{first.data['federation_peer']['id']}"
    accept = {"federation_peer": {"status": "accepted"}, "acceptance_token": first.data["acceptance_token"]}
    assert [ask(host, "PATCH", path, accept, idempotency_key="two").data["federation_peer"]["status"] for _ in range(2)] == ["accepted"] * 2
    ended = [ask(host, "DELETE", path, idempotency_key="three") for _ in range(2)]
    assert [(reply.status, reply.data["federation_peer"]["status"]) for reply in ended] == [(200, "revoked")] * 2


def test_a_network_opens_to_it_by_a_bridge(host: Host) -> None:
    network_id = network(host)
    reply = ask(host, "POST", body={"federation_peer": {"remote_instance_url": "https://b.example", "sdwan_network_id": network_id}})
    bridge, peer_id = reply.data["bridge"], reply.data["federation_peer"]["id"]
    assert (bridge["state"], bridge["sdwan_network_id"]) == ("proposed", network_id)
    path = f"{PEERS}/{peer_id}/bridges/{bridge['id']}"
    assert code_of(host, "POST", f"{path}/activate", {}) == (409, "peer_not_ready")
    assert change(host, peer_id, status="accepted", acceptance_token=reply.data["acceptance_token"]).status == 200
    opened = host.call("POST", f"{path}/activate", {})
    assert opened is not None
    assert opened.data["bridge"]["effective"] is True
    assert change(host, peer_id, status="revoked").status == 200
    ended = host.call("GET", path)
    assert ended is not None
    assert ended.data["bridge"]["effective_state"] == "revoked"


def test_its_prefix_is_looked_at_like_any_other(host: Host) -> None:
    for number in (1, 2):
        peer_id, token = proposed(host, remote_instance_url=f"https://b{number}.example", remote_prefix_advertisement="fd00:7::/48")
        assert change(host, peer_id, status="accepted", acceptance_token=token).status == 200
    host.world.run_for(700.0)
    found = host.call("GET", "/api/v1/system/federation/governance")
    assert found is not None
    assert [(each["kind"], each["federation_peer_id"]) for each in found.data] == [("prefix_overlap_with_other_peer", peer_id)]


@pytest.fixture
def two() -> Peers:
    return met("overlay surface")


def test_platforms_stand_in_the_list_in_the_same_form(two: Peers) -> None:
    rows = ask(two.a, "GET").data
    shown = ask(two.a, "GET", f"/{two.b_at_a}").data["federation_peer"]
    assert [row["id"] for row in rows] == [two.b_at_a]
    assert rows[0] == {name: shown[name] for name in rows[0]}
    assert shown["peer_kind"] == "platform"
    assert ask(two.a, "GET", "?peer_kind=sdwan_only").data == []
    assert [row["id"] for row in ask(two.a, "GET", "?status=active&limit=1").data] == [two.b_at_a]


READ, MANAGE = "sdwan.federation.read", "sdwan.federation.manage"
ACTS: tuple[tuple[str, str, Any, str], ...] = (
    ("GET", "", None, "system.peers.read"),
    ("PATCH", "", {"federation_peer": {"metadata": {"label": "x"}}}, "system.peers.manage"),
    ("PATCH", "", {"federation_peer": {"status": "accepted", "acceptance_token": WRONG}}, "system.peers.invite"),
    ("PATCH", "", {"federation_peer": {"status": "suspended"}}, "system.peers.manage"),
    ("PATCH", "", {"federation_peer": {"status": "revoked"}}, "system.peers.manage"),
    ("POST", "/revoke", {}, "system.peers.manage"),
    ("DELETE", "", None, "system.peers.manage"),
)


@pytest.mark.parametrize(("method", "below", "body", "needed"), ACTS)
def test_an_act_on_a_platform_needs_the_permission_of_the_platforms_surface_too(method: str, below: str, body: Any, needed: str) -> None:
    two = met("overlay permissions")
    before = record(two.a, two.b_at_a)
    alone = signed_in(two.a, "alone", READ, MANAGE)
    # Every other permission of the platform's surface is not the one that is needed.
    others = {"system.peers.read", "system.peers.manage", "system.peers.invite"} - {needed}
    other = signed_in(two.a, "other", READ, MANAGE, *others)
    for token in (alone, other):
        reply = ask(two.a, method, f"/{two.b_at_a}{below}", body, authorization=f"Bearer {token}")
        assert (*code(reply), reply.body["details"]["permission"]) == (403, "forbidden", needed)
    assert record(two.a, two.b_at_a) == before
    peers_alone = signed_in(two.a, "peers", needed)
    assert code(ask(two.a, method, f"/{two.b_at_a}{below}", body, authorization=f"Bearer {peers_alone}")) == (403, "forbidden")
    both = signed_in(two.a, "both", READ, MANAGE, needed)
    assert ask(two.a, method, f"/{two.b_at_a}{below}", body, authorization=f"Bearer {both}").status != 403


def test_who_may_not_see_platforms_is_shown_the_others_alone(two: Peers) -> None:
    peer_id, _ = proposed(two.a, remote_instance_url="https://c.example")
    token = signed_in(two.a, "reader", READ)
    assert [row["id"] for row in ask(two.a, "GET", authorization=f"Bearer {token}").data] == [peer_id]
    assert ask(two.a, "GET", "?peer_kind=platform", authorization=f"Bearer {token}").data == []
    assert ask(two.a, "GET", f"/{peer_id}", authorization=f"Bearer {token}").status == 200
    assert {row["id"] for row in ask(two.a, "GET").data} == {peer_id, two.b_at_a}


def test_a_platform_is_accepted_and_ended_here_as_there() -> None:
    world = World("accepted here")
    a, b = (world.platform(name).sign_in() for name in ("a", "b"))
    token = a.call("POST", PEERS, {"remote_instance_url": b.url})
    theirs = b.call("POST", PEERS, {"remote_instance_url": a.url})
    assert token is not None
    assert theirs is not None
    peer_id = theirs.data["peer"]["id"]
    assert code(change(b, peer_id, status="accepted")) == (422, "acceptance_token_required")
    assert code(change(b, peer_id, status="accepted", acceptance_token="fb-too-short")) == (422, "acceptance_token_malformed")
    reply = change(b, peer_id, status="accepted", beside={"acceptance_token": token.data["acceptance_token"]})
    assert (reply.status, reply.data["federation_peer"]["peer_kind"]) == (200, "platform")
    world.run_for(5.0)
    assert record(b, peer_id).status == "active"
    ended = ask(b, "DELETE", f"/{peer_id}")
    assert ended.data["federation_peer"]["status"] == "revoked"
    world.run_for(5.0)
    assert record(a, token.data["peer"]["id"]).status == "revoked"


def test_while_trust_is_frozen_a_peer_is_ended_but_not_opened(host: Host) -> None:
    peer_id, token = proposed(host)

    def frozen(fault: Any) -> None:
        raise FaultError(fault)

    host.door.refuse_while_frozen = frozen  # type: ignore[method-assign]
    assert code(change(host, peer_id, status="accepted", acceptance_token=token)) == (409, FROZEN_HERE.code)
    assert code(ask(host, "POST", body={"federation_peer": {"remote_instance_url": "https://c.example"}})) == (409, FROZEN_HERE.code)
    assert change(host, peer_id, status="revoked").status == 200


def test_where_a_peer_keeps_data_is_asked_only_by_who_may_decide_it_in_the_end(host: Host) -> None:
    peer_id, _ = proposed(host)
    token = signed_in(host, "overlay", READ, MANAGE)
    body = {"federation_peer": {"data_residency": "EU"}}
    refused = ask(host, "PATCH", f"/{peer_id}", body, authorization=f"Bearer {token}")
    assert (*code(refused), refused.body["details"]["permission"]) == (403, "forbidden", "system.peers.manage")
    approvals = host.call("GET", "/api/v1/ai/autonomy/approvals")
    assert approvals is not None
    assert approvals.data == []
    both = signed_in(host, "both", READ, MANAGE, "system.peers.manage")
    assert ask(host, "PATCH", f"/{peer_id}", body, authorization=f"Bearer {both}").status == 202
