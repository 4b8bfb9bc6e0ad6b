"""Troubles that files can ask for are felt: a shipped scenario fails if the trouble does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sim.scenario.actions  # noqa: F401  # registers the actions
from sim.scenario.actions.registry import ACTIONS, FAULTS
from sim.scenario.load import load
from sim.scenario.run import run
from sim.scenario.stage import Stage

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
    "nat_reboot": "troubles-at-home",
    "nat_address": "troubles-at-home",
    "slow_ports": "troubles-at-home",
    "clock_drift": "troubles-at-home",
    "archive_trouble": "troubles-at-home",
    "peer_event": "events-of-a-peer",
    "attack_accept": "flawed-accepts",
    "attack_bearer": "stolen-bearer",
    "attack_certificate": "forged-certificates",
    "attack_channel": "channel-liar",
    "attack_flood": "flood-of-guesses",
    "attack_hop": "chain-with-a-lying-middle",
    "attack_receipt": "receipts-that-are-none",
    "attack_root": "rotation-forged",
    "disk_full": "slow-disk",
    "slow_disk": "heartbeat-into-the-commit-of-an-end",
    "poison": "quarantined-actor",
    "put_back": "copy-that-was-none",
    "restore": "migration-destination-forgets",
    "reset": "every-trouble-is-felt",
    "wipe": "wiped-platform",
}
UNFELT = {"passivate"}
"""That an actor leaves memory must change nothing that anybody could expect."""


@pytest.mark.parametrize("word", FELT)
def test_a_trouble_that_does_nothing_is_noticed(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ACTIONS[word], "perform", nothing)
    assert not run(load(SCENARIOS / f"{FELT[word]}.toml"), explain=False).passed


def test_no_trouble_is_left_out() -> None:
    assert FELT.keys() | UNFELT == FAULTS


def test_that_actors_leave_memory_is_felt_by_the_engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    felt = passivations()
    monkeypatch.setattr(ACTIONS["passivate"], "perform", nothing)
    assert passivations() < felt


def nothing(action: Any, stage: Any, name: str | None) -> None:
    """What a trouble does that does nothing."""


def passivations() -> int:
    """How many actors leave memory in a run, which must pass."""
    stages: list[Stage] = []
    assert run(load(SCENARIOS / "passivation-races.toml"), explain=False, staged=stages.append).passed
    return sum(host.engine.counters["passivations"] for host in stages[0].world.hosts.values())
