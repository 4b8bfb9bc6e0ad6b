"""`crash`: the process is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("crash")
@attrs.frozen(kw_only=True)
class Crash:
    """The process is killed; of commits not yet acknowledged, chance decides how many reached the disk."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    machine: bool = attrs.field(
        default=False, metadata=key(TRUTH, "its machine goes down too: connections end without a word, and calls meet silence")
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        if not stage.host(self.on).running:
            raise StageError(f"{self.on} is not running")
        stage.host(self.on).crash(machine=self.machine)
