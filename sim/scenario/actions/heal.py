"""`heal`: the network is whole again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("heal", fault=False)
@attrs.frozen(kw_only=True)
class Heal:
    """Every cut and every loss ends, on all links."""

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.world.links.heal()
