"""`hub`: an operator decides about relaying: whether a peer is reached through this platform, or this one through the peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("hub", answered=True)
@attrs.frozen(kw_only=True)
class Hub:
    """An operator permits that a peer is reached through this platform, or withdraws that; uses a peer as a hub, or leaves it."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    step: str = attrs.field(metadata=key(one_of("permit", "withdraw", "use", "leave"), "what is decided"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/hub/{self.step}", {})
