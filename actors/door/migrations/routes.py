"""Routes of migrations: what operators decide at the source, and what a source asks of a destination."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.approvals.bodies import PENDING
from actors.door.migrations import bodies
from actors.door.route import (
    CERTIFICATE_REFUSALS,
    FEDERATION,
    GRANT_REFUSALS,
    MIGRATIONS_APPLY,
    MIGRATIONS_CANCEL,
    MIGRATIONS_PLAN,
    PLATFORM_READ,
    STATUS_REFUSALS,
    SYSTEM,
    Method,
    Route,
)
from actors.door.shapes import Choice, Field, Identifier, Integer, ListOf, Object
from actors.homecoming.record import CLAIMS_PAGE
from actors.migration.limits import BODY_BYTES_MAX, STEPS_MAX
from actors.migration.steps import OPERATIONS

_TAG: Final = "Migrations"
_REMOTE: Final = "Federation API"
_ALL: Final = f"{SYSTEM}/platform/migrations"
_ONE: Final = f"{_ALL}/{{id}}"
_AT_PEER: Final = f"{FEDERATION}/migrations"
_ARRIVAL: Final = f"{_AT_PEER}/{{id}}"

_NOT_FOUND: Final = ("migration_not_found",)
_RESIDENCY: Final = ("residency_refused",)
_PLAN_PROBLEMS: Final = ("kind_not_movable", "link_target_missing", "unknown_resource_kind")


def _act(name: str, path: str, permission: str, summary: str, description: str, body: Object = bodies.ACT) -> Route:
    goes_on = name != "cancel_migration"
    return Route(
        name=name,
        method="POST",
        path=f"{_ONE}/{path}",
        face="operator",
        permission=permission,
        tag=_TAG,
        summary=summary,
        description=description,
        body=body,
        success={200: bodies.ONE},
        errors={
            404: (*_NOT_FOUND, *(("peer_not_found",) if goes_on else ())),
            409: ("version_conflict", *(("peer_not_ready",) if goes_on else ("migration_not_cancellable",))),
            **({403: _RESIDENCY, 422: ("invalid_transition", "migration_conflict", "residency_unacknowledged")} if goes_on else {}),
        },
        idempotent=True,
        conditional=True,
    )


_OPERATOR: Final = (
    Route(
        name="list_migrations",
        method="GET",
        path=_ALL,
        face="operator",
        permission=PLATFORM_READ,
        tag=_TAG,
        summary="List migrations from here to peers, or those of peers to here, newest first",
        query=(
            Field("side", Choice(("source", "destination")), default="source", description="Whether this platform sends or takes."),
            Field(
                "status", ListOf(Choice(bodies.SHOWN_STATUSES), len(bodies.SHOWN_STATUSES)), description="One or more, separated by commas."
            ),
            Field("operation", Choice(OPERATIONS)),
            *shared.PAGE,
        ),
        success={200: shared.listing_of(bodies.MIGRATION)},
        conditional=True,
    ),
    Route(
        name="plan_migration",
        method="POST",
        path=_ALL,
        face="operator",
        permission=MIGRATIONS_PLAN,
        tag=_TAG,
        summary="Plan the move or the copy of a resource to a peer",
        description=(
            "What the root owns travels along; what it needs must be at the destination under the same name. With `dry_run` the plan is "
            "only made; without it the destination is asked at once what stands in the way. Nothing moves before `apply`. "
            "With `override_residency` a plan that our residency rules refuse waits for approval: 202, and nothing has been planned yet."
        ),
        body=bodies.PLAN,
        success={201: bodies.ONE, 202: PENDING},
        errors={
            403: _RESIDENCY,
            404: ("peer_not_found", "resource_not_found"),
            409: ("peer_not_ready", "migration_id_conflict", "no_received_grant", "schema_incompatible"),
            413: ("plan_too_large",),
            422: ("field_required", "operation_unknown", "residency_unacknowledged", "bearer_not_kept", *_PLAN_PROBLEMS),
        },
        idempotent=True,
    ),
    Route(
        name="get_migration",
        method="GET",
        path=_ONE,
        face="operator",
        permission=PLATFORM_READ,
        tag=_TAG,
        summary="Show one migration, at the source or at the destination",
        success={200: bodies.ONE},
        errors={404: _NOT_FOUND},
        conditional=True,
    ),
    Route(
        name="get_migration_receipt",
        method="GET",
        path=f"{_ONE}/receipt",
        face="operator",
        permission=PLATFORM_READ,
        tag=_TAG,
        summary="Get the signed receipt of a migration: signed now where it has arrived, as it came at its source",
        description="For the operators of its source, whose platform cannot ask ours: `powernode migrations resolve --receipt`.",
        success={200: bodies.RECEIPT},
        errors={404: _NOT_FOUND, 409: ("migration_not_applied",), 503: ("vault_unavailable",)},
        conditional=True,
    ),
    Route(
        name="set_migration_step",
        method="PATCH",
        path=f"{_ONE}/steps/{{order}}",
        face="operator",
        permission=MIGRATIONS_PLAN,
        tag=_TAG,
        summary="Decide what happens where a step meets a record of the destination",
        parameters={"order": Integer(0, STEPS_MAX - 1)},
        description="To overwrite a record of the destination waits for approval: 202, and nothing has been decided yet.",
        body=bodies.SET_STEP,
        success={200: bodies.ONE, 202: PENDING},
        errors={404: _NOT_FOUND, 409: ("version_conflict",), 422: ("field_required", "step_invalid", "invalid_transition")},
        idempotent=True,
        conditional=True,
    ),
    _act(
        "validate_migration",
        "validate",
        MIGRATIONS_PLAN,
        "Plan again and ask the destination what stands in the way",
        "The answer is heard later; it stands in `cleared` or in the conflict log.",
    ),
    _act(
        "apply_migration",
        "apply",
        MIGRATIONS_APPLY,
        "Move or copy what was planned",
        "The records are held from the upload on until the destination has given a definite answer.",
    ),
    Route(
        name="resolve_migration",
        method="POST",
        path=f"{_ONE}/resolve",
        face="operator",
        permission=MIGRATIONS_APPLY,
        tag=_TAG,
        summary="Say where the records of a migration live whose other side cannot be asked any more",
        description=(
            "Only when the peering in which it began has ended and nothing else can end it. If the word is wrong the records have two "
            "homes, or none: ask the operators of the other side first. If you can, peer again instead: then their receipt settles it."
        ),
        body=bodies.RESOLVE,
        success={200: bodies.ONE},
        errors={
            404: _NOT_FOUND,
            409: ("version_conflict", "migration_not_stuck", "receipt_held"),
            422: ("field_required", "receipt_invalid"),
        },
        idempotent=True,
        conditional=True,
    ),
    _act("retry_migration", "retry", MIGRATIONS_APPLY, "Try a failed migration again", "The plan is made anew, under a new id."),
    _act(
        "cancel_migration",
        "cancel",
        MIGRATIONS_CANCEL,
        "Give a migration up",
        "Possible until everything has been uploaded; from then on only the destination's answer ends it.",
        bodies.CANCEL,
    ),
)

_GATE: Final = {
    401: (*CERTIFICATE_REFUSALS, *GRANT_REFUSALS[401]),
    403: (*STATUS_REFUSALS, *GRANT_REFUSALS[403]),
    409: GRANT_REFUSALS[409],
}


def _call(
    name: str, method: Method, path: str, summary: str, body: Object | None, success: dict[int, Object], more: dict[int, tuple[str, ...]]
) -> Route:
    errors = {status: (*_GATE.get(status, ()), *more.get(status, ())) for status in sorted({*_GATE, *more})}
    return Route(
        name=f"federation_{name}_migration",
        method=method,
        path=path,
        face="federation",
        tag=_REMOTE,
        summary=summary,
        description="Needs a grant of the root's kind with the scope `migrate`; what was begun may be ended in the grace of a revocation.",
        body=body,
        success=success,
        errors=errors,
        body_bytes_max=BODY_BYTES_MAX,
    )


_ROOT_PROBLEMS: Final = ("field_required", "operation_unknown", "unknown_resource_kind", "kind_not_movable")
_APPLYING: Final = (
    *_ROOT_PROBLEMS, "plan_empty", "step_invalid", "step_outside_plan", "migration_conflict", "link_target_missing",
    "residency_unacknowledged",
)  # fmt: skip
_FENCED: Final = ("migration_fenced",)

_FEDERATION: Final = (
    _call(
        "preflight",
        "POST",
        f"{_AT_PEER}/preflight",
        "Find out what stands in the way of a plan, by the names of its records",
        bodies.PREFLIGHT,
        {200: bodies.CLEARED},
        {403: _RESIDENCY, 413: ("plan_too_large",), 422: _APPLYING},
    ),
    _call(
        "open",
        "POST",
        _AT_PEER,
        "Announce a plan; with its steps, apply it, all of it or nothing",
        bodies.OPEN,
        {200: bodies.VERDICT, 201: bodies.VERDICT},
        {
            403: _RESIDENCY,
            409: (*_FENCED, "migration_id_conflict"),
            413: ("plan_too_large",),
            422: (*_APPLYING, "plan_digest_mismatch"),
            503: ("ca_unavailable",),
        },
    ),
    _call(
        "upload",
        "PUT",
        f"{_ARRIVAL}/steps",
        "Upload some steps of an announced plan",
        bodies.STEPS,
        {200: bodies.VERDICT},
        {404: _NOT_FOUND, 409: _FENCED, 413: ("plan_too_large",), 422: (*_APPLYING, "plan_digest_mismatch"), 403: _RESIDENCY},
    ),
    _call(
        "commit",
        "POST",
        f"{_ARRIVAL}/commit",
        "Apply a plan, all of it or nothing",
        bodies.NOTHING,
        {200: bodies.VERDICT, 201: bodies.VERDICT},
        {
            403: _RESIDENCY,
            404: _NOT_FOUND,
            409: (*_FENCED, "plan_incomplete"),
            413: ("plan_too_large",),
            422: (*_APPLYING, "plan_digest_mismatch"),
            503: ("ca_unavailable",),
        },
    ),
    _call(
        "get",
        "GET",
        _ARRIVAL,
        "Hear what became of a migration",
        None,
        {200: bodies.VERDICT},
        {404: _NOT_FOUND, 503: ("ca_unavailable",)},
    ),
    _call(
        "fence",
        "POST",
        f"{_ARRIVAL}/fence",
        "Have a migration never applied, unless it was",
        bodies.FENCE,
        {200: bodies.VERDICT},
        {404: _NOT_FOUND, 422: _ROOT_PROBLEMS, 503: ("ca_unavailable",)},
    ),
    Route(
        name="federation_arrived_migrations",
        method="GET",
        path=f"{_AT_PEER}/arrived",
        face="federation",
        tag=_REMOTE,
        summary="Hear which of the caller's resources have moved here, or from here on",
        description="For a platform that was restored from an earlier copy and does not know. Needs no grant: they were the caller's own.",
        query=(
            Field("after", Identifier(), description="Continue behind this migration."),
            Field("limit", Integer(1, CLAIMS_PAGE), default=CLAIMS_PAGE),
        ),
        success={200: shared.listing_of(bodies.ARRIVED)},
        errors={401: CERTIFICATE_REFUSALS, 403: STATUS_REFUSALS, 409: GRANT_REFUSALS[409]},
    ),
    Route(
        name="federation_reclaim_migration",
        method="POST",
        path=f"{_ARRIVAL}/reclaim",
        face="federation",
        tag=_REMOTE,
        summary="Ask, under a new peering, what became of a migration of a former one",
        description=(
            "For the same instance and the same plan. What was not applied never will be; no grant is needed, since nothing begins."
        ),
        body=bodies.RECLAIM,
        success={200: bodies.VERDICT},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: STATUS_REFUSALS,
            404: _NOT_FOUND,
            409: (*GRANT_REFUSALS[409], "migration_id_conflict"),
            422: ("field_required", "operation_unknown", "unknown_resource_kind"),
            503: ("ca_unavailable",),
        },
    ),
    _call(
        "finalize",
        "POST",
        f"{_ARRIVAL}/finalize",
        "Say that the source has let go of what it sent",
        bodies.NOTHING,
        {200: bodies.VERDICT},
        {
            404: _NOT_FOUND,
            409: (*_FENCED, "migration_not_applied"),
            503: ("ca_unavailable",),
            422: (*_APPLYING, "plan_digest_mismatch"),
            403: _RESIDENCY,
            413: ("plan_too_large",),
        },
    ),
)

ROUTES: Final = (*_OPERATOR, *_FEDERATION)
