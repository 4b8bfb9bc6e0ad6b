"""Hubs in the simulator: the checker complains about what nobody has consented to, and only then; both levels tell the same story."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.door.families import PlatformDoor
from actors.hub.record import KIND
from actors.hub.routing import Route
from runtime.store.port import Query
from sim.levels import compare
from sim.relay import SimulatedHub, Waiting
from sim.scenario.load import load
from sim.scenario.run import Result, run

SCENARIOS = Path(__file__).parents[2] / "scenarios"
WITHDRAWN = load(SCENARIOS / "hub-consent-withdrawn.toml")


def complaints(result: Result) -> set[str]:
    return {failure.checker for failure in result.failures}


def test_a_hub_that_goes_on_after_its_operators_took_their_word_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def whatever_the_state(door: PlatformDoor, server_name: str | None) -> Route | None:
        rows = door.engine.store.query(Query(KIND.name))
        return next((Route(row.record.id, row.record.terms) for row in rows if row.record.server_name == server_name), None)

    assert complaints(run(WITHDRAWN, 1)) == set()
    monkeypatch.setattr(PlatformDoor, "relay_route", whatever_the_state)
    assert complaints(run(WITHDRAWN, 1)) == {"consented_relays"}


def test_a_hub_that_hands_connections_to_somebody_else_brings_nobody_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells each platform of the connections that ask for the other one, under the name of whom it tells."""
    honest, crossed = SimulatedHub._announce, []

    def lying(hub: SimulatedHub, name: str, waiting: Waiting) -> None:
        rows = [row.record for row in hub.host.engine.store.query(Query(KIND.name))]
        wrong = next(record for record in rows if record.server_name != name)
        crossed.append((name, wrong.server_name))
        waiting.peer_id = wrong.id
        honest(hub, wrong.server_name, waiting)

    announced = load(SCENARIOS / "hub-announced.toml")
    assert complaints(run(announced, 1)) == set()
    monkeypatch.setattr(SimulatedHub, "_announce", lying)
    result = run(announced, 1)
    # Nothing that was asked for comes about, and no rule of the domain is broken for it.
    assert complaints(result) == {"code", "status"}
    assert crossed


@pytest.mark.sweep
@pytest.mark.parametrize("name", sorted(path.stem for path in SCENARIOS.glob("hub-*.toml")))
def test_both_levels_tell_the_same_story_of_a_hub(name: str) -> None:
    assert compare(load(SCENARIOS / f"{name}.toml"), 1).differences == ()
