"""A managed child that stands on its own from now on.

Lives here: the step at the child, whichever way its operators take it, the end of what it gave its parent for operating it, and the notice
that is owed until the parent has heard it. Must not live here: what the parent does with the notice (see `peer_events`). No step leads
back: new rights need a new grant.
"""

from __future__ import annotations

from actors.grant.book import KIND as BOOK
from actors.grant.messages import Revoke as RevokeGrant
from actors.grant.record import KIND as GRANT
from actors.grant.record import target
from actors.idempotency.record import remember
from actors.limits import OWED_NOTICE_RETRY_MAX_S, OWED_NOTICE_RETRY_S
from actors.peer import stewardship
from actors.peer.abandoning import Abandoning
from actors.peer.lifecycle import LIVE
from actors.peer.messages import Emancipate, EmancipationTold, GrantTakenBack, Shown
from actors.peer.outbound import exchange
from actors.peer.peer_events import OPERATOR_GRANT, PEER_EMANCIPATED, let_go
from actors.peer.projection import full_now
from actors.peer.record import OwedNotice, PeerRecord
from actors.peer.steps import note, standing_alone
from actors.ports import RemoteReply
from runtime.actor import Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

REASON = "emancipated"
NOT_FOUND = OperatorFault("not_found", "there is no such peer", 404)


class Emancipating(Abandoning):
    """Handlers of that step and its notice."""

    @handles(Emancipate)
    def on_emancipate(self, message: Emancipate, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        fault = emancipation_fault(record)
        if fault is not None:
            ctx.reply(fault)
            return
        assert record is not None
        _stand_alone(ctx, record, message.by, message.reason)
        remember(ctx, message.mark, 200, {"peer": full_now(ctx)})
        ctx.reply(Shown(ctx.record, self.evidence))

    @handles(GrantTakenBack)
    def on_grant_taken_back(self, message: GrantTakenBack, ctx: Context) -> None:
        """Whoever ends the grant ends what it stood for. The rows decide: the message may come again, or of nothing."""
        record: PeerRecord | None = self.record
        if record is not None and emancipation_fault(record) is None and stewardship.taken_back(ctx, record):
            _stand_alone(ctx, record, message.by, message.reason)

    def look_whether_taken_back(self, ctx: Context) -> None:
        """A crash may have swallowed the word of it, at either side, or it came before there was a peering to part from."""
        record: PeerRecord | None = ctx.record
        if record is None or record.spawn_mode != "managed_child":
            return
        if stewardship.is_child(record) and stewardship.taken_back(ctx, record):
            ctx.send(ctx.ref, GrantTakenBack())
        elif record.spawn_role == "parent" and standing_alone(record):
            let_go(ctx, record)

    def told_of_emancipation(self, ctx: Context, record: PeerRecord) -> PeerRecord:
        """Say it if it is time; that it has left is noted before it does."""
        owed = record.emancipation
        if owed is None or not has_come(owed.next_at, ctx.wall, OWED_NOTICE_RETRY_MAX_S):
            return record
        if record.status == "revoked":
            return evolve(record, emancipation=None)
        # A grant that a crash has left in force ends with the next try.
        _end_operator_grants(ctx, record, None)
        body = {"event_id": owed.event_id, "kind": owed.kind, "reason": owed.reason, "effective_at": iso(owed.effective_at)}
        path = "/federation_api/peer_events"
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "POST", path, body, family="heartbeat")
        if not isinstance(request, Fault):
            ctx.call(request, then=EmancipationTold, tag=owed.event_id)
        wait_s = min(OWED_NOTICE_RETRY_S * 2.0 ** min(owed.tries, 16), OWED_NOTICE_RETRY_MAX_S)
        return evolve(record, emancipation=evolve(owed, tries=owed.tries + 1, next_at=ctx.wall + wait_s))

    @handles(EmancipationTold)
    def on_emancipation_told(self, message: EmancipationTold, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        owed = record.emancipation if record is not None else None
        heard = isinstance(message.outcome, RemoteReply) and 200 <= message.outcome.status < 300
        if record is not None and owed is not None and owed.event_id == message.tag and heard:
            ctx.save(evolve(record, emancipation=None, updated_at=ctx.wall))


def emancipation_fault(record: PeerRecord | None) -> Fault | None:
    """Why we cannot part with this parent, or None."""
    if record is None:
        return NOT_FOUND
    if record.spawn_role != "child" or record.spawn_mode != "managed_child" or standing_alone(record):
        return stewardship.NOT_MANAGED
    if record.status == "revoked":
        return OperatorFault("already_revoked", "this peering has ended already", 409)
    if record.status not in LIVE and record.status != "suspended":
        return OperatorFault(
            "peer_not_ready", f"the peer is {record.status}; there is nothing to part from yet", 409, {"status": record.status}
        )
    return None


def _stand_alone(ctx: Context, record: PeerRecord, by: str | None, reason: str | None) -> None:
    ctx.audit("peer.emancipated", "user", by, federation_peer_id=record.id, reason=reason)
    note(ctx, record, "emancipated", "medium", reason=reason)
    _end_operator_grants(ctx, record, by)
    owed = OwedNotice(event_id=ctx.new_id(), kind=PEER_EMANCIPATED, reason=reason, effective_at=ctx.wall, next_at=ctx.wall)
    ctx.save(evolve(record, metadata={**record.metadata, "emancipated_at": iso(ctx.wall)}, emancipation=owed, updated_at=ctx.wall))


def _end_operator_grants(ctx: Context, record: PeerRecord, by: str | None) -> None:
    rows = ctx.query(Query(GRANT.name, ((Condition("target", "=", target(record.id, OPERATOR_GRANT, None)),),)))
    for row in rows:
        if row.record.revoked_at is None and row.record.archived_at is None:
            # Whatever grant tests expect, nobody operates a platform against the word of its operators.
            ended = RevokeGrant(grant_id=row.record.id, by=by, reason=REASON, immediate=True, force=True)
            ctx.send(Ref(BOOK.name, record.id), ended)
