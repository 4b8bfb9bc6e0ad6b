"""`sync`: an operator asks for a pass of every capability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

CAPABILITIES: Final = "/api/v1/system/platform/capabilities"


@action("sync", answered=True)
@attrs.frozen(kw_only=True)
class Sync:
    """An operator asks for a pass of every capability of the platform, now."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", "/sync_now", {}, surface=CAPABILITIES)
