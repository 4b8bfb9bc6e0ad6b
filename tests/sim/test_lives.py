"""Steps of lifecycles are noted as they are taken, and none is taken that is not listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.registry import KINDS
from sim.lives import LIVES, STEPS, UNREACHABLE
from sim.scenario.load import load
from sim.scenario.run import run

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"


def taken(name: str) -> set[str]:
    return set(run(load(SCENARIOS / f"{name}.toml"), explain=False).steps)


def test_every_life_is_that_of_a_kind_of_row_and_every_step_has_one_name() -> None:
    assert {life.kind for life in LIVES} <= {kind.name for kind in KINDS}
    assert len(set(STEPS)) == len(STEPS)
    assert set(UNREACHABLE) < set(STEPS)


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("happy-path", {"peer none > proposed by registered", "peer enrolled > active by heartbeat_succeeded"}),
        ("grant-expires-under-skew", {"grant none > active", "grant active > expired"}),
        ("resource-moves", {"migration finalizing > completed", "arrival applied > finalized", "resource held > moved"}),
        ("chain-rejected", {"hop awaiting_approval > rejected", "approval pending > rejected", "chain in_flight > failed"}),
        ("mirrors-follow", {"mirror none > shown", "capability any > idle"}),
        ("hub-relays", {"relaying none > permitted", "relayed none > permitted"}),
        ("rotation", {"rotation none > overlapping", "rotation overlapping > over", "root at a peer any > promoted"}),
        ("restored-before-a-resource-moved", {"question of homes open > answered", "migration none > in_doubt"}),
        ("service-last-seat", {"subscription pending > active", "lease none > live"}),
    ],
)  # fmt: skip
def test_what_a_scenario_does_is_noted_and_nothing_that_is_not_listed(name: str, some: set[str]) -> None:
    found = taken(name)
    assert some <= found <= set(STEPS), (some - found, found - set(STEPS))


def test_what_time_alone_does_is_noted_though_no_row_is_written() -> None:
    assert "received grant active > expired" in taken("grant-outlives-the-holders-clock")
