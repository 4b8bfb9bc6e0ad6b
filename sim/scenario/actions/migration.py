"""`migration`: an operator validates, applies, cancels or repeats the newest migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.migration.record import MIGRATION
from runtime.store.port import Query
from sim.scenario.actions.plan_migration import MIGRATIONS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("migration", answered=True)
@attrs.frozen(kw_only=True)
class Migration:
    """An operator says what becomes of the newest migration of a platform."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    step: str = attrs.field(metadata=key(one_of("validate", "apply", "cancel", "retry"), "what is done"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{newest(stage, self.on)}/{self.step}", {}, surface=MIGRATIONS)


def newest(stage: Stage, on: str) -> str:
    """The id of the newest migration from a platform.

    Raises:
        StageError: there is none.
    """
    found = stage.host(on).store.query(Query(MIGRATION.name, limit=1))
    if not found:
        raise StageError(f"{on} has planned no migration yet")
    return str(found[0].record.id)
