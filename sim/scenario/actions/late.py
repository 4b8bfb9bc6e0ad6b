"""`late`: what is sent on open connections arrives when nobody waits for it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PAIR, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("late")
@attrs.frozen(kw_only=True)
class Late:
    """What is sent on the connections that are open now arrives so much later. New ones are quick: what is asked again overtakes it."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    by_s: float = attrs.field(metadata=key(DURATION, "how much later", "by"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only on the way from the first to the second"))

    def perform(self, stage: Stage, name: str | None) -> None:
        one, other = self.between
        for path in stage.world.network.paths(one, other):
            path.delay(one, self.by_s)
            if not self.oneway:
                path.delay(other, self.by_s)
