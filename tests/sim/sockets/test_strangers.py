"""Forged calls reach a platform of the socket level through its own listener and TLS, and come to the same there as at frame level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sim.attacks
import tests.planted.faults  # noqa: F401  # registers the faults
from actors.door.call import Answer
from runtime.values import evolve
from sim.attacks import ATTACKER
from sim.scenario.load import load
from sim.scenario.run import run
from sim.scenario.stage import Stage
from tests.planted.hunt import planted
from tests.planted.registry import PLANTS

ROOT = Path(__file__).parent.parent.parent.parent
FILES = ("forged-certificates", "stolen-key-after-the-end", "stolen-bearer", "rotation-forged")


def played(name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[int, Any]], Stage, tuple[Any, ...]]:
    """What came of the forged calls of a shipped scenario, in order, and the stage and the failures of its run."""
    sent: list[list[Answer]] = []
    stages: list[Stage] = []
    send = sim.attacks.send

    def noting(*given: Any, **named: Any) -> list[Answer]:
        sent.append(send(*given, **named))
        return sent[-1]

    with monkeypatch.context() as patch:
        patch.setattr(sim.attacks, "send", noting)
        scenario = load(ROOT / f"scenarios/{name}.toml")
        result = run(evolve(scenario, world=evolve(scenario.world, level=level)), 1, staged=stages.append)
    answers = [(answers[0].status, (answers[0].body or {}).get("code")) for answers in sent if answers]
    assert len(answers) == len(sent) > 0
    return answers, stages[0], result.failures


@pytest.mark.parametrize("name", FILES)
def test_a_forged_call_comes_to_the_same_over_tls(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_door, _, failures = played(name, "frames", monkeypatch)
    assert failures == ()
    over_tls, stage, failures = played(name, "sockets", monkeypatch)
    assert failures == ()
    assert over_tls == at_the_door
    strangers = [frame for frame in stage.world.frames if frame.kind == "call" and frame.source == ATTACKER]
    assert stage.world.sockets is not None
    assert stage.world.sockets.strangers == {}
    if name == "forged-certificates":
        assert len(strangers) == len(over_tls)
        assert any((frame.kind, frame.source, frame.target) == ("tcp", "c", "a") for frame in stage.world.frames)


def test_what_a_broken_check_lets_in_over_tls_is_noticed() -> None:
    scenario = load(ROOT / "scenarios/forged-certificates.toml")
    with planted(PLANTS["any_anchor_will_do"]):
        result = run(evolve(scenario, world=evolve(scenario.world, level="sockets")), 1, explain=False)
    assert [failure.checker for failure in result.failures] == ["admission"]
