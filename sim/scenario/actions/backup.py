"""`backup`: a backup is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("backup", fault=False)
@attrs.frozen(kw_only=True)
class Backup:
    """The operator makes a backup of the platform's data, which `restore` puts back."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.backups[self.on] = stage.host(self.on).store.image()
