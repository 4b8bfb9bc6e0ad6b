"""`slow`: a platform is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("slow")
@attrs.frozen(kw_only=True)
class Slow:
    """From now on every turn of the engine of a platform comes late, as on a busy machine."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    by_s: float = attrs.field(metadata=key(DURATION, "how late; 0 is at once", "by"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).slow(self.by_s)
