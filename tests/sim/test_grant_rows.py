"""The checker of stored grants complains when an axis is written blank, and only then."""

from __future__ import annotations

import pytest

from runtime.store.port import Put, Unit
from runtime.values import evolve
from sim.checkers.watch import Watch
from tests.support.grants import Peers, peers


@pytest.fixture
def watched() -> tuple[Peers, Watch]:
    two = peers()
    watch = Watch(two.world)
    for host in (two.a, two.b):
        watch.started(host)
    return two, watch


def complaints(watch: Watch) -> list[str]:
    return [each.text for each in watch.complaints if each.checker == "explicit_axes"]


def put(two: Peers, grant_id: str, **changes: object) -> None:
    """Write the row as no code of the product does."""
    row = two.a.store.load("grant", grant_id)
    assert row is not None
    written = evolve(row.record, version=row.record.version + 1, **changes)
    two.a.store.commit([Unit((Put("grant", written, row.record.version),))], lambda result: None)
    two.world.run_for(1.0)


@pytest.mark.parametrize("blank", [(), ("",), (" ",), ("*", "192.0.2.0/24")])
def test_an_axis_that_is_stored_blank_is_noticed_once(watched: tuple[Peers, Watch], blank: tuple[str, ...]) -> None:
    two, watch = watched
    grant_id, _ = two.issue()
    two.issue(remote_subject="somebody else", source_cidrs=["192.0.2.0/24"])
    two.ask("PATCH", grant_id, {"source_cidrs": ["192.0.2.7"]})
    assert complaints(watch) == []
    put(two, grant_id, source_cidrs=blank)
    assert complaints(watch) == [f"grant {grant_id}: source_cidrs is stored as {list(blank)}"]
    put(two, grant_id, label="as blank as before")
    assert len(complaints(watch)) == 1
