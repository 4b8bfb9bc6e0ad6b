"""`print_receipt`: an operator of a destination hands its signed receipt to the operator of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.migration.record import ARRIVAL
from runtime.store.port import Query
from sim.scenario.actions.plan_migration import MIGRATIONS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("print_receipt", answered=True)
@attrs.frozen(kw_only=True)
class PrintReceipt:
    """An operator prints the receipt of the newest migration that came, and hands it to another platform's operator."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    to: str = attrs.field(metadata=key(PLATFORM, "to whose operator it is handed"))

    def perform(self, stage: Stage, name: str | None) -> None:
        found = stage.host(self.on).store.query(Query(ARRIVAL.name, limit=1))
        if not found:
            raise StageError(f"nothing has come to {self.on} yet")
        stage.call(name, self.on, "GET", f"/{found[0].record.id}/receipt", None, hands_to=self.to, surface=MIGRATIONS)
