"""`passivate`: memory runs short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.mishaps import passivate
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("passivate")
@attrs.frozen(kw_only=True)
class Passivate:
    """Every idle actor of a platform leaves memory at once; the next message brings it back from its record."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        passivate(stage.host(self.on))
