"""`hub`: an operator decides about relaying: whether a peer is reached through this platform, or this one through the peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, PLATFORMS, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("hub", answered=True)
@attrs.frozen(kw_only=True)
class Hub:
    """An operator permits that a peer is reached through this platform, or withdraws that; uses a peer as a hub, or leaves it.

    To permit again replaces the terms.
    """

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    step: str = attrs.field(metadata=key(one_of("permit", "withdraw", "use", "leave"), "what is decided"))
    connections: int | None = attrs.field(
        default=None, metadata=key(WHOLE, "with `permit`: to so many connections at a time; else as many as the settings allow")
    )
    denied: tuple[str, ...] | None = attrs.field(default=None, metadata=key(PLATFORMS, "with `permit`: for nobody from their addresses"))

    def perform(self, stage: Stage, name: str | None) -> None:
        terms: dict[str, Any] = {}
        if self.step == "permit" and self.connections is not None:
            terms["connections_max"] = self.connections
        if self.step == "permit" and self.denied is not None:
            terms["denied"] = [stage.world.network.public_address(each) for each in stage.members(self.denied)]
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/hub/{self.step}", terms)
