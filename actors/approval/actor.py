"""One request for approval: from the question to the outcome of what was approved.

Lives here: one handler per message. The decision and its audit entry are one transaction; whoever carries the operation out is told after
it, and again until it has said what became of it, so that a crash neither loses an approval nor uses it twice. Must not live here: an
operation itself.
"""

from __future__ import annotations

from typing import Any

from actors.approval import deciding
from actors.approval.categories import CATEGORIES
from actors.approval.lifecycle import Status, Trigger, progress, transition
from actors.approval.limits import ANSWER_S, LOOK_S
from actors.approval.messages import AnswerNow, Approve, AskApproval, Execute, Executed, NotApproved, Reject, Supersede, Withdraw
from actors.approval.record import KIND, ApprovalRecord, Decision, digest, next_look, pending, status_at
from actors.idempotency.record import Mark, remember
from actors.operator.permissions import satisfies
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, Ref, Resume, handles
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition
from runtime.values import evolve

OF_PEERINGS = tuple(category.name for category in CATEGORIES.values() if category.of_peering)
DEPENDANTS.append(
    Dependant(kind=KIND.name, phase="draining", open=(Condition("status", "=", "pending"), Condition("action_category", "in", OF_PEERINGS)))
)

REASON_REQUIRED = OperatorFault("reason_required", "say why, for who has asked for it", 422)


class ApprovalActor(Actor):
    """One request. `waiting` holds those who want to hear the outcome, with what is to be remembered for them."""

    kind = KIND

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Mark | None, str]] = []

    def holds_work(self) -> bool:
        return bool(self.waiting)

    # --- asking --------------------------------------------------------------------------------------------------

    @handles(AskApproval)
    def on_ask_approval(self, message: AskApproval, ctx: Context) -> None:
        if self.record is not None:
            ctx.reply(self.record)
            return
        facts = {name: getattr(message, name) for name in _TAKEN}
        record = ApprovalRecord(
            id=ctx.ref.id,
            execution_id=ctx.new_id(),
            params_digest=digest(message.action_category, message.params),
            created_at=ctx.wall,
            expires_at=ctx.wall + ctx.settings.federation.approval_timeout_s,
            **facts,
        )
        self._tell(ctx, record, "created", message.requested_by, params_digest=record.params_digest)
        ctx.save(record)
        remember(ctx, message.mark, 202, pending(ctx.record))
        ctx.reply(ctx.record)

    # --- deciding ------------------------------------------------------------------------------------------------

    @handles(Approve)
    def on_approve(self, message: Approve, ctx: Context) -> None:
        operators = deciding.operators_of(self.record.account_id, ctx.query) if self.record is not None else ()
        fault = deciding.undecided_fault(self.record, ctx.wall) or deciding.decider_fault(self.record, message.by, operators)
        if fault is not None:
            ctx.reply(fault)
            return
        record = self._decided(ctx, self.record, message.by, "approve", message.comment)
        if deciding.current_step(record) is not None:
            ctx.save(record)
            self._shown(ctx, message.mark, message.by)
            return
        record = self._stepped(ctx, record, "approve", message.by)
        changed = deciding.requester_fault(record, operators)
        if changed is not None:
            ctx.save(self._broken(ctx, record, changed))
            self._shown(ctx, message.mark, message.by)
            return
        running = progress(record.execution_status, "begin")
        assert running is not None
        ctx.save(evolve(record, execution_status=running, look_at=next_look(ctx.wall)))
        self.waiting.append((ctx.defer(), message.mark, message.by))
        ctx.after(ANSWER_S, AnswerNow(), "answer")
        self._begin(ctx, ctx.record)

    @handles(Reject)
    def on_reject(self, message: Reject, ctx: Context) -> None:
        operators = deciding.operators_of(self.record.account_id, ctx.query) if self.record is not None else ()
        fault = deciding.undecided_fault(self.record, ctx.wall)
        fault = fault or deciding.decider_fault(self.record, message.by, operators, approving=False)
        if fault is None and not message.reason:
            fault = REASON_REQUIRED
        if fault is not None:
            ctx.reply(fault)
            return
        record = self._decided(ctx, self.record, message.by, "reject", message.reason)
        self._end(ctx, self._stepped(ctx, record, "reject", message.by), message.reason)
        self._shown(ctx, message.mark, message.by)

    @handles(Withdraw)
    def on_withdraw(self, message: Withdraw, ctx: Context) -> None:
        fault = deciding.undecided_fault(self.record, ctx.wall)
        if fault is None and message.by != self.record.requested_by:
            operators = deciding.operators_of(self.record.account_id, ctx.query)
            held = next((each.permissions for each in operators if each.id == message.by), ())
            if not satisfies(held, self.record.steps[0].permission):
                fault = OperatorFault("not_an_approver", "only who asked for this, or who could decide about it, withdraws it", 403)
        if fault is not None:
            ctx.reply(fault)
            return
        self._end(ctx, self._stepped(ctx, self.record, "cancel", message.by), "withdrawn")
        self._shown(ctx, message.mark, message.by)

    @handles(Supersede)
    def on_supersede(self, message: Supersede, ctx: Context) -> None:
        if deciding.undecided_fault(self.record, ctx.wall) is None:
            self._end(ctx, self._stepped(ctx, self.record, "cancel", None), message.reason)

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        """What was asked for under a peering is not done under a later one with the same peer."""
        record: ApprovalRecord | None = self.record
        if deciding.undecided_fault(record, ctx.wall) is None and record is not None and record.created_at <= message.ended_at:
            self._end(ctx, self._stepped(ctx, record, "cancel", None), "the peering has ended")

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: ApprovalRecord | None = self.record
        if record is None:
            return
        if record.status == "pending" and status_at(record, ctx.wall) == "expired":
            if has_passed(ctx, record.expires_at):
                self._end(ctx, self._stepped(ctx, record, "time_out", None), "nobody decided in time")
        elif record.execution_status == "running" and has_come(record.look_at, ctx.wall, LOOK_S):
            ctx.save(evolve(record, look_at=next_look(ctx.wall)))
            self._begin(ctx, ctx.record)

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        if self.record is not None and self.record.execution_status == "running":
            self._begin(ctx, self.record)

    # --- carrying out --------------------------------------------------------------------------------------------

    def _begin(self, ctx: Context, record: ApprovalRecord) -> None:
        last = record.steps[-1].decisions[-1]
        ctx.send(Ref(record.subject_kind, record.subject_id), Execute(approval=record, approved_by=last.by))

    @handles(Executed)
    def on_executed(self, message: Executed, ctx: Context) -> None:
        record: ApprovalRecord | None = self.record
        if record is None or record.execution_status != "running":
            return
        if message.fault is not None:
            ctx.save(self._broken(ctx, record, message.fault))
        else:
            done = progress(record.execution_status, "done")
            assert done is not None
            self._tell(ctx, record, "succeeded", None)
            ctx.save(evolve(record, execution_status=done, resolution=dict(message.result), look_at=None))
        self._answer(ctx)

    @handles(AnswerNow)
    def on_answer_now(self, message: AnswerNow, ctx: Context) -> None:
        self._answer(ctx)

    def _broken(self, ctx: Context, record: ApprovalRecord, fault: Fault) -> ApprovalRecord:
        failed = progress(record.execution_status, "broken")
        assert failed is not None
        self._tell(ctx, record, "failed", None, code=fault.code)
        told = {"code": fault.code, "message": fault.message, "details": dict(fault.details)}
        return evolve(record, execution_status=failed, resolution=told, look_at=None)

    # --- small things --------------------------------------------------------------------------------------------

    def _decided(self, ctx: Context, record: ApprovalRecord, by: str, decision: Any, comment: str | None) -> ApprovalRecord:
        """The record with one more decision, which its audit chain keeps whole."""
        entry = Decision(by=by, decision=decision, comment=comment, at=ctx.wall, params_digest=record.params_digest)
        step = deciding.current_step(record)
        steps = tuple(evolve(each, decisions=(*each.decisions, entry)) if each is step else each for each in record.steps)
        self._note(ctx, record, f"approval.{decision}", by, decision=entry.to_json())
        return evolve(record, steps=steps)

    def _stepped(self, ctx: Context, record: ApprovalRecord, trigger: Trigger, by: str | None) -> ApprovalRecord:
        status: Status | None = transition(record.status, trigger)
        assert status is not None, (record.status, trigger)
        self._tell(ctx, record, status, by)
        return evolve(record, status=status, decided_at=ctx.wall, look_at=None)

    def _end(self, ctx: Context, record: ApprovalRecord, reason: str | None) -> None:
        ctx.save(evolve(record, resolution={"reason": reason}))
        told = NotApproved(approval_id=record.id, status=record.status, reason=reason)
        ctx.send(Ref(record.subject_kind, record.subject_id), told)

    def _tell(self, ctx: Context, record: ApprovalRecord, what: str, by: str | None, **facts: Any) -> None:
        """The audit entry and the event of one change. Inputs stand in neither."""
        self._note(ctx, record, f"approval.{what}", by, **facts)
        severity: Any = "medium" if what in ("created", "failed", "expired") else "low"
        told = {"approval_id": record.id, "action_category": record.action_category, "federation_peer_id": record.federation_peer_id}
        ctx.emit(f"approval.{what}", severity, record.account_id, **told, **facts)

    def _note(self, ctx: Context, record: ApprovalRecord, action: str, by: str | None, **facts: Any) -> None:
        about = {"approval_id": record.id, "action_category": record.action_category, "execution_id": record.execution_id}
        chain = record.federation_peer_id or record.id
        ctx.audit_in(chain, action, "user" if by is not None else "system", by, **about, **facts)

    def _shown(self, ctx: Context, mark: Mark | None, by: str) -> None:
        remember(ctx, mark, 200, {"approval": deciding.presented(ctx.record, ctx.query, ctx.wall, by)})
        ctx.reply(ctx.record)

    def _answer(self, ctx: Context) -> None:
        waiting, self.waiting = self.waiting, []
        ctx.cancel("answer")
        for address, mark, by in waiting:
            remember(ctx, mark, 200, {"approval": deciding.presented(ctx.record, ctx.query, ctx.wall, by)})
            ctx.answer(address, ctx.record)


_TAKEN = (
    "account_id", "action_category", "requested_by", "origin", "federation_peer_id", "subject_kind", "subject_id", "summary", "impact",
    "plan", "params",
)  # fmt: skip
