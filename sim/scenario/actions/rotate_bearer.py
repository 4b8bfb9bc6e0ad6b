"""`rotate_bearer`: an operator replaces the bearer of what is lent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, TEXT, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("rotate_bearer", answered=True)
@attrs.frozen(kw_only=True)
class RotateBearer:
    """An operator mints a new bearer for the newest grant of a kind that a peer has; the peer goes on with the former one."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    overlap_s: float = attrs.field(
        default=0.0, metadata=key(DURATION, "how long the former bearer stays good, in whole seconds", "overlap")
    )
    hand_over: bool = attrs.field(default=False, metadata=key(TRUTH, "whether the peer's operator gets the new bearer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        peer_id = stage.peer_id(self.on, self.peer)
        rows = stage.host(self.on).store.query(Query("grant", ((Condition("peer_id", "=", peer_id),),), newest_first=True))
        found = next((row.record for row in rows if row.record.resource_kind == self.kind), None)
        if found is None:
            raise StageError(f"{self.on} has issued no grant for {self.kind} to {self.peer} yet")
        body = {"overlap_seconds": int(self.overlap_s)}
        hands_to = self.peer if self.hand_over else None
        stage.call(name, self.on, "POST", f"/{peer_id}/grants/{found.id}/rotate_token", body, hands_to=hands_to)
