"""`look_migration`: how the newest migration of a platform stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.migration.lifecycle import STATUSES
from actors.migration.record import MIGRATION
from runtime.store.port import Query
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look_migration", answered=True, answers=(*STATUSES, "none"))
@attrs.frozen(kw_only=True)
class LookMigration:
    """The committed status of the newest migration from a platform, as the answer of the step; `none` if there is none."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose migration"))

    def perform(self, stage: Stage, name: str | None) -> None:
        found = stage.host(self.on).store.query(Query(MIGRATION.name, limit=1))
        if name is not None:
            stage.history.answers[name] = found[0].record.status if found else "none"
