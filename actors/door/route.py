"""One route as a value, and the words that families of routes share.

Lives here: `Route`, base paths, permissions, groups of error codes. Must not live here: a route (see `routes`, and the folders of the
families beside it), or matching.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from actors import limits
from actors.door.shapes import Field, Identifier, Object, Shape
from runtime.values import Value

Face = Literal["operator", "federation", "worker", "public"]
"""Who may call: operators with a token, remote platforms on the TLS port, the scheduler of another program with its token, or anybody."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

API: Final = "/api/v1"
SYSTEM: Final = f"{API}/system"
FEDERATION: Final = f"{SYSTEM}/federation_api"
EVENTS_PATH: Final = f"{API}/events"
OPENAPI_PATH: Final = "/api/openapi.json"
LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"

PATH_CHARS_MAX: Final = 512
METHODS: Final[tuple[Method, ...]] = ("GET", "POST", "PUT", "PATCH", "DELETE")

PEERS_READ: Final = "system.peers.read"
PEERS_INVITE: Final = "system.peers.invite"
PEERS_MANAGE: Final = "system.peers.manage"
HEALTH_READ: Final = "system.platform.health.read"
OPERATORS_READ: Final = "system.operators.read"
OPERATORS_MANAGE: Final = "system.operators.manage"
RESOURCES_READ: Final = "system.resources.read"
RESOURCES_MANAGE: Final = "system.resources.manage"
OFFERINGS_READ: Final = "system.service_offerings.read"
OFFERINGS_MANAGE: Final = "system.service_offerings.manage"
SUBSCRIPTIONS_READ: Final = "system.service_subscriptions.read"
SUBSCRIPTIONS_SUBSCRIBE: Final = "system.service_subscriptions.subscribe"
SUBSCRIPTIONS_CANCEL: Final = "system.service_subscriptions.cancel"
PLATFORM_READ: Final = "system.platform.read"
MIGRATIONS_PLAN: Final = "system.migrations.plan"
MIGRATIONS_APPLY: Final = "system.migrations.apply"
MIGRATIONS_CANCEL: Final = "system.migrations.cancel"
OVERLAY_READ: Final = "sdwan.federation.read"
OVERLAY_MANAGE: Final = "sdwan.federation.manage"
APPROVALS_READ: Final = "system.infra_tasks.read"
APPROVALS_CONTROL: Final = "system.infra_tasks.control"
PERMISSIONS: Final = (
    PEERS_READ,
    PEERS_INVITE,
    PEERS_MANAGE,
    HEALTH_READ,
    OPERATORS_READ,
    OPERATORS_MANAGE,
    RESOURCES_READ,
    RESOURCES_MANAGE,
    OFFERINGS_READ,
    OFFERINGS_MANAGE,
    SUBSCRIPTIONS_READ,
    SUBSCRIPTIONS_SUBSCRIBE,
    SUBSCRIPTIONS_CANCEL,
    PLATFORM_READ,
    MIGRATIONS_PLAN,
    MIGRATIONS_APPLY,
    MIGRATIONS_CANCEL,
    OVERLAY_READ,
    OVERLAY_MANAGE,
    APPROVALS_READ,
    APPROVALS_CONTROL,
)


class Route(Value, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        name: unique; the operation id of the API description and the key of the door's handler table.
        method: GET answers HEAD too.
        path: template such as `/platform/peers/{id}`; a parameter is one whole segment.
        face: who may call it.
        permission: what the operator needs; None where a valid token (operator face) is enough.
        summary, description: for the reader of the API description.
        tag: group in the API description.
        body: shape of the JSON body; None where no body is read.
        query: parameters of the query string.
        reads_query: whether the door reads them by their shapes; False where the handler does, because their words depend on the path.
        parameters: shapes of path parameters that are not UUIDs.
        success: data of the answer by status; a `ListOf` is a list answer with `meta`. None where there is no body.
        errors: domain codes by status, beyond those common to the face (see `errors_of`).
        idempotent: takes an `Idempotency-Key`.
        conditional: answers with an `ETag`; honours `If-None-Match` when reading and `If-Match` when writing.
        envelope: whether data stands inside the envelope of answers.
        body_bytes_max: larger bodies are refused unread.
        opens_trust: makes or widens trust, so that it waits while trust is frozen.
        retold: says the data of an answer in the words of this route, where another one answers the same in its own.
        websocket: the call upgrades to a WebSocket.
    """

    name: str
    method: Method
    path: str
    face: Face
    permission: str | None = None
    summary: str
    description: str = ""
    tag: str
    body: Object | None = None
    query: tuple[Field, ...] = ()
    reads_query: bool = True
    parameters: Mapping[str, Shape] = msgspec.field(default_factory=dict)
    success: Mapping[int, Shape | None]
    errors: Mapping[int, tuple[str, ...]] = msgspec.field(default_factory=dict)
    idempotent: bool = False
    conditional: bool = False
    envelope: bool = True
    body_bytes_max: int = limits.BODY_BYTES_MAX
    websocket: bool = False
    opens_trust: bool = False
    retold: Callable[[Any], Any] | None = None

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the path parameters, from left to right."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    def parameter_shape(self, name: str) -> Shape:
        """What a path parameter must be; another text there is a path that does not exist."""
        return self.parameters.get(name, _UUID)


_UUID: Final = Identifier()

SERVER_FAILED = ("remote_unreachable", "remote_rejected", "remote_error", "server_identity_unverified")
CERTIFICATE_REFUSALS = (
    "client_certificate_required",
    "client_certificate_invalid",
    "certificate_revoked",
    "unknown_peer_subject",
    "instance_san_invalid",
    "peer_not_admitted",
)
GRANT_REFUSALS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("grant_token_required", "grant_token_invalid", "grant_expired", "grant_revoked"),
    403: (
        "grant_kind_mismatch",
        "grant_resource_mismatch",
        "grant_scope_missing",
        "grant_subject_mismatch",
        "axis_denied",
        "bridge_inactive",
        "overlay_required",
    ),
    409: ("schema_incompatible",),
}
"""What a grant-gated call may be refused with, beyond its certificate and its status."""

STATUS_REFUSALS = ("peer_suspended", "peer_revoked", "peering_expired", "context_mismatch")
