"""`set_end`: an operator sets the hard end of a peering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runtime.clock import iso
from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("set_end", answered=True)
@attrs.frozen(kw_only=True)
class SetEnd:
    """An operator says when a peering is over by itself, or that it never is. Nothing but its last word is served after that."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    in_s: float | None = attrs.field(
        default=None, metadata=key(DURATION, "after how long, by the platform's own clock; never if not given", "in")
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        ends_at = None if self.in_s is None else iso(stage.host(self.on).clock.wall() + self.in_s)
        stage.call(name, self.on, "PATCH", f"/{stage.peer_id(self.on, self.peer)}", {"expires_at": ends_at})
