"""`split`: the network falls into two parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORMS, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("split")
@attrs.frozen(kw_only=True)
class Split:
    """Every way between these platforms and all others is cut; within each part everything works."""

    of: tuple[str, ...] = attrs.field(metadata=key(PLATFORMS, "the one part"))

    def perform(self, stage: Stage, name: str | None) -> None:
        inside = stage.members(self.of)
        for one in inside:
            for other in stage.world.hosts:
                if other not in inside:
                    stage.world.links.partition(one, other)
