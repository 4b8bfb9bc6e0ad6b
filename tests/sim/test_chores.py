"""What a platform does by itself, as the daemon does: it looks over its peers and ships its audit chains, at both levels."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.audit_archive.record import SHIPMENT
from actors.governance.record import KIND as GOVERNANCE
from runtime.store.port import Query
from runtime.values import evolve
from sim.scenario.load import load
from sim.scenario.run import run
from sim.scenario.stage import Stage

FILE = Path(__file__).parent.parent.parent / "scenarios/chores.toml"


@pytest.mark.parametrize("level", ["frames", pytest.param("sockets", marks=pytest.mark.sweep)])
def test_audit_chains_are_shipped_and_peers_looked_over_without_a_step_that_asks_for_it(level: str) -> None:
    scenario = load(FILE)
    stages: list[Stage] = []
    result = run(evolve(scenario, world=evolve(scenario.world, level=level)), staged=stages.append)
    assert result.passed, (result.failures, result.last)
    for host in stages[0].world.hosts.values():
        states = {row.record.state for row in host.store.query(Query(SHIPMENT.name))}
        assert states == {"verified"}, host.name
        assert host.store.load(GOVERNANCE.name, host.account_id) is not None


def test_without_the_key_nothing_of_it_happens() -> None:
    scenario = load(FILE)
    stages: list[Stage] = []
    run(evolve(scenario, world=evolve(scenario.world, chores=False)), staged=stages.append)
    for host in stages[0].world.hosts.values():
        assert host.store.query(Query(SHIPMENT.name)) == []
        assert host.store.load(GOVERNANCE.name, host.account_id) is None
