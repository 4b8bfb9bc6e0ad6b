"""Seats: who gets one, what comes with it, and how it is given back."""

from __future__ import annotations

import pytest

from runtime.store.port import Query
from tests.support.grants import Peers
from tests.support.services import KEY, OFFERINGS, by_hand, data, offer, quiet_peers, subscribe

DAY = 86_400.0


@pytest.fixture
def two() -> Peers:
    return quiet_peers()


def code(answer: object) -> str:
    return str(answer.body["code"])  # type: ignore[attr-defined]


def leases(two: Peers, id: str) -> list[tuple[str, str]]:
    return [(row["local_hostname"], row["state"]) for row in two.ask("GET", f"{OFFERINGS}/{id}/leases").data]


def test_a_seat_comes_with_a_grant_for_this_offering_alone(two: Peers) -> None:
    offering = offer(two, default_grant_scopes=["read", "write"], default_axes={"source_cidrs": ["10.0.0.0/8"]})
    answer = subscribe(two, ttl_days=9)
    got = data(answer)
    assert answer.status == 201
    assert (got["backend_host"], got["backend_port"], got["protocol"]) == ("10.7.0.9", 8080, "http")
    assert (got["ttl_seconds"], got["service_offering_id"], got["backend_tls"]) == (9 * DAY, offering["id"], None)
    grant = two.ask("GET", got["grant_id"]).data["grant"]
    assert (grant["origin"], grant["resource_kind"], grant["resource_id"]) == ("service_catalog", "ServiceOffering", offering["id"])
    assert (grant["permission_scopes"], grant["source_cidrs"]) == (["read", "write"], ["10.0.0.0/8"])
    assert grant["remote_subject"] == f"service-sub:wiki:wiki.b.example@peer-{two.b_at_a}"
    assert got["bearer_token"].startswith(f"fg-{got['grant_id']}.")


def test_the_same_request_gets_the_same_answer_and_one_seat(two: Peers) -> None:
    offering = offer(two)
    first, again = subscribe(two), subscribe(two)
    assert (first.status, again.status) == (201, 200)
    assert data(first) == data(again)
    assert leases(two, offering["id"]) == [("wiki.b.example", "live")]
    assert code(subscribe(two, local_hostname="other.b.example")) == "idempotency_key_reused"


def test_the_last_seat_is_given_once(two: Peers) -> None:
    offering = offer(two)
    subscribe(two, 1)
    assert code(subscribe(two, 2, local_hostname="second.b.example")) == "offering_at_capacity"
    assert data(by_hand(two, "GET", "/service_catalog"))[0]["accepting_new_subscriptions"] is False
    assert leases(two, offering["id"]) == [("wiki.b.example", "live")]


def test_a_seat_under_the_same_host_is_replaced_not_added(two: Peers) -> None:
    offering = offer(two)
    first, second = data(subscribe(two, 1)), data(subscribe(two, 2))
    assert first["grant_id"] != second["grant_id"]
    assert sorted(leases(two, offering["id"])) == [("wiki.b.example", "live"), ("wiki.b.example", "revoked")]
    assert two.ask("GET", first["grant_id"]).data["grant"]["state"] == "revoked"
    assert code(subscribe(two, 1)) == "subscription_ended"


@pytest.mark.parametrize("named", ["grant", "key"])
def test_a_seat_given_back_is_free_and_its_grant_is_over(two: Peers, named: str) -> None:
    offer(two)
    grant_id = data(subscribe(two))["grant_id"]
    path = f"/subscriptions/{grant_id if named == 'grant' else KEY.format(1)}"
    assert data(by_hand(two, "DELETE", path)) == {"cancelled": True}
    assert code(by_hand(two, "DELETE", path)) == "subscription_not_found"
    assert two.ask("GET", grant_id).data["grant"]["state"] == "revoked"
    assert subscribe(two, 2, local_hostname="second.b.example").status == 201


def test_a_grant_that_operators_revoke_takes_its_seat_along(two: Peers) -> None:
    offering = offer(two)
    grant_id = data(subscribe(two))["grant_id"]
    two.revoke(grant_id)
    two.world.run_for(1.0)
    assert leases(two, offering["id"]) == [("wiki.b.example", "revoked")]
    assert code(by_hand(two, "GET", f"/subscriptions/{grant_id}")) == "subscription_not_found"
    assert code(by_hand(two, "POST", f"/subscriptions/{grant_id}/renew", {"idempotency_key": KEY.format(9)})) == "subscription_not_found"


def test_a_renewal_puts_a_new_grant_in_place_of_the_old_one(two: Peers) -> None:
    offering = offer(two)
    first = data(subscribe(two))
    two.world.run_for(25 * DAY)
    path = f"/subscriptions/{first['grant_id']}/renew"
    renewed, again = (data(by_hand(two, "POST", path, {"idempotency_key": KEY.format(9)})) for _ in range(2))
    assert renewed == again
    former = two.ask("GET", first["grant_id"]).data["grant"]
    assert (former["state"], former["replaced_by"]) == ("revoked", renewed["grant_id"])
    assert two.ask("GET", renewed["grant_id"]).data["grant"]["state"] == "active"
    assert code(by_hand(two, "POST", path, {"idempotency_key": KEY.format(10)})) == "subscription_not_found"
    two.world.run_for(29 * DAY)
    assert leases(two, offering["id"]) == [("wiki.b.example", "live")]
    two.world.run_for(2 * DAY)
    assert leases(two, offering["id"]) == [("wiki.b.example", "expired")]


def test_a_deprecated_offering_renews_and_a_retired_one_does_not(two: Peers) -> None:
    offering = offer(two)
    grant_id = data(subscribe(two))["grant_id"]
    two.ask("POST", f"{OFFERINGS}/{offering['id']}/deprecate", {})
    assert code(subscribe(two, 2, local_hostname="x.b.example")) == "offering_not_accepting"
    renewed = data(by_hand(two, "POST", f"/subscriptions/{grant_id}/renew", {"idempotency_key": KEY.format(9)}))
    two.ask("POST", f"{OFFERINGS}/{offering['id']}/retire", {})
    path = f"/subscriptions/{renewed['grant_id']}/renew"
    assert code(by_hand(two, "POST", path, {"idempotency_key": KEY.format(10)})) == "offering_not_accepting"


@pytest.mark.parametrize("seen", [False, True])
def test_a_retired_offering_is_known_to_those_alone_who_saw_it(two: Peers, seen: bool) -> None:
    everybody = offer(two)
    hidden = offer(two, slug="hidden", visibility={"peers": [KEY.format(0)]})
    draft = offer(two, slug="draft", active=False)
    for offering in (everybody, hidden, draft):
        two.ask("POST", f"{OFFERINGS}/{offering['id']}/retire", {})
    if seen:
        assert code(subscribe(two)) == "offering_not_accepting"
    else:
        assert [code(subscribe(two, slug=slug)) for slug in ("hidden", "draft")] == ["offering_not_found"] * 2


def test_the_end_of_a_peering_frees_its_seats(two: Peers) -> None:
    offering = offer(two)
    subscribe(two)
    two.ask("POST", f"/api/v1/system/platform/peers/{two.b_at_a}/revoke", {"immediate": True})
    two.world.run_for(60.0)
    assert leases(two, offering["id"]) == [("wiki.b.example", "revoked")]


def test_the_bearer_is_stored_nowhere_in_the_open(two: Peers) -> None:
    offering = offer(two)
    secret = data(subscribe(two))["bearer_token"].partition(".")[2]
    stored = [two.a.store.query(Query(kind)) for kind in ("grant", "service_offering", "subscription_lease", "remembered_answer")]
    seen = [stored, two.a.store.events(0, 1000), two.a.store.audit(two.b_at_a, 0, 1000)]
    seen.append(two.ask("GET", f"{OFFERINGS}/{offering['id']}/leases").body)
    assert secret not in repr(seen)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"slug": "nothing"}, "offering_not_found"),
        ({"slug": None}, "field_required"),
        ({"local_hostname": "http://x/`"}, "hostname_invalid"),
        ({"local_hostname": "localhost:99999"}, "hostname_invalid"),
        ({"ttl_days": 6}, "ttl_out_of_range"),
    ],
)
def test_a_bad_request_of_a_peer_is_refused(two: Peers, changes: dict[str, object], expected: str) -> None:
    offer(two)
    assert code(subscribe(two, **changes)) == expected  # type: ignore[arg-type]
