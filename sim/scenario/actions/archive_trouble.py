"""`archive_trouble`: the archive of audit chains is full or away, forgets or damages what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("archive_trouble")
@attrs.frozen(kw_only=True)
class ArchiveTrouble:
    """From now on the archive takes nothing more, cannot be reached, forgets what it takes, or gives it back changed; until `none`."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose archive"))
    what: str = attrs.field(metadata=key(one_of("full", "away", "forgets", "rots", "none"), "what is wrong with it"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).archive.trouble(self.what, stage.world.timeline.now)
