"""What to do about silence: look, try, and only then say that contact is lost.

Lives here: the periodic look at the age of the evidence, the probe over mutual TLS, and the step to `degraded`. Must not live here:
recovery, which the next heartbeat brings by itself. Only an active peer degrades; one that never came up is reported instead.
"""

from __future__ import annotations

from actors.limits import LIVENESS_INTERVAL_S
from actors.peer import cascade, endpoints, remote_answers
from actors.peer.anchors import Anchors
from actors.peer.expiring import Expiring
from actors.peer.lifecycle import Trigger
from actors.peer.messages import HeartbeatTick, LivenessTick, RemediationAnswered, SweepNow
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.steps import (
    NO_IDENTITY,
    REMOTE,
    SYSTEM,
    Party,
    call_refusal,
    heard_in_future,
    is_stale,
    note,
    reachable_identity,
    step,
    wants_heartbeats,
)
from actors.ports import RemoteReply, RemoteRequest
from runtime.actor import handles, spared_while
from runtime.context import Context
from runtime.values import evolve

REMOTE_SUSPENDED_US = "the remote has suspended us"


class Liveness(Anchors, Expiring):
    """Handlers of the liveness loop of one peer."""

    looked: bool = False
    reported_at: float | None = None
    watching: bool = False

    def schedule_liveness(self, ctx: Context) -> None:
        """Arm the next look."""
        self.watching = True
        ctx.after(LIVENESS_INTERVAL_S, LivenessTick(), "liveness")

    def at_peace(self, ctx: Context) -> bool:
        """Whether a look would only arm the next one: contact is fresh, nothing ends soon, and no root changes on either side."""
        record: PeerRecord | None = self.record
        evidence: PeerEvidence | None = self.evidence
        if record is None or evidence is None or record.status != "active" or self.looked or not wants_heartbeats(record):
            return False
        return (
            not is_stale(record, evidence, ctx.wall, ctx.settings.federation.stale_after_s)
            and not heard_in_future(evidence, ctx.wall)
            and self.anchors_at_rest(ctx, record)
            and self.roots_at_rest(ctx, record)
            and not self.renewal_near(ctx, record)
            and self.nothing_ends_soon(ctx, record)
        )

    @handles(LivenessTick)
    @spared_while(at_peace)
    def on_liveness_tick(self, message: LivenessTick, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or not wants_heartbeats(record):
            self.watching = False
            return
        self.schedule_liveness(ctx)
        self.renew_if_due(ctx, record)
        self.tell_of_ending(ctx, record, renewing=self.renewing is not None)
        self.look_at_anchors(ctx, record)
        if heard_in_future(self.evidence, ctx.wall):
            # It was heard before now, whatever the clock said then; silence counts from here.
            ctx.set_evidence(evolve(self.evidence, last_heartbeat_at=ctx.wall))
        stale_after_s = ctx.settings.federation.stale_after_s
        if record.status not in ("enrolled", "active") or not is_stale(record, self.evidence, ctx.wall, stale_after_s):
            self.looked = False
        elif self.looked and record.status == "active":
            # The last look brought no heartbeat, whatever became of it: the row must not stay active on memory.
            self._silent(ctx, record)
        else:
            self._look(ctx, record)

    @handles(SweepNow)
    def on_sweep_now(self, message: SweepNow, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        stale_after_s = ctx.settings.federation.stale_after_s
        silent = record is not None and record.status == "active" and is_stale(record, self.evidence, ctx.wall, stale_after_s)
        if record is not None and silent:
            self._silent(ctx, record)
        ctx.reply(silent)

    def _silent(self, ctx: Context, record: PeerRecord) -> None:
        note(ctx, record, "heartbeat_stale", "medium", status=record.status)
        self._degrade(ctx, record, f"heartbeat stale (>{ctx.settings.federation.stale_after_s:.0f}s)")

    def _look(self, ctx: Context, record: PeerRecord) -> None:
        known = reachable_identity(record)
        refusal = call_refusal(record, ctx.wall)
        if known is None or refusal is not None:
            self._lost(ctx, record, (refusal or NO_IDENTITY).code, None)
            return
        self.looked = True
        listed = endpoints.candidates(record.endpoints, record.remote_instance_url)
        request = RemoteRequest(
            peer_id=record.id,
            method="GET",
            path="/federation_api/trust_bundle",
            body=None,
            urls=tuple(target.url for target in listed if target.cidr_hint is None),
            identity=known[0],
            expectation=known[1],
            timeout_s=ctx.settings.federation.request_timeout_s,
            connect_timeout_s=ctx.settings.federation.probe_connect_s,
        )
        ctx.call(request, then=RemediationAnswered)

    @handles(RemediationAnswered)
    def on_remediation_answered(self, message: RemediationAnswered, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        stale_after_s = ctx.settings.federation.stale_after_s
        if record is None or record.status not in ("enrolled", "active") or not is_stale(record, self.evidence, ctx.wall, stale_after_s):
            return
        if message.fault is not None:
            # A server that does not prove to be the peer rejects us as much as one that says so.
            code = message.fault.code
            self._lost(ctx, record, "auth_rejected" if code == "server_identity_unverified" else code, None)
            return
        reply: RemoteReply = message.outcome
        if reply.status == 200:
            # Reachable after all. Only a real heartbeat that is acknowledged counts as contact, so send one now.
            if record.status == "active" or self._report_due(ctx):
                note(ctx, record, "rehandshaked", "medium")
            ctx.after(0.0, HeartbeatTick(), "heartbeat")
        else:
            self._lost(ctx, record, "auth_rejected" if reply.status in (401, 403) else f"http_{reply.status}", reply)

    def _lost(self, ctx: Context, record: PeerRecord, error: str, reply: RemoteReply | None) -> None:
        heard = record if reply is None else refused_by_remote(ctx, record, reply)
        if heard.status == "revoked" or heard.remote_state == "suspended_us":
            # The remote has spoken: a pause is no alarm, and the end of the peering tells of itself.
            if heard != record:
                ctx.save(heard)
            return
        if record.status == "active":
            if error == "auth_rejected":
                note(ctx, record, "auth_rejected", "high", remote_code=_code(reply))
            self._degrade(ctx, heard, error)
            return
        if self._report_due(ctx):
            if error == "auth_rejected":
                note(ctx, record, "auth_rejected", "high", remote_code=_code(reply))
            note(ctx, record, "unreachable", "high", error=error)

    def _report_due(self, ctx: Context) -> bool:
        """Whether it is time to tell of this peer's trouble (again)."""
        due = self.reported_at is None or ctx.now - self.reported_at >= ctx.settings.federation.decision_dedup_s
        if due:
            self.reported_at = ctx.now
        return due

    def _degrade(self, ctx: Context, record: PeerRecord, reason: str) -> None:
        self.looked = False
        ctx.save(degraded(ctx, record, "contact_lost", SYSTEM, reason))


def degraded(ctx: Context, record: PeerRecord, trigger: Trigger, by: Party, reason: str) -> PeerRecord:
    """The active record after contact is lost or refused, with the reason where operators look for it."""
    record = step(ctx, record, trigger, by, reason)
    return evolve(record, metadata={**record.metadata, "degraded_reason": reason})


def refused_by_remote(ctx: Context, record: PeerRecord, reply: RemoteReply) -> PeerRecord:
    """The record after the remote, whose server has proven itself, said that it serves us no more. Anything else changes nothing."""
    code = remote_answers.remote_code(reply)
    if reply.status != 403:
        return record
    if code == "peer_suspended" and record.remote_state != "suspended_us":
        record = evolve(record, remote_state="suspended_us", updated_at=ctx.wall)
        return degraded(ctx, record, "remote_suspended_us", REMOTE, REMOTE_SUSPENDED_US) if record.status == "active" else record
    if code == "peer_revoked":
        return cascade.revoked(ctx, record, "remote_revoked_us", REMOTE, cascade.remote_reason(remote_answers.end_reason(reply)))
    return record


def _code(reply: RemoteReply | None) -> str | None:
    return None if reply is None else remote_answers.remote_code(reply)
