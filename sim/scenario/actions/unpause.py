"""`unpause`: a paused process goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("unpause", fault=False)
@attrs.frozen(kw_only=True)
class Unpause:
    """A paused process goes on with everything that has come meanwhile."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).unpause()
