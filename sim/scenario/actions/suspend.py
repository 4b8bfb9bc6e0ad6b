"""`suspend`: an operator pauses a peering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("suspend", answered=True)
@attrs.frozen(kw_only=True)
class Suspend:
    """An operator pauses a peering: its calls are refused, and nothing granted under it has effect, until it is resumed."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/suspend", {})
