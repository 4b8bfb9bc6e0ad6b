"""`partition`: the way between two platforms is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PAIR, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("partition")
@attrs.frozen(kw_only=True)
class Partition:
    """Nothing gets through any more. A new connection needs both ways; an open one still carries what the uncut way lets through."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only on the way from the first to the second"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.world.links.partition(*self.between, oneway=self.oneway)
