"""Operators draft, open, change and retire offerings through the production door."""

from __future__ import annotations

from typing import Any

import pytest

import actors.offering.actor
from tests.support.grants import Peers
from tests.support.services import OFFERINGS, WIKI, by_hand, data, offer, quiet_peers, step, subscribe

UUID = "0190c0de-0000-7000-8000-0000000000aa"
DAY = 86_400.0


@pytest.fixture
def two() -> Peers:
    return quiet_peers()


def problems(reply: Any) -> dict[str, str]:
    return {problem["field"]: problem["code"] for problem in reply.body["details"]["problems"]}


def test_an_offering_is_drafted_opened_and_seen_by_a_peer_without_its_backend(two: Peers) -> None:
    draft = offer(two, active=False)
    assert (draft["status"], draft["allowed_transitions"]) == ("draft", ["active", "retired"])
    assert data(by_hand(two, "GET", "/service_catalog")) == []
    step(two, draft["id"], "activate")
    (entry,) = data(by_hand(two, "GET", "/service_catalog"))
    assert (entry["slug"], entry["port"], entry["accepting_new_subscriptions"]) == ("wiki", 8080, True)
    assert "10.7.0.9" not in repr(entry)
    step(two, draft["id"], "deprecate")
    (entry,) = data(by_hand(two, "GET", "/service_catalog"))
    assert (entry["status"], entry["accepting_new_subscriptions"]) == ("deprecated", False)
    assert entry["deprecated_at"] is not None


def test_every_problem_of_a_draft_is_told_at_once(two: Peers) -> None:
    body = {
        **WIKI, "slug": "No Slug", "protocol": "gopher", "backend_host": "not a host", "backend_port": 0, "default_grant_scopes": ["admin"],
        "default_grant_ttl_days": 1, "visibility": "nobody", "default_axes": {"source_cidrs": ["10.0.0.1/8"]},
        "metadata": {"api_key": "x"}, "backend_anchor_pem": "no certificate",
    }  # fmt: skip
    reply = two.ask("POST", OFFERINGS, body)
    assert reply.status == 422
    assert problems(reply) == {
        "slug": "slug_invalid",
        "protocol": "protocol_invalid",
        "backend_host": "backend_invalid",
        "backend_port": "backend_invalid",
        "backend_anchor_pem": "backend_invalid",
        "default_grant_scopes": "scope_not_supported",
        "default_grant_ttl_days": "ttl_out_of_range",
        "default_axes.source_cidrs[0]": "cidr_host_bits_set",
        "visibility": "visibility_invalid",
        "metadata.api_key": "invalid_metadata",
    }
    assert two.ask("GET", OFFERINGS).data == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"backend_host": None}, "backend_required"),
        ({"backend_vip_id": UUID}, "backend_vip_not_found"),
        ({"name": None}, "field_required"),
    ],
)
def test_a_draft_that_could_not_be_served_is_refused(two: Peers, changes: dict[str, Any], code: str) -> None:
    assert two.ask("POST", OFFERINGS, {**WIKI, **changes}).body["code"] == code


def test_a_slug_is_taken_once_and_never_changed(two: Peers) -> None:
    first = offer(two)
    again = two.ask("POST", OFFERINGS, dict(WIKI))
    assert (again.status, again.body["code"], again.body["details"]["offering_id"]) == (409, "offering_exists", first["id"])
    changed = two.ask("PATCH", f"{OFFERINGS}/{first['id']}", {"slug": "other"})
    assert changed.body["code"] == "field_not_editable"


def test_a_retired_offering_is_hidden_and_stays_as_it_is(two: Peers) -> None:
    offering = offer(two)
    retired = two.ask("DELETE", f"{OFFERINGS}/{offering['id']}").data["offering"]
    assert (retired["status"], retired["access_ends_at"] is not None) == ("retired", True)
    assert data(by_hand(two, "GET", "/service_catalog")) == []
    for reply in (
        two.ask("DELETE", f"{OFFERINGS}/{offering['id']}"),
        two.ask("PATCH", f"{OFFERINGS}/{offering['id']}", {"name": "Other"}),
        two.ask("POST", f"{OFFERINGS}/{offering['id']}/activate", {}),
    ):
        assert (reply.status, reply.body["code"]) == (409, "offering_retired")


def test_only_the_peers_that_are_named_see_it(two: Peers) -> None:
    offering = offer(two, visibility={"peers": [UUID]})
    assert data(by_hand(two, "GET", "/service_catalog")) == []
    assert subscribe(two).body["code"] == "offering_not_found"  # type: ignore[index]
    two.ask("PATCH", f"{OFFERINGS}/{offering['id']}", {"visibility": {"peers": [two.b_at_a]}})
    assert subscribe(two).status == 201


def test_access_ends_thirty_days_after_retirement(two: Peers) -> None:
    offering = offer(two)
    grant_id = data(subscribe(two))["grant_id"]
    step(two, offering["id"], "retire")
    two.world.run_for(29 * DAY)
    assert two.ask("GET", f"{OFFERINGS}/{offering['id']}/leases").data[0]["state"] == "live"
    two.world.run_for(1 * DAY + 60)
    lease = two.ask("GET", f"{OFFERINGS}/{offering['id']}/leases").data[0]
    assert lease["state"] in ("revoked", "expired")
    assert two.ask("GET", grant_id).data["grant"]["state"] in ("revoked", "expired")


def test_a_cut_off_in_several_turns_is_told_with_all_the_seats_that_it_took(two: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.offering.actor, "LEASES_A_TURN", 2)
    offering = offer(two, max_subscribers=None)
    for key in range(1, 6):
        assert subscribe(two, key, local_hostname=f"wiki{key}.b.example", ttl_days=90).status == 201
    step(two, offering["id"], "retire")
    two.world.run_for(30 * DAY + 60)
    assert {lease["state"] for lease in two.ask("GET", f"{OFFERINGS}/{offering['id']}/leases").data} == {"revoked"}
    (event,) = [event for event in two.a.store.events(0, 10_000) if event.kind == "federation.offering.cutoff"]
    assert event.payload == {"offering_id": offering["id"], "slug": "wiki", "leases": 5}
