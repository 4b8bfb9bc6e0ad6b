"""Operators' calls about operations that wait for approval: from bodies to messages, and back to JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.approval import deciding
from actors.approval.lifecycle import Status
from actors.approval.messages import Approve, AskApproval, Reject, Withdraw
from actors.approval.record import KIND, ApprovalRecord, pending
from actors.door import cursors
from runtime.actor import Ref
from runtime.errors import FaultError
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def list_approvals(door: Door, request: Request) -> None:
    query = request.query
    mine = [Condition("account_id", "=", request.account_id)]
    if query.get("category"):
        mine.append(Condition("action_category", "=", query["category"]))
    if query.get("agent"):
        mine.append(Condition("agent", "=", query["agent"]))
    wanted: tuple[Status, ...] = tuple(query.get("status") or ())
    if wanted:
        mine.append(Condition("status", "in", wanted))
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    limit = query["limit"]
    rows = door.engine.store.query(Query(KIND.name, (tuple(mine),), after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    data = [shown(door, request, record) for record in page]
    request.ok(data, meta={"count": len(page), "next_cursor": following})


def get_approval(door: Door, request: Request) -> None:
    record = own_approval(door, request)
    request.ok({"approval": shown(door, request, record)}, version=record.version)


def approve_operation(door: Door, request: Request) -> None:
    _relayed(door, request, Approve(by=request.by or "", comment=request.body.get("comment"), mark=request.mark))


def reject_operation(door: Door, request: Request) -> None:
    _relayed(door, request, Reject(by=request.by or "", reason=request.body.get("reason"), mark=request.mark))


def cancel_operation(door: Door, request: Request) -> None:
    _relayed(door, request, Withdraw(by=request.by or "", mark=request.mark))


def own_approval(door: Door, request: Request) -> ApprovalRecord:
    """The request that the path names, in the caller's account.

    Raises:
        FaultError: `approval_not_found`.
    """
    row = door.engine.directory.row(KIND.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(deciding.NOT_FOUND)
    record: ApprovalRecord = row.record
    return record


def shown(door: Door, request: Request, record: ApprovalRecord) -> dict[str, Any]:
    """The form in which the caller sees a request."""
    return deciding.presented(record, door.engine.store.query, door.engine.clock.wall(), request.by or "")


def let_wait(door: Door, request: Request, asked: AskApproval) -> None:
    """Answer a gated call with 202: it waits now, and nothing has been done."""
    ref = Ref(KIND.name, uuid7(request.wall, door.chance))
    door.relay(request, ref, asked, lambda outcome: request.ok(pending(outcome), status=202))


def _relayed(door: Door, request: Request, message: Any) -> None:
    record = own_approval(door, request)

    def answered(outcome: ApprovalRecord) -> None:
        request.ok({"approval": shown(door, request, outcome)})

    door.relay(request, Ref(KIND.name, record.id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_approvals": list_approvals,
    "get_approval": get_approval,
    "approve_operation": approve_operation,
    "reject_operation": reject_operation,
    "cancel_operation": cancel_operation,
}
