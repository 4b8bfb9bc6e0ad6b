"""Nothing is excused for good: what a platform cannot do while it stands still, is slow or is poisoned is asked of it again afterwards.

Each case lets a platform recover from a trouble, and then plants a fault on it in the running world. Without the fault nothing is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.door.door import Door
from actors.peer.actor import PeerActor
from runtime.values import evolve
from sim.scenario.load import parse
from sim.scenario.run import Result, run
from sim.scenario.stage import Stage
from sim.scenario.write import to_toml

RECOVERED_S = 1_000.0
"""When the fault is planted, in a world whose trouble is over by 700 s."""

TROUBLES: dict[str, tuple[dict[str, Any], ...]] = {
    "pause": ({"t": 300, "do": "pause", "on": "a"}, {"t": 700, "do": "unpause", "on": "a"}),
    "slow": ({"t": 300, "do": "slow", "on": "a", "by": "20s"}, {"t": 700, "do": "slow", "on": "a", "by": 0}),
    "poison": ({"t": 300, "do": "poison", "on": "a", "message": "LivenessTick", "times": 3},),
}


def on_a(settings: Any) -> bool:
    return bool(settings.identity.url == "https://a.example.com")


def only_on_a(former: Callable[..., Any], fault: Callable[..., Any], ctx_at: int) -> Callable[..., Any]:
    """The fault in place of the former function, where the context among its arguments is that of a."""
    return lambda *given, **more: (fault if on_a(given[ctx_at].settings) else former)(*given, **more)


def silent_towards_peers(patch: pytest.MonkeyPatch) -> None:
    """No heartbeat leaves."""
    patch.setattr(PeerActor, "_beat", only_on_a(PeerActor._beat, lambda actor, ctx: None, 1))


def deaf(patch: pytest.MonkeyPatch) -> None:
    """No call is answered."""
    former = Door.handle
    patch.setattr(Door, "handle", lambda door, call, done: None if on_a(door.settings) else former(door, call, done))


def blind_to_silence(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks a silent peer how it is, and nobody degrades it."""
    patch.setattr(PeerActor, "_look", only_on_a(PeerActor._look, lambda actor, ctx, record: None, 1))


def crashing(patch: pytest.MonkeyPatch) -> None:
    """Contact crashes its handler, which nobody has poisoned."""

    def crash(*given: Any, **more: Any) -> None:
        raise RuntimeError("planted")

    patch.setattr(PeerActor, "_contact", only_on_a(PeerActor._contact, crash, 1))


def dreaming(patch: pytest.MonkeyPatch) -> None:
    """Every contact counts for one that comes an hour later."""
    former = PeerActor._contact

    def contact(actor: Any, ctx: Any, evidence: Any, *given: Any, **more: Any) -> Any:
        return former(actor, ctx, evolve(evidence, last_heartbeat_at=evidence.last_heartbeat_at + 3_600.0), *given, **more)

    patch.setattr(PeerActor, "_contact", only_on_a(former, contact, 1))


def unmoved(patch: pytest.MonkeyPatch) -> None:
    """Contact brings nobody up again."""

    def contact(actor: Any, ctx: Any, evidence: Any, record: Any, by: Any, **more: Any) -> Any:
        ctx.set_evidence(evidence)
        return record

    patch.setattr(PeerActor, "_contact", only_on_a(PeerActor._contact, contact, 1))


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "heartbeats_flow": silent_towards_peers,
    "answered": deaf,
    "silence_shows": blind_to_silence,
    "handlers": crashing,
    "evidence_forward": dreaming,
    "contact_shows": unmoved,
}
"""Checker that must notice to what plants the fault."""


def play(trouble: str, fault: Callable[[], None]) -> Result:
    steps = (
        {"t": 0, "do": "propose", "on": "a", "peer": "b"},
        {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
        *TROUBLES[trouble],
        {"t": 1_800, "do": "partition", "between": ["a", "b"]},
        {"t": 1_850, "do": "look", "on": "a", "peer": "b"},
        {"t": 2_700, "do": "heal"},
    )
    document = {"name": "x", "description": "x", "world": {"seed": 3, "for": "1h"}, "platform": [{"name": "a"}, {"name": "b"}], "at": steps}

    def staged(stage: Stage) -> None:
        stage.world.timeline.at(stage.started_at + RECOVERED_S, fault)

    return run(parse(to_toml(document), "x.toml"), staged=staged, explain=False)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_trouble_alone_breaks_nothing(trouble: str) -> None:
    assert play(trouble, lambda: None).failures == ()


@pytest.mark.parametrize("checker", FAULTS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_fault_after_a_trouble_is_seen(trouble: str, checker: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        (failure,) = play(trouble, lambda: FAULTS[checker](patch)).failures
    assert failure.checker == checker
    assert failure.text.startswith("a: ")
    assert failure.at > RECOVERED_S


def test_the_end_excuses_nobody_who_had_no_trouble() -> None:
    stages: list[Stage] = []
    document = {
        "name": "x", "description": "x", "world": {"seed": 3, "for": "10m", "converge": True}, "platform": [{"name": "a"}, {"name": "b"}],
        "at": ({"t": 0, "do": "propose", "on": "a", "peer": "b"}, {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"}),
    }  # fmt: skip
    assert run(parse(to_toml(document), "x.toml"), staged=stages.append, explain=False).passed
    (stage,) = stages
    assert all(stage.watch.facts.awake_since(host) < 1.0 for host in stage.world.hosts.values())
