"""`pause`: a process stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("pause")
@attrs.frozen(kw_only=True)
class Pause:
    """The process does nothing any more, without ending: its machine takes in connections and requests, and nobody answers."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if not stage.host(self.on).running:
            raise StageError(f"{self.on} is not running")
        stage.host(self.on).pause()
