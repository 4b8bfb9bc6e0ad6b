"""A peer that revokes a grant whose bearer we hold is a finding until there is another grant, or the bearer or the peering has gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from actors.governance.reading import scan_across
from actors.received_grant.record import KIND
from runtime.store.port import Query
from tests.support.grants import PEERS, Peers, peers

SOON_S = 1.0


@pytest.fixture
def two() -> Peers:
    return peers()


def revoked(two: Peers, grant_id: str) -> None:
    assert two.revoke(grant_id).status == 200
    two.world.run_for(SOON_S)


def found(two: Peers) -> list[str]:
    """The grants that `b` finds revoked."""
    return [payload["grant_id"] for payload in told(two)]


def told(two: Peers) -> list[Mapping[str, Any]]:
    peer = two.b.store.load("peer", two.a_at_b)
    assert peer is not None
    b = two.b
    across = scan_across(b.store.query, b.store.load, b.account_id, (peer.record,), b.settings(), b.clock.wall())
    return [each.payload for each in across if each.kind == "peer_grant_revoked"]


def test_a_revoked_grant_is_found_and_one_in_force_is_not(two: Peers) -> None:
    grant_id = two.hold()
    assert found(two) == []
    revoked(two, grant_id)
    assert found(two) == [grant_id]


def test_a_finding_about_another_row_tells_of_its_peer_as_all_do(two: Peers) -> None:
    revoked(two, two.hold())
    (payload,) = told(two)
    facts = ("account_id", "remote_instance_url", "remote_prefix_advertisement", "status", "signed_at", "expires_at")
    assert payload.keys() >= {*facts, "grant_id"}
    assert (payload["remote_instance_url"], payload["status"]) == (two.a.url, "active")


def test_another_grant_in_its_place_ends_the_finding(two: Peers) -> None:
    grant_id = two.hold(permission_scopes=["read", "write"])
    revoked(two, grant_id)
    two.hold(permission_scopes=["read"])
    assert found(two) == [grant_id]
    two.hold(permission_scopes=["read", "write"], remote_subject="another@b")
    assert found(two) == []


def test_a_bearer_that_was_let_go_is_no_finding(two: Peers) -> None:
    revoked(two, two.hold())
    (row,) = two.b.store.query(Query(KIND.name))
    assert two.ask("DELETE", f"{PEERS}/{two.a_at_b}/received_grants/{row.record.id}", at=two.b).status == 200
    two.world.run_for(SOON_S)
    assert found(two) == []


def test_the_end_of_the_peering_takes_its_grants_without_a_finding_for_each(two: Peers) -> None:
    revoked(two, two.hold())
    assert two.ask("POST", f"{PEERS}/{two.a_at_b}/revoke", {"reason": "over"}, at=two.b).status in (200, 202)
    two.world.run_for(SOON_S)
    assert found(two) == []
