"""Keeping a channel to the peer: when to dial, when to dial again, and what a refusal means.

Lives here: the actor's decisions about its channel. Must not live here: the channel itself, which no handler knows of: a call travels on it
whenever there is one (see the `Remote` port).

What is remembered of a channel is a guess that the port corrects: asked for a channel while one is in use, whoever dialled it, it answers
at once.
"""

from __future__ import annotations

from typing import Any

from actors.hub.record import KIND as HUB
from actors.limits import CHANNEL_PROVEN_S
from actors.peer import channel, endpoints
from actors.peer.liveness import Liveness, refused_by_remote
from actors.peer.messages import ChannelAnswered, ChannelEnded, ChannelOpened, ChannelTick
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.steps import call_refusal, note, reachable_identity, wants_heartbeats
from actors.ports import ChannelOpen, OpenChannel, RemoteReply
from runtime.actor import handles
from runtime.context import Context
from runtime.values import evolve

FIRST_OF_THE_OTHER_S = 1.0
"""Who would lose against a channel of the other end lets that one dial first."""


UNREACHABLE = frozenset({"remote_unreachable", "remote_timeout"})


class ChannelKeeping(Liveness):
    """Handlers of the channel of one peer."""

    dialling: bool = False
    has_channel: bool = False
    dial_again: bool = False
    dials_failed: int = 0
    unreachable: bool = False

    def keep_channel(self, ctx: Context) -> None:
        """See that there is a channel, unless there is one, or the next attempt has its time already."""
        if not ctx.settings.federation.peer_channel or self.dialling or self.has_channel or self.dial_again:
            return
        if self._ours_wins(ctx):
            self._dial(ctx)
        else:
            self._dial_after(ctx, FIRST_OF_THE_OTHER_S * (1.0 + ctx.random.random()))

    def forget_channel(self, ctx: Context) -> None:
        """No channel is wanted any more."""
        ctx.cancel("channel")
        self.dial_again = self.has_channel = False

    @handles(ChannelTick)
    def on_channel_tick(self, message: ChannelTick, ctx: Context) -> None:
        self.dial_again = False
        if wants_heartbeats(self.record) and not self.dialling:
            self._dial(ctx)

    def _dial(self, ctx: Context) -> None:
        record: PeerRecord = self.record
        known = reachable_identity(record)
        if known is None or call_refusal(record, ctx.wall) is not None or self._is_behind_us(ctx):
            return
        seen = self.evidence.endpoints if self.evidence is not None else ()
        listed = endpoints.candidates(endpoints.replace(seen, record.endpoints), record.remote_instance_url)
        self.dialling = True
        request = OpenChannel(
            peer_id=record.id,
            urls=tuple(target.url for target in listed if target.cidr_hint is None),
            identity=known[0],
            expectation=known[1],
            ours_wins=self._ours_wins(ctx),
            timeout_s=ctx.settings.federation.request_timeout_s,
        )
        ctx.call(request, then=ChannelAnswered)

    @handles(ChannelAnswered)
    def on_channel_answered(self, message: ChannelAnswered, ctx: Context) -> None:
        self.dialling = False
        record: PeerRecord | None = self.record
        outcome: Any = message.outcome
        if record is None or not wants_heartbeats(record):
            return
        if message.fault is None and isinstance(outcome, ChannelOpen):
            self.has_channel = True
            return
        self.unreachable = message.fault is not None and message.fault.code in UNREACHABLE
        if isinstance(outcome, RemoteReply):
            heard = refused_by_remote(ctx, record, outcome)
            if heard != record:
                ctx.save(evolve(heard, updated_at=ctx.wall))
        if wants_heartbeats(ctx.record):
            self._failed(ctx)

    @handles(ChannelOpened)
    def on_channel_opened(self, message: ChannelOpened, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            return
        ctx.cancel("channel")
        self.has_channel, self.dial_again, self.unreachable = True, False, False
        dialled_by = "us" if message.ours else "remote"
        note(ctx, record, "channel_opened", "low", dialled_by=dialled_by)
        seen = self.evidence or PeerEvidence()
        epoch = ctx.settings.identity.boot_epoch
        ctx.set_evidence(evolve(seen, channel_since=ctx.wall, channel_ours=message.ours, channel_epoch=epoch))

    def reached_by_http(self, ctx: Context) -> None:
        """The remote has just answered without a channel: where it could not be reached before, it need not be waited for any longer."""
        if self.unreachable and self.dial_again and not self.has_channel:
            self.unreachable, self.dials_failed = False, 0
            self._dial_after(ctx, channel.wait_s(0, ctx.random.random()))

    @handles(ChannelEnded)
    def on_channel_ended(self, message: ChannelEnded, ctx: Context) -> None:
        self.has_channel = False
        if self.record is not None:
            note(ctx, self.record, "channel_ended", "low", lasted_s=round(message.lasted_s, 1))
        if self.evidence is not None:
            ctx.set_evidence(evolve(self.evidence, channel_since=None))
        if message.lasted_s >= CHANNEL_PROVEN_S:
            self.dials_failed = 0
        if wants_heartbeats(self.record) and not self.dial_again:
            self._failed(ctx)

    def _failed(self, ctx: Context) -> None:
        wait_s = channel.wait_s(self.dials_failed, ctx.random.random())
        self.dials_failed += 1
        self._dial_after(ctx, wait_s)

    def _dial_after(self, ctx: Context, wait_s: float) -> None:
        self.dial_again = True
        ctx.after(wait_s, ChannelTick(), "channel")

    def _is_behind_us(self, ctx: Context) -> bool:
        """Whether the peer is reached through us, so that dialling it would lead back to our own port; it dials us."""
        row = ctx.row(HUB.name, self.record.id)
        return row is not None and row.record.relaying == "permitted"

    def _ours_wins(self, ctx: Context) -> bool:
        return channel.ours_wins(ctx.settings.identity.instance_id, self.record.remote_instance_id)
