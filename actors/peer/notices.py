"""Hearing what a remote tells us beside its heartbeats.

Lives here: the handler of peer events, and the memory by which a repeated one takes effect once. Must not live here: what an event does
(see `peer_events`).
"""

from __future__ import annotations

from actors.limits import PEER_EVENTS_REMEMBERED
from actors.peer.heartbeats import Heartbeats
from actors.peer.lifecycle import inbound_refusal
from actors.peer.messages import HearEvent
from actors.peer.peer_events import EVENT_KINDS, told_of
from actors.peer.record import PeerRecord, told_of_end
from actors.peer.steps import Party
from runtime.actor import handles
from runtime.context import Context
from runtime.errors import RemoteFault
from runtime.values import evolve


class Notices(Heartbeats):
    """Handler of peer events."""

    @handles(HearEvent)
    def on_hear_event(self, message: HearEvent, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        event = message.event
        kind = EVENT_KINDS.get(event.kind)
        refusal = inbound_refusal(record.status, kind.family if kind is not None else "heartbeat") if record is not None else None
        if record is None or refusal is not None:
            code, status = (refusal.code, refusal.status) if refusal is not None else ("peer_not_admitted", 401)
            ctx.reply(RemoteFault(code, "this platform hears no events of this peer now", status, told_of_end(record)))
            return
        if kind is None:
            ctx.reply({"acknowledged": True, "ignored": True})
            return
        after = record
        if kind.proves and record.inbound_proven_at is None:
            after = self._enrolled(ctx, evolve(after, inbound_proven_at=ctx.wall), Party("remote", record.remote_instance_id))
        if event.id not in record.events_heard:
            after = kind.apply(ctx, after, event)
        if kind.remembered and event.id not in record.events_heard:
            after = evolve(after, events_heard=(*after.events_heard, event.id)[-PEER_EVENTS_REMEMBERED:])
        if after != record:
            ctx.save(evolve(after, updated_at=ctx.wall))
        ctx.reply({"acknowledged": True, "heard": len(told_of(event))} if kind.several else {"acknowledged": True})
