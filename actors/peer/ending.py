"""Pausing a peering and ending it: what operators ask for, and what has to be done after the commit that ended it.

Lives here: suspend, resume, revoke, the last word to the remote, telling the owners of dependent rows, and the deadlines of a peer row.
Must not live here: what the row looks like afterwards (`cascade`).

The commit of a revocation closes the door; everything else is an intent on the row with a deadline, so that it goes on after a crash
wherever it was: the last word, the end of the grace, the telling of dependent rows, the end of the tombstone.
"""

from __future__ import annotations

from typing import Any

from actors.idempotency.record import Mark, remember
from actors.limits import DEPENDANTS_LOOK_MAX_S, DEPENDANTS_SLICE, LAST_WORD_RETRY_S, LAST_WORD_TRIES, RECEIPT_KEPT_S
from actors.peer import cascade, remote_answers
from actors.peer.dependants import DEPENDANTS
from actors.peer.emancipating import Emancipating
from actors.peer.lifecycle import transition
from actors.peer.messages import LastWordAnswered, PauseTold, PeeringEnded, ResumePeering, Revoke, Shown, Suspend
from actors.peer.peer_events import PEER_REVOKED
from actors.peer.projection import full_now
from actors.peer.record import LastWord, PeerRecord, without_ended_anchors
from actors.peer.steps import (
    PEERING_EXPIRED,
    call_refusal,
    can_be_told,
    invalid_transition,
    may_enrol,
    operator,
    reachable_identity,
    step,
    trust_status_at,
    wants_heartbeats,
)
from actors.ports import RemoteReply, RemoteRequest
from actors.wall_clock.standing import has_passed
from runtime.actor import Due, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

NOT_FOUND = OperatorFault("not_found", "there is no such peer", 404)
ALREADY_REVOKED = OperatorFault("already_revoked", "this peering has ended already", 409)
ALREADY_SUSPENDED = OperatorFault("peer_suspended", "this peer is paused already", 409)


class Ending(Emancipating):
    """Handlers of pauses and of the end."""

    telling: bool = False

    # --- what operators ask for ----------------------------------------------------------------------------------

    @handles(Suspend)
    def on_suspend(self, message: Suspend, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        fault = suspend_fault(record)
        if fault is not None:
            ctx.reply(fault)
            return
        assert record is not None
        paused = cascade.suspended(ctx, record, operator(message.by), message.reason)
        ctx.save(paused)
        if wants_heartbeats(record):
            self._tell_pause(ctx, record)
        self._quiet(ctx)
        self._shown(ctx, message.mark)

    @handles(ResumePeering)
    def on_resume_peering(self, message: ResumePeering, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        fault = resume_fault(record, ctx.wall)
        if fault is not None:
            ctx.reply(fault)
            return
        assert record is not None
        by = operator(message.by)
        resumed = cascade.resumed(ctx, record, by, message.reason)
        intact = trust_status_at(record, ctx.wall) == "established" and call_refusal(record, ctx.wall) is None
        if record.peer_kind == "platform" and intact and record.contract_version_agreed is not None and may_enrol(record, ctx.settings):
            resumed = evolve(step(ctx, resumed, "trust_established", by), last_handshake_at=ctx.wall)
        ctx.save(resumed)
        if wants_heartbeats(resumed):
            self.first_heartbeat(ctx, 0.0)
            self.schedule_liveness(ctx)
        self._shown(ctx, message.mark)

    @handles(Revoke)
    def on_revoke(self, message: Revoke, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
            return
        if record.status == "revoked":
            self._end_grace(ctx, record, message)
            return
        reason = message.reason or cascade.OPERATOR_INITIATED
        ctx.save(cascade.revoked(ctx, record, "operator_revoked", operator(message.by), reason, immediate=message.immediate))
        self._quiet(ctx)
        self._shown(ctx, message.mark)

    def _end_grace(self, ctx: Context, record: PeerRecord, message: Revoke) -> None:
        """A compromise that was found out after an ordinary end: what might still finish then is over, and so is our key for the peer."""
        revocation = record.revocation
        if not message.immediate or revocation is None or revocation.phase != "draining":
            ctx.reply(ALREADY_REVOKED)
            return
        by = operator(message.by)
        untold = revocation.last_word is not None
        ctx.audit("peer.grace_ended", by.kind, by.id, federation_peer_id=record.id, reason=message.reason, last_word_dropped=untold)
        ctx.save(cascade.completed(ctx, record))
        self._shown(ctx, message.mark)

    def _shown(self, ctx: Context, mark: Mark | None) -> None:
        remember(ctx, mark, 200, {"peer": full_now(ctx)})
        ctx.reply(Shown(ctx.record, self.evidence))

    def _quiet(self, ctx: Context) -> None:
        """No call of this platform's own accord leaves any more; what is under way is not waited for."""
        for key in ("heartbeat", "early-heartbeat", "liveness"):
            ctx.cancel(key)
        self.watching = self.beating = False
        self.forget_channel(ctx)

    def _tell_pause(self, ctx: Context, record: PeerRecord) -> None:
        """The last heartbeat. If it is lost, the remote hears of the pause from the answer to its own next one."""
        known = reachable_identity(record)
        if known is None or call_refusal(record, ctx.wall) is not None:
            return
        request = RemoteRequest(
            peer_id=record.id,
            method="POST",
            path="/federation_api/heartbeat",
            body=self.heartbeat_body(ctx, self.next_sequence(ctx), peer_state="suspended"),
            urls=self.urls(ctx),
            identity=known[0],
            expectation=known[1],
            timeout_s=ctx.settings.federation.request_timeout_s,
        )
        ctx.call(request, then=PauseTold)

    @handles(PauseTold)
    def on_pause_told(self, message: PauseTold, ctx: Context) -> None:
        """Whatever became of it, nothing follows."""

    # --- after the end -------------------------------------------------------------------------------------------

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            return
        after = self.told_of_emancipation(ctx, self.told_of_abandoning(ctx, _expired(ctx, record)))
        if after.revocation is not None:
            after = self._ended_further(ctx, after)
        if after != record:
            ctx.save(evolve(after, updated_at=ctx.wall))

    def _ended_further(self, ctx: Context, record: PeerRecord) -> PeerRecord:
        """Every step of the end whose time has come."""
        revocation = record.revocation
        assert revocation is not None
        if revocation.last_word is not None and has_come(revocation.last_word.next_at, ctx.wall, LAST_WORD_RETRY_S):
            record = self._tell_end(ctx, record, revocation.last_word)
        record = self._drained(ctx, record)
        assert record.revocation is not None
        if has_come(record.revocation.look_at, ctx.wall, DEPENDANTS_LOOK_MAX_S):
            record = cascade.looked_again(record, _tell_dependants(ctx, record), ctx.wall)
        assert record.revocation is not None
        tombstone_until = record.revocation.tombstone_until
        return cascade.buried(record) if tombstone_until is not None and has_passed(ctx, tombstone_until) else record

    def _drained(self, ctx: Context, record: PeerRecord) -> PeerRecord:
        """The grace ends with its time, but not while the last word is owed: it needs our identity."""
        revocation = record.revocation
        assert revocation is not None
        grace_s = ctx.settings.federation.revocation_grace_s
        if revocation.phase != "draining" or revocation.last_word is not None or not has_come(revocation.drain_until, ctx.wall, grace_s):
            return record
        return cascade.completed(ctx, record)

    def _tell_end(self, ctx: Context, record: PeerRecord, word: LastWord) -> PeerRecord:
        """Send the last word once more, or give up; either is noted before it happens. An identity that has ended tells nobody anything."""
        known = reachable_identity(record)
        if word.tries >= LAST_WORD_TRIES or known is None or not can_be_told(record, ctx.wall):
            return _undelivered(ctx, record, word)
        body = {"event_id": word.event_id, "kind": PEER_REVOKED, "reason": word.reason, "effective_at": iso(word.effective_at)}
        request = RemoteRequest(
            peer_id=record.id,
            method="POST",
            path="/federation_api/peer_events",
            body=body,
            urls=self.urls(ctx),
            identity=known[0],
            expectation=known[1],
            timeout_s=min(ctx.settings.federation.request_timeout_s, LAST_WORD_RETRY_S),
        )
        self.telling = True
        ctx.call(request, then=LastWordAnswered, tag=word.event_id)
        return _with_last_word(record, evolve(word, tries=word.tries + 1, next_at=ctx.wall + LAST_WORD_RETRY_S))

    @handles(LastWordAnswered)
    def on_last_word_answered(self, message: LastWordAnswered, ctx: Context) -> None:
        self.telling = False
        record: PeerRecord | None = self.record
        word = record.revocation.last_word if record is not None and record.revocation is not None else None
        if record is None or word is None or word.event_id != message.tag or not _taken(message):
            return
        ctx.audit("peer.notification_delivered", "system", None, federation_peer_id=record.id, event_id=word.event_id, tries=word.tries)
        ctx.save(evolve(self._drained(ctx, _with_last_word(record, None)), updated_at=ctx.wall))


def suspend_fault(record: PeerRecord | None) -> Fault | None:
    """Why the peer cannot be paused, or None."""
    if record is None:
        return NOT_FOUND
    if record.status == "suspended":
        return ALREADY_SUSPENDED
    return None if transition(record.status, "operator_suspended", record.peer_kind) else invalid_transition(record, "suspended")


def resume_fault(record: PeerRecord | None, wall: float) -> Fault | None:
    """Why the pause cannot be ended, or None."""
    if record is None:
        return NOT_FOUND
    if transition(record.status, "operator_resumed", record.peer_kind) is None:
        return invalid_transition(record, "accepted")
    return PEERING_EXPIRED if record.expires_at is not None and record.expires_at <= wall else None


def _expired(ctx: Context, record: PeerRecord) -> PeerRecord:
    """The record without the token, the receipt and the handshake whose time is over."""
    changes: dict[str, Any] = {}
    expires_at = record.acceptance_token_expires_at
    if record.acceptance_token_digest is not None and expires_at is not None and has_passed(ctx, expires_at):
        changes |= {"acceptance_token_digest": None, "acceptance_token_expires_at": None, "token_expired_at": expires_at}
        ctx.audit("peer.token_expired", "system", None, federation_peer_id=record.id)
    if record.receipt is not None and record.receipt.at + RECEIPT_KEPT_S <= ctx.wall:
        changes["receipt"] = None
    if record.handshake is not None and record.handshake.expires_at <= ctx.wall:
        changes["handshake"] = None
    return without_ended_anchors(evolve(record, **changes), ctx.wall)


def _tell_dependants(ctx: Context, record: PeerRecord) -> tuple[str, ...]:
    """Tell the owners of rows that do not know of this phase yet, a slice at a time; the kinds of which some may be left."""
    assert record.revocation is not None
    left = []
    for dependant in DEPENDANTS:
        if dependant.kind not in record.revocation.untold:
            continue
        untold = ctx.query_ids(dependant.untold(record.id, DEPENDANTS_SLICE))
        for id in untold:
            ended = PeeringEnded(
                peer_id=record.id,
                peering_epoch=record.peering_epoch - 1,
                phase=dependant.phase,
                reason=str(record.metadata.get("revocation_reason") or ""),
                ended_at=record.revoked_at or ctx.wall,
            )
            ctx.send(Ref(dependant.kind, id), ended)
        if untold:
            left.append(dependant.kind)
    return tuple(left)


def _undelivered(ctx: Context, record: PeerRecord, word: LastWord) -> PeerRecord:
    facts = {"event_id": word.event_id, "tries": word.tries, "operator_contact": record.operator_contact}
    ctx.audit("peer.notification_undelivered", "system", None, federation_peer_id=record.id, **facts)
    ctx.emit(
        "federation.peer.notification_undelivered",
        "medium",
        record.account_id,
        federation_peer_id=record.id,
        remote_instance_url=record.remote_instance_url,
        **facts,
    )
    undelivered = evolve(record, metadata={**record.metadata, "notification_undelivered_at": iso(ctx.wall)})
    return _with_last_word(undelivered, None)


def _with_last_word(record: PeerRecord, word: LastWord | None) -> PeerRecord:
    assert record.revocation is not None
    return evolve(record, revocation=evolve(record.revocation, last_word=word))


def _taken(message: LastWordAnswered) -> bool:
    """Whether the remote knows: it acknowledged, or it has ended the peering itself."""
    reply = message.outcome
    if not isinstance(reply, RemoteReply):
        return False
    return 200 <= reply.status < 300 or (reply.status == 403 and remote_answers.remote_code(reply) == "peer_revoked")
