"""The checkers of mirrors complain of what was never true, goes back, was passed over or is not caught up with, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from actors.mirror.record import Moment
from runtime.store.port import Put, Query, Unit
from runtime.values import evolve
from sim.checkers.watch import Watch
from tests.support.grants import PEERS, Peers
from tests.support.services import quiet_peers

RESOURCES = "/api/v1/system/platform/resources"
NAMES = ("mirror_truth", "sync_cursor", "mirrors_follow")


@pytest.fixture
def watched() -> tuple[Peers, Watch]:
    """`b` mirrors two modules of `a`."""
    two = quiet_peers()
    watch = Watch(two.world)
    for host in (two.a, two.b):
        watch.started(host)
    for name in ("one", "two"):
        assert two.ask("POST", f"{RESOURCES}/NodeModule", {"attributes": {"name": name}}).status == 201
    _, bearer = two.issue(permission_scopes=["read"])
    here = f"{PEERS}/{two.a_at_b}"
    assert two.ask("POST", f"{here}/received_grants", {"bearer_token": bearer}, at=two.b).status == 201
    body = {"resource_kind": "NodeModule", "direction": "pull_remote_to_local", "policy": "auto_periodic", "interval_seconds": 60}
    assert two.ask("POST", f"{here}/capabilities", body, at=two.b).status == 201
    two.world.run_for(200.0)
    return two, watch


def complaints(watch: Watch) -> list[str]:
    return [each.checker for each in watch.complaints if each.checker in NAMES]


def plant(two: Peers, kind: str, record: Any) -> None:
    unit = Unit((Put(kind, evolve(record, version=record.version + 1), record.version),))
    two.b.store.commit([unit], lambda result: None)
    two.world.run_for(0.1)


def mirror(two: Peers) -> Any:
    return two.b.store.query(Query("mirror", newest_first=False))[0].record


def rested(two: Peers, watch: Watch) -> list[str]:
    for name in NAMES:
        watch.checkers[name].on_rest(two.b)
    return complaints(watch)


def test_mirrors_that_follow_are_no_complaint(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    assert len(two.b.store.query(Query("mirror"))) == 2
    assert rested(two, watch) == []


def test_what_a_record_has_never_been_is_noticed_at_once_and_in_the_end(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    plant(two, "mirror", evolve(mirror(two), attributes={"name": "never"}))
    assert complaints(watch) == ["mirror_truth"]
    assert rested(two, watch) == ["mirror_truth", "mirrors_follow"]


def test_a_step_back_is_noticed(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    record = mirror(two)
    plant(two, "mirror", evolve(record, moment=Moment(record.moment.epoch, record.moment.updated_at - 1)))
    assert complaints(watch) == ["mirror_truth"]


def test_a_cursor_that_passes_a_record_is_noticed(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    assert two.ask("POST", f"{RESOURCES}/NodeModule", {"attributes": {"name": "three"}}).status == 201
    (row,) = two.b.store.query(Query("federation_capability"))
    cursor = evolve(row.record.pull.cursor, updated_at=two.a.clock.wall() + 1.0)
    plant(two, "federation_capability", evolve(row.record, pull=evolve(row.record.pull, cursor=cursor)))
    assert complaints(watch) == ["sync_cursor"]


def test_a_flow_that_has_stopped_is_noticed(watched: tuple[Peers, Watch]) -> None:
    two, watch = watched
    (row,) = two.b.store.query(Query("federation_capability"))
    plant(two, "federation_capability", evolve(row.record, next_at=None))
    two.world.run_for(600.0)
    assert rested(two, watch) == ["mirrors_follow"]
