"""Bodies and answers of the routes of migrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.door.shapes import (
    ABSENT,
    Anything,
    Boolean,
    Choice,
    Field,
    FreeObject,
    Identifier,
    Instant,
    Integer,
    ListOf,
    Object,
    Shape,
    Text,
)
from actors.migration.lifecycle import STATUSES
from actors.migration.limits import STEPS_MAX
from actors.migration.steps import ACTIONS, OPERATIONS, POLICIES
from actors.migration_chain.limits import HOPS_MAX
from actors.problems import Problem

KIND_CHARS_MAX: Final = 64
BEARER_CHARS_MAX: Final = 256
WORD_CHARS_MAX: Final = 1_024

_DIGEST: Final = Text(chars_min=64, chars_max=64, pattern="[0-9a-f]{64}")
_OPERATION: Final = Field(
    "operation",
    Choice(OPERATIONS),
    required=True,
    code="operation_unknown",
    status=422,
    required_code="field_required",
    required_status=422,
    description="`migrate` moves records and keeps their ids, `duplicate` makes copies with ids of their own.",
)
ROOT: Final = (
    _OPERATION,
    Field(
        "root_resource_kind",
        Text(chars_min=1, chars_max=KIND_CHARS_MAX),
        required=True,
        code="unknown_resource_kind",
        status=422,
        required_code="field_required",
        required_status=422,
    ),
    Field("root_resource_id", Identifier(), required=True, required_code="field_required", required_status=422),
)
ACKNOWLEDGE: Final = Field("acknowledge_residency", Boolean(), default=False, description="The crossing of a boundary is meant.")

PLAN: Final = Object(
    (
        *ROOT,
        Field("destination_peer_id", Identifier(), required=True, required_code="field_required", required_status=422),
        Field(
            "bearer",
            Text(chars_min=1, chars_max=BEARER_CHARS_MAX, secret=True),
            description=(
                "Of a grant of the destination with the scope `migrate` on the kind of the root, kept sealed with the migration. "
                "Without it a received grant is used."
            ),
        ),
        Field("dry_run", Boolean(), default=True, description="Only plan; ask nothing of the destination."),
        ACKNOWLEDGE,
        Field(
            "override_residency",
            Boolean(),
            default=False,
            description="If our residency rules refuse it, ask for an exception for this one migration; takes no `bearer`.",
        ),
    ),
    name="PlanMigrationRequest",
)
ACT: Final = Object((ACKNOWLEDGE,), name="MigrationActRequest")
CANCEL: Final = Object((), name="CancelMigrationRequest")
RESOLVE: Final = Object(
    (
        Field(
            "outcome",
            Choice(("keep", "release")),
            required=True,
            required_code="field_required",
            required_status=422,
            description="Where the records live: `keep` is here, `release` is at the other side.",
        ),
        Field(
            "word",
            Text(chars_min=1, chars_max=WORD_CHARS_MAX, trim=True),
            required=True,
            required_code="field_required",
            required_status=422,
            description="Who of the other side said so, and how. Kept in the audit chain.",
        ),
        Field(
            "receipt",
            FreeObject(),
            nullable=True,
            description="With `release`: the signed receipt of the destination, as its operators get it. It is verified.",
        ),
    ),
    name="ResolveMigrationRequest",
)
SET_STEP: Final = Object(
    (
        Field(
            "conflict_policy",
            Choice(POLICIES),
            required=True,
            code="step_invalid",
            status=422,
            required_code="field_required",
            required_status=422,
        ),
    ),
    name="SetMigrationStepRequest",
)

SHOWN_STATUSES: Final = (*STATUSES, "staged", "applied", "finalized", "fenced", "released")
"""Of a migration at its source, and of one at its destination."""

MIGRATION: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("side", Choice(("source", "destination")), required=True),
        Field("operation", Choice(OPERATIONS), required=True),
        Field("root_resource_kind", Text(), required=True),
        Field("root_resource_id", Identifier(), required=True),
        Field("destination_peer_id", Identifier(), description="Only at the source."),
        Field("source_peer_id", Identifier(), description="Only at the destination."),
        Field("status", Choice(SHOWN_STATUSES), required=True),
        Field("dry_run", Boolean()),
        Field("transfer_id", Identifier(), description="What the destination calls the attempt."),
        Field("attempt", Integer(1)),
        Field("plan_summary", Anything(), required=True),
        Field("plan_digest", Text(), required=True),
        Field("cleared", Boolean(), description="Whether a preflight found nothing against the plan as it is."),
        Field("cross_jurisdiction", Boolean(), required=True),
        Field("metadata", FreeObject(), description="`cross_jurisdiction` is true here, too, where the records cross a boundary."),
        Field("receipt_digest", Text(), nullable=True),
        Field("error", Text(), nullable=True, description="Code of the last refusal or failure."),
        Field("claimed", Boolean(), description="The destination says so, and this restored copy does not know it."),
        Field("resolved", Text(), nullable=True, description="What an operator said of it when its destination could not be asked."),
        Field("chain_id", Identifier(), nullable=True, description="The chain of which it is a hop."),
        Field("chain_position", Integer(0), nullable=True, description="The number of that hop."),
        Field("residency_exception", Identifier(), nullable=True, description="The approval by which our residency rules let it go."),
        Field("created_by", Identifier(), nullable=True),
        Field("created_at", Instant(), required=True),
        Field("updated_at", Instant(), nullable=True),
        Field("completed_at", Instant(), nullable=True),
        Field("steps", ListOf(Anything(), STEPS_MAX)),
        Field("conflict_log", ListOf(Anything(), STEPS_MAX)),
        Field("audit_log", ListOf(Anything(), STEPS_MAX)),
        Field("receipt", Anything(), nullable=True),
        Field("version", Integer(), required=True),
    ),
    name="Migration",
    unknown="ignore",
)
RECEIPT: Final = Object(
    (
        Field("receipt", FreeObject(), required=True),
        Field("signature", Text(), required=True, description="Ed25519, base64."),
        Field("certificate_pem", Text(lines=True), required=True, description="Of the key that signed, under the CA of this platform."),
    ),
    name="SignedMigrationReceipt",
    unknown="ignore",
)
ONE: Final = Object((Field("migration", MIGRATION, required=True),), name="OneMigration", unknown="ignore")

# --- between platforms ---------------------------------------------------------------------------------------------------


def _part(name: str, shape: Shape, *, default: Any = ABSENT) -> Field:
    return Field(
        name,
        shape,
        required=default is ABSENT,
        default=default,
        code="step_invalid",
        status=422,
        type_code="step_invalid",
        required_code="step_invalid",
        required_status=422,
    )


def _step(*, payload: bool) -> Object:
    fields = [
        _part("order", Integer(0, STEPS_MAX - 1)),
        _part("kind", Text(chars_min=1, chars_max=KIND_CHARS_MAX)),
        _part("id", Identifier()),
        _part("action", Choice(ACTIONS)),
        _part("conflict_policy", Choice(POLICIES), default="fail"),
        _part("natural_key", Anything()),
    ]
    if payload:
        fields.append(_part("payload", Anything()))
    return Object(tuple(fields), name="MigrationStep" if payload else "MigrationStepName", unknown="ignore")


_NAMES: Final = ListOf(_step(payload=False), STEPS_MAX)
_STEPS: Final = ListOf(_step(payload=True), STEPS_MAX)

_COUNTED_MAX: Final = 2**31 - 1


def _size_rule(body: Mapping[str, Any]) -> Sequence[Problem]:
    if body["step_count"] == 0:
        return (Problem("step_count", "plan_empty", "a plan has steps", 422),)
    if body["step_count"] > STEPS_MAX:
        return (Problem("step_count", "plan_too_large", f"a plan has at most {STEPS_MAX} steps", 413),)
    if "steps" not in body:
        return ()
    if not body["steps"]:
        return (Problem("steps", "plan_empty", "a plan that is sent with its announcement has steps", 422),)
    if len(body["steps"]) != body["step_count"]:
        return (Problem("steps", "step_invalid", "steps in the announcement are all the steps of the plan, as step_count says", 422),)
    return ()


PREFLIGHT: Final = Object(
    (*ROOT, ACKNOWLEDGE, Field("steps", _NAMES, required=True, required_code="plan_empty", required_status=422)),
    name="MigrationPreflight",
    unknown="ignore",
)
CHAIN_HOP: Final = Object(
    (Field("id", Identifier(), required=True), Field("hop", Integer(0, HOPS_MAX - 1), required=True)),
    name="MigrationForHop",
    unknown="ignore",
)
OPEN: Final = Object(
    (
        Field("migration_id", Identifier(), required=True, required_code="field_required", required_status=422),
        *ROOT,
        Field("plan_digest", _DIGEST, required=True, required_code="field_required", required_status=422),
        Field("step_count", Integer(0, _COUNTED_MAX), required=True, required_code="field_required", required_status=422),
        ACKNOWLEDGE,
        Field("chain", CHAIN_HOP, nullable=True, description="The hop of a chain that it carries out; the receipt names it."),
        Field("steps", _STEPS, description="All steps of a small plan, which then is applied by this call."),
    ),
    name="OpenMigration",
    unknown="ignore",
    rule=_size_rule,
)
STEPS: Final = Object(
    (Field("steps", _STEPS, required=True, required_code="plan_empty", required_status=422),), name="MigrationSteps", unknown="ignore"
)
NOTHING: Final = Object((), name="MigrationCall", unknown="ignore")
ARRIVED: Final = Object(
    (
        Field("migration_id", Identifier(), required=True),
        *ROOT,
        Field("plan_digest", _DIGEST, required=True),
        Field("ids", ListOf(Identifier(), STEPS_MAX), required=True, description="What came with it and does not live with the caller."),
    ),
    name="ArrivedMigration",
    unknown="ignore",
)
RECLAIM: Final = Object(
    (*ROOT, Field("plan_digest", _DIGEST, required=True, required_code="field_required", required_status=422)),
    name="ReclaimMigration",
    unknown="ignore",
)
FENCE: Final = Object(ROOT, name="FenceMigration", unknown="ignore")

CLEARED: Final = Object(
    (
        Field("conflicts", ListOf(Anything(), STEPS_MAX), required=True),
        Field("creates", Integer(0), required=True, description="Records that would be written."),
    ),
    name="MigrationPreflightAnswer",
    unknown="ignore",
)
VERDICT: Final = Object(
    (
        Field("migration_id", Identifier(), required=True),
        Field("status", Choice(("staged", "applied", "finalized", "fenced", "failed", "released")), required=True),
        Field("receipt", Anything(), nullable=True),
        Field("signature", Text(), nullable=True, description="Ed25519 over the receipt as canonical JSON, base64."),
        Field("certificate_pem", Text(chars_max=8_192, lines=True), nullable=True),
    ),
    name="MigrationVerdict",
    unknown="ignore",
)
