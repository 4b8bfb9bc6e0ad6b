"""One request for approval: the frozen record, how it is found, and its form for operators.

Lives here: fields, columns, the deadline. Must not live here: which step is allowed (`lifecycle`), who may decide (`deciding`).

A request holds what would be done, frozen: `params_digest` is part of every decision, so that nobody can be made to approve one thing and
get another. Until it is approved nothing is done, reserved or used up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs
import msgspec

from actors.approval.categories import CATEGORIES
from actors.approval.lifecycle import Execution, Status
from actors.approval.limits import LOOK_S
from runtime.clock import iso, iso_or_none
from runtime.store.port import Kind

Origin = Literal["rest", "peer"]
SelfApproval = Literal["never", "sole_approver", "always"]
APPROVER_PERMISSION: Final = "system.infra_tasks.control"


@attrs.frozen(kw_only=True)
class Decision:
    """What one operator decided. `at`: seconds since the epoch."""

    by: str
    decision: Literal["approve", "reject"]
    comment: str | None
    at: float
    params_digest: str
    via: str = "rest"

    def to_json(self) -> dict[str, Any]:
        """The form for operators and in the audit chain."""
        return {**attrs.asdict(self), "at": iso(self.at)}


@attrs.frozen(kw_only=True)
class ApprovalStep:
    """One step of the chain of approvers; whoever holds the permission may decide."""

    name: str = "Operator Approval"
    permission: str = APPROVER_PERMISSION
    required_approvals: int = 1
    allow_self_approval: SelfApproval = "sole_approver"
    decisions: tuple[Decision, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether enough operators have approved."""
        return sum(1 for each in self.decisions if each.decision == "approve") >= self.required_approvals

    def to_json(self) -> dict[str, Any]:
        """The form for operators."""
        return {
            "name": self.name,
            "approvers": [{"type": "permission", "value": self.permission}],
            "required_approvals": self.required_approvals,
            "allow_self_approval": self.allow_self_approval,
            "decisions": [decision.to_json() for decision in self.decisions],
        }


@attrs.frozen(kw_only=True)
class ApprovalRecord:
    """One request. Times are seconds since the epoch.

    Attributes:
        execution_id: what the operation is called from the request to its outcome.
        requested_by: the operator who asked; None if a peer did.
        federation_peer_id: the peer that it is about, in whose audit chain decisions stand; None if it is about none.
        subject_kind, subject_id: the actor that carries it out.
        plan: what a dry run said when it was asked for.
        params: what would be done, without any secret.
        execution_status, resolution: what has become of it once it was approved.
        look_at: when whoever carries it out is told again.
    """

    id: str
    version: int = 0
    account_id: str
    execution_id: str
    action_category: str
    agent: str | None = None
    requested_by: str | None
    origin: Origin
    federation_peer_id: str | None
    subject_kind: str
    subject_id: str
    summary: str
    impact: str
    plan: Mapping[str, Any]
    params: Mapping[str, Any]
    params_digest: str
    steps: tuple[ApprovalStep, ...] = (ApprovalStep(),)
    status: Status = "pending"
    execution_status: Execution = "none"
    resolution: Mapping[str, Any] | None = None
    created_at: float
    expires_at: float
    decided_at: float | None = None
    look_at: float | None = None
    dedup_key: str | None = None

    @property
    def blast_radius(self) -> str:
        """How far a mistake reaches."""
        return CATEGORIES[self.action_category].blast_radius


def _due(record: ApprovalRecord) -> float | None:
    return record.expires_at if record.status == "pending" else record.look_at


KIND: Final = Kind(
    name="approval",
    record=ApprovalRecord,
    columns={
        "account_id": "text", "status": "text", "action_category": "text", "agent": "text", "federation_peer_id": "text",
        "subject_id": "text",
    },
    project=lambda record: {
        "account_id": record.account_id,
        "status": record.status,
        "action_category": record.action_category,
        "agent": record.agent,
        "federation_peer_id": record.federation_peer_id,
        "subject_id": record.subject_id,
    },
    due=_due,
    put_off_s=LOOK_S,
    has_dates=True,
    resume=lambda record: record.execution_status == "running",
)  # fmt: skip


def digest(category: str, params: Mapping[str, Any]) -> str:
    """What ties a decision to exactly this operation."""
    return "sha256:" + hashlib.sha256(msgspec.json.encode([category, dict(params)], order="sorted")).hexdigest()


def status_at(record: ApprovalRecord, wall: float) -> Status:
    """The status as it reads at `wall`: what nobody decided in time has expired, whether or not that has been written down."""
    return "expired" if record.status == "pending" and record.expires_at <= wall else record.status


def next_look(wall: float) -> float:
    """When whoever carries out an operation is told again."""
    return wall + LOOK_S


def pending(record: ApprovalRecord) -> dict[str, Any]:
    """The answer to an operation that now waits."""
    return {
        "pending": True,
        "deferred_operation_id": record.execution_id,
        "approval_request_id": record.id,
        "expires_at": iso(record.expires_at),
    }


def shown(record: ApprovalRecord, wall: float, *, email: str | None, can_decide: bool) -> dict[str, Any]:
    """The form for operators; `email` is that of the operator who asked, `can_decide` is about the one who looks."""
    return {
        "id": record.id,
        "execution_id": record.execution_id,
        "status": status_at(record, wall),
        "execution_status": record.execution_status,
        "resolution": dict(record.resolution) if record.resolution is not None else None,
        "action_category": record.action_category,
        "agent": record.agent,
        "requested_by": {"id": record.requested_by, "email": email} if record.requested_by is not None else None,
        "origin": record.origin,
        "federation_peer_id": record.federation_peer_id,
        "blast_radius": record.blast_radius,
        "summary": record.summary,
        "impact": record.impact,
        "plan": dict(record.plan),
        "params_redacted": dict(record.params),
        "params_digest": record.params_digest,
        "steps": [step.to_json() for step in record.steps],
        "created_at": iso(record.created_at),
        "expires_at": iso(record.expires_at),
        "decided_at": iso_or_none(record.decided_at),
        "can_decide": can_decide,
        "version": record.version,
    }
