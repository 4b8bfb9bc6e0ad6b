"""`look_rotation`: how far a peer has come with a platform's root."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import attrs

from actors.rotation.record import Progress, progress_of
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look_rotation", answered=True, answers=(*get_args(Progress), "none"))
@attrs.frozen(kw_only=True)
class LookRotation:
    """How far a peer has come with the root of a platform, as the answer of the step: `promoted`, `waiting`, `must_approve` and so on."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose root"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host, row = stage.host(self.on), stage.row(self.on, self.peer)
        if name is not None:
            rotation = stage.watch.facts.rotations.get(self.on)
            identity = host.settings().identity
            stage.history.answers[name] = "none" if row is None else progress_of(row, rotation, identity)
