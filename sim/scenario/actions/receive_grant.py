"""`receive_grant`: an operator keeps the bearer that the other operator handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("receive_grant", answered=True)
@attrs.frozen(kw_only=True)
class ReceiveGrant:
    """An operator keeps the newest bearer that the operator of a peer handed over; the peer is asked whether it is good."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer issued the grant"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {"bearer_token": stage.bearer(self.peer, self.on, self.kind)}
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/received_grants", body)
