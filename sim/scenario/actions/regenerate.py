"""`regenerate`: an operator mints a new token for a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("regenerate", answered=True)
@attrs.frozen(kw_only=True)
class Regenerate:
    """An operator mints a new token; the former one stops working and the new one is handed to the other operator."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "for which peer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/acceptance_token", {}, hands_to=self.peer)
