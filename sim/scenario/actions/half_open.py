"""`half_open`: open connections die without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PAIR, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("half_open")
@attrs.frozen(kw_only=True)
class HalfOpen:
    """Every open connection between two platforms is lost without a word: what is sent on one vanishes until the sender loses patience."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))

    def perform(self, stage: Stage, name: str | None) -> None:
        for path in stage.world.network.paths(*self.between):
            path.lose()
