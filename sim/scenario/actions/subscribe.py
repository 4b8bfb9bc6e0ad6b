"""`subscribe`: an operator subscribes to a service of a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

PEERS = "/api/v1/system/federation/peers"


@action("subscribe", answered=True)
@attrs.frozen(kw_only=True)
class Subscribe:
    """An operator subscribes to a service of a peer and routes a host name to it."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "whose service"))
    slug: str = attrs.field(default="wiki", metadata=key(TEXT, "which offering"))
    host: str = attrs.field(default="wiki.example", metadata=key(TEXT, "under which name"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {"slug": self.slug, "local_hostname": self.host}
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/subscriptions", body, surface=PEERS)
