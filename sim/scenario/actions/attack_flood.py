"""`attack_flood`: somebody calls again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from sim import attacks
from sim.attacks import HOUR_S, Leaf
from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

ROUTES: Final = ("accept", "heartbeat", "trust_bundle", "nobody")


@action("attack_flood", fault=True)
@attrs.frozen(kw_only=True)
class AttackFlood:
    """Somebody calls a platform again and again: with guessed tokens, as a peer with its own key, or with a certificate of nobody."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform is called"))
    by: str = attrs.field(metadata=key(PLATFORM, "from whose address, and with whose CA"))
    what: str = attrs.field(metadata=key(one_of(*ROUTES), "what is called; `nobody` is a trust bundle with an unknown subject"))
    count: int = attrs.field(metadata=key(WHOLE, "how often"))
    every_s: float = attrs.field(metadata=key(DURATION, "the time between two calls", "every"))
    sources: int = attrs.field(default=1, metadata=key(WHOLE, "from how many addresses, in turns"))

    def perform(self, stage: Stage, name: str | None) -> None:
        target, attacker = stage.host(self.on), stage.host(self.by)
        wall = target.clock.wall()
        subject = stage.peer_id(self.on, self.by) if self.what in ("heartbeat", "trust_bundle") else attacker.instance_id
        leaf = Leaf(common_name=f"fed:{subject}", instance_id=attacker.instance_id, begins=wall - HOUR_S, ends=wall + HOUR_S)
        presented = () if self.what == "accept" else (attacks.forge(attacker, leaf),)
        route = "trust_bundle" if self.what == "nobody" else self.what

        def call(number: int) -> None:
            guess = {"acceptance_token": f"{number:043d}"}
            body = guess if route == "accept" else {"boot_epoch": 1, "sequence": number} if route == "heartbeat" else None
            address = attacker.address if self.sources == 1 else f"198.51.100.{number % self.sources + 1}"
            source = attacks.ATTACKER if self.what in ("accept", "nobody") else self.by
            attacks.send(stage.world, target, route, body, presented, address, source)

        for number in range(self.count):
            stage.world.timeline.after(number * self.every_s, lambda number=number: call(number))  # type: ignore[misc]
