"""`rotate_now`: an operator hurries a rotation with one peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("rotate_now", answered=True)
@attrs.frozen(kw_only=True)
class RotateNow:
    """An operator takes the next step of whichever rotation concerns a peer, without waiting for the minute."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "with which peer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/trust/rotate", None)
