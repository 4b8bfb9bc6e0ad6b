"""Bodies and answers of the routes of approvals, and the answer of every route whose operation may have to wait."""

from __future__ import annotations

from typing import Final

from actors.approval.categories import CATEGORIES
from actors.approval.lifecycle import EXECUTIONS, STATUSES
from actors.approval.limits import SUMMARY_CHARS_MAX, TEXT_CHARS_MAX
from actors.door.shapes import Anything, Boolean, Choice, Field, Identifier, Instant, Integer, ListOf, Object, Text

_STEPS_MAX: Final = 8
_NAME: Final = Text(chars_max=64)

APPROVE: Final = Object((Field("comment", Text(chars_min=1, chars_max=TEXT_CHARS_MAX, trim=True)),), name="ApproveRequest")
REJECT: Final = Object(
    (
        Field(
            "reason",
            Text(chars_min=1, chars_max=TEXT_CHARS_MAX, trim=True),
            required=True,
            required_code="reason_required",
            required_status=422,
            description="Told to who asked.",
        ),
    ),
    name="RejectRequest",
)
CANCEL: Final = Object((), name="WithdrawApprovalRequest")
APPROVAL: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("execution_id", Identifier(), required=True, description="What the waiting operation is called."),
        Field("status", Choice(STATUSES), required=True),
        Field("execution_status", Choice(EXECUTIONS), required=True, description="What has become of the operation once approved."),
        Field("resolution", Anything(), nullable=True, description="The outcome, the refusal, or why nobody will do it."),
        Field("action_category", Choice(tuple(CATEGORIES)), required=True),
        Field("agent", _NAME, nullable=True),
        Field("requested_by", Anything(), nullable=True, description="`id` and `email` of the operator who asked; null if a peer did."),
        Field("origin", Choice(("rest", "peer")), required=True),
        Field("federation_peer_id", Identifier(), nullable=True, description="The peer that it is about."),
        Field("blast_radius", Choice(("low", "medium", "high")), required=True),
        Field("summary", Text(chars_max=SUMMARY_CHARS_MAX), required=True),
        Field("impact", Text(chars_max=SUMMARY_CHARS_MAX), required=True),
        Field("plan", Anything(), required=True, description="What a dry run said when it was asked for."),
        Field("params_redacted", Anything(), required=True),
        Field("params_digest", Text(), required=True, description="Part of every decision: what was approved is what is done."),
        Field("steps", ListOf(Anything(), _STEPS_MAX), required=True),
        Field("created_at", Instant(), required=True),
        Field("expires_at", Instant(), required=True),
        Field("decided_at", Instant(), nullable=True),
        Field("can_decide", Boolean(), required=True, description="Whether you may decide about it now."),
        Field("version", Integer(), required=True),
    ),
    name="Approval",
    unknown="ignore",
)
ONE: Final = Object((Field("approval", APPROVAL, required=True),), name="OneApproval", unknown="ignore")
PENDING: Final = Object(
    (
        Field("pending", Boolean(), required=True),
        Field("deferred_operation_id", Identifier(), required=True),
        Field("approval_request_id", Identifier(), required=True),
        Field("expires_at", Instant(), required=True),
    ),
    name="PendingOperation",
    unknown="ignore",
)
"""The answer to an operation that waits now: nothing has been done."""
