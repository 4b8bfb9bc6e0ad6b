"""What may be said to a request for approval, and between it and whoever carries the operation out.

Lives here: frozen messages. Must not live here: behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.approval.record import ApprovalRecord, Origin
from actors.idempotency.record import Mark
from runtime.errors import Fault
from runtime.values import Value

# --- from whoever wants something done --------------------------------------------------------------------------------


class AskApproval(Value, frozen=True, kw_only=True):
    """Let an operation wait. May come twice. Answer: the record.

    Attributes:
        subject_kind, subject_id: the actor that will be told `Execute`, or `NotApproved`.
        params: what would be done; holds no secret.
    """

    account_id: str
    action_category: str
    requested_by: str | None
    origin: Origin
    federation_peer_id: str | None
    subject_kind: str
    subject_id: str
    summary: str
    impact: str
    plan: Mapping[str, Any]
    params: Mapping[str, Any]
    mark: Mark | None = None


class Supersede(Value, frozen=True, kw_only=True):
    """What was asked for is not wanted any more, or has become impossible. No answer."""

    reason: str


# --- from operators ---------------------------------------------------------------------------------------------------


class Approve(Value, frozen=True, kw_only=True):
    """Approve. Answer: the record, with the outcome of the operation if that is known in time; or a fault."""

    by: str
    comment: str | None
    mark: Mark | None = None


class Reject(Value, frozen=True, kw_only=True):
    """Reject. Answer: the record, or a fault."""

    by: str
    reason: str | None
    mark: Mark | None = None


class Withdraw(Value, frozen=True, kw_only=True):
    """End the request undecided: by who asked, or by whoever could decide. Answer: the record, or a fault."""

    by: str
    mark: Mark | None = None


# --- between a request and whoever carries it out ---------------------------------------------------------------------


class Execute(Value, frozen=True, kw_only=True):
    """Do what was approved, after looking whether it is still as it was. May come twice. Answered by `Executed`.

    Attributes:
        approval: the request as committed.
        approved_by: who decided last.
    """

    approval: ApprovalRecord
    approved_by: str


class NotApproved(Value, frozen=True, kw_only=True):
    """The operation will not be done: its request is `rejected`, `expired` or `cancelled`."""

    approval_id: str
    status: str
    reason: str | None


class Executed(Value, frozen=True, kw_only=True):
    """What became of the operation: `fault` says why it was not done, or None."""

    fault: Fault | None = None
    result: Mapping[str, Any] = msgspec.field(default_factory=dict)


class AnswerNow(Value, frozen=True):
    """The time to wait for the outcome is over."""
