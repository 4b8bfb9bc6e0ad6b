"""`stall`: a way is stuck for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PAIR, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("stall")
@attrs.frozen(kw_only=True)
class Stall:
    """Nothing gets lost, but what is sent within this time waits until it is over."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    for_s: float = attrs.field(metadata=key(DURATION, "how long", "for"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only on the way from the first to the second"))

    def perform(self, stage: Stage, name: str | None) -> None:
        for link in stage.world.links.both(*self.between, oneway=self.oneway):
            link.stalled_until = stage.world.timeline.now + self.for_s
