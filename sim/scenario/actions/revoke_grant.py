"""`revoke_grant`: an operator ends a grant for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("revoke_grant", answered=True)
@attrs.frozen(kw_only=True)
class RevokeGrant:
    """An operator ends the newest grant of a kind that a peer has."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    immediate: bool = attrs.field(default=False, metadata=key(TRUTH, "also for a migration under way"))

    def perform(self, stage: Stage, name: str | None) -> None:
        peer_id = stage.peer_id(self.on, self.peer)
        rows = stage.host(self.on).store.query(Query("grant", ((Condition("peer_id", "=", peer_id),),), newest_first=True))
        found = next((row.record for row in rows if row.record.resource_kind == self.kind), None)
        if found is None:
            raise StageError(f"{self.on} has issued no grant for {self.kind} to {self.peer} yet")
        body = {"reason": "in a scenario", "immediate": self.immediate}
        stage.call(name, self.on, "POST", f"/{peer_id}/grants/{found.id}/revoke", body)
