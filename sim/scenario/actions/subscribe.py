"""`subscribe`: an operator subscribes to a service of a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, TRUTH, key

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
    override: bool = attrs.field(default=False, metadata=key(TRUTH, "where the rules refuse it, let an exception wait for approval"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body: dict[str, object] = {"slug": self.slug, "local_hostname": self.host}
        if self.override:
            body["override_residency"] = True
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/subscriptions", body, surface=PEERS)
