"""`burst_loss`: what is sent gets lost in bursts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.links import Burst
from sim.scenario.actions.registry import action
from sim.scenario.kinds import CHANCE, PAIR, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("burst_loss")
@attrs.frozen(kw_only=True)
class BurstLoss:
    """From now on things get lost in bursts (Gilbert): within one, nothing arrives."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    begin: float = attrs.field(metadata=key(CHANCE, "the chance that a burst begins with a thing sent"))
    end: float = attrs.field(metadata=key(CHANCE, "the chance that it ends with one"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only on the way from the first to the second"))

    def perform(self, stage: Stage, name: str | None) -> None:
        for link in stage.world.links.both(*self.between, oneway=self.oneway):
            link.burst = Burst(self.begin, self.end)
