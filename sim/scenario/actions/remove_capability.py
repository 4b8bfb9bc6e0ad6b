"""`remove_capability`: an operator ends a flow of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.capability.record import KIND
from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("remove_capability", answered=True)
@attrs.frozen(kw_only=True)
class RemoveCapability:
    """An operator deletes the newest capability of a peer: nothing flows by it any more, and mirrors that it has brought go."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        peer_id = stage.peer_id(self.on, self.peer)
        found = stage.host(self.on).store.query(Query(KIND.name, ((Condition("open_peer_id", "=", peer_id),),), limit=1))
        if not found:
            raise StageError(f"{self.on} has no capability of {self.peer}")
        stage.call(name, self.on, "DELETE", f"/{peer_id}/capabilities/{found[0].record.id}", None)
