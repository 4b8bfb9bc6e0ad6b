"""Routes of chains of migrations: what operators decide, and what whoever drives a chain asks of the holder."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.migration_chains import bodies
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
    Route,
)
from actors.door.shapes import Choice, Field, Integer, ListOf
from actors.migration_chain.lifecycle import STATUSES
from actors.migration_chain.limits import HOPS_MAX

_TAG: Final = "Migrations"
_REMOTE: Final = "Federation API"
_ALL: Final = f"{SYSTEM}/platform/migration_chains"
_ONE: Final = f"{_ALL}/{{id}}"
_HOP: Final = f"{FEDERATION}/migration_chains/{{id}}/hops/{{number}}"
_NOT_FOUND: Final = ("chain_not_found",)
_ROOT_PROBLEMS: Final = (
    "field_required", "operation_unknown", "unknown_resource_kind", "kind_not_movable", "link_target_missing", "residency_unacknowledged",
)  # fmt: skip
_NUMBER: Final = {"number": Integer(1, HOPS_MAX - 1)}


def _act(act: str, permission: str, summary: str, description: str, more: dict[int, tuple[str, ...]]) -> Route:
    return Route(
        name=f"{act}_migration_chain",
        method="POST",
        path=f"{_ONE}/{act}",
        face="operator",
        permission=permission,
        tag=_TAG,
        summary=summary,
        description=description,
        body=bodies.ACT,
        success={200: bodies.ONE},
        errors={**more, 404: _NOT_FOUND, 409: ("version_conflict", "chain_terminal", *more.get(409, ()))},
        idempotent=True,
        conditional=True,
    )


ROUTES: Final = (
    Route(
        name="list_migration_chains",
        method="GET",
        path=_ALL,
        face="operator",
        permission=PLATFORM_READ,
        tag=_TAG,
        summary="List chains of migrations that this platform drives, newest first",
        query=(
            Field("status", ListOf(Choice(STATUSES), len(STATUSES)), description="One or more, separated by commas."),
            *shared.PAGE,
        ),
        success={200: shared.listing_of(bodies.CHAIN)},
        conditional=True,
    ),
    Route(
        name="plan_migration_chain",
        method="POST",
        path=_ALL,
        face="operator",
        permission=MIGRATIONS_PLAN,
        tag=_TAG,
        summary="Plan the way of a resource over several platforms",
        description=(
            "Every hop is carried out by the platform that then holds the resource, after its own operators have approved it. Each holder "
            "on the way must have given us a grant of the kind with the scope `migrate`. Nothing is asked of anybody before `run` or "
            "`advance`."
        ),
        body=bodies.MAKE,
        success={201: bodies.ONE},
        errors={
            403: ("residency_refused",),
            404: ("peer_not_found", "resource_not_found"),
            409: ("peer_not_ready", "no_received_grant", "migration_id_conflict", "schema_incompatible"),
            413: ("plan_too_large",),
            422: (*_ROOT_PROBLEMS, "chain_too_short", "chain_too_long", "chain_duplicate_hop"),
        },
        idempotent=True,
    ),
    Route(
        name="get_migration_chain",
        method="GET",
        path=_ONE,
        face="operator",
        permission=PLATFORM_READ,
        tag=_TAG,
        summary="Show one chain: who holds the resource, which hop comes next, what it waits for",
        success={200: bodies.ONE},
        errors={404: _NOT_FOUND},
        conditional=True,
    ),
    _act("advance", MIGRATIONS_APPLY, "Carry out the next hop", "If one is under way already, its holder is asked again at once.", {}),
    _act("run", MIGRATIONS_APPLY, "Carry out all hops, one after the other", "Each waits for the approval of its holder's operators.", {}),
    _act(
        "cancel",
        MIGRATIONS_CANCEL,
        "Let no further hop begin",
        "A hop that waits is withdrawn; if it has begun after all, the chain ends with it. A failed chain is given up.",
        {409: ("chain_hop_under_way",)},
    ),
    _act("retry", MIGRATIONS_APPLY, "Try the hop of a failed chain again", "Or, while it waits, at once.", {422: ("invalid_transition",)}),
    Route(
        name="federation_start_hop",
        method="POST",
        path=f"{_HOP}/start",
        face="federation",
        tag=_REMOTE,
        summary="Ask the holder of a resource to let it move on, as a hop of a chain of ours",
        description=(
            "Needs a grant of the root's kind with the scope `migrate`. It moves nothing: 202 while it waits for the holder's operators or "
            "is moving, 200 once it has ended. Asking again tells how it stands."
        ),
        parameters=_NUMBER,
        body=bodies.START,
        success={200: bodies.STANDS, 202: bodies.STANDS},
        errors={
            401: (*CERTIFICATE_REFUSALS, *GRANT_REFUSALS[401]),
            403: (*STATUS_REFUSALS, *GRANT_REFUSALS[403], "residency_refused"),
            404: ("peer_not_found", "resource_not_found"),
            409: (*GRANT_REFUSALS[409], "peer_not_ready", "no_received_grant", "chain_hop_conflict"),
            413: ("plan_too_large",),
            422: _ROOT_PROBLEMS,
            429: ("too_many_pending",),
        },
    ),
    Route(
        name="federation_withdraw_hop",
        method="POST",
        path=f"{_HOP}/withdraw",
        face="federation",
        tag=_REMOTE,
        summary="Say that a hop is not wanted any more",
        description="It says `withdrawn` once nothing will move; a hop that has begun goes on.",
        parameters=_NUMBER,
        body=bodies.WITHDRAW,
        success={200: bodies.STANDS, 202: bodies.STANDS},
        errors={401: CERTIFICATE_REFUSALS, 403: STATUS_REFUSALS, 404: ("chain_hop_not_found",), 409: GRANT_REFUSALS[409]},
    ),
)
