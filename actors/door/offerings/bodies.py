"""Bodies and answers of the routes of offerings, and of the calls by which peers subscribe."""

from __future__ import annotations

from typing import Any, Final

from actors import limits
from actors.door.grants.bodies import REQUIRED, parse_metadata
from actors.door.shapes import (
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
    Parsed,
    Text,
)
from actors.grant.axes import ANY, AXES, parse_axis
from actors.inventory.words import MARKDOWN, NAME, PORT, SLUG
from actors.offering import backend
from actors.offering.lifecycle import LEASE_STATES, PROTOCOLS, SCOPES, STATES
from actors.problems import Problem
from runtime.ids import is_uuid

TTL_DAYS: Final = Integer(limits.GRANT_TTL_DAYS_MIN, limits.GRANT_TTL_DAYS_MAX)
SEATS_MAX: Final = 1_000_000
PEERS_MAX: Final = 256
_PEM: Final = Text(chars_max=limits.CERTIFICATE_BYTES_MAX, lines=True)


_SENSITIVE: Final = "Whether the rules about data residency are asked before a peer gets a seat."


def _parse_axes(value: object, problems: list[Problem], field: str) -> Any:
    if not isinstance(value, dict) or not value.keys() <= set(AXES):
        problems.append(Problem(field, "axis_value_invalid", "takes an object with " + ", ".join(AXES)))
        return {}
    return {name: parse_axis(name, value.get(name), problems, f"{field}.{name}") for name in AXES}


def _parse_visibility(value: object, problems: list[Problem], field: str) -> Any:
    if value == "all_peers":
        return None
    peers = value.get("peers") if isinstance(value, dict) and set(value) == {"peers"} else None
    if not isinstance(peers, list) or not 0 < len(peers) <= PEERS_MAX or not all(isinstance(id, str) and is_uuid(id) for id in peers):
        text = f'must be "all_peers", or an object with up to {PEERS_MAX} ids of `peers`'
        problems.append(Problem(field, "visibility_invalid", text))
        return None
    return tuple(sorted(set(peers)))


def _parse_scopes(value: object, problems: list[Problem], field: str) -> Any:
    if not isinstance(value, list) or not value or any(scope not in SCOPES for scope in value):
        problems.append(Problem(field, "scope_not_supported", "takes `read`, `write` or both"))
        return ("read",)
    return tuple(scope for scope in SCOPES if scope in value)


def _parse_anchor(value: object, problems: list[Problem], field: str) -> Any:
    if not isinstance(value, str) or len(value) > limits.CERTIFICATE_BYTES_MAX or backend.fingerprint(value) is None:
        problems.append(Problem(field, "backend_invalid", "must be one CA certificate as PEM"))
        return None
    return value


def _fields(*, update: bool) -> tuple[Field, ...]:
    def field(name: str, shape: Any, *, required: bool = False, default: Any = None, **more: Any) -> Field:
        if update:
            return Field(name, shape, **more)
        if required:
            return Field(name, shape, required=True, required_code=REQUIRED, required_status=422, **more)
        return Field(name, shape, default=default, **more)

    text: dict[str, Any] = {"code": "invalid_text", "status": 422}
    host: dict[str, Any] = {"code": "backend_invalid", "status": 422}
    free: dict[str, Any] = {"code": "invalid_metadata", "status": 422}
    note = Parsed(parse_metadata, FreeObject())
    return (
        field("name", NAME, required=True, **text),
        field("description_markdown", MARKDOWN, nullable=True, **text),
        field("subscription_terms_markdown", MARKDOWN, nullable=True, **text),
        field("backend_vip_id", Identifier(), nullable=True, **host, description="A `VirtualIp` of the catalogue; goes before the host."),
        field("backend_host", Text(chars_min=1, chars_max=backend.HOST_CHARS_MAX, convert=backend.backend_host), nullable=True, **host),
        field("backend_port", PORT, required=True, **host),
        field(
            "backend_server_name",
            Text(chars_min=1, chars_max=backend.HOST_CHARS_MAX, convert=backend.backend_host),
            nullable=True,
            **host,
            description="Name in the certificate of a TLS backend; its host when absent.",
        ),
        field(
            "backend_anchor_pem",
            Parsed(_parse_anchor, _PEM),
            nullable=True,
            **host,
            description="CA certificate under which subscribers verify a TLS backend; this platform's own CA when absent.",
        ),
        field(
            "default_grant_scopes",
            Parsed(_parse_scopes, ListOf(Choice(SCOPES), 2, 1)),
            default=("read",),
            code="scope_not_supported",
            status=422,
        ),
        field("default_grant_ttl_days", TTL_DAYS, default=30, code="ttl_out_of_range", status=422),
        field(
            "default_axes",
            Parsed(_parse_axes, FreeObject()),
            default=dict.fromkeys(AXES, ANY),
            code="axis_value_invalid",
            status=422,
            description="Axes of every subscriber's grant; any when absent.",
        ),
        field("visibility", Parsed(_parse_visibility, Anything()), code="visibility_invalid", status=422),
        field("max_subscribers", Integer(1, SEATS_MAX), nullable=True, description="Seats; any number when null."),
        field("residency_sensitive", Boolean(), default=False, description=_SENSITIVE),
        field("capacity_metadata", note, default={}, **free),
        field("latency_metadata", note, default={}, **free),
        field("metadata", note, default={}, **free),
    )


CREATE_OFFERING: Final = Object(
    (
        Field(
            "slug", SLUG, required=True, required_code=REQUIRED, required_status=422, code="slug_invalid", status=422,
            description="Unique in the account; never changed.",
        ),
        Field(
            "protocol", Choice(PROTOCOLS), required=True, required_code=REQUIRED, required_status=422, code="protocol_invalid", status=422
        ),
        *_fields(update=False),
    ),
    name="CreateOfferingRequest",
)  # fmt: skip
UPDATE_OFFERING: Final = Object(
    (
        Field("slug", SLUG, read_only=True, code="field_not_editable", status=422),
        Field("protocol", Choice(PROTOCOLS), read_only=True, code="field_not_editable", status=422),
        *_fields(update=True),
    ),
    name="UpdateOfferingRequest",
)
STEP: Final = Object((), name="OfferingStepRequest")
RETIRE: Final = Object(
    (
        Field(
            "immediate",
            Boolean(),
            default=False,
            description="End the access of every subscriber at once, not in thirty days; this waits for approval.",
        ),
    ),
    name="RetireOfferingRequest",
)

OFFERING: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("slug", Text(), required=True),
        Field("name", Text(), required=True),
        Field("description_markdown", Text(), nullable=True),
        Field("subscription_terms_markdown", Text(), nullable=True),
        Field("protocol", Choice(PROTOCOLS), required=True),
        Field("backend_vip_id", Identifier(), nullable=True),
        Field("backend_host", Text(), nullable=True),
        Field("backend_port", Integer(), required=True),
        Field("backend_server_name", Text(), nullable=True),
        Field("backend_anchor_pem", Text(), nullable=True),
        Field("default_grant_scopes", ListOf(Text(), 2), required=True),
        Field("default_grant_ttl_days", Integer(), required=True),
        Field("default_axes", Anything(), required=True),
        Field("visibility", Anything(), required=True),
        Field("max_subscribers", Integer(), nullable=True),
        Field("residency_sensitive", Boolean(), required=True),
        Field("live_leases", Integer(), required=True, description="Seats that are taken."),
        Field("capacity_metadata", Anything(), required=True),
        Field("latency_metadata", Anything(), required=True),
        Field("metadata", Anything(), required=True),
        Field("status", Choice(STATES), required=True),
        Field("allowed_transitions", ListOf(Choice(STATES), len(STATES)), required=True),
        Field("deprecated_at", Instant(), nullable=True),
        Field("retired_at", Instant(), nullable=True),
        Field("access_ends_at", Instant(), nullable=True),
        Field("created_at", Instant(), required=True),
        Field("updated_at", Instant(), required=True),
        Field("version", Integer(), required=True),
    ),
    name="ServiceOffering",
    unknown="ignore",
)
ONE_OFFERING: Final = Object((Field("offering", OFFERING, required=True),), name="OneOffering", unknown="ignore")
LEASE: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("offering_id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("grant_id", Identifier(), required=True),
        Field("local_hostname", Text(), required=True),
        Field("state", Choice(LEASE_STATES), required=True),
        Field("expires_at", Instant(), required=True),
        Field("ended_at", Instant(), nullable=True),
        Field("end_reason", Text(), nullable=True),
        Field("created_at", Instant(), required=True),
    ),
    name="SubscriptionLease",
    unknown="ignore",
)

# --- for peers ------------------------------------------------------------------------------------------------------

_HOSTNAME: Final = Text(chars_min=1, chars_max=backend.HOST_CHARS_MAX, convert=backend.local_hostname)

SUBSCRIBE: Final = Object(
    (
        Field("slug", SLUG, required=True, required_code=REQUIRED, required_status=422, code="slug_invalid", status=422),
        Field(
            "local_hostname", _HOSTNAME, required=True, required_code=REQUIRED, required_status=422, code="hostname_invalid", status=422,
            description="The subscriber's own name of its end.",
        ),
        Field(
            "idempotency_key", Identifier(), required=True, required_code=REQUIRED, required_status=422,
            description="The same for every try of one subscription; a repeated request gets the same answer.",
        ),
        Field("ttl_days", TTL_DAYS, nullable=True, code="ttl_out_of_range", status=422),
        Field("acknowledge_residency", Boolean(), default=False, description="The subscriber says that crossing a boundary is meant."),
    ),
    name="FederationSubscribeRequest",
    unknown="ignore",
)  # fmt: skip
RENEW: Final = Object(
    (
        Field(
            "idempotency_key", Identifier(), required=True, required_code=REQUIRED, required_status=422,
            description="The same for every try of one renewal.",
        ),
    ),
    name="FederationRenewRequest",
    unknown="ignore",
)  # fmt: skip
CATALOGUE_ENTRY: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("slug", Text(), required=True),
        Field("name", Text(), required=True),
        Field("description_markdown", Text(), nullable=True),
        Field("subscription_terms_markdown", Text(), nullable=True),
        Field("protocol", Choice(PROTOCOLS), required=True),
        Field("port", Integer(), required=True),
        Field("capacity_metadata", Anything(), required=True),
        Field("latency_metadata", Anything(), required=True),
        Field("default_grant_ttl_days", Integer(), required=True),
        Field("default_grant_scopes", ListOf(Text(), 2), required=True),
        Field("residency_sensitive", Boolean(), nullable=True, description="Null when the peer does not say; it counts as sensitive then."),
        Field("status", Choice(STATES), required=True),
        Field("accepting_new_subscriptions", Boolean(), required=True),
        Field("deprecated_at", Instant(), nullable=True),
        Field("updated_at", Instant(), required=True),
    ),
    name="CatalogueEntry",
    unknown="ignore",
)
SUBSCRIBED: Final = Object(
    (
        Field("grant_id", Identifier(), required=True),
        Field("bearer_token", Text(secret=True), required=True, description="Shown only to the request that obtained it."),
        Field("backend_host", Text(), required=True),
        Field("backend_port", Integer(), required=True),
        Field("protocol", Choice(PROTOCOLS), required=True),
        Field("permission_scopes", ListOf(Text(), 2), required=True),
        Field("expires_at", Instant(), required=True),
        Field("ttl_seconds", Integer(), required=True),
        Field("service_offering_id", Identifier(), required=True),
        Field("backend_tls", Anything(), nullable=True, description="How a TLS backend proves itself."),
    ),
    name="FederationSubscription",
    unknown="ignore",
)
LEASE_SEEN: Final = Object(
    (
        Field("grant_id", Identifier(), required=True),
        Field("service_offering_id", Identifier(), required=True),
        Field("slug", Text(), required=True),
        Field("local_hostname", Text(), required=True),
        Field("state", Choice(LEASE_STATES), required=True),
        Field("expires_at", Instant(), required=True),
        Field("offering_status", Choice(STATES), required=True),
        Field("access_ends_at", Instant(), nullable=True),
    ),
    name="FederationLease",
    unknown="ignore",
)
LEASE_CANCELLED: Final = Object((Field("cancelled", Boolean(), required=True),), name="FederationLeaseCancelled", unknown="ignore")
