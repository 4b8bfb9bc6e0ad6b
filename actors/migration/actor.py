"""One migration at its source: what operators decide, and the way from a plan to a receipt.

Lives here: one handler per message. Every status says what is to be done next (`_go_on`), and everything asked of another may be asked
again, so whoever takes up a migration after a crash looks at its status and goes on. Must not live here: the calls themselves
(`transfer`), or anything about a kind of resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors import residency
from actors.approval.categories import RESIDENCY_OVERRIDE
from actors.approval.deciding import CHANGED
from actors.approval.messages import Execute, Executed, NotApproved
from actors.approval.record import KIND as APPROVAL
from actors.approval.record import ApprovalRecord
from actors.homecoming.messages import TakeClaim
from actors.idempotency.record import Mark, remember
from actors.migration.exception import BEARER_NOT_KEPT, asked, covers, extent
from actors.migration.lifecycle import STUCK, Trigger, transition
from actors.migration.limits import RECOVERY_S
from actors.migration.messages import (
    Act,
    BearerSealed,
    Freeze,
    Frozen,
    MigrationMoved,
    NeedsException,
    Plan,
    PreflightAnswered,
    Release,
    Resolve,
    SetStep,
)
from actors.migration.planning import current_steps
from actors.migration.receiving import NOT_STUCK, residency_outcome
from actors.migration.record import HOP_KIND, MIGRATION, MigrationRecord, shown
from actors.migration.steps import Header, Policy, Step, brought_kinds, plan_digest
from actors.migration.transfer import Transfer, refused_by, with_receipt, without_payloads
from actors.peer import standing
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.standing import peer_of
from actors.periodic.works import MIGRATION_RECOVERY, note_run
from actors.ports import GRANT_BEARER_PURPOSE, RemoteReply, Seal
from actors.received_grant.record import fitting, of_peer
from actors.schema_rule.withheld import withheld
from runtime.actor import Due, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition
from runtime.values import evolve

NO_GRANT = OperatorFault("no_received_grant", "the destination has given us no grant that allows this", 409)
NOT_FOUND = OperatorFault("migration_not_found", "there is no such migration here", 404)


# Until the grace is over a migration under way may still need its bearer.
DEPENDANTS.append(
    Dependant(kind=MIGRATION.name, phase="complete", open=(Condition("bearer_held", "=", 1),), peer_column="destination_peer_id")
)


class MigrationActor(Transfer):
    """One migration."""

    # --- what operators say --------------------------------------------------------------------------------------

    @handles(Plan)
    def on_plan(self, message: Plan, ctx: Context) -> None:
        if self.record is not None or self.planning is not None:
            ctx.reply(OperatorFault("migration_id_conflict", "another migration has this id", 409))
            return
        planned = planned_record(ctx, message, ctx.ref.id, overridden=message.override_residency)
        if isinstance(planned, Fault):
            self._unplanned(ctx, message, planned)
            return
        if message.override_residency and not residency_of(ctx, planned).allowed:
            ctx.reply(_exception_needed(ctx, message, planned))
            return
        if message.bearer is None:
            sealed = held_bearer(ctx, planned)
            if sealed is None:
                self._unplanned(ctx, message, NO_GRANT)
            else:
                self._planned(ctx, ctx.defer(), message, evolve(planned, sealed_bearer=sealed))
            return
        self.planning = (ctx.defer(), message, planned)
        ctx.call(Seal(message.bearer, GRANT_BEARER_PURPOSE), then=BearerSealed)

    def _unplanned(self, ctx: Context, message: Plan, fault: Fault) -> None:
        if message.hop is not None:
            ctx.send(Ref(HOP_KIND, message.hop.hop_id), MigrationMoved(ctx.ref.id, fault))
        ctx.reply(fault)

    @handles(BearerSealed)
    def on_bearer_sealed(self, message: BearerSealed, ctx: Context) -> None:
        if self.planning is None:
            return
        (address, asked, planned), self.planning = self.planning, None
        if message.fault is not None:
            ctx.answer(address, message.fault)
            return
        self._planned(ctx, address, asked, evolve(planned, sealed_bearer=message.outcome))

    def _planned(self, ctx: Context, address: Any, asked: Plan, record: MigrationRecord) -> None:
        self._keep_planned(ctx, asked, record)
        remember(ctx, asked.mark, 201, {"migration": shown(ctx.record)})
        ctx.answer(address, ctx.record)
        self.go_on(ctx)

    def _keep_planned(self, ctx: Context, asked: Plan, record: MigrationRecord) -> None:
        told = {"operation": record.operation, "steps": len(record.steps), "plan_digest": record.plan_digest}
        self.note(ctx, record, "migration.planned", asked.by, **told)
        ctx.emit(
            "migration.planned", "low", record.account_id, migration_id=record.id, federation_peer_id=record.destination_peer_id, **told
        )
        if not asked.dry_run:
            record = self.stepped(ctx, record, "validate", by=asked.by)
        self.keep(ctx, record)

    @handles(Act)
    def on_act(self, message: Act, ctx: Context) -> None:
        fault = self._fault(message.expected_version) or act_fault(ctx, self.record, message)
        if fault is not None:
            ctx.reply(fault)
            return
        record: MigrationRecord = evolve(
            self.record, acknowledge_residency=self.record.acknowledge_residency or message.acknowledge_residency
        )
        if message.act == "cancel":
            releasing = record.operation == "migrate" and record.status != "planned"
            record = self.stepped(ctx, evolve(record, applying=False, releasing=releasing), "cancel", by=message.by)
        elif message.act == "retry":
            again = ctx.new_id()
            record = evolve(record, transfer_id=again, attempt=record.attempt + 1, error=None)
            record = evolve(record, applying=True, releasing=False, cleared_digest=None, residency_exception=None, excepted_extent=None)
            record = evolve(record, sealed_bearer=held_bearer(ctx, record) or record.sealed_bearer)
            record = self.replanned(ctx, self.stepped(ctx, record, "retry", by=message.by))
        else:
            record = evolve(record, applying=message.act == "apply", dry_run=False)
            record = self.replanned(ctx, self.stepped(ctx, record, "validate", by=message.by))
        self._finish(ctx, record, message.mark)

    @handles(SetStep)
    def on_set_step(self, message: SetStep, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        step = decidable_step(self.record, message.order) if fault is None else fault
        if isinstance(step, Fault):
            ctx.reply(step)
        else:
            self._finish(ctx, self._step_decided(ctx, step, message.policy, message.by), message.mark)

    def _step_decided(self, ctx: Context, step: Step, policy: Policy, by: str | None) -> MigrationRecord:
        record: MigrationRecord = self.record
        steps = tuple(evolve(each, conflict_policy=policy) if each is step else each for each in record.steps)
        self.note(ctx, record, "migration.step_decided", by, order=step.order, policy=policy)
        return self.replanned(ctx, evolve(record, steps=steps))

    @handles(Execute)
    def on_execute(self, message: Execute, ctx: Context) -> None:
        """Overwriting a record of the destination was approved, or a plan that our rules refuse: done if it still is what was approved."""
        if message.approval.action_category == RESIDENCY_OVERRIDE:
            self._plan_excepted(ctx, message)
            return
        params = message.approval.params
        step = decidable_step(self.record, params["order"])
        fault: Fault | None = None
        if isinstance(step, Fault):
            fault = step
        elif any(params[name] != value for name, value in step_facts(step).items()):
            fault = OperatorFault(CHANGED, "the step is not what was approved any more", 409)
        elif step.conflict_policy != "overwrite":
            self.keep(ctx, self._step_decided(ctx, step, "overwrite", message.approval.requested_by))
            self.go_on(ctx)
        ctx.send(Ref(APPROVAL.name, message.approval.id), Executed(fault=fault, result={"order": params["order"]}))

    def _plan_excepted(self, ctx: Context, message: Execute) -> None:
        approval = message.approval
        record: MigrationRecord | None = self.record
        fault: Fault | None = None
        if approval.params["migration_id"] != ctx.ref.id:
            fault = OperatorFault(CHANGED, "what was approved is another migration", 409)
        elif record is None:
            plan = approved_plan(approval)
            planned = excepted_record(ctx, plan, approval)
            if isinstance(planned, Fault):
                fault = planned
            else:
                facts = {"approval_id": approval.id, "approved_by": message.approved_by, "operation_id": approval.execution_id}
                self.note(ctx, planned, "migration.residency_overridden", approval.requested_by, **facts)
                told = {"migration_id": planned.id, "federation_peer_id": planned.destination_peer_id, **facts}
                ctx.emit("migration.residency_overridden", "high", planned.account_id, **told)
                self._keep_planned(ctx, plan, planned)
                self.go_on(ctx)
        elif record.created_for != approval.id:
            fault = OperatorFault("migration_id_conflict", "another migration has this id", 409)
        ctx.send(Ref(APPROVAL.name, approval.id), Executed(fault=fault, result={"migration_id": ctx.ref.id}))

    @handles(NotApproved)
    def on_not_approved(self, message: NotApproved, ctx: Context) -> None:
        if self.record is not None:
            entry = {"at": iso(ctx.wall), "by": None, "why": f"approval_{message.status}", "approval_id": message.approval_id}
            self.keep(ctx, evolve(self.record, audit_log=(*self.record.audit_log, entry)))

    @handles(Resolve)
    def on_resolve(self, message: Resolve, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        record: MigrationRecord | None = self.record
        if fault is not None or record is None:
            ctx.reply(fault)
            return
        over = record.claimed or self.may_not_finish(ctx, record)
        if record.status not in STUCK or not (over or message.receipt is not None):
            ctx.reply(NOT_STUCK)
            return
        if message.receipt is not None:
            wrong = self.flaw_of(ctx, record, message.receipt)
            if wrong is not None:
                text = "this is no receipt of the destination for this migration; nothing was changed"
                ctx.reply(OperatorFault("receipt_invalid", text, 422, {"reason": wrong}))
                return
            record = with_receipt(record, message.receipt)
        if message.keep and record.receipt is not None:
            ctx.reply(OperatorFault("receipt_held", "the destination has proven that it holds the records; they cannot stay here", 409))
            return
        outcome = "keep" if message.keep else "release"
        facts = {"outcome": outcome, "word": message.word, "receipt_digest": record.receipt_digest}
        self.note(ctx, record, "migration.resolved", message.by, **facts)
        # Whoever can still be asked is told in the ordinary way.
        record = evolve(record, resolved=outcome if over else None)
        if message.keep:
            self.fail(ctx, record, "resolved_by_operator", by=message.by)
        else:
            released = record if record.status == "finalizing" else self.stepped(ctx, record, "receipt_held", by=message.by)
            self.keep(ctx, released)
            self.go_on(ctx)
        remember(ctx, message.mark, 200, {"migration": shown(ctx.record)})
        ctx.reply(ctx.record)

    @handles(TakeClaim)
    def on_take_claim(self, message: TakeClaim, ctx: Context) -> None:
        """A peer says that records moved to it after our copy was made: hold them, until an operator says whether that is so."""
        record: MigrationRecord | None = self.record
        if record is None:
            steps = tuple(Step(order=order, kind=kind, id=id) for order, (id, kind) in enumerate(message.ids))
            record = claimed_record(ctx, message, steps)
            self.note(ctx, record, "migration.claimed", None, records=len(steps))
            told = {"migration_id": record.id, "federation_peer_id": record.destination_peer_id, "records": len(steps)}
            ctx.emit("migration.claimed", "high", record.account_id, **told)
            self.keep(ctx, record)
        if record.claimed and record.status == "in_doubt":
            self.catalogue(ctx, record, Freeze(migration_id=record.id, ids=tuple(id for id, _ in message.ids), claimed=True))

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        """The grace is over: the bearer is of no use any more, and what has not been sent whole is not sent."""
        record: MigrationRecord | None = self.record
        if record is None or not record.sealed_bearer or record.peering_epoch > message.peering_epoch:
            return
        bare = evolve(record, sealed_bearer=b"", applying=False)
        if record.status in ("validating", "transferring"):
            self.fail(ctx, bare, "peer_revoked")
        elif record.status in ("planned", "conflict"):
            self.keep(ctx, self.stepped(ctx, evolve(bare, error="peer_revoked"), "cancel"))
        else:
            self.keep(ctx, evolve(record, sealed_bearer=b""))

    def _finish(self, ctx: Context, record: MigrationRecord, mark: Mark | None) -> None:
        self.keep(ctx, record)
        remember(ctx, mark, 200, {"migration": shown(ctx.record)})
        ctx.reply(ctx.record)
        self.go_on(ctx)

    def _fault(self, expected_version: int | None) -> Fault | None:
        if self.record is None:
            return NOT_FOUND
        if expected_version is not None and expected_version != self.record.version:
            text = "the migration has changed since; read it again"
            return OperatorFault("version_conflict", text, 409, {"version": self.record.version})
        return None

    # --- from a plan to held records -------------------------------------------------------------------------------

    @handles(PreflightAnswered)
    def on_preflight_answered(self, message: PreflightAnswered, ctx: Context) -> None:
        record: MigrationRecord = self.record
        if record.status != "validating" or message.tag != (record.transfer_id, record.plan_digest):
            return
        reply = message.outcome
        if isinstance(reply, RemoteReply) and reply.status == 200:
            cleared = evolve(record, cleared_digest=record.plan_digest, error=None)
            self.note(ctx, cleared, "migration.cleared", None)
            self.keep(ctx, cleared)
            self.go_on(ctx)
            return
        fault = refused_by(reply)
        if fault.code in ("migration_conflict", "link_target_missing") and not self.transient(fault):
            found = conflicts_of(fault)
            logged = evolve(record, conflict_log=(*record.conflict_log, *found), error=fault.code, applying=False)
            logged = self.stepped(ctx, logged, "conflicts_found")
            ctx.emit("migration.conflict", "medium", record.account_id, migration_id=record.id, conflicts=len(found))
            self.keep(ctx, logged)
        elif self.transient(fault):
            self.keep(ctx, evolve(record, error=fault.code))
        else:
            self.fail(ctx, record, fault.code)

    @handles(Frozen)
    def on_frozen(self, message: Frozen, ctx: Context) -> None:
        record: MigrationRecord | None = self.record
        if record is None or record.status != "validating" or not record.applying:
            return
        if message.fault is not None:
            self.fail(ctx, record, message.fault.code)
            return
        self._begin_transfer(ctx, record)

    def _begin_transfer(self, ctx: Context, record: MigrationRecord) -> None:
        """Everything is held: is it still what was planned and found clear?"""
        fresh = self.replanned(ctx, record)
        if fresh.status != "validating" or fresh.plan_digest != record.cleared_digest:
            changed = evolve(fresh, applying=False, releasing=record.operation == "migrate", cleared_digest=None)
            self.keep(ctx, self.stepped(ctx, changed, "changed") if changed.status == "validating" else changed)
            self.go_on(ctx)
            return
        outcome = residency_of(ctx, record)
        excepted = not outcome.allowed and still_covered(ctx, record)
        refused = residency.refusal(outcome, acknowledged=record.acknowledge_residency, overridden=excepted)
        fault: Fault | None = refused or self._withheld(ctx, fresh)
        if fault is not None:
            self.fail(ctx, record, fault.code)
            return
        severity = "high" if excepted and outcome.crossing else outcome.severity
        if severity is not None:
            more = {"approval_id": record.residency_exception} if excepted else {}
            self.note(ctx, record, "migration.cross_boundary", None, **more)
            told = {"federation_peer_id": record.destination_peer_id, "migration_id": record.id, **more}
            ctx.emit("migration.cross_boundary", severity, record.account_id, **told)
        elif outcome.noted:
            self.note(ctx, record, "migration.residency_unknown", None)
        self.keep(ctx, self.stepped(ctx, evolve(record, cross_jurisdiction=outcome.crossing), "frozen"))
        self.go_on(ctx)

    def _withheld(self, ctx: Context, record: MigrationRecord) -> Fault | None:
        peer = peer_of(ctx, record.destination_peer_id)
        return withheld(ctx.query, ctx.settings.platform_version, peer, brought_kinds(record.steps)) if peer is not None else None

    def replanned(self, ctx: Context, record: MigrationRecord) -> MigrationRecord:
        """The record with steps and digest as the catalogue is now; failed if there is no plan any more."""
        policies = {step.order: step.conflict_policy for step in record.steps}
        steps = current_steps(ctx.query, record.account_id, record.root_resource_kind, record.root_resource_id, record.operation, policies)
        if isinstance(steps, Fault):
            refused = evolve(record, error=steps.code, applying=False)
            return self.stepped(ctx, refused, "refused") if record.status == "validating" else refused
        digest = plan_digest(record.header, steps)
        return evolve(record, steps=without_payloads(steps), plan_digest=digest)

    # --- going on ------------------------------------------------------------------------------------------------

    def go_on(self, ctx: Context) -> None:
        """Do what the status asks for; harmless if it was done before."""
        record: MigrationRecord | None = ctx.record
        if record is None:
            return
        if record.releasing:
            self.catalogue(ctx, record, Release(record.id))
        if record.status == "validating":
            if record.cleared_digest != record.plan_digest:
                self.ask_preflight(ctx, record)
            elif record.applying and record.operation == "migrate":
                ids = tuple(step.id for step in record.steps if step.action == "create")
                self.catalogue(ctx, record, Freeze(migration_id=record.id, ids=ids))
            elif record.applying:
                self._begin_transfer(ctx, record)
        else:
            self.go_on_transferring(ctx, record)

    def on_activated(self, ctx: Context) -> None:
        self.go_on(ctx)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: MigrationRecord | None = self.record
        if record is None or not has_come(record.next_look_at, ctx.wall, RECOVERY_S):
            return
        note_run(ctx, MIGRATION_RECOVERY, record.account_id, record.error)
        self.keep(ctx, record)
        self.go_on(ctx)


# --- judgements ------------------------------------------------------------------------------------------------------

_TRIGGERS: Mapping[str, Trigger] = {"validate": "validate", "apply": "validate", "cancel": "cancel", "retry": "retry"}


def decidable_step(record: MigrationRecord | None, order: int) -> Step | Fault:
    """The step about which an operator may decide now, or why not."""
    if record is None:
        return NOT_FOUND
    if record.status not in ("planned", "validating", "conflict") or record.applying:
        text = f"a migration that is {record.status} takes no decisions about its steps"
        return OperatorFault("invalid_transition", text, 422, {"from": record.status})
    step = next((step for step in record.steps if step.order == order), None)
    if step is None or step.action != "create":
        return OperatorFault("step_invalid", "the plan brings no record under this number", 422, {"index": order})
    return step


def step_facts(step: Step) -> Mapping[str, Any]:
    """What must not change between a request to overwrite something and its approval."""
    return {"kind": step.kind, "id": step.id, "natural_key": dict(step.natural_key)}


def _standing(record: MigrationRecord) -> OperatorFault:
    """What the last look found in the way. What an earlier one found may be gone."""
    last = record.conflict_log[-1].get("at") if record.conflict_log else None
    found = [dict(entry) for entry in record.conflict_log if entry.get("at") == last]
    if record.error == "link_target_missing":
        text = "the destination lacks records that the plan needs; once its operators have added them, validate again"
        return OperatorFault("link_target_missing", text, 422, {"conflicts": found[:16]})
    text = "records of the destination stand in the way; decide about the steps and validate again"
    return OperatorFault("migration_conflict", text, 422, {"conflicts": found[:16]})


def act_fault(ctx: Context, record: MigrationRecord, message: Act) -> Fault | None:
    """Why this cannot be done now, or None."""
    if message.act in ("apply", "validate", "retry"):
        fault = destination_fault(ctx, record.account_id, record.destination_peer_id, record.peering_epoch)
        if fault is not None:
            return fault
        if message.act == "apply" and record.status == "conflict":
            return _standing(record)
        acknowledged = record.acknowledge_residency or message.acknowledge_residency
        outcome = residency_of(ctx, record)
        excepted = message.act != "retry" and not outcome.allowed and still_covered(ctx, record)
        refused = residency.refusal(outcome, acknowledged=acknowledged, overridden=excepted)
        if refused is not None:
            return refused
    if transition(record.status, _TRIGGERS[message.act]) is not None:
        return None
    if message.act == "cancel":
        text = f"a migration that is {record.status} can no longer be cancelled"
        return OperatorFault("migration_not_cancellable", text, 409, {"status": record.status})
    text = f"a migration that is {record.status} cannot be told to {message.act}"
    return OperatorFault("invalid_transition", text, 422, {"from": record.status})


def residency_of(ctx: Context, record: MigrationRecord) -> residency.Outcome:
    """What our rules say of the migration; without its peer they refuse."""
    peer = peer_of(ctx, record.destination_peer_id)
    return residency_outcome(ctx.settings, peer) if peer is not None else residency.Outcome(allowed=False)


def still_covered(ctx: Context, record: MigrationRecord) -> bool:
    """Whether an approved exception covers the migration as the catalogue is now."""
    steps = current_steps(ctx.query, record.account_id, record.root_resource_kind, record.root_resource_id, record.operation, {})
    peer, ours = peer_of(ctx, record.destination_peer_id), ctx.settings.federation.data_residency
    return not isinstance(steps, Fault) and covers(record, steps, peer, ours)


def _exception_needed(ctx: Context, message: Plan, planned: MigrationRecord) -> NeedsException | Fault:
    peer = peer_of(ctx, planned.destination_peer_id)
    if message.bearer is not None:
        return BEARER_NOT_KEPT
    if peer is None or held_bearer(ctx, planned) is None:
        return NO_GRANT
    return NeedsException(asked(planned, peer, ctx.settings.federation.data_residency, by=message.by, mark=message.mark))


def approved_plan(approval: ApprovalRecord) -> Plan:
    """The plan for which an exception was approved."""
    params = approval.params
    names = ("operation", "root_resource_kind", "root_resource_id")
    return Plan(
        account_id=approval.account_id,
        by=approval.requested_by,
        header=Header(**{name: params[name] for name in names}),
        destination_peer_id=params["destination_peer_id"],
        bearer=None,
        dry_run=params["dry_run"],
        acknowledge_residency=params["acknowledge_residency"],
    )


def excepted_record(ctx: Context, plan: Plan, approval: ApprovalRecord) -> MigrationRecord | Fault:
    """The migration for which an exception was approved, or why it is not the one any more."""
    planned = planned_record(ctx, plan, ctx.ref.id, overridden=True)
    if isinstance(planned, Fault):
        return planned
    peer = peer_of(ctx, planned.destination_peer_id)
    assert peer is not None
    covered = extent(planned.header, peer, ctx.settings.federation.data_residency, planned.steps)
    if covered != approval.params["extent"]:
        return OperatorFault(CHANGED, "the records that would move, or the places, are not those that were approved", 409)
    sealed = held_bearer(ctx, planned)
    if sealed is None:
        return NO_GRANT
    return evolve(planned, sealed_bearer=sealed, residency_exception=approval.id, excepted_extent=covered, created_for=approval.id)


def planned_record(ctx: Context, message: Plan, id: str, *, overridden: bool = False) -> MigrationRecord | Fault:
    """The migration that an operator plans, or why there is none.

    Args:
        overridden: our rules about where data may live are left out; an approval has to stand in for them.
    """
    fault = destination_fault(ctx, message.account_id, message.destination_peer_id, None)
    if fault is not None:
        return fault
    peer = peer_of(ctx, message.destination_peer_id)
    assert peer is not None
    outcome = residency_outcome(ctx.settings, peer)
    refused = residency.refusal(outcome, acknowledged=message.acknowledge_residency or message.dry_run, overridden=overridden)
    if refused is not None:
        return refused
    header = message.header
    steps = current_steps(ctx.query, message.account_id, header.root_resource_kind, header.root_resource_id, header.operation, {})
    if isinstance(steps, Fault):
        return steps
    unfit = withheld(ctx.query, ctx.settings.platform_version, peer, brought_kinds(steps))
    if unfit is not None:
        return unfit
    return MigrationRecord(
        id=id,
        account_id=message.account_id,
        operation=header.operation,
        root_resource_kind=header.root_resource_kind,
        root_resource_id=header.root_resource_id,
        destination_peer_id=peer.id,
        peering_epoch=peer.peering_epoch,
        dry_run=message.dry_run,
        transfer_id=id,
        applying=message.apply and not message.dry_run,
        hop_id=message.hop.hop_id if message.hop is not None else None,
        chain_id=message.hop.chain_id if message.hop is not None else None,
        chain_position=message.hop.number if message.hop is not None else None,
        steps=without_payloads(steps),
        plan_digest=plan_digest(header, steps),
        acknowledge_residency=message.acknowledge_residency,
        cross_jurisdiction=outcome.crossing,
        sealed_bearer=b"",
        created_by=message.by,
        created_at=ctx.wall,
        updated_at=ctx.wall,
    )


def claimed_record(ctx: Context, message: TakeClaim, steps: tuple[Step, ...]) -> MigrationRecord:
    """The row of a migration of which only its destination knows."""
    header = message.header
    return MigrationRecord(
        id=ctx.ref.id,
        account_id=message.account_id,
        operation="migrate",
        root_resource_kind=header.root_resource_kind,
        root_resource_id=header.root_resource_id,
        destination_peer_id=message.peer_id,
        peering_epoch=message.peering_epoch,
        status="in_doubt",
        dry_run=False,
        transfer_id=ctx.ref.id,
        steps=steps,
        plan_digest=message.plan_digest,
        claimed=True,
        error="claimed_by_peer",
        sealed_bearer=b"",
        created_at=ctx.wall,
        updated_at=ctx.wall,
    )


def held_bearer(ctx: Context, record: MigrationRecord) -> bytes | None:
    """The sealed bearer of the best grant that the destination has given us for this, or None."""
    return bearer_of(ctx, record.account_id, record.destination_peer_id, record.root_resource_kind, record.root_resource_id)


def bearer_of(ctx: Context, account_id: str, peer_id: str, kind: str, id: str) -> bytes | None:
    """The sealed bearer of the best grant by which a peer lets us move this resource, or None."""
    held = [row.record for row in ctx.query(of_peer(peer_id)) if row.record.account_id == account_id]
    found = fitting(held, peer_of(ctx, peer_id), kind, id, "migrate", ctx.wall)
    return found[0].sealed_bearer if found else None


def destination_fault(ctx: Context, account_id: str, peer_id: str, epoch: int | None) -> Fault | None:
    """Why nothing can be sent to this peer, or None; `epoch` is that of a migration made before."""
    peer = peer_of(ctx, peer_id)
    if peer is None or peer.account_id != account_id or peer.peer_kind != "platform":
        return OperatorFault("peer_not_found", "there is no such platform peer", 404)
    if not standing.in_force(peer, peer.peering_epoch if epoch is None else epoch, ctx.wall):
        return OperatorFault("peer_not_ready", f"the peer is {peer.status}; nothing moves to it", 409, {"status": peer.status})
    return None


def conflicts_of(fault: Fault) -> tuple[Mapping[str, Any], ...]:
    """The entries of a conflict log in a refusal, as far as they have the form of one."""
    told = [fault.details.get(name) for name in ("missing", "conflicts")]
    entries = [entry for found in told if isinstance(found, list) for entry in found]
    return tuple(
        {str(name)[:64]: value for name, value in entry.items() if isinstance(value, str | int | dict | None) and len(str(value)) <= 2_048}
        for entry in entries[:64]
        if isinstance(entry, dict)
    )
