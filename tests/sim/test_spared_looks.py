"""A look at a peer that is at peace takes no turn: what happens, and when, is the same as if every look did.

Both runs take actors in the order of their arrival: a drawn schedule spends its chance on every turn, and so has another fate without
the turns that are spared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from runtime.engine import Engine
from sim.scenario.load import load, parse
from sim.scenario.run import run
from sim.scenario.schema import Scenario
from sim.scenario.write import to_toml
from sim.schedule import Tape
from sim.testing import Generated, scenarios
from sim.trace.tracer import Tracer

FILES = sorted((Path(__file__).parent.parent.parent / "scenarios").glob("*.toml"))
IDLE = ("after liveness",)
"""What a look does that finds nothing."""

RESTLESS = (
    {"t": "10m", "do": "clock_step", "on": "a", "by": "200s"},
    {"t": "11m", "do": "clock_step", "on": "a", "by": "-500s"},
    {"t": "20m", "do": "pause", "on": "b"},
    {"t": "23m", "do": "unpause", "on": "b"},
    {"t": "30m", "do": "partition", "between": ["a", "b"]},
    {"t": "34m", "do": "clock_step", "on": "b", "by": "2h"},
    {"t": "40m", "do": "heal"},
    {"t": "50m", "do": "crash", "on": "a"},
    {"t": "58m", "do": "restart", "on": "a"},
    {"t": "59m", "do": "partition", "between": ["a", "b"]},
    {"t": "62m", "do": "crash", "on": "b"},
    {"t": "63m", "do": "restart", "on": "b"},
    {"t": "70m", "do": "heal"},
    {"t": "71m", "do": "passivate", "on": "a"},
    {"t": "72m", "do": "clock_step", "on": "a", "by": "80d"},
    {"t": "85m", "do": "clock_step", "on": "a", "by": "-80d"},
)


def restless(**platform: Any) -> Scenario:
    """Two platforms whose clocks, links and processes are troubled in turn, for as long as it takes to look at them often."""
    steps = (
        {"t": "0s", "do": "propose", "on": "a", "peer": "b"},
        {"t": "1s", "do": "accept_invitation", "on": "b", "peer": "a"},
        *RESTLESS,
    )
    document = {"name": "x", "description": "x", "world": {"seed": 3, "for": "100m"},
                "platform": [{"name": "a", **platform}, {"name": "b"}], "at": steps}  # fmt: skip
    return parse(to_toml(document), "x.toml")


def story(scenario: Scenario, seed: int | None = None) -> tuple[list[Any], int]:
    """All that happens in a run but looks that found nothing, and how many of those there were."""
    told: list[Any] = []
    idle = 0

    def hear(event: Any) -> None:
        nonlocal idle
        if event.kind == "turn" and event.what == "LivenessTick" and event.effects == IDLE:
            idle += 1
        else:
            told.append((event.at, event.host, event.kind, event.who, event.what, event.outcome, event.state, event.effects))

    result = run(scenario, seed, schedule=Tape(()), tracer=Tracer(hear), explain=False)
    told.append([str(failure) for failure in result.failures])
    return told, idle


def compare(scenario: Scenario, seed: int | None = None) -> tuple[int, int]:
    """How many looks found nothing, with and without sparing them; all else must be equal."""
    spared, seldom = story(scenario, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_spare", lambda engine, look: False)
        taken, often = story(scenario, seed)
    for one, other in zip(spared, taken, strict=False):
        assert one == other
    assert len(spared) == len(taken)
    return seldom, often


@pytest.mark.parametrize(
    ("platform", "share"),
    [
        ({}, 0.5),
        ({"heartbeat_interval": "7m", "stale_after": "16m"}, 0.5),
        ({"cert_ttl": "1h", "cert_renew_at": "50m", "cert_warn": "10m"}, 1.0),
        ({"cert_ttl": "2h", "cert_auto_renew": False, "cert_warn": "70m"}, 1.0),
    ],
    ids=["as it comes", "patient", "renewing", "ending"],
)
def test_a_restless_pair_lives_alike(platform: dict[str, Any], share: float) -> None:
    seldom, often = compare(restless(**platform))
    assert seldom < often * share


@pytest.mark.sweep
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_scenario_plays_alike(path: Path) -> None:
    scenario = load(path)
    if scenario.world.cost == "large":
        pytest.skip("takes too long")
    for seed in range(1, 4):
        compare(scenario, seed)


@pytest.mark.sweep
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=scenarios())
def test_scenarios_that_nobody_wrote_play_alike(made: Generated) -> None:
    compare(made.scenario)
