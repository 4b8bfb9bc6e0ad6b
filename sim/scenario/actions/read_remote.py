"""`read_remote`: an operator reads resources of a peer through the grants that the platform holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("read_remote", answered=True)
@attrs.frozen(kw_only=True)
class ReadRemote:
    """An operator reads the first page of a peer's resources; the platform presents the bearer that it holds."""

    on: str = attrs.field(metadata=key(PLATFORM, "who reads"))
    peer: str = attrs.field(metadata=key(PLATFORM, "whose catalogue"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.call(name, self.on, "GET", f"/{stage.peer_id(self.on, self.peer)}/remote_resources/{self.kind}", None)
