"""An engine that plays recorded turns: actors take these turns and no others, and stay as the recording left them."""

from __future__ import annotations

from runtime.actor import Actor, Ref
from runtime.context import Context
from runtime.limits import PASSIVATE_AFTER_S
from runtime.random import SeededRandomness
from sim.recorded import MutedEngine
from sim.store import MemoryStore
from tests.support.engines import ACCOUNT, Account, Do, Fetch, Fetched, ManualClock, quarantining

ASKED = Ref("account", "one")
OTHER = Ref("account", "two")


def asks(actor: Actor, ctx: Context) -> None:
    """Ask a port, and remember something until it answers."""
    vars(actor)["asked_for"] = "a certificate"
    ctx.call(Fetch("certificate"), Fetched)


def test_an_actor_whose_port_has_not_answered_stays_in_memory_however_long_that_takes() -> None:
    clock = ManualClock()
    engine = MutedEngine(
        store=MemoryStore((ACCOUNT,)), clock=clock, randomness=SeededRandomness(1), actors={"account": Account}, settings=[],
        ports={}, crash_policy=quarantining(clock),
    )  # fmt: skip
    engine.take_turn(ASKED, Do(asks))
    clock.advance(2 * PASSIVATE_AFTER_S)
    engine.take_turn(OTHER, Do(lambda actor, ctx: None))
    found: list[str] = []

    def looks(actor: Actor, ctx: Context) -> None:
        found.append(getattr(actor, "asked_for", "nothing"))

    engine.take_turn(ASKED, Do(looks))
    assert found == ["a certificate"]
