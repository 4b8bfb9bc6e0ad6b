"""`reset`: open connections are reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PAIR, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("reset")
@attrs.frozen(kw_only=True)
class Reset:
    """Every open connection between two platforms is reset, and both ends are told; new ones are possible at once."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))

    def perform(self, stage: Stage, name: str | None) -> None:
        for path in stage.world.network.paths(*self.between):
            path.reset()
