"""Calls of a peer under grants, through the doors of two platforms: served as granted, refused in every way there is to cheat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.door.call import Source
from runtime.store.port import Put, Unit
from runtime.values import evolve
from sim.world import World
from tests.support.grants import PEERS, SEED_BODY, Peers, call_as, code_of, pair, peers, source_of

UUID = "0190c0de-0000-7000-8000-0000000000aa"


@pytest.fixture
def two() -> Peers:
    return peers()


def told(two: Peers, action: str) -> list[dict[str, Any]]:
    """The payloads of these entries in the audit chain of `b` at `a`."""
    return [dict(entry.payload) for entry in two.a.store.audit(two.b_at_a, 0, 10_000) if entry.action == action]


def test_a_read_under_the_grant_of_the_runbook(two: Peers) -> None:
    grant_id, bearer = two.issue()
    assert two.code(bearer) == "ok"
    assert two.code(None) == "grant_token_required"
    assert two.code("fg-nonsense") == "grant_token_invalid"
    assert two.code(bearer[:-1] + ("A" if bearer[-1] != "A" else "B")) == "grant_token_invalid"
    assert two.code(f"fg-{grant_id}") == "grant_token_invalid"
    assert two.code(bearer, "/resources/NodeTemplate") == "grant_kind_mismatch"
    assert two.code(bearer, headers={"x-federation-subject": "somebody else"}) == "grant_subject_mismatch"
    assert two.code(bearer, headers={"x-federation-subject": "operator@platform-b.example.com"}) == "ok"


def test_a_bearer_stolen_by_another_peer_is_worth_nothing() -> None:
    world = World("stolen")
    a, b, c = (world.platform(name).sign_in() for name in "abc")
    first, second = pair(world, a, b), pair(world, a, c)
    _, bearer = first.issue()
    assert first.code(bearer) == "ok"
    assert code_of(call_as(c, second.a_at_b, a, "/resources/NodeModule", bearer)) == "grant_token_invalid"
    _, bare = first.issue(remote_subject="bare", bare_token=True)
    assert first.code(bare) == "ok"
    assert code_of(call_as(c, second.a_at_b, a, "/resources/NodeModule", bare)) == "grant_token_invalid"


def test_a_bearer_replayed_after_its_end_is_refused_also_after_a_restart(two: Peers) -> None:
    grant_id, bearer = two.issue()
    two.revoke(grant_id)
    assert two.code(bearer) == "grant_revoked"
    two.a.crash()
    two.a.restart()
    assert two.code(bearer) == "grant_revoked"


def test_rotation_ends_the_former_bearer_at_once_or_after_the_overlap(two: Peers) -> None:
    grant_id, first = two.issue()
    second = two.ask("POST", f"{grant_id}/rotate_token", {}).data["bearer_token"]
    assert (two.code(first), two.code(second)) == ("grant_token_invalid", "ok")
    third = two.ask("POST", f"{grant_id}/rotate_token", {"overlap_seconds": 60}).data["bearer_token"]
    assert (two.code(second), two.code(third)) == ("ok", "ok")
    two.world.run_for(60.0)
    assert (two.code(second), two.code(third)) == ("grant_token_invalid", "ok")


def test_each_use_of_a_bare_token_is_told_as_one_in_the_access_log(two: Peers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="powernode.access")
    _, bearer = two.issue()
    _, bare = two.issue(remote_subject="bare", bare_token=True)
    assert [two.code(each) for each in (bearer, bare, bare)] == ["ok"] * 3
    lines = [(record.subject, getattr(record, "bare_token", False)) for record in caplog.records if record.name == "powernode.access"]  # type: ignore[attr-defined]
    assert lines == [(SEED_BODY["remote_subject"], False), ("bare", True), ("bare", True)]


def test_rotation_ends_a_bare_token(two: Peers) -> None:
    grant_id, bare = two.issue(bare_token=True)
    assert bare == f"fg-{grant_id}"
    assert two.code(bare) == "ok"
    two.ask("POST", f"{grant_id}/rotate_token", {"overlap_seconds": 60})
    assert two.code(bare) == "grant_token_invalid"
    two.world.run_for(1.0)
    assert "federation.grant.bare_token_used" in [event.kind for event in two.a.store.events(0, 10_000)]


def test_context_comes_from_the_connection_and_claims_are_noticed(two: Peers) -> None:
    _, bearer = two.issue(source_cidrs=["198.51.100.0/24"])
    forged = {"x-forwarded-for": "198.51.100.7", "x-calling-instance": UUID, "x-sdwan-network": UUID}
    assert two.code(bearer, headers=forged) == "axis_denied"
    assert two.code(bearer, address="198.51.100.7") == "ok"
    two.world.run_for(1.0)
    assert told(two, "grant.header_spoof")[0]["headers"] == ["x-calling-instance", "x-sdwan-network", "x-forwarded-for"]
    assert "federation.header_spoof_attempt" in [event.kind for event in two.a.store.events(0, 10_000)]


def test_an_address_that_we_have_dialled_opens_nothing(two: Peers) -> None:
    """Where a channel that we dialled ends, a hub may stand: whatever is granted to that address is not granted to who is behind it."""
    dialled = evolve(source_of(two.b, two.a_at_b), channel=True, dialled=True)
    _, bound = two.issue(source_cidrs=["0.0.0.0/0", "::/0"])
    assert two.code(bound) == "ok"
    assert two.code(bound, source=dialled) == "axis_denied"
    _, free = two.issue(remote_subject="free")
    assert two.code(free, source=dialled) == "ok"


def test_a_refusal_never_shows_an_allowlist(two: Peers) -> None:
    _, bearer = two.issue(source_cidrs=["198.51.100.0/24"], node_instance_ids=[UUID])
    answer = two.read(bearer)
    assert answer.status == 403
    assert "198.51.100" not in repr(answer.body)
    assert UUID not in repr(answer.body)


def test_the_instance_axis_reads_the_certificate(two: Peers) -> None:
    _, bearer = two.issue(node_instance_ids=[two.b.instance_id])
    assert two.code(bearer) == "ok"
    _, other = two.issue(remote_subject="other", node_instance_ids=[UUID])
    assert two.code(other, headers={"x-calling-instance": UUID}) == "axis_denied"


def test_an_unbridged_network_is_refused(two: Peers) -> None:
    _, bearer = two.issue()
    assert two.code(bearer, network_id=UUID) == "bridge_inactive"


def test_a_peer_that_is_served_through_an_overlay_only(two: Peers) -> None:
    _, bearer = two.issue()
    two.ask("PATCH", f"{PEERS}/{two.b_at_a}", {"overlay_only": True})
    assert two.code(bearer) == "overlay_required"


def test_a_blank_axis_written_past_validation_admits_nobody(two: Peers) -> None:
    grant_id, bearer = two.issue()
    row = two.a.store.load("grant", grant_id)
    assert row is not None
    blank = evolve(row.record, source_cidrs=(), version=row.record.version + 1)
    two.a.store.commit([Unit((Put("grant", blank, row.record.version),))], lambda result: None)
    two.world.run_for(1.0)
    two.a.crash()
    two.a.restart()
    assert two.code(bearer) == "axis_denied"
    assert two.ask("GET", grant_id).data["grant"]["effective"] is False


def test_a_grant_ends_at_its_instant_by_the_issuers_clock_alone(two: Peers) -> None:
    grant_id, bearer = two.issue(ttl_seconds=3600)
    two.b.clock.offset_s -= 500.0
    row = two.a.engine.directory.row("grant", grant_id)
    assert row is not None
    two.world.run_for(row.record.expires_at - two.a.clock.wall() - 0.5)
    assert two.code(bearer) == "ok"
    two.world.run_for(0.5)
    assert two.code(bearer) == "grant_expired"


def test_refusals_of_one_source_are_told_once_and_then_counted(two: Peers) -> None:
    for _ in range(20):
        two.code("fg-nonsense")
    two.world.run_for(1.0)
    assert [entry["count"] for entry in told(two, "grant.denied")] == [1]
    two.world.run_for(60.0)
    assert [entry["count"] for entry in told(two, "grant.denied")] == [1, 19]


def test_use_is_counted_and_told_once_an_hour(two: Peers) -> None:
    grant_id, bearer = two.issue()
    for _ in range(5):
        assert two.code(bearer) == "ok"
    two.code(bearer, "/resources/NodeTemplate")
    two.world.run_for(61.0)
    shown = two.ask("GET", grant_id).data["grant"]
    assert (shown["use_count"], shown["denied_count"]) == (5, 1)
    assert shown["last_used_at"] is not None
    assert len(told(two, "grant.used")) == 1
    two.ask("PATCH", grant_id, {"label": "kept"})
    assert two.ask("GET", grant_id).data["grant"]["use_count"] == 5


def test_deep_and_large_bodies_change_nothing(two: Peers) -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    assert two.ask("POST", "", {"metadata": {"deep": deep}}).body["code"] == "malformed_json"
    assert two.ask("POST", "", {"remote_subject": "x" * 70_000}).body["code"] == "body_too_large"
    assert two.ask("GET", "").data == []
    assert json.dumps(two.ask("GET", "").body)


def test_a_past_and_a_hypothetical_call_are_explained(two: Peers) -> None:
    grant_id, bearer = two.issue(source_cidrs=["198.51.100.0/24"])
    assert two.code(bearer, request_id="call-1") == "axis_denied"
    past = two.ask("POST", "explain", {"request_id": "call-1"})
    assert past.status == 200, past.body
    assert (past.data["allowed"], past.data["code"], past.data["grant_id"]) == (False, "axis_denied", grant_id)
    assert [step["step"] for step in past.data["steps"] if step["verdict"] == "refused"] == ["source"]
    assert past.data["change"] == [{"edit": "widen_axis", "who": "issuer", "axis": "source_cidrs", "add": f"{two.b.address}/32"}]
    assert two.ask("POST", "explain", {"request_id": "call-2"}).body["code"] == "decision_not_found"
    asked = {"resource_kind": "NodeModule", "source_address": "198.51.100.7"}
    assert two.ask("POST", "explain", asked).data["allowed"] is True
    other = two.ask("POST", "explain", {"resource_kind": "NodeTemplate", "scope": "write"}).data
    assert [edit["edit"] for edit in other["change"]] == ["issue_grant"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "field_required"),
        ({"scope": "write"}, "field_required"),
        ({"resource_kind": "NodeModule", "source_address": "198.51.100.300"}, "invalid_parameter"),
        ({"resource_kind": "NodeModule", "source_address": ""}, "invalid_parameter"),
        ({"resource_kind": "NodeModule", "source_address": "198.51.100.0/24"}, "invalid_parameter"),
    ],
)
def test_what_is_no_call_is_not_explained_as_one(two: Peers, asked: dict[str, Any], code: str) -> None:
    two.issue()
    assert two.ask("POST", "explain", asked).body["code"] == code


def test_a_past_call_without_a_certificate_is_explained_and_hides_no_other(two: Peers) -> None:
    _, bearer = two.issue()
    nameless = Source(two.b.address, "tls", (), "test", None)
    assert two.code(bearer, request_id="bare", source=nameless) == "client_certificate_required"
    told = two.ask("POST", "explain", {"request_id": "bare"}).data
    assert (told["allowed"], told["code"], told["steps"][0]["verdict"]) == (False, "client_certificate_required", "refused")
    assert two.code(bearer, request_id="bare") == "ok"
    assert two.ask("POST", "explain", {"request_id": "bare"}).data["allowed"] is True


@pytest.mark.parametrize("path", ["/resources/Starship", f"/resources/Starship/{UUID}", "/resources/ManagedChildOperator"])
def test_a_call_for_an_unknown_kind_is_judged_like_any_other(two: Peers, path: str) -> None:
    grant_id, bearer = two.issue()
    assert two.code(bearer, path) == "unknown_resource_kind"
    assert two.code(None, path, request_id="bare") == "grant_token_required"
    assert two.ask("POST", "explain", {"request_id": "bare"}).data["code"] == "grant_token_required"
    two.revoke(grant_id)
    assert two.code(bearer, path, request_id="over") == "grant_revoked"
    assert two.ask("POST", "explain", {"request_id": "over"}).data["code"] == "grant_revoked"
    two.world.run_for(1.0)
    assert [entry["code"] for entry in told(two, "grant.denied")] == ["grant_token_required", "grant_revoked"]


def test_a_call_under_a_fitting_grant_that_admission_refuses_needs_no_other_grant(two: Peers) -> None:
    _, bearer = two.issue()
    two.ask("POST", f"{PEERS}/{two.b_at_a}/suspend", {"reason": "a pause"})
    assert two.code(bearer, request_id="paused") == "peer_suspended"
    assert two.code(None, request_id="bare") == "peer_suspended"
    assert two.code(bearer, "/resources/NodeTemplate", request_id="other") == "peer_suspended"
    resume = {"edit": "resume_admission", "who": "issuer", "code": "peer_suspended"}
    for asked in ({"request_id": "paused"}, {"resource_kind": "NodeModule"}):
        told = two.ask("POST", "explain", asked).data
        assert (told["code"], told["change"]) == ("peer_suspended", [resume])
    edits = {each: [edit["edit"] for edit in two.ask("POST", "explain", {"request_id": each}).data["change"]] for each in ("bare", "other")}
    assert edits == {"bare": ["resume_admission", "present_bearer"], "other": ["resume_admission", "widen_kind"]}


def changes(two: Peers, request_id: str) -> list[tuple[str, str | None]]:
    """What would have let a past call pass: each edit, with the grant that it names."""
    told = two.ask("POST", "explain", {"request_id": request_id}).data
    return [(edit["edit"], edit.get("grant_id")) for edit in told["change"]]


def test_a_past_call_that_showed_no_bearer_is_told_of_the_grant_that_would_have_done(two: Peers) -> None:
    assert two.code(None, request_id="before") == "grant_token_required"
    two.world.run_for(1.0)
    two.issue(remote_subject="narrow", source_cidrs=["203.0.113.0/24"])
    grant_id, bearer = two.issue()
    assert two.code(None, request_id="bare") == "grant_token_required"
    assert two.code("fg-nonsense", request_id="nonsense") == "grant_token_invalid"
    told = two.ask("POST", "explain", {"request_id": "bare"}).data
    # The verdict is of the call as it was made: nothing was shown, so no grant was judged.
    assert (told["code"], told["grant_id"]) == ("grant_token_required", None)
    assert changes(two, "bare") == changes(two, "nonsense") == [("present_bearer", grant_id)]
    # What was issued only afterwards could not have been shown.
    assert changes(two, "before") == [("issue_grant", None)]
    # One that would have to be changed first is no smaller a change than a new one.
    two.revoke(grant_id)
    two.world.run_for(1.0)
    assert two.code(bearer, request_id="over") == "grant_revoked"
    assert two.code(None, request_id="narrow") == "grant_token_required"
    assert changes(two, "over") == changes(two, "narrow") == [("issue_grant", None)]


def test_a_call_for_an_unknown_kind_is_no_use_of_the_grant(two: Peers) -> None:
    grant_id, bearer = two.issue()
    for path in ("/resources/Starship", f"/resources/Starship/{UUID}"):
        assert two.code(bearer, path) == "unknown_resource_kind"
    two.world.run_for(120.0)
    assert two.ask("GET", grant_id).data["grant"]["use_count"] == 0
    assert two.code(bearer) == "ok"
    two.world.run_for(120.0)
    assert two.ask("GET", grant_id).data["grant"]["use_count"] == 1


@pytest.mark.parametrize("path", ["explain", "/api/v1/system/platform/grants/explain"])
def test_what_no_grant_can_allow_is_not_proposed(two: Peers, path: str) -> None:
    reply = two.ask("POST", path, {"resource_kind": "NodeModule", "scope": "admin"})
    assert (reply.status, reply.body["code"]) == (422, "scope_not_supported")


@pytest.mark.parametrize("kind", ["ServiceOffering", "managed_child_operator"])
@pytest.mark.parametrize("path", ["explain", "/api/v1/system/platform/grants/explain"])
def test_no_change_is_proposed_for_a_kind_whose_grants_nobody_issues(two: Peers, kind: str, path: str) -> None:
    reply = two.ask("POST", path, {"resource_kind": kind})
    assert (reply.status, reply.body["code"]) == (422, "reserved_resource_kind")


def test_what_the_account_does_not_hold_is_not_proposed_as_if_it_did(two: Peers) -> None:
    asked = {"resource_kind": "NodeModule", "resource_id": UUID, "network_id": UUID}
    told = two.ask("POST", "explain", asked).data
    assert [edit["edit"] for edit in told["change"]] == ["add_network", "issue_grant", "activate_bridge"]
    measure = told["change"][1]
    assert (measure["resource_id"], "subject" in measure) == (None, False)
    made = {"id": UUID, "attributes": {"name": "backbone", "slug": "backbone"}}
    assert two.ask("POST", "/api/v1/system/platform/resources/SdwanNetwork", made).status == 201
    told = two.ask("POST", "explain", asked).data
    assert [edit["edit"] for edit in told["change"]] == ["issue_grant", "activate_bridge"]
    proposed = {name: value for name, value in told["change"][0].items() if name not in ("edit", "who")}
    assert two.ask("POST", "", {"remote_subject": "any", **proposed}).status == 201
    assert two.ask("POST", f"{PEERS}/{two.b_at_a}/bridges", {"sdwan_network_id": UUID}).status == 201
    assert [edit["edit"] for edit in two.ask("POST", "explain", asked).data["change"]] == ["activate_bridge"]


def test_a_grant_bound_to_addresses_is_asked_for_again_over_http_where_the_channel_proves_none() -> None:
    world = World("bound")
    a, b = (world.platform(name, peer_channel=True).sign_in() for name in "ab")
    two = pair(world, a, b)
    back = evolve(two, a=b, b=a, b_at_a=two.a_at_b, a_at_b=two.b_at_a)
    world.run_for(120.0)
    # Whichever side has dialled the channel, it issues one of the two.
    for each in (two, back):
        each.ask("POST", "/api/v1/system/platform/resources/NodeModule", {"attributes": {"name": "nginx"}})
        _, bearer = each.issue(source_cidrs=[f"{each.b.address}/32"])
        held = f"{PEERS}/{each.a_at_b}/received_grants"
        assert each.ask("POST", held, {"bearer_token": bearer}, at=each.b).status == 201
        read = each.ask("GET", f"{PEERS}/{each.a_at_b}/remote_resources/NodeModule", at=each.b)
        assert read.status == 200, read.body


def test_every_call_of_a_connection_is_judged_by_the_bearer_that_it_brings(two: Peers) -> None:
    grant_id, bearer = two.issue()
    _, other = two.issue(resource_kind="NodeTemplate")
    source = source_of(two.b, two.a_at_b)
    wrong = bearer[:-1] + ("A" if bearer[-1] != "A" else "B")
    brought = (bearer, wrong, bearer, other, None, "fg-nonsense", bearer, bearer)
    codes = [two.code(each, source=source) for each in brought]
    invalid, required = "grant_token_invalid", "grant_token_required"
    assert codes == ["ok", invalid, "ok", "grant_kind_mismatch", required, invalid, "ok", "ok"]
    assert bearer not in repr(source.verified)
    two.revoke(grant_id)
    assert two.code(bearer, source=source) == "grant_revoked"
