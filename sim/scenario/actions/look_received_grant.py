"""`look_received_grant`: how the newest grant of a peer stands with its holder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.received_grant.record import STATES, of_peer, state
from runtime.values import evolve
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look_received_grant", answered=True, answers=(*STATES, "none"))
@attrs.frozen(kw_only=True)
class LookReceivedGrant:
    """What a platform knows of the newest grant of a peer to it, as the answer of the step: its state, or `none` if it knows of none."""

    on: str = attrs.field(metadata=key(PLATFORM, "who looks"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer issued the grant"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host, peer = stage.host(self.on), stage.row(self.on, self.peer)
        newest = [] if peer is None else host.store.query(evolve(of_peer(peer.id, 1), newest_first=True))
        if name is not None:
            stage.history.answers[name] = state(newest[0].record, host.clock.wall()) if newest else "none"
