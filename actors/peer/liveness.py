"""What to do about silence: look, try, and only then say that contact is lost.

Lives here: the periodic look at the age of the evidence, the probe over mutual TLS, and the step to `degraded`. Must not live here:
recovery, which the next heartbeat brings by itself. Only an active peer degrades; one that never came up is reported instead.
"""

from __future__ import annotations

import attrs

from actors.limits import LIVENESS_INTERVAL_S
from actors.peer import remote_answers
from actors.peer.messages import HeartbeatTick, LivenessTick, RemediationAnswered
from actors.peer.record import PeerRecord
from actors.peer.steps import SYSTEM, is_stale, note, reachable_identity, step, wants_heartbeats
from actors.ports import RemoteReply, RemoteRequest
from runtime.actor import Actor, handles
from runtime.context import Context

REPORT_AGAIN_S = 600.0
"""The same trouble is not told again within this time."""


class Liveness(Actor):
    """Handlers of the liveness loop of one peer."""

    remedying_since: float | None = None
    reported_at: float | None = None
    watching: bool = False

    def schedule_liveness(self, ctx: Context) -> None:
        """Arm the next look."""
        self.watching = True
        ctx.after(LIVENESS_INTERVAL_S, LivenessTick(), "liveness")

    @handles(LivenessTick)
    def on_liveness_tick(self, message: LivenessTick, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or not wants_heartbeats(record):
            return
        self.schedule_liveness(ctx)
        stale = is_stale(record, self.evidence, ctx.wall, ctx.settings.federation.stale_after_s)
        if not stale or record.status not in ("enrolled", "active"):
            self.remedying_since = None
            return
        if self.remedying_since is not None and record.status == "active":
            # The look a minute ago has not been answered at all: degrade without waiting any longer.
            text = f"heartbeat stale (>{ctx.settings.federation.stale_after_s:.0f}s)"
            note(ctx, record, "heartbeat_stale", "medium", status=record.status)
            self._degrade(ctx, record, text)
            return
        self._look(ctx, record)

    def _look(self, ctx: Context, record: PeerRecord) -> None:
        known = reachable_identity(record)
        if known is None:
            self._lost(ctx, record, "no_outbound_identity", None)
            return
        self.remedying_since = ctx.now
        urls = tuple(endpoint.url for endpoint in record.endpoints if endpoint.cidr_hint is None)
        request = RemoteRequest(
            peer_id=record.id,
            method="GET",
            path="/federation_api/trust_bundle",
            body=None,
            urls=tuple(dict.fromkeys((*urls, record.remote_instance_url or ""))),
            identity=known[0],
            expectation=known[1],
            timeout_s=ctx.settings.federation.request_timeout_s,
            connect_timeout_s=ctx.settings.federation.probe_connect_s,
        )
        ctx.call(request, then=RemediationAnswered)

    @handles(RemediationAnswered)
    def on_remediation_answered(self, message: RemediationAnswered, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        self.remedying_since = None
        if record is None or not is_stale(record, self.evidence, ctx.wall, ctx.settings.federation.stale_after_s):
            return
        if message.fault is not None:
            self._lost(ctx, record, message.fault.code, None)
            return
        reply: RemoteReply = message.outcome
        if reply.status == 200:
            # Reachable after all. Only a real heartbeat that is acknowledged counts as contact, so send one now.
            note(ctx, record, "rehandshaked", "medium")
            ctx.after(0.0, HeartbeatTick(), "heartbeat")
        else:
            self._lost(ctx, record, "auth_rejected" if reply.status in (401, 403) else f"http_{reply.status}", reply)

    def _lost(self, ctx: Context, record: PeerRecord, error: str, reply: RemoteReply | None) -> None:
        if error == "auth_rejected" and reply is not None:
            note(ctx, record, "auth_rejected", "high", remote_code=remote_answers.remote_code(reply))
        if record.status == "active":
            self._degrade(ctx, record, error)
        elif record.status == "enrolled" and (self.reported_at is None or ctx.now - self.reported_at >= REPORT_AGAIN_S):
            self.reported_at = ctx.now
            note(ctx, record, "unreachable", "high", error=error)

    def _degrade(self, ctx: Context, record: PeerRecord, reason: str) -> None:
        self.remedying_since = None
        degraded = step(ctx, record, "contact_lost", SYSTEM, reason)
        ctx.save(attrs.evolve(degraded, metadata={**degraded.metadata, "degraded_reason": reason}))
