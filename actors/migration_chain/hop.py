"""One hop of a chain at the platform that holds the resource: asks its own operators, then moves the resource by a migration of its own.

Lives here: one handler per message. Whoever drives the chain may be another platform; what it says is a wish, and moves nothing. Before our
operators are asked, and again when they have approved, everything is judged as if our own operator had planned the migration. Must not live
here: the moving itself (`actors.migration`), or who may ask (the door).
"""

from __future__ import annotations

from typing import Any, Final

from actors.approval.limits import PENDING_PER_PEER_MAX, SUMMARY_CHARS_MAX
from actors.approval.messages import AskApproval, Execute, Executed, NotApproved, Supersede
from actors.approval.record import KIND as APPROVAL
from actors.grant.record import KIND as GRANT
from actors.grant.standing import effective
from actors.migration.actor import NO_GRANT, bearer_of, planned_record
from actors.migration.messages import Act, ForHop, MigrationMoved, Plan
from actors.migration.record import MIGRATION, MigrationRecord
from actors.migration_chain.lifecycle import HopTrigger, hop_transition
from actors.migration_chain.limits import HOURLY_S, LOOK_S, NAME_CHARS_MAX, retry_after
from actors.migration_chain.messages import HopTold, StartHop, WithdrawHop
from actors.migration_chain.record import CHAIN_KIND, HOP, ChainHopRecord
from actors.migration_chain.transient import passes
from actors.migration_chain.word import HopWord, until
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.standing import in_force, peer_of
from runtime.actor import Actor, Due, Ref, Resume, handles
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

# A wish of a peer ends with its peering. What our operators have approved goes on: it is our own migration.
DEPENDANTS.append(Dependant(kind=HOP.name, phase="draining", open=(), peer_column="waiting_asker_id"))

NOT_FOUND: Final = OperatorFault("chain_hop_not_found", "nothing was asked for under this number of this chain", 404)
CONFLICT: Final = OperatorFault("chain_hop_conflict", "another hop has this number in this chain", 409)
NOT_WAITING: Final = OperatorFault("precondition_changed", "the hop does not wait for approval any more", 409)
ASKER_GONE: Final = OperatorFault("precondition_changed", "the peering or the grant under which this was asked for has ended", 409)
FULL: Final = OperatorFault(
    "too_many_pending", f"{PENDING_PER_PEER_MAX} wishes of this peer wait for approval already", 429, retry_after_s=LOOK_S
)


class ChainHopActor(Actor):
    """One hop."""

    kind = HOP

    # --- what whoever drives the chain says -----------------------------------------------------------------------

    @handles(StartHop)
    def on_start_hop(self, message: StartHop, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        trigger: HopTrigger = "begin" if message.asker_peer_id is None else "ask"
        fresh = record is None or message.attempt > record.attempt
        if record is not None and not self._is_same(record, message):
            self._answer(ctx, message, CONFLICT)
        elif not fresh or hop_transition(record.status if record is not None else None, trigger) is None:
            self._answer(ctx, message, self._word(ctx, record))
            self._go_on(ctx)
        else:
            self._begin(ctx, message, trigger)

    def _is_same(self, record: ChainHopRecord, message: StartHop) -> bool:
        known = (record.account_id, record.header, record.destination_peer_id)
        # A hop that has ended without having moved may be asked for again under another name of the resource.
        return known == (message.account_id, message.header, message.destination_peer_id)

    def _begin(self, ctx: Context, message: StartHop, trigger: HopTrigger) -> None:
        former: ChainHopRecord | None = self.record
        status = hop_transition(former.status if former is not None else None, trigger)
        assert status is not None
        record = ChainHopRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            chain_id=message.chain_id,
            number=message.number,
            attempt=message.attempt,
            asker_peer_id=message.asker_peer_id,
            asker_epoch=self._epoch(ctx, message.asker_peer_id),
            grant_id=message.grant_id,
            operation=message.header.operation,
            root_resource_kind=message.header.root_resource_kind,
            root_resource_id=message.header.root_resource_id,
            destination_peer_id=message.destination_peer_id,
            acknowledge_residency=message.acknowledge_residency,
            status=status,
            approved_by=message.by,
            created_at=former.created_at if former is not None else ctx.wall,
            updated_at=ctx.wall,
        )
        judged = judge(ctx, record, acknowledged=message.acknowledge_residency or message.asker_peer_id is not None)
        if not isinstance(judged, Fault) and trigger == "ask" and self._pending(ctx, message.asker_peer_id) >= PENDING_PER_PEER_MAX:
            judged = FULL
        if isinstance(judged, Fault):
            self._answer(ctx, message, judged)
            return
        if trigger == "ask":
            expires_at = ctx.wall + ctx.settings.federation.approval_timeout_s
            record = evolve(record, approval_id=ctx.new_id(), approval_expires_at=expires_at, look_at=ctx.wall + LOOK_S)
            self._note(ctx, record, "migration_chain.hop_asked")
            ctx.send(Ref(APPROVAL.name, record.approval_id or ""), asked_approval(ctx, record, judged))
        else:
            record = evolve(record, migration_id=ctx.new_id(), look_at=ctx.wall + LOOK_S)
        ctx.save(record)
        self._answer(ctx, message, self._word(ctx, record))
        self._go_on(ctx)

    @handles(WithdrawHop)
    def on_withdraw_hop(self, message: WithdrawHop, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        if record is None:
            self._tell_withdrawn(ctx, message, NOT_FOUND)
            return
        if record.status == "awaiting_approval":
            ctx.send(Ref(APPROVAL.name, record.approval_id or ""), Supersede(reason="the chain was cancelled"))
            ctx.save(self._stepped(ctx, record, "withdraw"))
        elif record.status == "moving" and not record.withdrawing:
            ctx.save(evolve(record, withdrawing=True, updated_at=ctx.wall))
            self._go_on(ctx)
        self._tell_withdrawn(ctx, message, self._word(ctx, ctx.record))

    def _tell_withdrawn(self, ctx: Context, message: WithdrawHop, outcome: HopWord | Fault) -> None:
        ctx.reply(outcome)
        if message.tell is not None:
            ctx.send(Ref(CHAIN_KIND, message.tell[0]), HopTold(number=0, attempt=message.tell[1], outcome=outcome))

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        if record is not None and record.status == "awaiting_approval" and record.asker_epoch <= message.peering_epoch:
            ctx.send(Ref(APPROVAL.name, record.approval_id or ""), Supersede(reason="the peering has ended"))
            ctx.save(self._stepped(ctx, record, "withdraw"))

    # --- what our operators decide --------------------------------------------------------------------------------

    @handles(Execute)
    def on_execute(self, message: Execute, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        approval = Ref(APPROVAL.name, message.approval.id)
        waits = record is not None and record.status == "awaiting_approval"
        if record is None or record.approval_id != message.approval.id or not (waits or record.migration_id):
            ctx.send(approval, Executed(fault=NOT_WAITING))
            return
        if not waits:
            ctx.send(approval, Executed(result={"migration_id": record.migration_id}))
            return
        fault = asker_fault(ctx, record)
        if fault is None:
            judged = judge(ctx, record, acknowledged=True)
            fault = judged if isinstance(judged, Fault) else None
        if fault is not None:
            ctx.save(self._stepped(ctx, record, "fail", fault.code))
            ctx.send(approval, Executed(fault=fault))
            return
        moving = evolve(self._stepped(ctx, record, "approve"), migration_id=ctx.new_id(), approved_by=message.approved_by)
        ctx.save(evolve(moving, acknowledge_residency=True, look_at=ctx.wall + LOOK_S))
        ctx.send(approval, Executed(result={"migration_id": moving.migration_id}))
        self._go_on(ctx)

    @handles(NotApproved)
    def on_not_approved(self, message: NotApproved, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        if record is None or record.status != "awaiting_approval" or record.approval_id != message.approval_id:
            return
        triggers: dict[str, tuple[HopTrigger, str]] = {"rejected": ("reject", "hop_rejected"), "expired": ("time_out", "hop_expired")}
        trigger, code = triggers.get(message.status, ("withdraw", "hop_withdrawn"))
        ctx.save(self._stepped(ctx, record, trigger, code))

    # --- the migration --------------------------------------------------------------------------------------------

    @handles(MigrationMoved)
    def on_migration_moved(self, message: MigrationMoved, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        if record is None or record.status != "moving" or record.migration_id != message.migration_id:
            return
        if message.fault is not None and self._migration(ctx, record) is None:
            self._fail_or_wait(ctx, record, message.fault.code)
        else:
            self._go_on(ctx)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: ChainHopRecord | None = self.record
        if record is None or not has_come(record.look_at, ctx.wall, HOURLY_S):
            return
        ctx.save(evolve(record, look_at=ctx.wall + LOOK_S))
        self._go_on(ctx)

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        self._go_on(ctx)

    def _go_on(self, ctx: Context) -> None:
        """Do what the status asks for; harmless if it was done before."""
        record: ChainHopRecord | None = ctx.record
        if record is None:
            return
        if record.status == "awaiting_approval":
            self._look_at_approval(ctx, record)
        elif record.status == "moving":
            self._look_at_migration(ctx, record)

    def _look_at_approval(self, ctx: Context, record: ChainHopRecord) -> None:
        row = ctx.row(APPROVAL.name, record.approval_id or "")
        if row is None:
            judged = judge(ctx, record, acknowledged=True)
            if isinstance(judged, Fault):
                ctx.save(self._stepped(ctx, record, "fail", judged.code))
            else:
                ctx.send(Ref(APPROVAL.name, record.approval_id or ""), asked_approval(ctx, record, judged))
        elif row.record.status in ("rejected", "expired", "cancelled"):
            # The word of it was lost with the process.
            told = NotApproved(approval_id=row.record.id, status=row.record.status, reason=None)
            self.on_not_approved(told, ctx)

    def _look_at_migration(self, ctx: Context, record: ChainHopRecord) -> None:
        ref, found = Ref(MIGRATION.name, record.migration_id or ""), self._migration(ctx, record)
        if found is None and record.withdrawing:
            ctx.save(self._stepped(ctx, record, "withdraw"))
        elif found is None:
            if record.retry_at is None or has_come(record.retry_at, ctx.wall, HOURLY_S):
                ctx.send(ref, plan_of(record))
        elif found.status == "completed":
            id_map = found.receipt["receipt"]["id_map"] if found.receipt is not None else {}
            next_root_id = id_map.get(record.root_resource_id, record.root_resource_id)
            ctx.save(self._stepped(ctx, evolve(record, next_root_id=next_root_id), "arrive"))
        elif found.status == "cancelled":
            withdrawn = record.withdrawing
            ctx.save(self._stepped(ctx, record, "withdraw" if withdrawn else "fail", None if withdrawn else "migration_cancelled"))
        elif found.status == "failed" and record.withdrawing:
            ctx.save(self._stepped(ctx, record, "withdraw"))
        elif found.status == "failed":
            self._look_at_failure(ctx, record, found)
        elif record.withdrawing and found.status in ("planned", "validating", "conflict"):
            ctx.send(ref, Act(by=record.approved_by, act="cancel"))

    def _look_at_failure(self, ctx: Context, record: ChainHopRecord, found: MigrationRecord) -> None:
        if found.attempt != record.failed_attempt:
            self._fail_or_wait(ctx, evolve(record, failed_attempt=found.attempt), found.error or "migration_fenced")
        elif has_come(record.retry_at, ctx.wall, HOURLY_S):
            self._fail_or_wait(ctx, record, record.error or "migration_fenced")
            acknowledged = record.acknowledge_residency
            ctx.send(Ref(MIGRATION.name, found.id), Act(by=record.approved_by, act="retry", acknowledge_residency=acknowledged))

    def _fail_or_wait(self, ctx: Context, record: ChainHopRecord, code: str) -> None:
        """What failed in passing is tried again, later each time; anything else ends the hop, and the resource stays here."""
        if not passes(code):
            ctx.save(self._stepped(ctx, record, "fail", code))
            return
        tries = record.tries + 1
        again = ctx.wall + retry_after(tries)
        ctx.save(evolve(record, tries=tries, error=code, retry_at=again, look_at=again, updated_at=ctx.wall))

    # --- small things ---------------------------------------------------------------------------------------------

    def _answer(self, ctx: Context, message: StartHop, outcome: HopWord | Fault) -> None:
        ctx.reply(outcome)
        if message.asker_peer_id is None:
            told = HopTold(number=message.number, attempt=message.attempt, outcome=outcome)
            ctx.send(Ref(CHAIN_KIND, message.chain_id), told)

    def _word(self, ctx: Context, record: ChainHopRecord | None) -> HopWord:
        assert record is not None
        found = self._migration(ctx, record) if record.status in ("moving", "completed") else None
        arrived = record.status == "completed"
        return HopWord(
            status=record.status,
            attempt=record.attempt,
            migration_id=record.migration_id,
            migration_status=found.status if found is not None and not arrived else None,
            approval_expires_at=until(record.approval_expires_at) if record.status == "awaiting_approval" else None,
            error=record.error,
            next_root_id=record.next_root_id,
            proof=found.receipt if found is not None and arrived else None,
        )

    def _stepped(self, ctx: Context, record: ChainHopRecord, trigger: HopTrigger, code: str | None = None) -> ChainHopRecord:
        status = hop_transition(record.status, trigger)
        assert status is not None, (record.status, trigger)
        self._note(ctx, record, f"migration_chain.hop_{status}", code=code)
        stepped = evolve(record, status=status, error=code, updated_at=ctx.wall, look_at=None)
        if record.asker_peer_id is None and status != "moving":
            told = HopTold(number=record.number, attempt=record.attempt, outcome=self._word(ctx, stepped))
            ctx.send(Ref(CHAIN_KIND, record.chain_id), told)
        return stepped

    def _note(self, ctx: Context, record: ChainHopRecord, action: str, **told: Any) -> None:
        chain = record.asker_peer_id or record.destination_peer_id
        about = {"chain_id": record.chain_id, "hop": record.number, "attempt": record.attempt, "migration_id": record.migration_id}
        ctx.audit_in(chain, action, "system", None, **about, **told)

    def _migration(self, ctx: Context, record: ChainHopRecord) -> MigrationRecord | None:
        row = ctx.row(MIGRATION.name, record.migration_id) if record.migration_id is not None else None
        return row.record if row is not None else None

    def _epoch(self, ctx: Context, peer_id: str | None) -> int:
        peer = peer_of(ctx, peer_id) if peer_id is not None else None
        return peer.peering_epoch if peer is not None else 0

    def _pending(self, ctx: Context, peer_id: str | None) -> int:
        waiting = Condition("waiting_asker_id", "=", peer_id or "")
        return len(ctx.query(Query(HOP.name, ((waiting,),), limit=PENDING_PER_PEER_MAX)))


# --- judgements ------------------------------------------------------------------------------------------------------


def judge(ctx: Context, record: ChainHopRecord, *, acknowledged: bool) -> MigrationRecord | Fault:
    """The migration that the hop would be, or why it cannot be: what our own operator would be told who plans it."""
    plan = evolve(plan_of(record), acknowledge_residency=acknowledged)
    planned = planned_record(ctx, plan, record.migration_id or record.id)
    if isinstance(planned, Fault):
        return planned
    root = (record.root_resource_kind, record.root_resource_id)
    return planned if bearer_of(ctx, record.account_id, record.destination_peer_id, *root) is not None else NO_GRANT


def asker_fault(ctx: Context, record: ChainHopRecord) -> Fault | None:
    """Why a wish of a peer has no ground any more, or None."""
    if record.asker_peer_id is None:
        return None
    peer = peer_of(ctx, record.asker_peer_id)
    row = ctx.row(GRANT.name, record.grant_id or "")
    if not in_force(peer, record.asker_epoch, ctx.wall) or row is None or not effective(row.record, peer, ctx.wall):
        return ASKER_GONE
    return None


def plan_of(record: ChainHopRecord) -> Plan:
    """The migration by which a hop moves the resource."""
    return Plan(
        account_id=record.account_id,
        by=record.approved_by,
        header=record.header,
        destination_peer_id=record.destination_peer_id,
        bearer=None,
        dry_run=False,
        acknowledge_residency=record.acknowledge_residency,
        apply=True,
        hop=ForHop(hop_id=record.id, chain_id=record.chain_id, number=record.number),
    )


def called(planned: MigrationRecord) -> str:
    """The root of a plan as people call it."""
    root = next((step for step in planned.steps if step.id == planned.root_resource_id), None)
    words = [str(value) for value in root.natural_key.values()] if root is not None else []
    return f"{planned.root_resource_kind} {' '.join(words) or planned.root_resource_id}"[:NAME_CHARS_MAX]


def platform(ctx: Context, peer_id: str | None) -> str:
    """A peer as our operators know it."""
    peer = peer_of(ctx, peer_id) if peer_id is not None else None
    return (peer.remote_instance_url if peer is not None else None) or f"the peer {peer_id}"


def asked_approval(ctx: Context, record: ChainHopRecord, planned: MigrationRecord) -> AskApproval:
    """What our operators are asked."""
    asker, destination = platform(ctx, record.asker_peer_id), platform(ctx, record.destination_peer_id)
    count = len(planned.steps)
    crossing = " It crosses a boundary between jurisdictions; approving acknowledges that." if planned.cross_jurisdiction else ""
    goes = "moves to" if record.operation == "migrate" else "is copied to"
    return AskApproval(
        account_id=record.account_id,
        action_category="system.migration_hop",
        requested_by=None,
        origin="peer",
        federation_peer_id=record.asker_peer_id,
        subject_kind=HOP.name,
        subject_id=record.id,
        summary=f"{asker} asks for hop {record.number} of its chain: {called(planned)} {goes} {destination}"[:SUMMARY_CHARS_MAX],
        impact=f"{count} record{'s' if count != 1 else ''}; the resource {goes} {destination}.{crossing}"[:SUMMARY_CHARS_MAX],
        plan={
            "steps": count,
            "plan_digest": planned.plan_digest,
            "cross_jurisdiction": planned.cross_jurisdiction,
        },
        params={
            "chain_id": record.chain_id,
            "hop": record.number,
            "attempt": record.attempt,
            **record.header.to_json(),
            "destination_peer_id": record.destination_peer_id,
            "grant_id": record.grant_id,
        },
    )
