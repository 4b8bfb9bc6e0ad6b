"""Every route of the federation API learns alike who calls: the new root of a peer is in use whatever it is used for."""

from __future__ import annotations

import re

import pytest

from actors.door.route import Route
from actors.door.routes import ROUTES
from runtime.store.port import Put, Unit
from runtime.values import evolve
from tests.support.grants import Peers, call_as, peers

CALLED = [route for route in ROUTES if route.face == "federation" and route.name not in ("federation_accept", "federation_channel")]
"""Who calls `accept` is no peer yet; a channel is off unless the settings say otherwise."""

FILLED_IN = {"{kind}": "NodeModule", "{number}": "1"}


def announced(two: Peers) -> None:
    """Let `a` hold the anchor of `b` as one that was announced and has not been used."""
    row = two.a.engine.directory.row("peer", two.b_at_a)
    assert row is not None
    anchors = tuple(evolve(anchor, state="next") for anchor in row.record.trusted_anchors)
    two.a.store.commit([Unit((Put("peer", evolve(row.record, trusted_anchors=anchors), row.record.version),))], lambda result: None)
    two.a.crash()
    two.a.restart()


def states(two: Peers) -> list[str]:
    row = two.a.engine.directory.row("peer", two.b_at_a)
    assert row is not None
    return [anchor.state for anchor in row.record.trusted_anchors]


@pytest.mark.parametrize("route", CALLED, ids=lambda route: route.name)
def test_any_call_under_the_announced_root_promotes_it(route: Route) -> None:
    two = peers()
    announced(two)
    assert states(two) == ["next"]
    path = re.sub(r"{\w+}", lambda part: FILLED_IN.get(part[0], "0190c0de-0000-7000-8000-0000000000aa"), route.path)
    call_as(two.b, two.a_at_b, two.a, path.partition("/federation_api")[2], None, method=route.method, body=b"{}")
    two.world.run_for(0.1)
    assert states(two) == ["current"]
