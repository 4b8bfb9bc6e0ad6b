"""Operators issue, look at, narrow, rotate, review and revoke grants through the production door."""

from __future__ import annotations

from typing import Any

import pytest

from actors.continuity.messages import EpochClaimed
from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import frozen_by
from actors.grant.record import KIND as GRANT
from actors.wall_clock.messages import ClockHeard
from actors.wall_clock.record import KIND as WALL_CLOCK
from runtime.actor import Ref
from runtime.clock import iso
from runtime.store.port import Query
from tests.support.grants import PEERS, SEED_BODY, Peers, peers

DAY = 86_400.0
UUID = "0190c0de-0000-7000-8000-0000000000aa"
OTHER = "0190c0de-0000-7000-8000-0000000000bb"


@pytest.fixture
def two() -> Peers:
    return peers()


def problems(reply: Any) -> dict[str, str]:
    return {problem["field"]: problem["code"] for problem in reply.body["details"]["problems"]}


def test_the_body_of_the_runbook_makes_an_unrestricted_grant_of_thirty_days(two: Peers) -> None:
    reply = two.ask("POST", "", dict(SEED_BODY))
    assert reply.status == 201
    grant = reply.data["grant"]
    assert reply.data["bearer_token"].startswith(f"fg-{grant['id']}.")
    assert grant["unrestricted"] is True
    assert grant["node_instance_ids"] == grant["sdwan_network_ids"] == grant["source_cidrs"] == ["*"]
    assert (grant["state"], grant["effective"], grant["origin"]) == ("active", True, "operator")
    row = two.a.engine.directory.row("grant", grant["id"])
    assert row is not None
    assert row.record.expires_at - row.record.issued_at == 30 * DAY


def test_the_bearer_is_told_once_and_stored_nowhere(two: Peers) -> None:
    first = two.ask("POST", "", dict(SEED_BODY), idempotency_key="k")
    again = two.ask("POST", "", dict(SEED_BODY), idempotency_key="k")
    bearer = first.data["bearer_token"]
    assert again.data["grant"]["id"] == first.data["grant"]["id"]
    assert again.data["bearer_token"] is None
    assert again.data["token_already_revealed"] is True
    secret = bearer.partition(".")[2]
    stored = [two.a.store.query(Query(kind)) for kind in ("grant", "grant_book", "remembered_answer", "peer")]
    seen = [stored, two.a.store.events(0, 1000), two.a.store.audit(two.b_at_a, 0, 1000), two.ask("GET", "").body]
    seen.append(two.ask("GET", first.data["grant"]["id"]).body)
    assert secret not in repr(seen)


def test_lists_name_every_problem_at_once_and_change_nothing(two: Peers) -> None:
    body = {
        "resource_kind": "Nonsense", "resource_id": "", "permission_scopes": [], "node_instance_ids": ["x", " ", None],
        "sdwan_network_ids": ["*", UUID], "source_cidrs": ["10.0.0.1/8", "nowhere"], "ttl_days": 1,
    }  # fmt: skip
    reply = two.ask("POST", "", body)
    assert reply.status == 422
    assert problems(reply) == {
        "remote_subject": "field_required",
        "resource_kind": "unknown_resource_kind",
        "resource_id": "resource_id_invalid",
        "permission_scopes": "scopes_empty",
        "node_instance_ids[0]": "axis_value_invalid",
        "node_instance_ids[1]": "axis_value_blank",
        "node_instance_ids[2]": "axis_value_blank",
        "sdwan_network_ids": "axis_wildcard_mixed",
        "source_cidrs[0]": "cidr_host_bits_set",
        "source_cidrs[1]": "axis_value_invalid",
        "ttl_days": "ttl_out_of_range",
    }
    assert reply.body["details"]["field"] == "remote_subject"
    for change, facts in (
        ({"source_cidrs": ["10.0.0.0/8", "10.0.0.1/8"]}, {"axis": "source_cidrs", "index": 1, "suggestion": "10.0.0.0/8"}),
        ({"node_instance_ids": [UUID, "x"]}, {"axis": "node_instance_ids", "index": 1}),
        ({"sdwan_network_ids": [None]}, {"axis": "sdwan_network_ids", "index": 0}),
    ):
        assert two.ask("POST", "", {**SEED_BODY, **change}).body["details"].items() >= facts.items()
    assert two.ask("GET", "?state=all").data == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"remote_subject": " "}, "field_required"),
        ({"resource_kind": "ServiceOffering"}, "reserved_resource_kind"),
        ({"resource_id": "x"}, "resource_id_invalid"),
        ({"resource_id": UUID}, "resource_not_found"),
        ({"permission_scopes": ["own"]}, "scope_unknown"),
        ({"permission_scopes": ["admin"]}, "scope_not_supported"),
        ({"resource_kind": "NodePlatform", "permission_scopes": ["migrate"]}, "scope_not_supported"),
        ({"ttl_days": 366}, "ttl_out_of_range"),
        ({"ttl_seconds": 3599}, "ttl_out_of_range"),
        ({"ttl_seconds": 604801}, "ttl_out_of_range"),
        ({"ttl_seconds": 3600, "ttl_days": 7}, "ttl_ambiguous"),
        ({"node_instance_ids": "x"}, "axis_not_array"),
        ({"node_instance_ids": [UUID] * 65}, "axis_too_long"),
        ({"sdwan_network_ids": [UUID]}, "network_not_found"),
        ({"metadata": {"api_token": "x"}}, "invalid_metadata"),
        ({"metadata": {"deep": [{"Password": "x"}]}}, "invalid_metadata"),
        ({"metadata": {"note": ["x" * 900] * 10}}, "invalid_metadata"),
        ({"metadata": {"note": ["\u00e9" * 450] * 10}}, "invalid_metadata"),
    ],
)
def test_a_bad_value_has_its_code(two: Peers, change: dict[str, Any], code: str) -> None:
    reply = two.ask("POST", "", {**SEED_BODY, **change})
    assert (reply.status, reply.body["code"]) == (422, code)


def test_stored_forms_are_canonical(two: Peers) -> None:
    grant_id, _ = two.issue(
        source_cidrs=["203.0.113.7", "::ffff:198.51.100.0/120", "2001:DB8::/32", "203.0.113.7/32"],
        node_instance_ids=[OTHER.upper(), UUID, OTHER],
        resource_kind="node_module",
        permission_scopes=["write", "read"],
    )
    grant = two.ask("GET", grant_id).data["grant"]
    assert grant["source_cidrs"] == ["198.51.100.0/24", "2001:db8::/32", "203.0.113.7/32"]
    assert grant["node_instance_ids"] == [UUID, OTHER]
    assert (grant["resource_kind"], grant["permission_scopes"], grant["unrestricted"]) == ("NodeModule", ["read", "write"], False)


def test_one_grant_in_force_for_each_subject_kind_and_resource(two: Peers) -> None:
    first, _ = two.issue()
    reply = two.ask("POST", "", dict(SEED_BODY))
    assert (reply.status, reply.body["code"], reply.body["details"]["grant_id"]) == (409, "grant_exists", first)
    two.issue(remote_subject="somebody else")
    second, _ = two.issue(replace=True)
    former = two.ask("GET", first).data["grant"]
    assert (former["state"], former["revocation_reason"], former["replaced_by"]) == ("revoked", f"replaced_by:{second}", second)
    assert two.ask("GET", second).data["grant"]["replaces_grant_id"] == first
    assert two.revoke(second).status == 200
    two.issue()


def test_an_expired_grant_blocks_nobody_not_even_in_its_last_second(two: Peers) -> None:
    grant_id, _ = two.issue(ttl_seconds=3600)
    row = two.a.engine.directory.row("grant", grant_id)
    assert row is not None
    two.world.run_for(row.record.expires_at - two.a.clock.wall())
    again, _ = two.issue()
    assert two.ask("GET", grant_id).data["grant"]["state"] == "expired"
    assert again != grant_id
    assert "federation.grant.expired" in [event.kind for event in two.a.store.events(0, 1000)]


def test_narrowing_only(two: Peers) -> None:
    grant_id, _ = two.issue(permission_scopes=["read", "write"], source_cidrs=["203.0.113.0/24"])
    wider = {"permission_scopes": ["read", "migrate"], "source_cidrs": ["203.0.112.0/23"], "expires_at": "2999-01-01T00:00:00Z"}
    reply = two.ask("PATCH", grant_id, wider)
    assert (reply.status, reply.body["code"]) == (422, "grant_widening_refused")
    assert problems(reply).keys() == wider.keys()
    assert two.ask("PATCH", grant_id, {"source_cidrs": []}).body["code"] == "axis_empty_on_update"
    assert two.ask("PATCH", grant_id, {"source_cidrs": ["*"]}).body["code"] == "grant_widening_refused"
    assert two.ask("PATCH", grant_id, {"remote_subject": "x"}).body["code"] == "field_not_editable"
    narrower = {"permission_scopes": ["read"], "source_cidrs": ["203.0.113.7"], "node_instance_ids": [UUID], "label": "why"}
    changed = two.ask("PATCH", grant_id, narrower)
    assert changed.status == 200
    assert (changed.data["grant"]["permission_scopes"], changed.data["grant"]["source_cidrs"]) == (["read"], ["203.0.113.7/32"])
    stale = two.ask("PATCH", grant_id, {"label": "again"}, if_match='"v1.x"')
    assert stale.body["code"] == "version_conflict"


def test_an_end_in_the_past_is_refused_and_archives_nothing(two: Peers) -> None:
    grant_id, _ = two.issue(permission_scopes=["read"])
    past = {"expires_at": "1970-01-01T00:00:00Z", "permission_scopes": ["read", "migrate"]}
    reply = two.ask("PATCH", grant_id, past)
    assert (reply.status, problems(reply)) == (422, {"permission_scopes": "grant_widening_refused", "expires_at": "ttl_out_of_range"})
    two.world.run_for(2.0)
    assert two.ask("GET", grant_id).data["grant"]["state"] == "active"
    soon = iso(two.a.clock.wall() + 60.0)
    assert two.ask("PATCH", grant_id, {"expires_at": soon}).data["grant"]["expires_at"] == soon
    two.world.run_for(61.0)
    assert two.ask("PATCH", grant_id, {"expires_at": soon, "label": "over"}).data["grant"]["state"] == "expired"


def test_revoking_is_final(two: Peers) -> None:
    grant_id, _ = two.issue()
    reply = two.revoke(grant_id, reason="no longer needed")
    assert (reply.data["grant"]["state"], reply.data["grant"]["revocation_reason"]) == ("revoked", "no longer needed")
    assert two.revoke(grant_id).body["code"] == "grant_already_revoked"
    for act in ("rotate_token", "review"):
        assert two.ask("POST", f"{grant_id}/{act}", {}).body["code"] == "grant_already_revoked"
    assert two.ask("PATCH", grant_id, {"label": "x"}).body["code"] == "grant_already_revoked"


def test_an_immediate_end_after_an_ordinary_one_ends_the_grace(two: Peers) -> None:
    grant_id, _ = two.issue()
    ended = two.revoke(grant_id, reason="no longer needed").data["grant"]
    two.world.run_for(10.0)
    again = two.revoke(grant_id, reason="stolen", immediate=True)
    assert again.status == 200
    assert again.data["grant"] | {"updated_at": "", "version": 0} == ended | {"updated_at": "", "version": 0}
    row = two.a.store.load(GRANT.name, grant_id)
    assert row is not None
    assert row.record.revocation_immediate
    assert two.revoke(grant_id, immediate=True).body["code"] == "grant_already_revoked"


def test_archival_after_ninety_days_hides_the_row_and_keeps_it(two: Peers) -> None:
    grant_id, _ = two.issue()
    two.revoke(grant_id)
    two.a.clock.offset_s += 90 * DAY - 60.0
    two.world.run_for(59.0)
    assert two.ask("GET", grant_id).data["grant"]["state"] == "revoked"
    two.a.clock.offset_s += DAY
    two.world.run_for(60.0)
    assert two.ask("GET", "").data != [], "nobody else says that it is so late"
    two.a.engine.tell(Ref(WALL_CLOCK.name, two.a.instance_id), ClockHeard("whoever", 0.0))
    two.world.run_for(60.0)
    assert two.ask("GET", "").data == []
    assert [grant["state"] for grant in two.ask("GET", "?state=archived").data] == ["archived"]
    assert [grant["state"] for grant in two.ask("GET", "?state=active,archived").data] == ["archived"]
    assert two.ask("GET", "?state=active,expired").data == []
    assert two.revoke(grant_id).body["code"] == "grant_already_revoked"


def test_lists_filter_and_page(two: Peers) -> None:
    made = []
    for number in range(5):
        made.append(two.issue(remote_subject=f"s{number}", permission_scopes=["read", "write"] if number % 2 else ["read"])[0])
        two.world.run_for(0.1)
    two.revoke(made[0])
    assert [grant["id"] for grant in two.ask("GET", "").data] == made[::-1]
    assert [grant["id"] for grant in two.ask("GET", "?state=active").data] == made[:0:-1]
    assert [grant["id"] for grant in two.ask("GET", "?scope=write").data] == [made[3], made[1]]
    assert two.ask("GET", "?resource_kind=node_template").data == []
    unknown = two.ask("GET", "?resource_kind=NodeModul")
    assert (unknown.status, unknown.body["code"]) == (422, "unknown_resource_kind")
    assert "NodeModule, " in unknown.body["error"]
    first = two.ask("GET", "?limit=2")
    second = two.ask("GET", f"?limit=2&cursor={first.body['meta']['next_cursor']}")
    third = two.ask("GET", f"?limit=2&cursor={second.body['meta']['next_cursor']}")
    assert [grant["id"] for page in (first, second, third) for grant in page.data] == made[::-1]
    assert third.body["meta"]["next_cursor"] is None


def test_peers_that_get_no_grant(two: Peers) -> None:
    assert two.ask("POST", f"{PEERS}/{UUID}/grants", dict(SEED_BODY)).body["code"] == "peer_not_found"
    proposed = two.ask("POST", PEERS, {"remote_instance_url": "https://c.example.com"}).data["peer"]["id"]
    assert two.ask("POST", f"{PEERS}/{proposed}/grants", dict(SEED_BODY)).body["code"] == "peer_not_ready"
    grant_id, _ = two.issue()
    two.ask("POST", f"{PEERS}/{two.b_at_a}/suspend", {})
    assert two.ask("POST", "", dict(SEED_BODY)).body["code"] == "peer_not_ready"
    shown = two.ask("GET", grant_id).data["grant"]
    assert (shown["state"], shown["effective"]) == ("active", False)
    two.ask("POST", f"{PEERS}/{two.b_at_a}/resume", {})
    assert two.ask("GET", grant_id).data["grant"]["effective"] is True


def test_the_end_of_a_peering_ends_its_grants_at_once_and_marks_them(two: Peers) -> None:
    made = [two.issue(remote_subject=f"s{number}")[0] for number in range(3)]
    reply = two.ask("POST", f"{PEERS}/{two.b_at_a}/revoke", {})
    assert reply.status == 200, reply.body
    assert two.ask("GET", made[0]).data["grant"]["effective"] is False
    two.world.run_for(5.0)
    assert {grant["revocation_reason"] for grant in two.ask("GET", "").data} == {"peer_revoked"}
    assert two.ask("POST", "", dict(SEED_BODY)).body["code"] == "peer_revoked"


def test_no_grant_is_shown_as_effective_while_trust_is_frozen(two: Peers) -> None:
    grant_id, _ = two.issue()
    identity = two.a.settings().identity
    two.a.engine.tell(Ref(CONTINUITY.name, identity.instance_id), EpochClaimed(two.b_at_a, identity.boot_epoch + 5))
    two.world.run_for(1.0)
    row = two.a.store.load(CONTINUITY.name, identity.instance_id)
    assert row is not None
    assert frozen_by(row.record, identity) == "echo"
    assert [grant["effective"] for grant in two.ask("GET", "").data] == [False]
    shown = two.ask("GET", grant_id).data["grant"]
    assert (shown["state"], shown["effective"]) == ("active", False)
    assert two.ask("POST", f"{grant_id}/review", {}).data["grant"]["effective"] is False


def test_every_write_has_its_audit_entry_and_its_event(two: Peers) -> None:
    grant_id, _ = two.issue(source_cidrs=["203.0.113.0/24"])
    two.ask("PATCH", grant_id, {"label": "x"})
    two.ask("POST", f"{grant_id}/rotate_token", {"overlap_seconds": 60})
    two.ask("POST", f"{grant_id}/review", {})
    two.revoke(grant_id)
    told = [entry.action for entry in two.a.store.audit(two.b_at_a, 0, 1000) if entry.action.startswith("grant.")]
    assert told == ["grant.issued", "grant.narrowed", "grant.rotated", "grant.reviewed", "grant.revoked"]
    events = [event for event in two.a.store.events(0, 1000) if event.kind.startswith("federation.grant.")]
    assert [event.kind.removeprefix("federation.") for event in events] == told
    assert "203.0.113.0" not in repr(events)
