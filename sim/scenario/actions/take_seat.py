"""`take_seat`: an operator of the provider revokes the grant of a subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.offering.record import LEASE
from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("take_seat", answered=True)
@attrs.frozen(kw_only=True)
class TakeSeat:
    """An operator revokes the grant that came with the newest seat of a peer."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which subscriber"))

    def perform(self, stage: Stage, name: str | None) -> None:
        peer_id = stage.peer_id(self.on, self.peer)
        found = stage.host(self.on).store.query(Query(LEASE.name, ((Condition("live_peer_id", "=", peer_id),),), limit=1))
        if not found:
            raise StageError(f"{self.peer} has no seat at {self.on}")
        stage.call(name, self.on, "POST", f"/{peer_id}/grants/{found[0].record.grant_id}/revoke", {})
