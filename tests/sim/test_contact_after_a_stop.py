"""After a stop of either side nothing is said about a direction before it could have been heard of."""

from __future__ import annotations

from typing import Any

import pytest

from sim.world import Host, World
from tests.support.grants import pair


def asked(host: Host) -> list[dict[str, Any]]:
    reply = host.call("GET", "/api/v1/system/federation/governance")
    assert reply is not None
    found: list[dict[str, Any]] = reply.body["data"]
    return found


@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("stopped", ["a", "b"])
def test_a_stop_makes_no_direction_look_silent(stopped: str, channel: bool) -> None:
    world = World("stop")
    a, b = (world.platform(name, peer_channel=channel).sign_in() for name in "ab")
    pair(world, a, b)
    world.run_for(200.0)
    host, other = (a, b) if stopped == "a" else (b, a)
    host.crash()
    world.run_for(1_200.0)
    host.restart()
    for each in (host, other):
        each.sign_in()
    told = set()
    for _ in range(60):
        world.run_for(2.0)
        for each in (host, other):
            told |= {finding["kind"] for finding in asked(each)}
    assert "peer_heartbeat_asymmetric" not in told
