"""A peer of a platform that runs on an earlier copy of its data: what came back must not be used as if nothing had happened.

Lives here: what the decision of an operator does to one row. Must not live here: how the copy was noticed (see `actors.continuity`).
"""

from __future__ import annotations

from actors.continuity.messages import CloseWhatCameBack
from actors.peer import cascade
from actors.peer.heartbeats import Heartbeats
from actors.peer.lifecycle import LIVE
from actors.peer.record import PeerRecord, restored
from actors.peer.steps import operator
from runtime.actor import handles
from runtime.context import Context
from runtime.values import evolve

RESTORED = "restored from an earlier copy; resume it if it still holds"


class Continuing(Heartbeats):
    """Handler of that decision."""

    @handles(CloseWhatCameBack)
    def on_close_what_came_back(self, message: CloseWhatCameBack, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or record.status == "revoked" or record.restored_epoch >= message.epoch:
            return
        closed = restored(record)
        if not message.keep_grants:
            closed = evolve(closed, peering_epoch=record.peering_epoch + 1)
        if not message.keep_peerings and closed.status in LIVE:
            closed = cascade.suspended(ctx, closed, operator(message.by), RESTORED)
        facts = {"epoch": message.epoch, "keep_peerings": message.keep_peerings, "keep_grants": message.keep_grants}
        ctx.audit("peer.restored", "user", message.by, federation_peer_id=record.id, **facts)
        ctx.save(evolve(closed, restored_epoch=message.epoch, updated_at=ctx.wall))
