"""The checker of grants sees each step of the chain that is left out, on whichever route, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import actors.door.received_grants.handlers
import actors.grant.chain
from actors.grant.chain import STEPS, holds
from actors.offering.seats import Seats
from runtime.values import evolve
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.scenario.schema import Scenario
from sim.scenario.write import read_document, to_toml

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"


def unexpected(name: str, *calls: str) -> Scenario:
    """A shipped scenario without its expectations, and of its attacks with these alone."""
    document = {**read_document(SCENARIOS / f"{name}.toml"), "expect": []}
    document["at"] = [step for step in document["at"] if step["do"] != "attack_bearer" or not calls or step.get("name") in calls]
    return parse(to_toml(document), "x.toml")


def checkers(scenario: Scenario) -> list[str]:
    return [failure.checker for failure in run(scenario, explain=False).failures]


@pytest.mark.parametrize("name", ["bearer-for-another-call", "grant-bound-to-a-network", "grant-covers-every-axis"])
def test_what_is_refused_as_it_should_be_is_let_be(name: str) -> None:
    assert checkers(unexpected(name)) == []


LEFT_OUT = [
    ("scope", "bearer-for-another-call", "a reader asks about a move"),
    ("scope", "bearer-for-another-call", "a reader announces a move"),
    ("scope", "bearer-for-another-call", "a reader has a hop begun"),
    ("scope", "bearer-for-another-call", "a mover reads"),
    ("in_force", "bearer-for-another-call", "after the end"),
    ("in_force", "bearer-for-another-call", "a hop after the end"),
    ("network", "grant-bound-to-a-network", "no attack"),
    ("bridge", "grant-bound-to-a-network", "before there is a bridge"),
    ("bridge", "grant-bound-to-a-network", "after the bridge was closed"),
    ("source", "grant-covers-every-axis", ""),
    ("instance", "grant-covers-every-axis", ""),
    ("in_force", "migration-outlasts-the-grace-of-its-grant", ""),
]


@pytest.mark.parametrize(("step", "name", "call"), LEFT_OUT)
def test_a_step_that_is_left_out_is_noticed_on_every_route(step: str, name: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = unexpected(name, *([call] if call else []))
    passing = tuple(evolve(each, check=lambda ask: None) if each.name == step else each for each in STEPS)
    monkeypatch.setattr(actors.grant.chain, "STEPS", passing)
    assert checkers(scenario) == ["grant_gate"]


@pytest.mark.parametrize("call", ["stolen", "a mover with the bearer of the reader"])
def test_a_bearer_of_another_peer_is_noticed_on_every_route(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = unexpected("stolen-bearer" if call == "stolen" else "bearer-for-another-call", call)

    def anybodys(ask: Any) -> bool:
        return holds(evolve(ask, grant=evolve(ask.grant, federation_peer_id=ask.peer.id))) if ask.grant is not None else False

    monkeypatch.setattr(actors.grant.chain, "holds", anybodys)
    if call != "stolen":
        passing = tuple(evolve(each, check=lambda ask: None) if each.name == "scope" else each for each in STEPS)
        monkeypatch.setattr(actors.grant.chain, "STEPS", passing)
    assert checkers(scenario) == ["grant_gate"]


def test_a_seat_is_given_with_a_grant_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = unexpected("service-subscribed-and-served")
    assert checkers(scenario) == []
    monkeypatch.setattr(Seats, "_issue", lambda *given: None)
    assert checkers(scenario) == ["grant_gate"]


def test_that_a_bearer_is_good_is_told_only_if_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[dict[str, Any]] = [
        {"t": 0, "do": "propose", "on": "a", "peer": "b"},
        {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
        {"t": 10, "do": "issue_grant", "on": "a", "peer": "b"},
        {"t": 20, "do": "rotate_bearer", "on": "a", "peer": "b"},
        {"t": 30, "do": "receive_grant", "on": "b", "peer": "a"},
    ]
    world = {"seed": 1, "for": "1m"}
    document = {"name": "x", "description": "x", "world": world, "platform": [{"name": "a"}, {"name": "b"}], "at": steps}
    scenario = parse(to_toml(document), "x.toml")
    assert checkers(scenario) == []
    monkeypatch.setattr(actors.door.received_grants.handlers, "holds", lambda ask: True)
    assert checkers(scenario) == ["grant_gate"]
