"""`bridge`: an operator proposes a bridge between a peer and an overlay network, or takes a step of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.bridge.lifecycle import TRIGGERS
from actors.bridge.record import KIND as BRIDGE
from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("bridge", answered=True)
@attrs.frozen(kw_only=True)
class Bridge:
    """An operator proposes a bridge from the newest overlay network of the catalogue, or takes a step of the newest bridge."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    step: str = attrs.field(metadata=key(one_of("propose", *TRIGGERS), "what is done"))

    def perform(self, stage: Stage, name: str | None) -> None:
        store, peer_id = stage.host(self.on).store, stage.peer_id(self.on, self.peer)
        path = f"/{peer_id}/bridges"
        if self.step == "propose":
            stage.call(name, self.on, "POST", path, {"sdwan_network_id": stage.newest_network(self.on)})
            return
        found = store.query(Query(BRIDGE.name, ((Condition("federation_peer_id", "=", peer_id),),), limit=1))
        if not found:
            raise StageError(f"{self.on} has no bridge to {self.peer} yet")
        stage.call(name, self.on, "POST", f"{path}/{found[0].record.id}/{self.step}", {})
