"""Who may decide about a request, and whether who asked for it still may.

Lives here: pure questions about a request and the operators of its account. Must not live here: a message or an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from actors.approval.categories import CATEGORIES
from actors.approval.record import ApprovalRecord, ApprovalStep, shown, status_at
from actors.operator.permissions import satisfies
from actors.operator.record import KIND as OPERATOR
from actors.operator.record import Operator
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query, Row

NOT_FOUND: Final = OperatorFault("approval_not_found", "there is no such request for approval", 404)
EXPIRED: Final = OperatorFault("approval_expired", "the time to decide has passed; what was asked for has to be asked for again", 409)
CHANGED: Final = "precondition_changed"


def operators_of(account_id: str, query: Callable[[Query], list[Row]]) -> tuple[Operator, ...]:
    """Everybody who may operate the account."""
    return tuple(row.record for row in query(Query(OPERATOR.name, ((Condition("account_id", "=", account_id),),))))


def current_step(record: ApprovalRecord) -> ApprovalStep | None:
    """The step that waits for decisions, or None if all are complete."""
    return next((step for step in record.steps if not step.complete), None)


def undecided_fault(record: ApprovalRecord | None, wall: float) -> Fault | None:
    """Why nothing can be decided about it any more, or None."""
    if record is None:
        return NOT_FOUND
    status = status_at(record, wall)
    if status == "pending":
        return None
    if status == "expired":
        return EXPIRED
    return OperatorFault("approval_not_pending", f"this request is {status} already", 409, {"status": status})


def decider_fault(record: ApprovalRecord, by: str, operators: Sequence[Operator], *, approving: bool = True) -> Fault | None:
    """Why this operator may not decide about the request's current step, or None. Rejecting one's own request is always allowed."""
    step = current_step(record)
    if step is None:
        return OperatorFault("approval_not_pending", "every step has been decided", 409, {"status": record.status})
    able = {each.id for each in operators if not each.disabled and satisfies(each.permissions, step.permission)}
    if by not in able:
        return OperatorFault(
            "not_an_approver", f"this step is decided by who holds {step.permission}", 403, {"permission": step.permission}
        )
    if any(decision.by == by for decision in step.decisions):
        return OperatorFault("already_decided", "you have decided about this step", 409)
    if not approving or by != record.requested_by or step.allow_self_approval == "always":
        return None
    if step.allow_self_approval == "never" or able != {by}:
        text = "who asks for something does not approve it while somebody else could"
        return OperatorFault("self_approval_forbidden", text, 403, {"approvers": len(able) - 1})
    return None


def requester_fault(record: ApprovalRecord, operators: Sequence[Operator]) -> Fault | None:
    """Why the operator who asked may not have it done any more, or None."""
    category = CATEGORIES[record.action_category]
    permission = category.permissions.get(record.subject_kind, category.permission)
    if record.requested_by is None or permission is None:
        return None
    found = next((each for each in operators if each.id == record.requested_by), None)
    if found is None or found.disabled or not satisfies(found.permissions, permission):
        return OperatorFault(CHANGED, "who asked for this may not do it any more", 409, {"reason": "requester_not_permitted"})
    return None


def presented(record: ApprovalRecord, query: Callable[[Query], list[Row]], wall: float, viewer: str) -> dict[str, Any]:
    """The form in which an operator sees a request."""
    operators = operators_of(record.account_id, query)
    email = next((each.email for each in operators if each.id == record.requested_by), None)
    can_decide = undecided_fault(record, wall) is None and decider_fault(record, viewer, operators) is None
    return shown(record, wall, email=email, can_decide=can_decide)
