"""`look_mirrors`: how much of a peer's catalogue a platform mirrors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.mirror.record import KIND
from runtime.store.port import Query
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look_mirrors", answered=True, answers=())
@attrs.frozen(kw_only=True)
class LookMirrors:
    """The number of records of a peer that a platform shows as mirrors, as the answer of the step."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose mirrors"))
    peer: str = attrs.field(metadata=key(PLATFORM, "of which home"))

    def perform(self, stage: Stage, name: str | None) -> None:
        row = stage.row(self.on, self.peer)
        mirrors = (each.record for each in stage.host(self.on).store.query(Query(KIND.name)))
        shown = sum(1 for each in mirrors if row is not None and each.origin_peer_id == row.id and each.gone_at is None)
        if name is not None:
            stage.history.answers[name] = str(shown)
