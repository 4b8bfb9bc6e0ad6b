"""`clock_drift`: a wall clock runs fast or slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DRIFT, PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("clock_drift")
@attrs.frozen(kw_only=True)
class ClockDrift:
    """The wall clock of a platform runs fast or slow from now on, without a jump."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    rate: float = attrs.field(metadata=key(DRIFT, "seconds gained per second; negative is slow"))

    def perform(self, stage: Stage, name: str | None) -> None:
        clock = stage.host(self.on).clock
        before = clock.wall()
        clock.drift = self.rate
        clock.offset_s += before - clock.wall()
