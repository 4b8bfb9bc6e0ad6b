"""No check of the door and of the acceptance chain is there for nothing: without any one of them a scenario fails."""

from __future__ import annotations

import pytest

from actors.settings import DEFAULT_RATE_LIMITS
from sim.scenario.run import run
from tests.planted.ablations import ABLATIONS
from tests.planted.hunt import loaded, noticed
from tests.planted.registry import SCENARIOS


@pytest.mark.parametrize("check", ABLATIONS)
def test_without_the_check_its_scenario_fails(check: str) -> None:
    plant = ABLATIONS[check]
    (name,) = plant.scenarios
    file = SCENARIOS / f"{name}.toml"
    assert run(loaded(file), 1, explain=False).passed
    found = noticed(plant, file, 1)
    assert found is not None
    failure, crash = found
    assert crash is None, (failure, crash)


def test_every_rate_limit_is_deleted_in_turn() -> None:
    assert {f"the limit {name}" for name in DEFAULT_RATE_LIMITS} <= set(ABLATIONS)
