"""`rotate_bearer`: an operator replaces the bearer of what is lent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.grant.messages import Rotate
from runtime.actor import Ref
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("rotate_bearer", fault=False)
@attrs.frozen(kw_only=True)
class RotateBearer:
    """A platform mints a new bearer for what it has lent, and hands it to nobody: the peer goes on with the former one."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose resources"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    overlap_s: float = attrs.field(default=0.0, metadata=key(DURATION, "how long the former bearer stays good", "overlap"))

    def perform(self, stage: Stage, name: str | None) -> None:
        bearer = stage.bearers.get((self.on, self.peer, self.kind))
        record = stage.row(self.on, self.peer)
        if bearer is None or record is None:
            raise StageError(f"{self.on} has lent no {self.kind} to {self.peer} yet")
        host = stage.host(self.on)
        grant_id = bearer.removeprefix("fg-").partition(".")[0]
        message = Rotate(grant_id=grant_id, by=None, overlap_s=self.overlap_s)
        host.engine.ask(Ref("grant_book", record.id), message, 45.0, lambda outcome: None)
