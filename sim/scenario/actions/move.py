"""`move`: a platform gets another address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("move")
@attrs.frozen(kw_only=True)
class Move:
    """A platform gets another address: its connections die without a word, and its name follows only if told so."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    names: bool = attrs.field(
        default=True, metadata=key(TRUTH, "its name points to the new address; who remembers the old one learns it late")
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        address = stage.world.network.move(self.on)
        if self.names:
            stage.world.network.names.set(f"{self.on}.example.com", (address,))
