"""`finish_rotation`: an operator ends the overlap of a rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.actions.unfreeze import TRUST
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("finish_rotation", answered=True)
@attrs.frozen(kw_only=True)
class FinishRotation:
    """An operator ends the overlap of a rotation before its time, or gives a peer up."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    give_up: str | None = attrs.field(default=None, metadata=key(PLATFORM, "a peer that is not waited for"))
    force: bool = attrs.field(default=False, metadata=key(TRUTH, "whoever has not followed is given up"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body: dict[str, Any] = {"force": True} if self.force else {}
        body |= {} if self.give_up is None else {"give_up": [stage.peer_id(self.on, self.give_up)]}
        stage.call(name, self.on, "POST", "/finish", body, surface=TRUST)
