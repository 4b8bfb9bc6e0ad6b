"""`chain`: an operator runs, advances, cancels or repeats the newest chain of migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.migration_chain.record import CHAIN
from runtime.store.port import Query
from sim.scenario.actions.plan_chain import CHAINS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("chain", answered=True)
@attrs.frozen(kw_only=True)
class Chain:
    """An operator says what becomes of the newest chain of a platform."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    step: str = attrs.field(metadata=key(one_of("run", "advance", "cancel", "retry"), "what is done"))

    def perform(self, stage: Stage, name: str | None) -> None:
        found = stage.host(self.on).store.query(Query(CHAIN.name, limit=1))
        if not found:
            raise StageError(f"{self.on} has planned no chain yet")
        stage.call(name, self.on, "POST", f"/{found[0].record.id}/{self.step}", {}, surface=CHAINS)
