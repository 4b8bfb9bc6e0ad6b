"""Troubles that files can ask for are felt: a shipped scenario fails if the trouble does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sim.scenario.actions  # noqa: F401  # registers the actions
from sim.scenario.actions.registry import ACTIONS
from sim.scenario.load import load
from sim.scenario.run import run

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"
FELT = {
    "stall": "every-trouble-is-felt",
    "half_open": "every-trouble-is-felt",
    "burst_loss": "every-trouble-is-felt",
    "late": "every-trouble-is-felt",
    "slow": "every-trouble-is-felt",
    "resolver_trouble": "every-trouble-is-felt",
    "ca_down": "ca-unreadable",
    "clock_step": "clock-jumps-over-token",
    "crash": "caller-crashes-before-it-calls",
    "dns_trouble": "unknown-name",
    "flap": "flapping-link",
    "loss": "lost-accept-answer",
    "move": "address-change",
    "partition": "migration-refused-and-not-heard",
    "pause": "paused-platform",
    "split": "split-network",
    "attack_name": "name-leads-astray",
}


@pytest.mark.parametrize("word", FELT)
def test_a_trouble_that_does_nothing_is_noticed(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(action: Any, stage: Any, name: str | None) -> None:
        pass

    monkeypatch.setattr(ACTIONS[word], "perform", nothing)
    assert not run(load(SCENARIOS / f"{FELT[word]}.toml"), explain=False).passed
