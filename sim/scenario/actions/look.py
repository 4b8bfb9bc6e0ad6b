"""`look`: an operator reads a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look", answered=True)
@attrs.frozen(kw_only=True)
class Look:
    """An operator reads a peer, and all peers in a list; a checker compares both with what is true."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "GET", f"/{stage.peer_id(self.on, self.peer)}", None)
        stage.call(None, self.on, "GET", "", None)
