"""`emancipate`: a managed child stands on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("emancipate", answered=True)
@attrs.frozen(kw_only=True)
class Emancipate:
    """An operator of a managed child lets it stand on its own: what it gave its parent for operating it ends for good."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which parent"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/emancipate", {"reason": "in a scenario"})
