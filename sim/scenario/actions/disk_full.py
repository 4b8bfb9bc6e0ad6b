"""`disk_full`: a disk is full, or has room again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("disk_full")
@attrs.frozen(kw_only=True)
class DiskFull:
    """Commits fail. The platform then answers nothing but that it is unavailable, and opens its store again, at growing intervals."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    full: bool = attrs.field(default=True, metadata=key(TRUTH, "false: there is room again"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).store.disk.full = self.full
