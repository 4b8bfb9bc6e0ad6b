"""`keep_copy`: somebody copies a platform's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("keep_copy", fault=False)
@attrs.frozen(kw_only=True)
class KeepCopy:
    """Somebody copies a platform's data as they are on the disk; `put_back` takes the newest copy."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).keep_copy()
