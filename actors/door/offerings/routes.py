"""Routes of offerings: operators draft, open and retire them; peers browse and subscribe."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.approvals.bodies import PENDING
from actors.door.offerings import bodies
from actors.door.route import CERTIFICATE_REFUSALS, FEDERATION, OFFERINGS_MANAGE, OFFERINGS_READ, STATUS_REFUSALS, SYSTEM, Route
from actors.door.shapes import Choice, Field, ListOf
from actors.offering.lifecycle import LEASE_STATES, STATES

_TAG: Final = "Services"
_REMOTE: Final = "Federation API"
_BASE: Final = f"{SYSTEM}/federation/service_offerings"
_ONE: Final = f"{_BASE}/{{id}}"
_THERE: Final = f"{FEDERATION}/subscriptions"
_LEASE: Final = f"{_THERE}/{{grant_id}}"
_NONE: Final = ("offering_not_found",)
_FIELD_PROBLEMS: Final = (
    "invalid_text", "backend_invalid", "backend_required", "backend_vip_not_found", "scope_not_supported", "ttl_out_of_range",
    "axis_wildcard_mixed", "axis_value_blank", "axis_not_array", "axis_value_invalid", "axis_too_long", "cidr_host_bits_set",
    "visibility_invalid", "invalid_metadata",
)  # fmt: skip
_KNOWN: Final = {401: CERTIFICATE_REFUSALS, 403: STATUS_REFUSALS, 409: ("schema_incompatible",)}


def _operator(name: str, method: str, path: str, summary: str, **more: object) -> Route:
    permission = OFFERINGS_READ if method == "GET" else OFFERINGS_MANAGE
    return Route(name=name, method=method, path=path, face="operator", permission=permission, tag=_TAG, summary=summary, **more)  # type: ignore[arg-type]


def _federation(name: str, method: str, path: str, summary: str, **more: object) -> Route:
    return Route(name=name, method=method, path=path, face="federation", tag=_REMOTE, summary=summary, **more)  # type: ignore[arg-type]


_OPERATORS: Final = (
    _operator(
        "list_offerings",
        "GET",
        _BASE,
        "List what is offered to peers, newest first",
        query=(Field("status", ListOf(Choice(STATES), len(STATES)), description="One or more, separated by commas."), *shared.PAGE),
        success={200: shared.listing_of(bodies.OFFERING)},
        conditional=True,
    ),
    _operator(
        "create_offering",
        "POST",
        _BASE,
        "Draft an offering",
        description="Peers see nothing of it before it is activated.",
        body=bodies.CREATE_OFFERING,
        success={201: bodies.ONE_OFFERING},
        errors={409: ("offering_exists",), 422: ("field_required", "slug_invalid", "protocol_invalid", *_FIELD_PROBLEMS)},
        idempotent=True,
    ),
    _operator("get_offering", "GET", _ONE, "Show one offering", success={200: bodies.ONE_OFFERING}, errors={404: _NONE}, conditional=True),
    _operator(
        "update_offering",
        "PATCH",
        _ONE,
        "Change an offering",
        description="Leases that are there keep what they were given; a lower number of seats takes none away.",
        body=bodies.UPDATE_OFFERING,
        success={200: bodies.ONE_OFFERING},
        errors={404: _NONE, 409: ("offering_retired", "version_conflict"), 422: ("field_not_editable", *_FIELD_PROBLEMS)},
        idempotent=True,
        conditional=True,
    ),
    _operator(
        "delete_offering",
        "DELETE",
        _ONE,
        "Retire an offering",
        description="The same as to retire it, with thirty days of access for those who have a seat.",
        success={200: bodies.ONE_OFFERING},
        errors={404: _NONE, 409: ("offering_retired", "version_conflict")},
        idempotent=True,
        conditional=True,
    ),
    _operator(
        "activate_offering",
        "POST",
        f"{_ONE}/activate",
        "Show an offering to peers and take subscribers",
        body=bodies.STEP,
        success={200: bodies.ONE_OFFERING},
        errors={404: _NONE, 409: ("offering_retired", "version_conflict"), 422: ("invalid_transition",)},
        idempotent=True,
        conditional=True,
    ),
    _operator(
        "deprecate_offering",
        "POST",
        f"{_ONE}/deprecate",
        "Take no new subscribers",
        description="It stays in the catalogue with a notice; those who have a seat are served and may renew.",
        body=bodies.STEP,
        success={200: bodies.ONE_OFFERING},
        errors={404: _NONE, 409: ("offering_retired", "version_conflict"), 422: ("invalid_transition",)},
        idempotent=True,
        conditional=True,
    ),
    _operator(
        "retire_offering",
        "POST",
        f"{_ONE}/retire",
        "Withdraw an offering for good",
        description=(
            "Hidden at once. Subscribers hear of it now and seven days and one day before their access ends, thirty days from now; "
            "`immediate` ends it at once when it is approved: 202, and nothing has been done yet."
        ),
        body=bodies.RETIRE,
        success={200: bodies.ONE_OFFERING, 202: PENDING},
        errors={404: _NONE, 409: ("offering_retired", "version_conflict"), 422: ("invalid_transition",)},
        idempotent=True,
        conditional=True,
    ),
    _operator(
        "list_leases",
        "GET",
        f"{_ONE}/leases",
        "List who has, or had, a seat, newest first",
        query=(Field("state", ListOf(Choice(LEASE_STATES), len(LEASE_STATES)), description="One or more."), *shared.PAGE),
        success={200: shared.listing_of(bodies.LEASE)},
        errors={404: _NONE},
        conditional=True,
    ),
)

_PEERS: Final = (
    _federation(
        "federation_service_catalog",
        "GET",
        f"{FEDERATION}/service_catalog",
        "Browse what this platform offers to the caller",
        description="Never tells where an offering is served. Ordered by id; the next page begins behind `after`.",
        query=shared.PAGE,
        success={200: shared.listing_of(bodies.CATALOGUE_ENTRY)},
        errors={**_KNOWN, 400: ("invalid_parameter",)},
        reads_query=False,
    ),
    _federation(
        "federation_subscribe",
        "POST",
        _THERE,
        "Ask for a seat: a lease and the grant that comes with it",
        description="A repeated `idempotency_key` gets the same answer; a seat that the caller holds under the same host is replaced.",
        body=bodies.SUBSCRIBE,
        success={201: bodies.SUBSCRIBED, 200: bodies.SUBSCRIBED},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: (*STATUS_REFUSALS, "residency_refused"),
            404: _NONE,
            409: (
                "schema_incompatible",
                "offering_not_accepting",
                "offering_at_capacity",
                "subscription_ended",
                "idempotency_key_reused",
            ),
            422: ("field_required", "slug_invalid", "hostname_invalid", "ttl_out_of_range", "residency_unacknowledged"),
            503: ("vault_unavailable",),
        },
    ),
    _federation(
        "federation_get_subscription",
        "GET",
        _LEASE,
        "See whether a seat of the caller lives",
        success={200: bodies.LEASE_SEEN},
        errors={**_KNOWN, 404: ("subscription_not_found",)},
    ),
    _federation(
        "federation_renew_subscription",
        "POST",
        f"{_LEASE}/renew",
        "Get a further term: a new grant in place of the one that is named",
        body=bodies.RENEW,
        success={200: bodies.SUBSCRIBED},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: STATUS_REFUSALS,
            404: ("subscription_not_found",),
            409: ("schema_incompatible", "offering_not_accepting"),
            422: ("field_required",),
            503: ("vault_unavailable",),
        },
    ),
    _federation(
        "federation_cancel_subscription",
        "DELETE",
        _LEASE,
        "Give a seat back",
        description="The path takes the id of the grant, or the key of the request whose answer was lost.",
        success={200: bodies.LEASE_CANCELLED},
        errors={**_KNOWN, 404: ("subscription_not_found",)},
    ),
)

ROUTES: Final = (*_OPERATORS, *_PEERS)
