"""`restart`: the process starts again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("restart", fault=False)
@attrs.frozen(kw_only=True)
class Restart:
    """The process starts again on what the disk holds; a running one is killed first."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.restart(self.on)
