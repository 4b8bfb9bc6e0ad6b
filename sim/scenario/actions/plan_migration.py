"""`plan_migration`: an operator plans the move, or the copy, of a module to a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.migration.steps import OPERATIONS
from actors.resource.record import KIND as RESOURCE
from actors.resource.record import scope
from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TRUTH, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

MIGRATIONS: Final = "/api/v1/system/platform/migrations"


@action("plan_migration", answered=True)
@attrs.frozen(kw_only=True)
class PlanMigration:
    """An operator plans the move of an imported module to a peer, with what the peer has lent for it (`issue_grant`, scope `migrate`)."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose module"))
    peer: str = attrs.field(metadata=key(PLATFORM, "where to"))
    number: int = attrs.field(default=0, metadata=key(WHOLE, "which of the imported modules"))
    operation: str = attrs.field(default="migrate", metadata=key(one_of(*OPERATIONS), "move or copy"))
    dry_run: bool = attrs.field(default=False, metadata=key(TRUTH, "only plan, and ask nothing of the peer"))
    acknowledge: bool = attrs.field(default=False, metadata=key(TRUTH, "crossing a boundary is meant"))
    override: bool = attrs.field(default=False, metadata=key(TRUTH, "where the rules refuse it, let an exception wait for approval"))

    def perform(self, stage: Stage, name: str | None) -> None:
        record, bearer = stage.row(self.on, self.peer), stage.bearers.get((self.peer, self.on, "NodeModule"))
        if record is None or bearer is None:
            raise StageError(f"{self.peer} has lent nothing to {self.on} yet")
        # What waits for an approval goes by a grant that the platform holds itself.
        lent = {"override_residency": True} if self.override else {"bearer": bearer}
        body = {
            "operation": self.operation,
            "root_resource_kind": "NodeModule",
            "root_resource_id": module_id(stage, self.on, self.number),
            "destination_peer_id": record.id,
            **lent,
            "dry_run": self.dry_run,
            "acknowledge_residency": self.acknowledge,
        }
        stage.call(name, self.on, "POST", "", body, surface=MIGRATIONS)


def module_id(stage: Stage, on: str, number: int) -> str:
    """The id of an imported module that lives on a platform.

    Raises:
        StageError: there is none.
    """
    host, named = stage.host(on), f"nodemodule-{number:04}"
    within = Condition("live_scope", "=", scope(host.account_id, "NodeModule"))
    found = host.store.query(Query(RESOURCE.name, ((within, Condition("natural", "=", named)),), limit=1))
    if not found:
        raise StageError(f"{on} has no module {named}")
    return str(found[0].record.id)
