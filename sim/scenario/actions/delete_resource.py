"""`delete_resource`: an operator deletes an imported record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.resource.record import KIND, scope
from runtime.store.port import Condition, Query
from sim.scenario.actions.import_resources import RESOURCES
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, WHOLE, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("delete_resource", answered=True)
@attrs.frozen(kw_only=True)
class DeleteResource:
    """An operator deletes an imported module, with all that it owns."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    number: int = attrs.field(default=0, metadata=key(WHOLE, "which of the imported modules"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        named = f"nodemodule-{self.number:04}"
        within = Condition("live_scope", "=", scope(host.account_id, "NodeModule"))
        found = host.store.query(Query(KIND.name, ((within, Condition("natural", "=", named)),), limit=1))
        if not found:
            raise StageError(f"{self.on} has no module {named}")
        stage.call(name, self.on, "DELETE", f"/NodeModule/{found[0].record.id}", None, surface=RESOURCES)
