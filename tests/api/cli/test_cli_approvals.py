"""`powernode approvals`: what is sent, and what is said."""

from __future__ import annotations

from typing import Any

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, lines, listing

APPROVAL_ID = "0190e1c4-7777-7000-8000-000000000008"
APPROVAL: dict[str, Any] = {
    "id": APPROVAL_ID, "status": "pending", "execution_status": "none", "action_category": "system.migration_hop",
    "summary": "Let nginx move on", "impact": "It leaves this platform.", "plan": {"steps": 3}, "params_redacted": {"hop": 1},
    "federation_peer_id": PEER_ID, "resolution": None, "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T04:00:00Z",
    "steps": [{"decisions": [{"by": PEER_ID, "decision": "approve", "comment": "fine", "at": "2026-01-01T01:00:00Z"}]}],
}  # fmt: skip


def one(**changes: Any) -> Any:
    return granted({"approval": {**APPROVAL, **changes}})


def test_the_queue_is_listed_and_shown(api: OperatorApi, run: Run) -> None:
    api.answers["list_approvals"] = listing([APPROVAL])
    api.answers["get_approval"] = one()
    listed = run("approvals", "list", "--status", "pending", "--status", "expired")
    assert "Let nginx move on" in listed.output
    assert api.requests[-1].query["status"] == "pending,expired"
    shown = run("approvals", "show", APPROVAL_ID)
    assert "fine" in shown.output
    assert '"steps": 3' in shown.output
    assert list(lines(run("approvals", "show", APPROVAL_ID, "--json"))) == [APPROVAL]


def test_who_approves_is_asked_first_and_told_the_outcome(api: OperatorApi, run: Run) -> None:
    api.answers |= {"get_approval": one(), "approve_operation": one(status="approved", execution_status="succeeded")}
    assert run("approvals", "approve", APPROVAL_ID, input="n\n").exit_code != 0
    assert not api.named("approve_operation")
    result = run("approvals", "approve", APPROVAL_ID, "--yes", "--comment", "fine")
    assert result.exit_code == 0, result.output
    assert "what was approved: succeeded" in result.output
    assert api.requests[-1].body == {"comment": "fine"}


def test_what_was_approved_and_not_done_is_a_failure(api: OperatorApi, run: Run) -> None:
    told = {"code": "peer_not_ready", "message": "the peer is suspended"}
    api.answers["approve_operation"] = one(status="approved", execution_status="failed", resolution=told)
    result = run("approvals", "approve", APPROVAL_ID, "--yes")
    assert result.exit_code == 1
    assert "the peer is suspended" in result.output


def test_a_rejection_says_why_and_a_request_is_withdrawn(api: OperatorApi, run: Run) -> None:
    api.answers |= {"reject_operation": one(status="rejected"), "cancel_operation": one(status="cancelled")}
    assert run("approvals", "reject", APPROVAL_ID).exit_code == 2
    assert "rejected" in run("approvals", "reject", APPROVAL_ID, "--reason", "not now").output
    assert api.requests[-1].body == {"reason": "not now"}
    assert "cancelled" in run("approvals", "cancel", APPROVAL_ID).output
