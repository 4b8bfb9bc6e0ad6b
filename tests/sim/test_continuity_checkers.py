"""A copy put back by hand is noticed: the checker asks for that wherever a peer has heard more than the copy knows, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

import actors.continuity.actor
import actors.peer.heartbeats
from actors.continuity.actor import ContinuityActor
from actors.continuity.messages import EpochClaimed
from runtime.context import Context
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.scenario.write import to_toml

PUT_BACK = ({"t": 60, "do": "keep_copy", "on": "a"}, {"t": 400, "do": "put_back", "on": "a"})
LOST = {"t": 200, "do": "import_resources", "on": "a", "count": 3}
STARTS = ({"t": 210, "do": "crash", "on": "a"}, {"t": 220, "do": "restart", "on": "a"}, {"t": 250, "do": "restart", "on": "a"})


def checkers(*steps: dict[str, Any]) -> list[str]:
    peered = (
        {"t": 0, "do": "propose", "on": "a", "peer": "b"},
        {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
    )
    at = sorted((*peered, *steps), key=lambda step: step["t"])
    world = {"seed": 1, "for": "10m"}
    document = {"name": "x", "description": "x", "world": world, "platform": [{"name": "a"}, {"name": "b"}], "at": at}
    return [failure.checker for failure in run(parse(to_toml(document), "x.toml")).failures]


def deaf_to_history(patch: pytest.MonkeyPatch) -> None:
    for module in (actors.continuity.actor, actors.peer.heartbeats):
        patch.setattr(module, "says_more", lambda *given: None)


def deaf_to_starts(patch: pytest.MonkeyPatch) -> None:
    deaf_to_history(patch)
    patch.setitem(ContinuityActor.handlers, EpochClaimed, lambda actor, message, ctx: None)


def test_what_a_peer_has_heard_must_freeze_an_earlier_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkers(*PUT_BACK, LOST, *STARTS) == []
    assert checkers(*PUT_BACK, LOST) == []
    deaf_to_starts(monkeypatch)
    assert checkers(*PUT_BACK, LOST, *STARTS) == ["earlier_copy_noticed"]
    assert checkers(*PUT_BACK, LOST) == ["earlier_copy_noticed"]


def test_one_sign_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf_to_history(monkeypatch)
    assert checkers(*PUT_BACK, LOST, *STARTS) == []
    assert checkers(*PUT_BACK, LOST) == ["earlier_copy_noticed"]


def test_operators_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    former = Context.emit

    def emit(ctx: Context, kind: str, *given: Any, **payload: Any) -> None:
        if kind != "federation.trust.frozen":
            former(ctx, kind, *given, **payload)

    monkeypatch.setattr(Context, "emit", emit)
    assert checkers(*PUT_BACK, LOST) == ["earlier_copy_noticed"]
