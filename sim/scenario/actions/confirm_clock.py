"""`confirm_clock`: an operator says that the platform's clock is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runtime.clock import iso
from sim.clock import EPOCH
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("confirm_clock", answered=True)
@attrs.frozen(kw_only=True)
class ConfirmClock:
    """An operator who has looked at another clock, which is that of the world, says that the platform's is right."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {"time": iso(EPOCH + stage.world.timeline.now), "reason": "compared with another clock"}
        stage.call(name, self.on, "POST", "/confirm", body, surface="/api/v1/system/platform/clock")
