"""What peers tell is heard once: the checker complains of what takes effect again, and of what was acknowledged and never noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.peer.actor import PeerActor
from actors.peer.messages import HearEvent
from runtime.values import evolve
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.scenario.write import to_toml

Hear = Callable[[Any, Any, Any], None]
TELL = {"do": "peer_event", "on": "b", "peer": "a", "kind": "peer.compromise_disclosed"}


def checkers(*steps: dict[str, Any]) -> list[str]:
    peered = (
        {"t": 0, "do": "propose", "on": "a", "peer": "b"},
        {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
    )
    world = {"seed": 1, "for": "2m"}
    document = {"name": "x", "description": "x", "world": world, "platform": [{"name": "a"}, {"name": "b"}], "at": [*peered, *steps]}
    return [failure.checker for failure in run(parse(to_toml(document), "x.toml")).failures]


def forgetful(former: Hear) -> Hear:
    def hear(actor: Any, message: Any, ctx: Any) -> None:
        record = actor.record
        actor.record = evolve(record, events_heard=())
        try:
            former(actor, message, ctx)
        finally:
            actor.record = record

    return hear


def test_a_notice_that_comes_again_takes_effect_once(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ({"t": 10, **TELL}, {"t": 20, **TELL}, {"t": 30, **TELL, "event": "another"})
    assert checkers(*steps) == []
    monkeypatch.setitem(PeerActor.handlers, HearEvent, forgetful(PeerActor.handlers[HearEvent]))
    assert checkers(*steps) == ["told_once"]
    assert checkers(steps[0], steps[2]) == []


def test_a_disk_from_before_may_hear_a_notice_once_more() -> None:
    replaced = ({"t": 5, "do": "keep_copy", "on": "a"}, {"t": 10, **TELL}, {"t": 20, "do": "put_back", "on": "a"}, {"t": 30, **TELL})
    assert checkers(*replaced) == []


def test_what_was_acknowledged_has_been_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PeerActor.handlers, HearEvent, lambda actor, message, ctx: ctx.reply({"acknowledged": True}))
    assert checkers({"t": 10, **TELL}) == ["told_once"]
