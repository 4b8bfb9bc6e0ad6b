"""The actor of one offering: its life, and every seat under it.

Lives here: one handler for each message. Must not live here: how rows of leases and grants are written (see `seats`).
"""

from __future__ import annotations

from typing import Any, Final

from actors.approval.deciding import CHANGED
from actors.approval.messages import Execute, Executed, NotApproved
from actors.approval.record import KIND as APPROVAL
from actors.idempotency.record import remember
from actors.offering import backend, lifecycle
from actors.offering.lifecycle import State, Trigger
from actors.offering.messages import (
    BearerOpened,
    BearerSealed,
    CancelLease,
    Create,
    CutFurther,
    GrantEnded,
    Leased,
    LeaseEnded,
    NoticeSent,
    Renew,
    Step,
    Subscribe,
    TellFurther,
    Update,
)
from actors.offering.record import LEASE, OfferingRecord, to_json
from actors.offering.seats import (
    ENDED,
    KEY_REUSED,
    LEASES_A_TURN,
    NO_SUBSCRIPTION,
    NOT_SHOWN,
    OFFERING_NOT_FOUND,
    Seats,
    not_accepting,
    served,
    ttl_s,
)
from actors.peer.messages import news
from actors.peer.peer_events import CATALOGUE_CHANGED, OFFERING_RETIRING
from actors.peer.record import KIND as PEER
from actors.peer.standing import peer_of
from actors.periodic.works import OFFERING_RETIREMENT, note_run
from actors.ports import GRANT_BEARER_PURPOSE, Open
from runtime.actor import Due, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

PAST: Final = {"active": "activated", "deprecated": "deprecated", "retired": "retired"}

CALLABLE: Final = ("active", "degraded")
PEERS_A_TURN: Final = 200
"""How many peers are told of a change in one turn, so that others have theirs in between."""


class OfferingActor(Seats):
    """One offering."""

    # --- operators -----------------------------------------------------------------------------------------------

    @handles(Create)
    def on_create(self, message: Create, ctx: Context) -> None:
        record = OfferingRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            created_by=message.by,
            created_at=ctx.wall,
            updated_at=ctx.wall,
            **message.fields,
        )
        fault = _backend_fault(ctx, record)
        if fault is not None:
            ctx.reply(fault)
            return
        ctx.save(record)
        remember(ctx, message.mark, 201, {"offering": to_json(ctx.record, 0)})
        ctx.reply(ctx.record)

    @handles(Update)
    def on_update(self, message: Update, ctx: Context) -> None:
        fault = _version_fault(self.record, message.expected_version)
        if fault is None and self.record.status == "retired":
            fault = OperatorFault("offering_retired", "a retired offering is not changed any more", 409)
        if fault is not None:
            ctx.reply(fault)
            return
        changed: OfferingRecord = evolve(self.record, **message.changes)
        fault = _backend_fault(ctx, changed)
        if fault is not None:
            ctx.reply(fault)
            return
        if changed != self.record:
            ctx.save(evolve(changed, updated_at=ctx.wall))
            self._announce(ctx, changed)
        remember(ctx, message.mark, 200, {"offering": to_json(ctx.record, self._live_count(ctx))})
        ctx.reply(ctx.record)

    @handles(Step)
    def on_step(self, message: Step, ctx: Context) -> None:
        fault = step_fault(self.record, message.trigger, message.expected_version)
        if fault is not None:
            ctx.reply(fault)
            return
        self._step(ctx, message.trigger, message.by)
        remember(ctx, message.mark, 200, {"offering": to_json(ctx.record, self._live_count(ctx))})
        ctx.reply(ctx.record)

    def _step(self, ctx: Context, trigger: Trigger, by: str | None, *, immediate: bool = False, **facts: Any) -> None:
        record: OfferingRecord = self.record
        target = lifecycle.TRANSITIONS[record.status, trigger]
        changes: dict[str, Any] = {"status": target, "updated_at": ctx.wall, f"{PAST[target]}_at": ctx.wall}
        if target == "active":
            changes["deprecated_at"] = None
        if target == "retired":
            changes["access_ends_at"] = ctx.wall if immediate else ctx.wall + lifecycle.ACCESS_AFTER_RETIREMENT_S
            changes["notices_sent"] = len(lifecycle.NOTICES_BEFORE_END_S) if immediate else 0
        after = evolve(record, **changes)
        self._emit(ctx, after, record.status, by, immediate=immediate, **facts)
        if target == "retired":
            after = self._cut(ctx, after) if immediate else self._give_notice(ctx, after)
        ctx.save(after)
        self._announce(ctx, after)

    @handles(Execute)
    def on_execute(self, message: Execute, ctx: Context) -> None:
        """To end the access of every subscriber at once was approved. It is done if the offering still can be retired."""
        record: OfferingRecord | None = self.record
        approval = message.approval
        fault = step_fault(record, "retire")
        if record is not None and record.status == "retired" and record.access_ends_at == record.retired_at:
            fault = None
        elif fault is not None and record is not None:
            fault = OperatorFault(CHANGED, "the offering cannot be retired any more", 409, {"status": record.status})
        elif fault is None:
            told = {"approved_by": message.approved_by, "operation_id": approval.execution_id}
            self._step(ctx, "retire", approval.requested_by, immediate=True, **told)
        ctx.send(Ref(APPROVAL.name, approval.id), Executed(fault=fault, result={"offering_id": ctx.ref.id}))

    @handles(NotApproved)
    def on_not_approved(self, message: NotApproved, ctx: Context) -> None:
        """Nothing was changed, and the request has told so in its audit chain."""

    # --- peers -----------------------------------------------------------------------------------------------------

    def _announce(self, ctx: Context, record: OfferingRecord) -> None:
        """Tell every peer that its view of our catalogue is old, best effort."""
        if record.status != "draft":
            told = news(ctx, CATALOGUE_CHANGED, record.id, {"slug": record.slug, "status": record.status})
            self.on_tell_further(TellFurther(told, ""), ctx)

    @handles(TellFurther)
    def on_tell_further(self, message: TellFurther, ctx: Context) -> None:
        record: OfferingRecord | None = self.record
        if record is None:
            return
        mine = (Condition("account_id", "=", record.account_id), Condition("status", "in", CALLABLE))
        ids = ctx.query_ids(Query(PEER.name, (mine,), after_id=message.after_id or None, limit=PEERS_A_TURN))
        for id in ids:
            ctx.send(Ref(PEER.name, id), message.told)
        if len(ids) == PEERS_A_TURN:
            ctx.send(ctx.ref, TellFurther(message.told, ids[-1]))

    # --- subscribers ---------------------------------------------------------------------------------------------

    @handles(Subscribe)
    def on_subscribe(self, message: Subscribe, ctx: Context) -> None:
        if self._repeated(ctx, message, ctx.defer()):
            return
        fault = self.seat_fault(ctx, peer_of(ctx, message.peer_id), message.local_hostname)
        if fault is not None:
            ctx.reply(fault)
            return
        self.mint(ctx, BearerSealed, (message, ctx.defer()))

    def _repeated(self, ctx: Context, message: Subscribe, address: Any) -> bool:
        """Answer a request whose key is known already; whether it was."""
        known = self.by_key(ctx, message.peer_id, message.key)
        if known is None:
            return False
        if known.offering_id != ctx.ref.id or known.local_hostname != message.local_hostname:
            ctx.answer(address, KEY_REUSED)
        elif not self.stands(ctx, known, peer_of(ctx, message.peer_id)):
            ctx.answer(address, ENDED)
        else:
            ctx.call(Open(known.sealed_bearer, GRANT_BEARER_PURPOSE), then=BearerOpened, tag=(known, address))
        return True

    @handles(Renew)
    def on_renew(self, message: Renew, ctx: Context) -> None:
        lease = self.lease(ctx, message.lease_id)
        peer = peer_of(ctx, message.peer_id)
        if lease is None or lease.federation_peer_id != message.peer_id or not self.stands(ctx, lease, peer):
            ctx.reply(NO_SUBSCRIPTION)
        elif lease.former_grant_id == message.grant_id and lease.renewal_key == message.key:
            ctx.call(Open(lease.sealed_bearer, GRANT_BEARER_PURPOSE), then=BearerOpened, tag=(lease, ctx.defer()))
        elif lease.grant_id != message.grant_id:
            ctx.reply(NO_SUBSCRIPTION)
        elif not served(self.record):
            ctx.reply(not_accepting(self.record))
        else:
            self.mint(ctx, BearerSealed, (message, ctx.defer()))

    @handles(BearerSealed)
    def on_bearer_sealed(self, message: BearerSealed, ctx: Context) -> None:
        asked, address, grant_id, bearer, digest = message.tag
        if message.fault is not None:
            ctx.answer(address, message.fault)
            return
        peer = peer_of(ctx, asked.peer_id)
        if isinstance(asked, Subscribe):
            if self._repeated(ctx, asked, address):
                return
            fault = self.seat_fault(ctx, peer, asked.local_hostname)
            if fault is not None or peer is None:
                ctx.answer(address, fault or NOT_SHOWN)
                return
            term_s = ttl_s(self.record, asked.ttl_days)
            lease = self.give(ctx, peer, asked.key, asked.local_hostname, term_s, grant_id, digest, message.outcome)
        else:
            found = self.lease(ctx, asked.lease_id)
            if found is None or peer is None or found.grant_id != asked.grant_id or not self.stands(ctx, found, peer):
                ctx.answer(address, NO_SUBSCRIPTION)
                return
            if not served(self.record):
                ctx.answer(address, not_accepting(self.record))
                return
            lease = self.extend(ctx, peer, found, asked.key, grant_id, digest, message.outcome)
        ctx.answer(address, Leased(self.record, lease, bearer, backend.address(ctx, self.record) or ""))

    @handles(BearerOpened)
    def on_bearer_opened(self, message: BearerOpened, ctx: Context) -> None:
        lease, address = message.tag
        if message.fault is not None:
            ctx.answer(address, message.fault)
        else:
            host = backend.address(ctx, self.record) or ""
            ctx.answer(address, Leased(self.record, lease, message.outcome, host, created=False))

    @handles(CancelLease)
    def on_cancel_lease(self, message: CancelLease, ctx: Context) -> None:
        lease = self.lease(ctx, message.lease_id)
        if lease is None or lease.federation_peer_id != message.peer_id or lease.state != "live":
            ctx.reply(NO_SUBSCRIPTION)
            return
        self.end(ctx, lease, "cancelled", "cancelled_by_subscriber", told=False)
        ctx.reply(lease)

    # --- the end of a time ---------------------------------------------------------------------------------------

    @handles(LeaseEnded)
    def on_lease_ended(self, message: LeaseEnded, ctx: Context) -> None:
        lease = self.lease(ctx, message.lease_id)
        if lease is None or lease.state != "live":
            return
        if message.state == "expired" and ctx.wall < lease.expires_at:
            return
        if message.epoch is None or message.epoch == lease.peering_epoch:
            self.end(ctx, lease, message.state, message.reason, told=False)

    @handles(GrantEnded)
    def on_grant_ended(self, message: GrantEnded, ctx: Context) -> None:
        found = ctx.find(LEASE.name, "grant", message.grant_id)
        lease = self.lease(ctx, found)
        if lease is not None and lease.state == "live":
            self.end(ctx, lease, "revoked", message.reason, told=True)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        if self.record is not None and self._retire_further(ctx):
            note_run(ctx, OFFERING_RETIREMENT, self.record.account_id)

    def _retire_further(self, ctx: Context) -> bool:
        """Give notice or cut, whatever it is time for; False if that is past."""
        record: OfferingRecord = self.record
        if record.access_ends_at is None or record.cut_at is not None:
            return False
        after = self._cut(ctx, record) if record.access_ends_at <= ctx.wall else self._give_notice(ctx, record)
        if after != record:
            ctx.save(after)
        return True

    @handles(CutFurther)
    def on_cut_further(self, message: CutFurther, ctx: Context) -> None:
        self._retire_further(ctx)

    @handles(NoticeSent)
    def on_notice_sent(self, message: NoticeSent, ctx: Context) -> None:
        """Nothing follows: a subscriber that was not reached looks by itself."""

    def _give_notice(self, ctx: Context, record: OfferingRecord) -> OfferingRecord:
        assert record.access_ends_at is not None
        sent = record.notices_sent
        while (at := lifecycle.next_notice_at(record.access_ends_at, sent)) is not None and at <= ctx.wall:
            sent += 1
        if sent == record.notices_sent:
            return record
        payload = {"slug": record.slug, "access_ends_at": iso(record.access_ends_at)}
        for lease in self.live(ctx):
            self.notify(ctx, lease, OFFERING_RETIRING, "offering_retired", {**payload, "grant_id": lease.grant_id})
        return evolve(record, notices_sent=sent, updated_at=ctx.wall)

    def _cut(self, ctx: Context, record: OfferingRecord) -> OfferingRecord:
        """End the next leases; the offering is cut once none is left."""
        leases = self.live(ctx, LEASES_A_TURN + 1)
        ended = leases[:LEASES_A_TURN]
        for lease in ended:
            self.end(ctx, lease, "revoked", "offering_retired", told=True)
        after = evolve(record, cut_leases=record.cut_leases + len(ended), updated_at=ctx.wall)
        if len(leases) > LEASES_A_TURN:
            ctx.send(ctx.ref, CutFurther())
            return after
        facts = {"offering_id": record.id, "slug": record.slug, "leases": after.cut_leases}
        ctx.emit("federation.offering.cutoff", "medium", record.account_id, **facts)
        return evolve(after, cut_at=ctx.wall)

    # --- small things --------------------------------------------------------------------------------------------

    def _live_count(self, ctx: Context) -> int:
        return len(self.live(ctx))

    def _emit(self, ctx: Context, record: OfferingRecord, former: State, by: str | None, **facts: Any) -> None:
        told = {
            "offering_id": record.id,
            "slug": record.slug,
            "former_status": former,
            "status": record.status,
            "by": by,
            **facts,
        }
        ctx.audit(f"offering.{PAST[record.status]}", "user", by, **told)
        severity: Any = "medium" if record.status == "retired" else "low"
        ctx.emit(f"federation.offering.{PAST[record.status]}", severity, record.account_id, **told)


def _version_fault(record: OfferingRecord | None, expected_version: int | None) -> Fault | None:
    if record is None:
        return OFFERING_NOT_FOUND
    if expected_version is not None and expected_version != record.version:
        return OperatorFault("version_conflict", "the offering has changed since; read it again", 409, {"version": record.version})
    return None


def step_fault(record: OfferingRecord | None, trigger: Trigger, expected_version: int | None = None) -> Fault | None:
    """Why the step cannot be taken now, or None."""
    fault = _version_fault(record, expected_version)
    if fault is not None or record is None or lifecycle.transition(record.status, trigger) is not None:
        return fault
    if record.status == "retired":
        return OperatorFault("offering_retired", "a retired offering does not come back; make another one", 409)
    details = {"from": record.status, "allowed": list(lifecycle.allowed(record.status))}
    return OperatorFault("invalid_transition", f"an offering that is {record.status} cannot take the step {trigger}", 422, details)


def _backend_fault(ctx: Context, record: OfferingRecord) -> Fault | None:
    """Why nothing could be served at this backend, or None."""
    if record.backend_vip_id is None and record.backend_host is None:
        return OperatorFault("backend_required", "name a backend_host or a backend_vip_id", 422, {"field": "backend_host"})
    if record.backend_vip_id is not None and backend.vip_address(ctx, record.account_id, record.backend_vip_id) is None:
        return OperatorFault("backend_vip_not_found", "there is no such virtual address here", 422, {"field": "backend_vip_id"})
    host = backend.address(ctx, record)
    reason = backend.misleading(host, ctx.settings.federation.allowed_networks) if host is not None else None
    if reason is not None:
        field = "backend_vip_id" if host != record.backend_host else "backend_host"
        text = f"to a subscriber this address is another one ({reason}); name the range in federation.allowed_networks if it is meant"
        return OperatorFault("backend_invalid", text, 422, {"field": field, "reason": reason})
    return None


def live_leases(offering_id: str) -> Query:
    """The query for the leases that have a seat."""
    return Query(LEASE.name, ((Condition("live_offering_id", "=", offering_id),),))
