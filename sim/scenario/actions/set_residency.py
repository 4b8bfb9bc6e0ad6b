"""`set_residency`: an operator decides where a peer keeps data, which waits for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("set_residency", answered=True)
@attrs.frozen(kw_only=True)
class SetResidency:
    """An operator asks that a peer be taken to keep its data somewhere; it counts once it is approved (`decide`)."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    tag: str | None = attrs.field(default=None, metadata=key(TEXT, "where; left to the peer itself if not given"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "PATCH", f"/{stage.peer_id(self.on, self.peer)}", {"data_residency": self.tag})
