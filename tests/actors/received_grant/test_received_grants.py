"""Operators keep the grants that a peer gave them, and read the peer's resources through them, between two production doors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.limits import RECEIVED_GRANT_KEPT_S, RECEIVED_GRANTS_PER_PEER_MAX
from actors.received_grant.record import KIND, held_key
from runtime.clock import iso
from runtime.store.port import Query
from sim.world import Reply
from tests.support.grants import PEERS, Peers, call_as, code_of, peers

RESOURCES = "/api/v1/system/platform/resources"
NOBODY = "0190c0de-0000-7000-8000-0000000000bb"
DAY = 86_400.0


@pytest.fixture
def two() -> Peers:
    return peers()


def held(two: Peers, method: str = "GET", path: str = "", body: Any = None, **headers: str) -> Reply:
    """An operator's call at the holder, below the grants that `a` gave it."""
    return two.ask(method, f"{PEERS}/{two.a_at_b}/received_grants{path}", body, at=two.b, **headers)


def receive(two: Peers, bearer: str, **headers: str) -> Reply:
    return held(two, "POST", "", {"bearer_token": bearer}, **headers)


def remote(two: Peers, path: str) -> Reply:
    return two.ask("GET", f"{PEERS}/{two.a_at_b}/remote_resources/{path}", at=two.b)


def module(two: Peers, name: str = "nginx") -> str:
    reply = two.ask("POST", f"{RESOURCES}/NodeModule", {"attributes": {"name": name, "variety": "subscription"}})
    assert reply.status == 201, reply.body
    found: str = reply.data["resource"]["id"]
    return found


def stored(two: Peers) -> str:
    """Everything that the holder has written down."""
    store = two.b.store
    kinds = ("peer", "remembered_answer", KIND.name)
    return repr([[store.query(Query(kind)) for kind in kinds], store.events(0, 1000), store.audit(two.a_at_b, 0, 1000)])


# --- taking in ------------------------------------------------------------------------------------------------------


def test_a_bearer_that_the_issuer_confirms_is_kept_and_shown_without_itself(two: Peers) -> None:
    grant_id, bearer = two.issue(permission_scopes=["read"])
    reply = receive(two, f"  {bearer}\n".strip())
    assert reply.status == 201, reply.body
    shown = reply.data["received_grant"]
    assert (shown["grant_id"], shown["resource_kind"], shown["resource_id"]) == (grant_id, "NodeModule", None)
    assert (shown["permission_scopes"], shown["state"], shown["usable"], shown["source"]) == (["read"], "active", True, "operator")
    listed = held(two).data
    assert [entry["id"] for entry in listed] == [shown["id"]]
    secret = bearer.partition(".")[2]
    assert secret not in repr([reply.body, listed]) + stored(two)


def test_a_repeated_request_gets_the_same_answer_and_holds_one_grant(two: Peers) -> None:
    _, bearer = two.issue()
    first, again = receive(two, bearer, idempotency_key="k"), receive(two, bearer, idempotency_key="k")
    assert (first.status, again.status) == (201, 201)
    assert again.data["received_grant"]["id"] == first.data["received_grant"]["id"]
    third = receive(two, bearer)
    assert (third.status, third.body["code"]) == (409, "grant_already_held")
    assert third.body["details"] == {"received_grant_id": first.data["received_grant"]["id"]}
    assert len(held(two).data) == 1


@pytest.mark.parametrize("bearer", ["", "fg-", "fg-x.y", "nonsense", f"fg-{NOBODY}.short", f"FG-{NOBODY}", "a" * 200])
def test_what_is_no_bearer_is_refused_without_a_call(two: Peers, bearer: str) -> None:
    reply = receive(two, bearer)
    assert (reply.status, reply.body["code"]) == (422, "grant_token_malformed")
    assert len(bearer) < 4 or bearer not in repr(reply.body)


def test_the_issuer_must_know_the_grant_and_the_secret(two: Peers) -> None:
    grant_id, bearer = two.issue()
    unknown = receive(two, f"fg-{NOBODY}.{'A' * 43}")
    wrong = receive(two, f"fg-{grant_id}.{'A' * 43}")
    bare = receive(two, f"fg-{grant_id}")
    assert two.revoke(grant_id).status == 200
    ended = receive(two, bearer)
    told = [(reply.status, reply.body["code"], reply.body["details"]["reason"]) for reply in (unknown, wrong, bare, ended)]
    assert told == [
        (502, "remote_rejected", "unknown_grant"),
        (502, "remote_rejected", "wrong_secret"),
        (502, "remote_rejected", "wrong_secret"),
        (502, "remote_rejected", "grant_ended"),
    ]
    assert held(two).data == []


def test_a_bare_bearer_is_taken_for_a_bare_grant(two: Peers) -> None:
    grant_id, bearer = two.issue(bare_token=True)
    assert bearer == f"fg-{grant_id}"
    assert receive(two, bearer).status == 201


def test_an_issuer_that_cannot_be_reached_is_told_and_nothing_is_kept(two: Peers) -> None:
    _, bearer = two.issue()
    two.a.crash()
    reply = receive(two, bearer)
    assert reply.status in (502, 504)
    assert reply.body["code"] in ("remote_unreachable", "remote_timeout")
    assert two.b.store.query(Query(KIND.name)) == []


def test_no_more_than_so_many_are_held_of_one_peer(two: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RECEIVED_GRANTS_PER_PEER_MAX >= 200
    monkeypatch.setattr("actors.received_grant.actor.RECEIVED_GRANTS_PER_PEER_MAX", 1)
    assert receive(two, two.issue(remote_subject="one")[1]).status == 201
    _, bearer = two.issue(remote_subject="two")
    assert (receive(two, bearer).body["code"]) == "received_grants_full"
    (entry,) = held(two).data
    assert held(two, "DELETE", f"/{entry['id']}").status == 200
    assert receive(two, bearer).status == 201


# --- the caller's own grants ----------------------------------------------------------------------------------------


def test_a_peer_lists_its_own_grants_and_nothing_of_how_they_are_restricted(two: Peers) -> None:
    grant_id, bearer = two.issue(source_cidrs=["10.9.8.0/24"], label="internal name")
    other_id, _ = two.issue(remote_subject="two")
    answer = call_as(two.b, two.a_at_b, two.a, "/grants", None)
    assert answer.status == 200
    assert answer.body is not None
    assert [entry["id"] for entry in answer.body["data"]] == sorted([other_id, grant_id], reverse=True)
    assert "10.9.8.0" not in repr(answer.body)
    assert "internal name" not in repr(answer.body)
    assert {entry["presented"] for entry in answer.body["data"]} == {None}
    one = call_as(two.b, two.a_at_b, two.a, f"/grants?grant_id={grant_id}", bearer).body
    assert one is not None
    assert [(entry["id"], entry["presented"]) for entry in one["data"]] == [(grant_id, True)]


def test_own_grants_come_in_pages_and_ignore_what_a_newer_peer_may_ask(two: Peers) -> None:
    ids = [two.issue(remote_subject=f"s{n}")[0] for n in range(3)]
    first = call_as(two.b, two.a_at_b, two.a, "/grants?limit=2&novelty=1", None).body
    assert first is not None
    second = call_as(two.b, two.a_at_b, two.a, f"/grants?limit=2&cursor={first['meta']['next_cursor']}", None).body
    assert second is not None
    assert [entry["id"] for entry in [*first["data"], *second["data"]]] == sorted(ids, reverse=True)
    assert second["meta"]["next_cursor"] is None


# --- delivery -------------------------------------------------------------------------------------------------------


def test_a_grant_that_is_delivered_never_shows_its_bearer_to_the_issuers_operator(two: Peers) -> None:
    reply = two.ask("POST", "", {"remote_subject": "s", "resource_kind": "NodeModule", "deliver": True})
    assert reply.status == 201, reply.body
    assert (reply.data["bearer_token"], reply.data["delivered"], reply.data["warnings"]) == (None, True, [])
    (entry,) = held(two).data
    assert (entry["grant_id"], entry["source"], entry["received_by"]) == (reply.data["grant"]["id"], "delivery", None)
    module(two)
    assert remote(two, "NodeModule").data[0]["attributes"]["name"] == "nginx"


def test_a_grant_that_was_forgotten_is_taken_in_anew_when_its_issuer_delivers_it_again(two: Peers) -> None:
    """To forget is no refusal, and nothing is delivered but by an act of the issuer's operators."""
    grant = {
        "id": NOBODY, "resource_kind": "NodeModule", "resource_id": None, "permission_scopes": ["read"],
        "issued_at": iso(two.a.clock.wall()), "expires_at": iso(two.a.clock.wall() + 86_400.0), "state": "active",
    }  # fmt: skip
    body = msgspec.json.encode({"grant": grant, "bearer_token": f"fg-{NOBODY}.{'A' * 43}"})
    for _ in range(2):
        assert code_of(call_as(two.a, two.b_at_a, two.b, "/grant_deliveries", None, method="POST", body=body)) == "ok"
        (entry,) = held(two).data
        assert (entry["state"], entry["source"]) == ("active", "delivery")
        assert held(two, "DELETE", f"/{entry['id']}").status == 200
        assert held(two).data == []


def test_a_delivery_is_taken_only_from_a_peer_and_only_for_the_grant_that_it_names(two: Peers) -> None:
    grant = {
        "id": NOBODY, "resource_kind": "NodeModule", "resource_id": None, "permission_scopes": ["read", "novel"],
        "issued_at": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z", "state": "active", "novelty": 1,
    }  # fmt: skip

    def deliver(bearer: str, **changes: Any) -> str:
        body = msgspec.json.encode({"grant": {**grant, **changes}, "bearer_token": bearer})
        return code_of(call_as(two.a, two.b_at_a, two.b, "/grant_deliveries", None, method="POST", body=body))

    good = f"fg-{NOBODY}.{'A' * 43}"
    assert deliver("nonsense") == "grant_token_malformed"
    assert deliver(good, id=two.a_at_b) == "grant_token_malformed"
    assert deliver(good, resource_kind="../x") == "invalid_parameter"
    assert deliver(good, permission_scopes=[]) == "invalid_parameter"
    assert two.b.store.query(Query(KIND.name)) == []
    assert deliver(good) == "ok"
    assert deliver(good.replace("A", "B")) == "ok"
    (row,) = two.b.store.query(Query(KIND.name))
    assert row.record.permission_scopes == ("read",)
    assert two.ask("POST", f"{PEERS}/{two.a_at_b}/suspend", {}, at=two.b).status == 200
    assert deliver(good) == "peer_suspended"


# --- reading --------------------------------------------------------------------------------------------------------


def test_resources_of_the_peer_are_read_through_the_held_bearer(two: Peers) -> None:
    id = module(two)
    refused = remote(two, "NodeModule")
    assert (refused.status, refused.body["code"]) == (409, "no_received_grant")
    _, bearer = two.issue()
    entry = receive(two, bearer).data["received_grant"]
    page = remote(two, "node_module?limit=1")
    assert page.status == 200, page.body
    assert [(record["id"], record["kind"]) for record in page.data] == [(id, "NodeModule")]
    assert page.body["meta"]["received_grant_id"] == entry["id"]
    one = remote(two, f"NodeModule/{id}")
    assert one.data["resource"] == page.data[0]
    assert (remote(two, f"NodeModule/{NOBODY}").status, remote(two, "NodeTemplate").body["code"]) == (404, "no_received_grant")
    assert remote(two, "NodeModule?sort=nonsense").body["code"] == "unknown_sort"
    assert remote(two, "NodeModule?nonsense=1").body["code"] == "invalid_parameter"
    asked = remote(two, "NodeModule?updated_since=yesterday")
    assert (asked.status, asked.body["code"]) == (400, "invalid_parameter"), "a mistake of our operator is no refusal of the peer"


def test_the_narrowest_bearer_goes_first_and_the_next_follows_when_it_has_ended(two: Peers) -> None:
    id = module(two)
    wide_id, wide = two.issue()
    narrow_id, narrow = two.issue(remote_subject="narrow", resource_id=id)
    ids = {grant: receive(two, bearer).data["received_grant"]["id"] for grant, bearer in ((wide_id, wide), (narrow_id, narrow))}
    assert remote(two, f"NodeModule/{id}").data["received_grant_id"] == ids[narrow_id]
    assert remote(two, "NodeModule").body["meta"]["received_grant_id"] == ids[wide_id]
    assert two.revoke(narrow_id).status == 200
    assert remote(two, f"NodeModule/{id}").data["received_grant_id"] == ids[wide_id]
    states = {entry["grant_id"]: (entry["state"], entry["refused_code"]) for entry in held(two).data}
    assert states == {wide_id: ("active", None), narrow_id: ("refused", "grant_revoked")}
    assert two.revoke(wide_id).status == 200
    last = remote(two, "NodeModule")
    assert (last.status, last.body["code"], last.body["details"]["remote_code"]) == (502, "remote_rejected", "grant_revoked")
    assert remote(two, "NodeModule").body["code"] == "no_received_grant"


def test_a_refusal_that_ends_nothing_leaves_the_bearer_in_use(two: Peers) -> None:
    _, bearer = two.issue(source_cidrs=["203.0.113.0/24"])
    assert receive(two, bearer).status == 201
    reply = remote(two, "NodeModule")
    assert (reply.status, reply.body["code"]) == (502, "remote_rejected")
    request_id = reply.body["details"].pop("remote_request_id")
    assert reply.body["details"] == {"remote_status": 403, "remote_code": "axis_denied", "axis": "source_cidrs"}
    past = two.ask("POST", "explain", {"request_id": request_id})
    assert (past.data["allowed"], past.data["code"]) == (False, "axis_denied")
    assert [entry["state"] for entry in held(two).data] == ["active"]


# --- the end --------------------------------------------------------------------------------------------------------


def test_forgetting_destroys_the_bearer_and_leaves_the_grant(two: Peers) -> None:
    grant_id, bearer = two.issue()
    entry = receive(two, bearer).data["received_grant"]
    assert held(two, "DELETE", f"/{NOBODY}").status == 404
    assert held(two, "DELETE", f"/{entry['id']}", if_match='"v7.0"').body["code"] == "version_conflict"
    reply = held(two, "DELETE", f"/{entry['id']}")
    assert reply.data == {"id": entry["id"], "forgotten": True}
    assert two.b.store.query(Query(KIND.name)) == []
    assert held(two, "DELETE", f"/{entry['id']}").status == 404
    assert two.ask("GET", grant_id).data["grant"]["state"] == "active"
    assert receive(two, bearer).status == 201


def test_a_bearer_goes_a_week_after_its_expiry(two: Peers) -> None:
    _, bearer = two.issue(ttl_seconds=3_600)
    receive(two, bearer)
    two.world.run_for(3_700.0)
    assert [entry["state"] for entry in held(two).data] == ["expired"]
    two.world.run_for(RECEIVED_GRANT_KEPT_S + 60.0)
    assert two.b.store.query(Query(KIND.name)) == []


@pytest.mark.parametrize("ender", ["holder", "issuer"])
def test_bearers_are_destroyed_when_a_revocation_completes_and_not_before(two: Peers, ender: str) -> None:
    grant_id, bearer = two.issue()
    assert receive(two, bearer).status == 201
    where = {"holder": (two.a_at_b, two.b), "issuer": (two.b_at_a, two.a)}[ender]
    assert two.ask("POST", f"{PEERS}/{where[0]}/revoke", {}, at=where[1]).status == 200
    two.world.run_for(20.0)
    assert two.b.engine.directory.find(KIND.name, "held", held_key(two.a_at_b, grant_id)) is not None
    assert remote(two, "NodeModule").body["code"] == "no_received_grant"
    assert receive(two, bearer).body["code"] in ("grant_already_held", "peer_revoked")
    two.world.run_for(700.0)
    assert two.b.store.query(Query(KIND.name)) == []


def test_what_is_held_survives_a_crash(two: Peers) -> None:
    _, bearer = two.issue()
    receive(two, bearer)
    two.b.crash()
    two.b.start()
    two.b.sign_in()
    two.world.run_for(120.0)
    assert [entry["usable"] for entry in held(two).data] == [True]
    assert remote(two, "NodeModule").status == 200


def test_a_received_grant_admits_nobody_who_calls(two: Peers) -> None:
    """The issuer presents, at the holder, the bearer of the grant that the holder holds."""
    _, bearer = two.issue()
    receive(two, bearer)
    answer = call_as(two.a, two.b_at_a, two.b, "/resources/NodeModule", bearer)
    assert (answer.status, code_of(answer)) == (401, "grant_token_invalid")
