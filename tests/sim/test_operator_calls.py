"""Operators' calls through the production door: permissions, idempotency keys, versions, filters, and errors that name every problem."""

from __future__ import annotations

from typing import Any

import pytest

from actors.peer.messages import Cancel
from runtime.actor import Ref
from runtime.errors import OperatorFault
from sim.world import Host, Reply, World

PEERS = "/api/v1/system/platform/peers"
B = "https://b.example.com"


@pytest.fixture
def a() -> Host:
    return World("operator").platform("a").sign_in()


def call(host: Host, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    reply = host.call(method, path, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert reply is not None
    return reply


def test_a_repeated_request_gets_the_same_answer_without_its_secrets(a: Host) -> None:
    first = call(a, "POST", PEERS, {"remote_instance_url": B}, idempotency_key="k1")
    again = call(a, "POST", PEERS, {"remote_instance_url": B}, idempotency_key="k1")
    assert first.status == again.status == 201
    assert first.data["acceptance_token"]
    assert again.data["acceptance_token"] is again.data["invitation"] is None
    assert again.data["token_already_revealed"] is True
    assert again.data["peer"]["id"] == first.data["peer"]["id"]
    other = call(a, "POST", PEERS, {"remote_instance_url": "https://c.example.com"}, idempotency_key="k1")
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")
    assert len(call(a, "GET", PEERS).data) == 1


def test_two_requests_under_one_key_at_once_make_one_peer(a: Host) -> None:
    waiting = [a.send("POST", PEERS, {"remote_instance_url": B}, headers={"idempotency-key": "k"}) for _ in range(5)]
    assert a.world.run_until(lambda: all(waiting), 10)
    assert {replies[0].status for replies in waiting} == {201}
    assert sum(bool(replies[0].data["acceptance_token"]) for replies in waiting) == 1
    assert len({replies[0].data["peer"]["id"] for replies in waiting}) == 1


def test_a_bug_behind_a_key_answers_everybody_who_waits_and_frees_the_key(a: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(door: object, request: object) -> None:
        a.engine.ask(Ref("peer", "01a20000-0000-7000-8000-000000000001"), Cancel(None), 1.0, lambda _: fail_late(request))

    def fail_late(request: Any) -> None:
        monkeypatch.setitem(a.door._handlers, "propose_peer", raising)
        request.fail(OperatorFault("not_found", "first", 404))

    def raising(door: object, request: object) -> None:
        raise RuntimeError("bug")

    sound = a.door._handlers["propose_peer"]
    monkeypatch.setitem(a.door._handlers, "propose_peer", broken)
    waiting = [a.send("POST", PEERS, {"remote_instance_url": B}, headers={"idempotency-key": "k"}) for _ in range(3)]
    assert a.world.run_until(lambda: all(waiting), 10)
    assert [replies[0].status for replies in waiting] == [404, 500, 500]
    monkeypatch.setitem(a.door._handlers, "propose_peer", sound)
    assert call(a, "POST", PEERS, {"remote_instance_url": B}, idempotency_key="k").status == 201


def test_a_remembered_answer_is_forgotten_after_a_day(a: Host) -> None:
    call(a, "POST", PEERS, {"remote_instance_url": B}, idempotency_key="k1")
    a.world.run_for(86_400 + 60)
    a.sign_in()
    late = call(a, "POST", PEERS, {"remote_instance_url": B}, idempotency_key="k1")
    assert (late.status, late.body["code"]) == (409, "peer_exists")
    assert a.store.due() == [] or all(kind != "remembered_answer" for kind, _, _ in a.store.due())


def test_regenerate_replaces_the_token_and_remembers(a: Host) -> None:
    peer = call(a, "POST", PEERS, {"remote_instance_url": B}).data["peer"]["id"]
    first = call(a, "POST", f"{PEERS}/{peer}/acceptance_token", {}, idempotency_key="k")
    again = call(a, "POST", f"{PEERS}/{peer}/acceptance_token", {}, idempotency_key="k")
    assert first.data["acceptance_token"]
    assert again.data["acceptance_token"] is None


def test_every_problem_of_a_body_is_told_at_once(a: Host) -> None:
    bad = {"remote_instance_url": "http://b", "token_ttl_seconds": 5, "spawn_role": "boss", "remote_ca_fingerprint": "x", "bogus": 1}
    reply = call(a, "POST", PEERS, bad)
    found = {problem["field"]: problem["code"] for problem in reply.body["details"]["problems"]}
    assert found == {
        "remote_instance_url": "invalid_remote_url",
        "token_ttl_seconds": "invalid_ttl",
        "spawn_role": "invalid_spawn_role",
        "remote_ca_fingerprint": "invalid_fingerprint",
        "bogus": "unknown_argument",
    }
    assert call(a, "GET", PEERS).data == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "remote_instance_url_required"),
        ({"remote_instance_url": "https://a.example.com"}, 409, "self_peering"),
        ({"remote_instance_url": "https://127.0.0.1:9"}, 422, "address_not_allowed"),
        ({"remote_instance_url": "https://169.254.169.254"}, 422, "address_not_allowed"),
        ({"remote_instance_url": B, "spawn_role": "parent", "spawn_mode": "out_of_band"}, 422, "invalid_spawn_combination"),
        ({"remote_instance_url": B, "metadata": {"invited_at": "x"}}, 422, "reserved_metadata_key"),
        ({"remote_instance_url": B, "token_ttl_seconds": 59}, 400, "invalid_ttl"),
        ({"remote_instance_url": B, "token_ttl_seconds": 2_592_001}, 400, "invalid_ttl"),
        ({"remote_instance_url": B, "peer_kind": "platform"}, 400, "unknown_argument"),
    ],
)
def test_what_propose_refuses(a: Host, body: Any, status: int, code: str) -> None:
    reply = call(a, "POST", PEERS, body)
    assert (reply.status, reply.body["code"]) == (status, code)
    assert call(a, "GET", PEERS).data == []


def test_a_second_proposal_for_one_url_names_the_first(a: Host) -> None:
    peer = call(a, "POST", PEERS, {"remote_instance_url": B}).data["peer"]["id"]
    again = call(a, "POST", PEERS, {"remote_instance_url": "https://B.example.com:443/"})
    assert (again.status, again.body["code"], again.body["details"]["peer_id"]) == (409, "peer_exists", peer)
    assert call(a, "POST", f"{PEERS}/{peer}/cancel", {}).data["peer"]["status"] == "revoked"
    assert call(a, "POST", PEERS, {"remote_instance_url": B}).status == 201


def test_versions_guard_updates_and_spare_reads(a: Host) -> None:
    peer = call(a, "POST", PEERS, {"remote_instance_url": B}).data["peer"]["id"]
    shown = call(a, "GET", f"{PEERS}/{peer}")
    assert call(a, "GET", f"{PEERS}/{peer}", if_none_match=shown.headers["etag"]).status == 304
    changed = call(a, "PATCH", f"{PEERS}/{peer}", {"metadata": {"site": "x", "gone": "y"}}, if_match=shown.headers["etag"])
    assert changed.status == 200
    stale = call(a, "PATCH", f"{PEERS}/{peer}", {"metadata": {"site": "z"}}, if_match=shown.headers["etag"])
    assert (stale.status, stale.body["code"]) == (409, "version_conflict")
    merged = call(a, "PATCH", f"{PEERS}/{peer}", {"metadata": {"gone": None}}).data["peer"]["metadata"]
    assert merged["site"] == "x"
    assert "gone" not in merged
    refused = call(a, "PATCH", f"{PEERS}/{peer}", {"status": "active"})
    assert (refused.status, refused.body["code"]) == (422, "field_not_editable")


def test_a_missing_permission_is_named(a: Host) -> None:
    body = {"email": "reader@example.com", "name": "R", "password": "a long enough password", "permissions": ["system.peers.read"]}
    assert call(a, "POST", "/api/v1/system/operators", body).status == 201
    login = call(a, "POST", "/api/v1/auth/login", {"email": "reader@example.com", "password": "a long enough password"})
    reader = {"authorization": f"Bearer {login.data['access_token']}"}
    assert call(a, "GET", PEERS, **reader).status == 200
    refused = call(a, "POST", PEERS, {"remote_instance_url": B}, **reader)
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert refused.body["details"]["permission"] == "system.peers.invite"


def test_sessions_end_when_they_are_told_to(a: Host) -> None:
    tokens = call(a, "POST", "/api/v1/auth/login", {"email": "operator@example.com", "password": "correct horse battery staple"}).data
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    fresh = call(a, "POST", "/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert fresh.status == 200
    reused = call(a, "POST", "/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert (reused.status, reused.body["code"]) == (401, "invalid_refresh_token")
    assert call(a, "GET", PEERS, **bearer).status == 401
    a.world.run_for(901)
    assert call(a, "GET", PEERS).status == 401
    wrong = call(a, "POST", "/api/v1/auth/login", {"email": "operator@example.com", "password": "wrong"})
    unknown = call(a, "POST", "/api/v1/auth/login", {"email": "nobody@example.com", "password": "wrong"})
    assert {**wrong.body, "request_id": ""} == {**unknown.body, "request_id": ""}


def test_the_federation_api_is_not_served_on_loopback(a: Host) -> None:
    assert call(a, "POST", "/api/v1/system/federation_api/heartbeat", {}).status == 404


def test_lists_page_without_gap_or_repeat_and_filter(a: Host) -> None:
    made = []
    for number in range(7):
        made.append(call(a, "POST", PEERS, {"remote_instance_url": f"https://p{number}.example.com"}).data["peer"]["id"])
        a.world.run_for(1)
    seen, cursor = [], ""
    while True:
        page = call(a, "GET", f"{PEERS}?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        seen += [row["id"] for row in page.data]
        cursor = page.body["meta"]["next_cursor"]
        if not cursor:
            break
    assert seen == made[::-1]
    found = call(a, "GET", f"{PEERS}?remote_instance_url=https://p3.example.com")
    assert [row["id"] for row in found.data] == [made[3]]
    assert call(a, "GET", f"{PEERS}?status=active").data == []
    assert call(a, "GET", f"{PEERS}?status=bogus").body["code"] == "invalid_parameter"
    assert call(a, "GET", f"{PEERS}?cursor=bogus").body["code"] == "invalid_parameter"


def test_a_token_that_ends_unused_leaves_a_finding(a: Host) -> None:
    peer = call(a, "POST", PEERS, {"remote_instance_url": B, "token_ttl_seconds": 60}).data["peer"]["id"]
    a.world.run_for(95)
    shown = call(a, "GET", f"{PEERS}/{peer}").data["peer"]
    assert shown["acceptance_pending"] is False
    assert shown["status"] == "proposed"
    findings = call(a, "GET", f"/api/v1/system/federation/governance?peer_id={peer}").data
    assert [finding["kind"] for finding in findings] == ["acceptance_token_expired"]
