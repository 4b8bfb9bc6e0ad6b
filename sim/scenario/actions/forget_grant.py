"""`forget_grant`: an operator destroys the bearer of a grant that a peer gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.received_grant.record import of_peer
from runtime.values import evolve
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("forget_grant", answered=True)
@attrs.frozen(kw_only=True)
class ForgetGrant:
    """An operator forgets the newest grant that a peer gave, so that another bearer may take the place of the one that was kept."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer issued the grant"))

    def perform(self, stage: Stage, name: str | None) -> None:
        peer_id = stage.peer_id(self.on, self.peer)
        newest = stage.host(self.on).store.query(evolve(of_peer(peer_id, 1), newest_first=True))
        if not newest:
            raise StageError(f"{self.on} holds no grant of {self.peer}")
        stage.call(name, self.on, "DELETE", f"/{peer_id}/received_grants/{newest[0].record.id}", None)
