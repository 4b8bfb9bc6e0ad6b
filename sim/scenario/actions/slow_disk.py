"""`slow_disk`: a disk becomes slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("slow_disk")
@attrs.frozen(kw_only=True)
class SlowDisk:
    """From now on every commit of a platform takes this long."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    fsync_s: float = attrs.field(metadata=key(DURATION, "how long; 0 is at once", "fsync"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).slow_disk(self.fsync_s)
