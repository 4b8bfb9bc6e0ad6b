"""The weekly review: every category has a grant or a peer that belongs into it, and one that just does not."""

from __future__ import annotations

from typing import Any

import pytest

from actors.governance import review
from actors.governance.messages import ReviewNow
from actors.governance.record import KIND as GOVERNANCE
from actors.governance.review import CATEGORIES, LISTED_MAX, Review
from actors.governance.reviewing import REVIEW_EVERY_S
from actors.grant.record import GrantRecord, GrantUsage
from actors.peer.record import OutboundIdentity, PeerRecord
from runtime.actor import Ref
from runtime.store.port import Query
from runtime.values import evolve
from tests.support.grants import PEERS, Peers, peers

T = 1_800_000_000.0
DAY = 86_400.0
LISTED = ("*",)


def grant(**changes: Any) -> GrantRecord:
    """A grant that needs no second look."""
    facts: dict[str, Any] = {
        "id": "g", "account_id": "a", "federation_peer_id": "p", "remote_subject": "s", "resource_kind": "NodeModule",
        "source_cidrs": ("192.0.2.0/24",), "issued_at": T - 10 * DAY, "expires_at": T + 20 * DAY, "updated_at": T, **changes,
    }  # fmt: skip
    return GrantRecord(**facts)


def found(one: GrantRecord, use_count: int = 1, *, reachable: bool = True) -> set[str]:
    return {category for category, _ in review.of_grant(one, GrantUsage(use_count=use_count), T, lambda id: reachable)}


@pytest.mark.parametrize(
    ("within", "outside", "category"),
    [
        ({"expires_at": T + 7 * DAY}, {"expires_at": T + 7 * DAY + 1}, "grants_approaching_expiry"),
        ({"issued_at": T - 90 * DAY - 1}, {"issued_at": T - 90 * DAY}, "grants_overdue_for_review"),
        ({"permission_scopes": ("read", "migrate")}, {"permission_scopes": ("read", "write")}, "broad_scope_grants"),
        (
            {"permission_scopes": ("admin",), "source_cidrs": LISTED},
            {"permission_scopes": ("admin",)},
            "broad_and_unrestricted",
        ),
        ({"bare_token": True}, {}, "bare_tokens_in_use"),
    ],
)
def test_a_category_begins_exactly_where_it_says(within: dict[str, Any], outside: dict[str, Any], category: str) -> None:
    assert category in found(grant(**within))
    assert category not in found(grant(**outside))


def test_use_a_review_and_a_bridge_are_seen() -> None:
    old = grant(issued_at=T - 30 * DAY)
    assert "grants_never_used" in found(old, 0)
    assert "grants_never_used" not in found(old, 1)
    assert "grants_never_used" not in found(grant(issued_at=T - 30 * DAY + 1), 0)
    overdue = grant(issued_at=T - 200 * DAY)
    assert "grants_overdue_for_review" in found(overdue)
    assert "grants_overdue_for_review" not in found(evolve(overdue, last_reviewed_at=T - DAY))
    through = grant(sdwan_network_ids=("n",))
    assert "axis_dangling" in found(through, reachable=False)
    assert "axis_dangling" not in found(through)
    assert "axis_dangling" not in found(grant(), reachable=False)


def test_what_has_ended_is_looked_at_no_more() -> None:
    worst = {"permission_scopes": ("admin",), "source_cidrs": LISTED, "bare_token": True, "issued_at": T - 300 * DAY}
    assert found(grant(**worst, revoked_at=T - 1), 0) == set()
    assert found(grant(**{**worst, "expires_at": T}), 0) == set()


def test_both_certificates_of_a_peering_are_looked_at() -> None:
    peer = PeerRecord(id="p", account_id="a", remote_instance_url="https://b.example", status_since=T, created_at=T, updated_at=T)

    def spent(**certificates: Any) -> list[str]:
        seen = review.of_peer(evolve(peer, **certificates), flows=False, cert_ttl_s=90 * DAY, wall=T)
        return [entry["certificate"] for category, entry in seen if category == "cert_rotation_candidates"]

    def ours(left_s: float) -> OutboundIdentity:
        return OutboundIdentity("certificate", b"sealed", "01", T + left_s - 40 * DAY, T + left_s)

    assert spent() == []
    assert spent(outbound=ours(10 * DAY + 1), issued_not_after=T + 22.5 * DAY + 1) == []
    assert spent(outbound=ours(10 * DAY), issued_not_after=T + 22.5 * DAY) == ["outbound", "issued"]
    assert spent(issued_not_after=T - DAY) == ["issued"]


def test_a_category_counts_more_than_it_lists() -> None:
    result = Review()
    result.add(("bare_tokens_in_use", {"grant_id": str(number)}) for number in range(LISTED_MAX + 5))
    (category,) = result.to_json(T)["categories"]
    assert (category["count"], len(category["entries"])) == (LISTED_MAX + 5, LISTED_MAX)


# --- the rhythm ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two() -> Peers:
    return peers("review", heartbeat_interval_s=86_400.0, stale_after_s=30 * 86_400.0)


def reviewed(two: Peers) -> dict[str, Any]:
    reply = two.ask("POST", "/api/v1/system/platform/grants/review", {})
    assert reply.status == 200, reply.body
    return {each["category"]: each for each in reply.data["categories"]}


def test_an_operator_asks_for_it_and_events_tell_of_it_without_a_secret(two: Peers) -> None:
    grant_id, bearer = two.issue(permission_scopes=["migrate"], ttl_days=7, bare_token=True)
    told = reviewed(two)
    assert {"broad_and_unrestricted", "broad_scope_grants", "grants_approaching_expiry", "bare_tokens_in_use"} <= told.keys()
    assert told.keys() <= CATEGORIES.keys()
    assert [entry["grant_id"] for entry in told["bare_tokens_in_use"]["entries"]] == [grant_id]
    kinds = [event.kind for event in two.a.store.events(0, 10_000)]
    assert "federation.review.broad_and_unrestricted" in kinds
    assert kinds[-1] == "federation.manager.review_completed"
    assert bearer not in repr(two.a.store.events(0, 10_000))
    assert two.ask("POST", f"{grant_id}/review", {}).status == 200
    assert two.revoke(grant_id).status == 200
    assert reviewed(two).keys().isdisjoint({"broad_scope_grants", "bare_tokens_in_use"})


def test_it_is_made_every_week_by_itself_and_soon_after_a_stop_that_was_longer(two: Peers) -> None:
    reviewed(two)

    def made() -> int:
        return sum(event.kind == "federation.manager.review_completed" for event in two.a.store.events(0, 100_000))

    before = made()
    two.world.run_for(REVIEW_EVERY_S - 60.0)
    assert made() == before
    two.world.run_for(200.0)
    assert made() == before + 1
    two.a.crash()
    two.world.run_for(REVIEW_EVERY_S + DAY)
    assert made() == before + 1
    two.a.start()
    two.world.run_for(300.0)
    assert made() == before + 2
    (row,) = two.a.store.query(Query(GOVERNANCE.name))
    assert row.record.reviewed_at is not None


def test_two_who_ask_at_once_get_one_review(two: Peers) -> None:
    answers: list[Any] = []
    for _ in range(2):
        two.a.engine.ask(Ref(GOVERNANCE.name, two.a.account_id), ReviewNow(), 10.0, answers.append)
    two.world.run_for(5.0)
    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_the_number_of_grants_of_a_peer_is_right_whatever_becomes_of_them() -> None:
    two = peers("counts")

    def counted() -> tuple[int, int]:
        shown = two.ask("GET", f"{PEERS}/{two.b_at_a}").data["peer"]
        return shown["grants_count"], shown["bridges_count"]

    assert counted() == (0, 0)
    ids = [two.issue(remote_subject=f"s{number}")[0] for number in range(4)]
    assert counted() == (4, 0)
    replaced = two.ask("POST", "", {"remote_subject": "s0", "resource_kind": "NodeModule", "replace": True})
    assert replaced.status == 201
    assert counted() == (4, 0)
    assert two.revoke(ids[1]).status == 200
    assert two.revoke(ids[1]).status == 409
    assert counted() == (3, 0)
    two.issue(remote_subject="short", ttl_seconds=3_600)
    assert counted() == (4, 0)
    two.world.run_for(3_700.0)
    assert counted() == (3, 0)
    assert two.ask("POST", f"{PEERS}/{two.b_at_a}/revoke", {}).status == 200
    two.world.run_for(60.0)
    assert counted() == (0, 0)


def test_a_finding_about_a_grant_stands_in_the_list_as_long_as_the_grant_does() -> None:
    two = peers("findings")
    grant_id, _ = two.issue()
    two.world.run_for(400.0)

    def standing() -> list[str]:
        shown = two.ask("GET", "/api/v1/system/federation/governance?kind=unrestricted_grant_scope").data
        return [finding["payload"]["grant_id"] for finding in shown if finding["resolved_at"] is None]

    assert standing() == [grant_id]
    assert two.revoke(grant_id).status == 200
    assert standing() == []
