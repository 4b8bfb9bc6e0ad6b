"""`clock_step`: a wall clock jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import OFFSET, PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("clock_step")
@attrs.frozen(kw_only=True)
class ClockStep:
    """The wall clock of a platform jumps; durations are still measured truly."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    by_s: float = attrs.field(metadata=key(OFFSET, "how far; negative is back", "by"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).clock.offset_s += self.by_s
