"""`plan_chain`: an operator plans the way of a module over several platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.migration.steps import OPERATIONS
from sim.scenario.actions.plan_migration import module_id
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, PLATFORMS, TRUTH, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

CHAINS: Final = "/api/v1/system/platform/migration_chains"


@action("plan_chain", answered=True)
@attrs.frozen(kw_only=True)
class PlanChain:
    """An operator plans a chain of migrations for an imported module, under the grants that were received (`receive_grant`)."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose module"))
    hops: tuple[str, ...] = attrs.field(metadata=key(PLATFORMS, "where to, in order"))
    number: int = attrs.field(default=0, metadata=key(WHOLE, "which of the imported modules"))
    operation: str = attrs.field(default="migrate", metadata=key(one_of(*OPERATIONS), "move or copy"))
    acknowledge: bool = attrs.field(default=False, metadata=key(TRUTH, "crossing a boundary is meant"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {
            "operation": self.operation,
            "root_resource_kind": "NodeModule",
            "root_resource_id": module_id(stage, self.on, self.number),
            "hop_peer_ids": [stage.peer_id(self.on, hop) for hop in self.hops],
            "acknowledge_residency": self.acknowledge,
        }
        stage.call(name, self.on, "POST", "", body, surface=CHAINS)
