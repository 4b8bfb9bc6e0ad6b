"""`loss`: requests and answers get lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import CHANCE, PAIR, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("loss")
@attrs.frozen(kw_only=True)
class Loss:
    """From now on requests and answers get lost by chance; whoever sent one is not told."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    rate: float = attrs.field(metadata=key(CHANCE, "the chance that one never arrives"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only on the way from the first to the second"))

    def perform(self, stage: Stage, name: str | None) -> None:
        one, other = self.between
        stage.world.links.between(one, other).loss = self.rate
        if not self.oneway:
            stage.world.links.between(other, one).loss = self.rate
