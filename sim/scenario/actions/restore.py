"""`restore`: a backup is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.mishaps import restore
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("restore")
@attrs.frozen(kw_only=True)
class Restore:
    """The platform is stopped, `powernode restore` puts back its latest backup, and it starts: as an earlier platform, and it knows it."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        backup = stage.backups.get(self.on)
        if backup is None:
            raise StageError(f"there is no backup of {self.on} yet")
        restore(stage.host(self.on), backup)
        stage.look_again(self.on)
