"""`entrust`: a managed child gives its parent the grant to operate it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("entrust", answered=True)
@attrs.frozen(kw_only=True)
class Entrust:
    """An operator of a managed child gives its parent the grant to operate it anew; the platforms hand the bearer over by themselves."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which parent"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/entrust", None)
