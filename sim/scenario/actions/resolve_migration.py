"""`resolve_migration`: an operator says where the records of a migration live whose other side cannot be asked any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from actors.migration.record import ARRIVAL
from runtime.store.port import Query
from sim.scenario.actions.migration import newest
from sim.scenario.actions.plan_migration import MIGRATIONS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("resolve_migration", answered=True)
@attrs.frozen(kw_only=True)
class ResolveMigration:
    """An operator says whether the records of the newest migration from a platform, or to it, live there."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    arrived: bool = attrs.field(default=False, metadata=key(TRUTH, "the newest that came, instead of the newest that went"))
    keep: bool = attrs.field(metadata=key(TRUTH, "they live here; otherwise at the other side"))
    receipt: bool = attrs.field(default=False, metadata=key(TRUTH, "with the newest receipt that `print_receipt` handed over"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if self.arrived:
            found = stage.host(self.on).store.query(Query(ARRIVAL.name, limit=1))
            if not found:
                raise StageError(f"nothing has come to {self.on} yet")
            id = str(found[0].record.id)
        else:
            id = newest(stage, self.on)
        body: dict[str, Any] = {"outcome": "keep" if self.keep else "release", "word": "heard in a scenario"}
        if self.receipt:
            if self.on not in stage.receipts:
                raise StageError(f"nobody has handed a receipt to the operator of {self.on} yet")
            body["receipt"] = stage.receipts[self.on]
        stage.call(name, self.on, "POST", f"/{id}/resolve", body, surface=MIGRATIONS)
