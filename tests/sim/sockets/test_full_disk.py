"""A full disk does not become a storm upon the peers, at either level."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.levels import Level, at_level
from sim.scenario.load import load
from sim.scenario.run import run
from sim.trace.events import TraceEvent
from sim.trace.tracer import Tracer

FILE = Path(__file__).parent.parent.parent.parent / "scenarios/disk-full-and-freed.toml"


@pytest.mark.parametrize("level", ["frames", "sockets"])
def test_a_platform_with_a_full_disk_leaves_its_peers_alone(level: Level) -> None:
    events: list[TraceEvent] = []
    result = run(at_level(load(FILE), level), tracer=Tracer(events.append))
    assert result.passed, result.failures
    beats = [event for event in events if event.kind == "call" and event.host == "b" and "heartbeat" in event.what and 60 < event.at < 300]
    assert 1 <= len(beats) <= 15
