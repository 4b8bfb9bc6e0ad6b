"""`revoke`: an operator ends a peering for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("revoke", answered=True)
@attrs.frozen(kw_only=True)
class Revoke:
    """An operator ends a peering for good; the remote is told, and what is under way may finish."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    immediate: bool = attrs.field(default=False, metadata=key(TRUTH, "as after a compromise: without notice and without grace"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {"reason": "in a scenario", **({"immediate": True} if self.immediate else {})}
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/revoke", body)
