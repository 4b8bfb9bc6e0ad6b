"""`add_capability`: an operator lets records of a kind flow between a peer and the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.capability.lifecycle import DIRECTIONS, POLICIES
from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, TEXT, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("add_capability", answered=True)
@attrs.frozen(kw_only=True)
class AddCapability:
    """An operator lets records of a kind flow between a peer and the platform."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    direction: str = attrs.field(default="pull_remote_to_local", metadata=key(one_of(*DIRECTIONS), "which way"))
    policy: str = attrs.field(default="auto_periodic", metadata=key(one_of(*POLICIES), "when"))
    interval_s: float = attrs.field(default=60.0, metadata=key(DURATION, "how often", "interval"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {
            "resource_kind": self.kind,
            "direction": self.direction,
            "policy": self.policy,
            "interval_seconds": int(self.interval_s),
        }
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/capabilities", body)
