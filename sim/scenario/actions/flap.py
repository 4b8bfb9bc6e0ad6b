"""`flap`: a way comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim import links
from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PAIR, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("flap")
@attrs.frozen(kw_only=True)
class Flap:
    """From now on the way between two platforms works for a while, then not, again and again until `heal`."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    up_s: float = attrs.field(metadata=key(DURATION, "how long it works each time", "up"))
    down_s: float = attrs.field(metadata=key(DURATION, "how long it does not", "down"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only on the way from the first to the second"))

    def perform(self, stage: Stage, name: str | None) -> None:
        for link in stage.world.links.both(*self.between, oneway=self.oneway):
            link.flap = links.Flap(self.up_s, self.down_s, stage.world.timeline.now)
