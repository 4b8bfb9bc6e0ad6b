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
    """Every fault of the network ends: cuts, losses, stalls, names that do not resolve. Addresses and NATs stay as they are."""

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.world.network.heal()
