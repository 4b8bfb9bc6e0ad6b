"""The row of one lease as an actor: its alarm clock, and word to the offering when the peering ends.

Must not live here: any change of the record; the offering is its only writer, so that seats are counted in one order of events.
"""

from __future__ import annotations

from actors.offering.messages import LeaseEnded
from actors.offering.record import KIND, LEASE, LeaseRecord
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context

DEPENDANTS.append(Dependant(kind=LEASE.name, phase="draining", open=(), peer_column="live_peer_id"))


class LeaseActor(Actor):
    """One lease."""

    kind = LEASE

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: LeaseRecord | None = self.record
        if record is not None and has_passed(ctx, record.expires_at):
            ctx.send(Ref(KIND.name, record.offering_id), LeaseEnded(lease_id=record.id, state="expired", reason="grant_expired"))

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        record: LeaseRecord | None = self.record
        if record is not None:
            ended = LeaseEnded(lease_id=record.id, state="revoked", reason="peer_revoked", epoch=message.peering_epoch)
            ctx.send(Ref(KIND.name, record.offering_id), ended)
