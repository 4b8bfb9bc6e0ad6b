"""The checkers of services complain when seats are given twice or routes are not what is subscribed, and only then."""

from __future__ import annotations

import pytest

from runtime.store.port import Put, Query, Unit
from runtime.values import evolve
from sim.checkers.watch import Watch
from tests.support.grants import Peers
from tests.support.services import offer, quiet_peers, subscribe

THERE = "/api/v1/system/federation/peers"


@pytest.fixture
def watched() -> tuple[Peers, Watch]:
    two = quiet_peers()
    watch = Watch(two.world)
    for host in (two.a, two.b):
        watch.started(host)
    return two, watch


def complaints(watch: Watch) -> list[str]:
    return [each.checker for each in watch.complaints if each.checker in ("seats", "routes")]


def test_a_lease_beyond_the_seats_or_back_from_its_end_is_noticed(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    offer(two, max_subscribers=1)
    subscribe(two)
    assert complaints(watch) == []
    (row,) = two.a.store.query(Query("subscription_lease"))
    second = evolve(row.record, id=row.record.id[:-1] + "f", version=1, key=two.a_at_b, grant_id=two.a_at_b)
    two.a.store.commit([Unit((Put("subscription_lease", second),))], lambda result: None)
    two.world.run_for(1.0)
    assert complaints(watch) == ["seats"]


def test_a_route_that_nothing_active_stands_behind_is_noticed(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    offer(two)
    two.ask("POST", f"{THERE}/{two.a_at_b}/subscriptions", {"slug": "wiki", "local_hostname": "wiki.b.example"}, at=two.b)
    two.world.run_for(2.0)
    routes = watch.checkers["routes"]
    routes.on_rest(two.b)
    assert complaints(watch) == []
    kept = dict(two.b.proxy.files)
    two.b.proxy.files.clear()
    routes.on_rest(two.b)
    assert complaints(watch) == ["routes"]
    two.b.proxy.files |= kept
    here = f"/api/v1/system/platform/peers/{two.a_at_b}"
    two.ask("POST", f"{here}/suspend", {}, at=two.b)
    two.world.run_for(2.0)
    two.b.proxy.files |= kept
    routes.on_rest(two.b)
    assert complaints(watch) == ["routes", "routes"]
