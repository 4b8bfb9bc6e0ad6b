"""A subscription is cancelled while a call to its provider is on its way: whatever that call obtains, no seat stays behind."""

from __future__ import annotations

import pytest

from actors.offering.record import LEASE
from runtime.store.port import Query
from sim.links import Fixed
from tests.actors.subscription.test_subscriptions import DAY, HOUR, SUBSCRIPTIONS, Two
from tests.support.services import offer

SLOW_S, QUICK_S, LATE_S = 0.15, 0.001, 20.0


def overtaken(two: Two, path: str, body: dict[str, str]) -> None:
    """A call that leads to one at the provider, which whatever is sent later overtakes."""
    link = two.world.links.between("b", "a")
    link.latency = Fixed(SLOW_S)
    two.b.send("POST", path, body)
    two.world.run_for(0.05)
    link.latency = Fixed(QUICK_S)


def cancel(two: Two, id: str) -> None:
    assert two.ask("POST", f"{SUBSCRIPTIONS}/{id}/cancel", {}).status == 200
    two.world.run_for(HOUR)
    assert two.shown(id)["release_pending"] is False


def given(two: Two) -> bool:
    """Whether the provider holds a seat that lives. Its answer may still be on the way."""
    return any(row.record.state == "live" for row in two.a.store.query(Query(LEASE.name)))


def test_a_seat_that_is_given_after_the_cancellation_is_given_back() -> None:
    two = Two()
    offering = offer(two.peers)
    overtaken(two, f"{two.there}/subscriptions", {"slug": "wiki", "local_hostname": "wiki.b.example"})
    (row,) = two.ask("GET", SUBSCRIPTIONS).data
    cancel(two, row["id"])
    assert two.leases(offering["id"]) == ["cancelled"]


def test_a_term_that_is_renewed_after_the_cancellation_is_given_back() -> None:
    two = Two()
    offering = offer(two.peers)
    id = two.active()["id"]
    overtaken(two, f"{SUBSCRIPTIONS}/{id}/renew", {})
    cancel(two, id)
    assert two.leases(offering["id"]) == ["cancelled"]


@pytest.mark.parametrize("crashes", [False, True], ids=["lives", "crashes"])
def test_a_seat_that_was_asked_for_anew_after_its_term_is_given_back(crashes: bool) -> None:
    two = Two()
    offering = offer(two.peers, default_grant_ttl_days=7)
    id = two.active()["id"]
    join = two.apart()
    two.world.run_for(7 * DAY + HOUR)
    join()
    two.world.run_for(60.0)
    assert two.seen(id) == ("suspended", "grant_expired")
    overtaken(two, f"{SUBSCRIPTIONS}/{id}/renew", {})
    if crashes:
        assert two.world.run_until(lambda: given(two), 5.0)
        two.b.crash()
        two.b.start()
        two.b.sign_in()
    cancel(two, id)
    assert sorted(two.leases(offering["id"])) == ["cancelled", "expired"]


def test_a_request_that_arrives_after_the_word_of_the_cancellation_leaves_no_seat() -> None:
    """The subscriber has crashed meanwhile, so that nobody waits for the answer, and cannot ask again; the request is still under way."""
    two = Two()
    offering = offer(two.peers)
    link = two.world.links.between("b", "a")
    link.latency = Fixed(LATE_S)
    two.b.send("POST", f"{two.there}/subscriptions", {"slug": "wiki", "local_hostname": "wiki.b.example"})
    two.world.run_for(0.05)
    link.latency = Fixed(QUICK_S)
    two.b.crash()
    join = two.apart()
    two.b.start()
    two.b.sign_in()
    two.world.run_for(LATE_S - 5.0)
    join()
    (row,) = two.ask("GET", SUBSCRIPTIONS).data
    assert two.ask("POST", f"{SUBSCRIPTIONS}/{row['id']}/cancel", {}).status == 200
    two.world.run_for(1.0)
    assert two.leases(offering["id"]) == []
    two.world.run_for(HOUR)
    assert two.leases(offering["id"]) == ["cancelled"]
    assert two.shown(row["id"])["release_pending"] is False
