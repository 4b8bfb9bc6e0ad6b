"""`resolve_migration`: an operator says where the records of a migration live whose other side cannot be asked any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.migration.record import ARRIVAL, MIGRATION
from runtime.store.port import Query
from sim.scenario.actions.migration import newest
from sim.scenario.actions.plan_migration import MIGRATIONS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

KEPT_THERE: Final = frozenset({"failed", "cancelled"})
GIVEN_AWAY: Final = frozenset({"finalizing", "completed"})
"""What a source calls a migration whose records it has, or has not any more."""


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
        # What a receipt says the platform can know, whoever hands it over.
        if not self.receipt and self._is_false(stage, id):
            stage.watch.facts.false_words.add(self._transfer(stage, id))
        body: dict[str, Any] = {"outcome": "keep" if self.keep else "release", "word": "heard in a scenario"}
        if self.receipt:
            if self.on not in stage.receipts:
                raise StageError(f"nobody has handed a receipt to the operator of {self.on} yet")
            body["receipt"] = stage.receipts[self.on]
        stage.call(name, self.on, "POST", f"/{id}/resolve", body, surface=MIGRATIONS)

    def _transfer(self, stage: Stage, id: str) -> str:
        row = None if self.arrived else stage.host(self.on).store.load(MIGRATION.name, id)
        return id if row is None else str(row.record.transfer_id)

    def _is_false(self, stage: Stage, id: str) -> bool:
        """Whether what the operator says of the other side is not so now."""
        transfer_id = self._transfer(stage, id)
        for host in stage.world.hosts.values():
            if self.arrived:
                others = (row.record for row in host.store.query(Query(MIGRATION.name)) if row.record.transfer_id == transfer_id)
                if any(other.status in (KEPT_THERE if self.keep else GIVEN_AWAY) for other in others):
                    return True
            elif (arrival := host.store.load(ARRIVAL.name, transfer_id)) is not None:
                return bool(self.keep == (arrival.record.verdict in ("applied", "finalized")))
        return not (self.arrived or self.keep)
