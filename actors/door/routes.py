"""The route table: every call that the platform answers, as data, and the lookup of a call in it.

Lives here: the routes of pairing and of the platform itself, the table that gathers every family, and matching. Must not live here:
handlers, or anything that depends on who calls. A family of its own has a folder beside this file with `routes.py`, `bodies.py` and
`handlers.py`. The door, the faces and the generated API description all read this table, so a route exists in all three or in none.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

from actors import limits
from actors.door import bodies
from actors.door.approvals.bodies import PENDING
from actors.door.approvals.routes import ROUTES as _APPROVALS
from actors.door.audit.routes import ROUTES as _AUDIT
from actors.door.bridges.routes import ROUTES as _BRIDGES
from actors.door.call import Answer, failure
from actors.door.capabilities.routes import ROUTES as _CAPABILITIES
from actors.door.channel.routes import ROUTES as _CHANNEL
from actors.door.clock.routes import ROUTES as _CLOCK
from actors.door.continuity.routes import ROUTES as _CONTINUITY
from actors.door.ending.routes import ROUTES as _ENDING
from actors.door.grants.routes import ROUTES as _GRANTS
from actors.door.hub.routes import ROUTES as _HUB
from actors.door.migration_chains.routes import ROUTES as _MIGRATION_CHAINS
from actors.door.migrations.routes import ROUTES as _MIGRATIONS
from actors.door.offerings.routes import ROUTES as _OFFERINGS
from actors.door.overlay_peers.routes import ROUTES as _OVERLAY_PEERS
from actors.door.received_grants.routes import ROUTES as _RECEIVED_GRANTS
from actors.door.resources.routes import ROUTES as _RESOURCES
from actors.door.route import (
    API,
    CERTIFICATE_REFUSALS,
    EVENTS_PATH,
    FEDERATION,
    HEALTH_READ,
    LIVE_PATH,
    METHODS,
    OPENAPI_PATH,
    OPERATORS_MANAGE,
    OPERATORS_READ,
    PATH_CHARS_MAX,
    PEERS_INVITE,
    PEERS_MANAGE,
    PEERS_READ,
    PERMISSIONS,
    READY_PATH,
    SERVER_FAILED,
    STATUS_REFUSALS,
    SYSTEM,
    Face,
    Method,
    Route,
)
from actors.door.shapes import Object, Text
from actors.door.subscriptions.routes import ROUTES as _SUBSCRIPTIONS
from actors.door.trust.routes import ROUTES as _TRUST
from actors.door.worker.routes import ROUTES as _WORKER
from runtime.errors import OperatorFault
from runtime.values import Value

__all__ = [
    "API", "BY_NAME", "DOOR_ROUTES", "EVENTS_PATH", "FEDERATION", "LIVE_PATH", "METHODS", "OPENAPI_PATH", "PERMISSIONS", "READY_PATH",
    "ROUTES", "SYSTEM", "Face", "Match", "Method", "NoMatch", "Route", "errors_of", "match",
]  # fmt: skip

_AUTH: Final = "Signing in"
_PEERS: Final = "Platform peers"
_FEDERATION: Final = "Federation"
_PLATFORM: Final = "Platform"
_OPERATORS: Final = "Operators"
_REMOTE: Final = "Federation API"
_SERVICE: Final = "Service"

_ACCEPT_REFUSALS = ("acceptance_token_malformed", "invalid_transition", "remote_rejected_token", "contract_mismatch", "address_not_allowed")

_SIGNING_IN = (
    Route(
        name="login",
        method="POST",
        path=f"{API}/auth/login",
        face="public",
        tag=_AUTH,
        summary="Exchange an email address and a password for tokens",
        body=bodies.LOGIN,
        success={200: bodies.SESSION},
        errors={401: ("invalid_credentials",)},
    ),
    Route(
        name="refresh",
        method="POST",
        path=f"{API}/auth/refresh",
        face="public",
        tag=_AUTH,
        summary="Exchange a refresh token for new tokens",
        description="A refresh token works once. Using an old one again ends the session, because two parties hold it.",
        body=bodies.REFRESH,
        success={200: bodies.SESSION},
        errors={401: ("invalid_refresh_token",)},
    ),
    Route(
        name="logout",
        method="POST",
        path=f"{API}/auth/logout",
        face="operator",
        tag=_AUTH,
        summary="End the session of the token",
        body=bodies.LOGOUT,
        success={200: bodies.LOGGED_OUT},
    ),
)

_PLATFORM_PEERS = (
    Route(
        name="list_peers",
        method="GET",
        path=f"{SYSTEM}/platform/peers",
        face="operator",
        permission=PEERS_READ,
        tag=_PEERS,
        summary="List platform peers, newest first",
        query=bodies.PEER_FILTERS,
        success={200: bodies.listing_of(bodies.PEER_SUMMARY)},
        conditional=True,
    ),
    Route(
        name="propose_peer",
        method="POST",
        path=f"{SYSTEM}/platform/peers",
        face="operator",
        permission=PEERS_INVITE,
        tag=_PEERS,
        summary="Propose a peering",
        description="Purely local: the other platform is not contacted. The acceptance token and the invitation are shown once, here.",
        body=bodies.PROPOSE_PEER,
        success={201: bodies.PROPOSED_PEER},
        errors={
            400: ("remote_instance_url_required", "invalid_spawn_role", "invalid_spawn_mode", "invalid_ttl"),
            409: ("peer_exists", "self_peering", "rotation_ends_soon"),
            422: (
                "invalid_remote_url",
                "invalid_spawn_combination",
                "invalid_endpoint",
                "invalid_fingerprint",
                "invalid_prefix",
                "invalid_metadata",
                "reserved_metadata_key",
                "address_not_allowed",
                "network_not_found",
            ),
        },
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="accept_invitation",
        method="POST",
        path=f"{SYSTEM}/platform/peers/accept",
        face="operator",
        permission=PEERS_INVITE,
        tag=_PEERS,
        summary="Register the other platform and accept its invitation in one step",
        body=bodies.ACCEPT_INVITATION,
        success={200: bodies.ONE_PEER},
        errors={
            400: ("invitation_required", "invalid_spawn_role", "invalid_spawn_mode"),
            409: ("peer_exists", "self_peering", "accept_in_progress", "peer_identity_conflict"),
            422: ("invalid_invitation", "fingerprint_mismatch", "invalid_spawn_combination", "spawn_mismatch", *_ACCEPT_REFUSALS),
            502: SERVER_FAILED,
            504: ("remote_timeout",),
        },
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="get_peer",
        method="GET",
        path=f"{SYSTEM}/platform/peers/{{id}}",
        face="operator",
        permission=PEERS_READ,
        tag=_PEERS,
        summary="Show one peer in full",
        success={200: bodies.ONE_PEER},
        conditional=True,
    ),
    Route(
        name="update_peer",
        method="PATCH",
        path=f"{SYSTEM}/platform/peers/{{id}}",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_PEERS,
        summary="Change what operators decide about a peer",
        description="Another `data_residency` waits for approval, and is sent by itself: 202, and nothing has been decided yet.",
        body=bodies.UPDATE_PEER,
        success={200: bodies.ONE_PEER, 202: PENDING},
        errors={
            409: ("version_conflict", "peer_exists", "self_peering"),
            422: (
                "field_not_editable",
                "invalid_remote_url",
                "invalid_fingerprint",
                "invalid_endpoint",
                "invalid_prefix",
                "invalid_residency",
                "residency_not_alone",
                "residency_with_status_change",
                "invalid_metadata",
                "reserved_metadata_key",
                "address_not_allowed",
            ),
        },
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="cancel_peer",
        method="POST",
        path=f"{SYSTEM}/platform/peers/{{id}}/cancel",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_PEERS,
        summary="Withdraw a proposal",
        description="Only while the peer is proposed; its token stops working at once.",
        body=bodies.CANCEL_PEER,
        success={200: bodies.ONE_PEER},
        errors={409: ("already_revoked",), 422: ("invalid_transition",)},
        idempotent=True,
    ),
    Route(
        name="accept_peer",
        method="POST",
        path=f"{SYSTEM}/platform/peers/{{id}}/accept",
        face="operator",
        permission=PEERS_INVITE,
        tag=_PEERS,
        summary="Accept a peering with the token that the other platform minted",
        body=bodies.ACCEPT_PEER,
        success={200: bodies.ONE_PEER},
        errors={
            409: ("accept_in_progress", "peer_identity_conflict"),
            422: ("acceptance_token_required", "invalid_acceptance_token", "unsupported_contract_version", *_ACCEPT_REFUSALS),
            502: SERVER_FAILED,
            504: ("remote_timeout",),
        },
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="regenerate_acceptance_token",
        method="POST",
        path=f"{SYSTEM}/platform/peers/{{id}}/acceptance_token",
        face="operator",
        permission=PEERS_INVITE,
        tag=_PEERS,
        summary="Mint a new acceptance token",
        description="The former token stops working at once. The new one and its invitation are shown once, here.",
        body=bodies.REGENERATE_TOKEN,
        success={201: bodies.MINTED_TOKEN},
        errors={400: ("invalid_ttl",), 409: ("token_not_applicable", "rotation_ends_soon")},
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="probe_peer",
        method="POST",
        path=f"{SYSTEM}/platform/peers/{{id}}/probe",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_PEERS,
        summary="Try the peer's endpoints in order",
        description="Connects and checks the other side's identity; sends no request.",
        body=bodies.NO_ARGUMENTS,
        success={200: bodies.PROBE_RESULT},
        errors={409: ("peer_suspended", "already_revoked")},
        idempotent=True,
    ),
    Route(
        name="send_heartbeat",
        method="POST",
        path=f"{SYSTEM}/platform/peers/{{id}}/heartbeat",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_PEERS,
        summary="Send one heartbeat now",
        body=bodies.NO_ARGUMENTS,
        success={200: bodies.HEARTBEAT_RESULT},
        errors={
            409: ("peer_suspended", "already_revoked", "heartbeat_not_applicable", "peering_expired"),
            502: SERVER_FAILED,
            503: ("no_outbound_identity",),
            504: ("remote_timeout",),
        },
        idempotent=True,
    ),
    Route(
        name="get_peer_trust",
        method="GET",
        path=f"{SYSTEM}/platform/peers/{{id}}/trust",
        face="operator",
        permission=PEERS_READ,
        tag=_PEERS,
        summary="Show anchors, certificates and their expiry",
        success={200: bodies.TRUST},
        conditional=True,
    ),
    Route(
        name="list_peer_audit_log",
        method="GET",
        path=f"{SYSTEM}/platform/peers/{{id}}/audit_log",
        face="operator",
        permission=PEERS_READ,
        tag=_PEERS,
        summary="Read the peer's audit chain, oldest first",
        query=bodies.AUDIT_FILTERS,
        success={200: bodies.listing_of(bodies.AUDIT_ENTRY)},
        conditional=True,
    ),
)

_COMPATIBILITIES = (
    Route(
        name="list_schema_compatibilities",
        method="GET",
        path=f"{SYSTEM}/federation/schema_compatibility",
        face="operator",
        permission=PEERS_READ,
        tag=_FEDERATION,
        summary="List decisions about pairs of platform versions",
        query=bodies.PAGE,
        success={200: bodies.listing_of(bodies.COMPATIBILITY)},
        conditional=True,
    ),
    Route(
        name="create_schema_compatibility",
        method="POST",
        path=f"{SYSTEM}/federation/schema_compatibility",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_FEDERATION,
        summary="Decide about a pair of platform versions",
        body=bodies.CREATE_COMPATIBILITY,
        success={201: bodies.ONE_COMPATIBILITY},
        errors={409: ("schema_compatibility_exists",), 422: ("invalid_compatibility_status",)},
        idempotent=True,
    ),
    Route(
        name="get_schema_compatibility",
        method="GET",
        path=f"{SYSTEM}/federation/schema_compatibility/{{id}}",
        face="operator",
        permission=PEERS_READ,
        tag=_FEDERATION,
        summary="Show one decision",
        success={200: bodies.ONE_COMPATIBILITY},
        conditional=True,
    ),
    Route(
        name="update_schema_compatibility",
        method="PATCH",
        path=f"{SYSTEM}/federation/schema_compatibility/{{id}}",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_FEDERATION,
        summary="Change a decision",
        body=bodies.UPDATE_COMPATIBILITY,
        success={200: bodies.ONE_COMPATIBILITY},
        errors={409: ("version_conflict",), 422: ("invalid_compatibility_status", "field_not_editable")},
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="delete_schema_compatibility",
        method="DELETE",
        path=f"{SYSTEM}/federation/schema_compatibility/{{id}}",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_FEDERATION,
        summary="Forget a decision",
        success={200: bodies.DELETED},
        errors={409: ("version_conflict",)},
        idempotent=True,
        conditional=True,
    ),
)

_PLATFORM_AND_FEDERATION = (
    Route(
        name="get_platform_health",
        method="GET",
        path=f"{SYSTEM}/platform/health",
        face="operator",
        permission=HEALTH_READ,
        tag=_PLATFORM,
        summary="Count peers by state",
        success={200: bodies.PLATFORM_HEALTH},
    ),
    Route(
        name="list_periodic_work",
        method="GET",
        path=f"{SYSTEM}/platform/periodic_work",
        face="operator",
        permission=HEALTH_READ,
        tag=_PLATFORM,
        summary="List what the platform does by itself, and how the last runs went",
        description="Counts and times of runs are evidence: after a crash the last second of them may be missing. No effect of a run may.",
        success={200: bodies.listing_of(bodies.PERIODIC_WORK)},
        conditional=True,
    ),
    Route(
        name="get_actor_history",
        method="GET",
        path=f"{SYSTEM}/actors/{{kind}}/{{id}}",
        face="operator",
        permission=HEALTH_READ,
        tag=_PLATFORM,
        summary="Show the last turns of one actor",
        description="What it was told, decided and did, from the flight recorder in memory. Secrets are masked.",
        parameters={"kind": Text(chars_min=1, chars_max=64, pattern="[a-z_]+"), "id": Text(chars_min=1, chars_max=128, pattern="[!-~]+")},
        success={200: bodies.ACTOR_HISTORY},
    ),
    Route(
        name="list_governance_findings",
        method="GET",
        path=f"{SYSTEM}/federation/governance",
        face="operator",
        permission=PEERS_READ,
        tag=_FEDERATION,
        summary="List what the governance scan found",
        query=bodies.GOVERNANCE_FILTERS,
        success={200: bodies.listing_of(bodies.FINDING, 10_000)},
        conditional=True,
    ),
    Route(
        name="list_contract_versions",
        method="GET",
        path=f"{SYSTEM}/federation/contract_versions",
        face="operator",
        permission=PEERS_READ,
        tag=_FEDERATION,
        summary="List the versions of the social contract",
        success={200: bodies.listing_of(bodies.CONTRACT_VERSION)},
        conditional=True,
    ),
    *_COMPATIBILITIES,
)

_ACCOUNTS = (
    Route(
        name="list_operators",
        method="GET",
        path=f"{SYSTEM}/operators",
        face="operator",
        permission=OPERATORS_READ,
        tag=_OPERATORS,
        summary="List operators",
        query=bodies.PAGE,
        success={200: bodies.listing_of(bodies.OPERATOR)},
        conditional=True,
    ),
    Route(
        name="create_operator",
        method="POST",
        path=f"{SYSTEM}/operators",
        face="operator",
        permission=OPERATORS_MANAGE,
        tag=_OPERATORS,
        summary="Create an operator",
        body=bodies.CREATE_OPERATOR,
        success={201: bodies.ONE_OPERATOR},
        errors={409: ("operator_exists",), 422: ("invalid_email", "invalid_password", "invalid_permission")},
        idempotent=True,
    ),
    Route(
        name="get_operator",
        method="GET",
        path=f"{SYSTEM}/operators/{{id}}",
        face="operator",
        permission=OPERATORS_READ,
        tag=_OPERATORS,
        summary="Show one operator",
        success={200: bodies.ONE_OPERATOR},
        conditional=True,
    ),
    Route(
        name="update_operator",
        method="PATCH",
        path=f"{SYSTEM}/operators/{{id}}",
        face="operator",
        permission=OPERATORS_MANAGE,
        tag=_OPERATORS,
        summary="Change an operator's password, permissions or access",
        description="A new password, fewer permissions or disabling end the operator's sessions.",
        body=bodies.UPDATE_OPERATOR,
        success={200: bodies.ONE_OPERATOR},
        errors={
            409: ("version_conflict", "last_operator"),
            422: ("field_not_editable", "invalid_password", "invalid_permission"),
        },
        idempotent=True,
        conditional=True,
    ),
)

_FEDERATION_API = (
    Route(
        name="federation_accept",
        method="POST",
        path=f"{FEDERATION}/accept",
        face="federation",
        tag=_REMOTE,
        summary="Accept a peering that this platform proposed",
        description="The token is the credential; no client certificate is asked for. A retry with the same handshake id is safe.",
        body=bodies.FEDERATION_ACCEPT,
        success={200: bodies.FEDERATION_ACCEPTED},
        errors={
            401: ("acceptance_token_invalid",),
            409: ("self_peering", "peer_identity_conflict"),
            422: (
                "acceptance_token_required",
                "unsupported_contract_version",
                "contract_digest_mismatch",
                "spawn_mismatch",
                "invalid_transition",
                "invalid_csr",
                "invalid_ca_bundle",
                "ambiguous_trust_material",
                "inbound_subject_required",
                "anchor_is_ours",
                "instance_san_mismatch",
                "trust_material_required",
                "invalid_operator_grant",
                "invalid_endpoint",
                "invalid_capabilities",
                "invalid_extension_slugs",
                "invalid_text",
                "invalid_remote_url",
            ),
            503: ("ca_unavailable", "vault_unavailable"),
        },
        body_bytes_max=limits.ACCEPT_BODY_BYTES_MAX,
    ),
    Route(
        name="federation_heartbeat",
        method="POST",
        path=f"{FEDERATION}/heartbeat",
        face="federation",
        tag=_REMOTE,
        summary="Say that the caller is alive, and what changed",
        description="An absent field is unchanged; a present one, even empty, replaces the former value.",
        body=bodies.FEDERATION_HEARTBEAT,
        success={200: bodies.FEDERATION_BEAT},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: STATUS_REFUSALS,
            422: ("invalid_endpoint", "invalid_capabilities", "invalid_extension_slugs", "invalid_text"),
        },
    ),
    Route(
        name="federation_trust_bundle",
        method="GET",
        path=f"{FEDERATION}/trust_bundle",
        face="federation",
        tag=_REMOTE,
        summary="Read this platform's anchors",
        success={200: bodies.TRUST_BUNDLE},
        errors={401: CERTIFICATE_REFUSALS, 403: STATUS_REFUSALS},
    ),
)

_SERVICES = (
    Route(
        name="stream_events",
        method="GET",
        path=EVENTS_PATH,
        face="operator",
        permission=PEERS_READ,
        tag=_SERVICE,
        summary="Follow the platform's events over a WebSocket",
        description=(
            "Each message is one event as JSON. With `cursor=N` the stream starts behind event N: first what the log holds, then what"
            " happens, without gap or repeat. Send the token as `Authorization: Bearer`, or, from a browser, offer the subprotocols"
            " `powernode.events.v1` and `powernode.bearer.<token>`; never in the URL. Close codes: 1001 shutting down, 1008 the session"
            " ended, 1003 the client sent data, 1013 the client reads too slowly; reconnect with the last cursor seen."
        ),
        query=bodies.EVENT_FILTERS,
        success={101: bodies.EVENT},
        errors={426: ("upgrade_required",)},
        envelope=False,
        websocket=True,
    ),
    Route(
        name="get_openapi",
        method="GET",
        path=OPENAPI_PATH,
        face="public",
        tag=_SERVICE,
        summary="This description",
        success={200: Object((), name="OpenApi", unknown="ignore")},
        envelope=False,
    ),
    Route(
        name="health_live",
        method="GET",
        path=LIVE_PATH,
        face="public",
        tag=_SERVICE,
        summary="Whether the process runs its loop",
        success={200: bodies.LIVE},
        envelope=False,
    ),
    Route(
        name="health_ready",
        method="GET",
        path=READY_PATH,
        face="public",
        tag=_SERVICE,
        summary="Whether the platform can serve calls",
        success={200: bodies.READY, 503: bodies.READY},
        envelope=False,
    ),
)

ROUTES: Final[tuple[Route, ...]] = (
    *_SIGNING_IN,
    *_PLATFORM_PEERS,
    *_ENDING,
    *_CLOCK,
    *_CONTINUITY,
    *_TRUST,
    *_RESOURCES,
    *_BRIDGES,
    *_OVERLAY_PEERS,
    *_WORKER,
    *_CAPABILITIES,
    *_HUB,
    *_MIGRATIONS,
    *_MIGRATION_CHAINS,
    *_APPROVALS,
    *_OFFERINGS,
    *_SUBSCRIPTIONS,
    *_GRANTS,
    *_RECEIVED_GRANTS,
    *_AUDIT,
    *_PLATFORM_AND_FEDERATION,
    *_ACCOUNTS,
    *_FEDERATION_API,
    *_CHANNEL,
    *_SERVICES,
)
BY_NAME: Final[Mapping[str, Route]] = {route.name: route for route in ROUTES}

DOOR_ROUTES: Final[tuple[Route, ...]] = tuple(route for route in ROUTES if route.envelope)
"""The routes that the door answers; the faces answer the others themselves."""


def errors_of(route: Route) -> dict[int, tuple[str, ...]]:
    """Every documented error of a route: its own, and those common to its face. Statuses ascending, codes in order, none twice."""
    common: list[tuple[int, str]] = [
        (429, "rate_limited"),
        (500, "internal_error"),
        (503, "unavailable"),
        (503, "mailbox_full"),
        (504, "deadline_exceeded"),
    ]
    if route.face == "operator":
        common.append((401, "unauthenticated"))
    if route.face == "worker":
        common.append((401, "worker_token_invalid"))
    if route.face == "federation":
        common.append((503, "trust_frozen"))
    if route.opens_trust:
        common.append((409, "trust_frozen"))
    if route.permission is not None:
        common.append((403, "forbidden"))
    if route.parameter_names or route.face == "federation":
        common.append((404, "not_found"))
    if route.body is not None:
        common += [(400, "malformed_json"), (400, "invalid_parameter"), (413, "body_too_large"), (415, "unsupported_media_type")]
        if route.body.unknown == "refuse":
            common.append((400, "unknown_argument"))
    if route.query:
        common.append((400, "invalid_parameter"))
    if route.idempotent:
        common += [(400, "invalid_parameter"), (409, "idempotency_key_reused")]
    if route.path in (LIVE_PATH, READY_PATH, OPENAPI_PATH):
        common = []
    found: dict[int, dict[str, None]] = {status: dict.fromkeys(codes) for status, codes in route.errors.items()}
    for status, code in common:
        found.setdefault(status, {})[code] = None
    return {status: tuple(found[status]) for status in sorted(found)}


# --- Matching -------------------------------------------------------------------------------------------------------


class Match(Value, frozen=True):
    """The route of a call and the values of its path parameters."""

    route: Route
    parameters: Mapping[str, str]


class NoMatch(Value, frozen=True):
    """Why no route was found; `allow` names the methods that the path does have, in the table's order, none if it does not exist."""

    allow: tuple[str, ...] = ()

    @property
    def fault(self) -> OperatorFault:
        """404 `not_found` or 405 `method_not_allowed`."""
        if not self.allow:
            return OperatorFault("not_found", "there is nothing here", 404)
        return OperatorFault("method_not_allowed", f"this path takes {', '.join(self.allow)}", 405, {"allow": list(self.allow)})

    def answer(self, request_id: str) -> Answer:
        """The refusal, with `Allow` where the path exists (RFC 9110, section 15.5.6)."""
        return failure(self.fault, request_id, headers={"allow": ", ".join(self.allow)} if self.allow else {})


class _Node:
    """One segment of the path tree."""

    __slots__ = ("child", "fixed", "methods")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.child: _Node | None = None
        self.methods: dict[str, Route] = {}


def _grow(routes: tuple[Route, ...]) -> _Node:
    root = _Node()
    for route in routes:
        node = root
        for part in route.path.split("/"):
            if part.startswith("{"):
                if node.child is None:
                    node.child = _Node()
                node = node.child
            else:
                node = node.fixed.setdefault(part, _Node())
        if route.method in node.methods:
            raise ValueError(f"{route.name} and {node.methods[route.method].name} claim the same path")
        node.methods[route.method] = route
    return root


def _index_fixed(routes: tuple[Route, ...]) -> dict[str, dict[str, Route]]:
    fixed: dict[str, dict[str, Route]] = {}
    for route in routes:
        if not route.parameter_names:
            fixed.setdefault(route.path, {})[route.method] = route
    return fixed


_TREE: Final = _grow(ROUTES)
_FIXED: Final = _index_fixed(ROUTES)
_NO_PARAMETERS: Final[Mapping[str, str]] = {}
_NOT_FOUND: Final = NoMatch()

WALKED_PATHS: Final = 1_024
"""Paths whose routes are remembered."""


def match(method: str, path: str) -> Match | NoMatch:
    """The route of a call. Paths are compared exactly: no case folding, no trailing slash, no empty segments.

    HEAD finds the route of GET. A fixed segment goes before a parameter. A parameter that has not its shape means that there is no
    such path.
    """
    methods = _FIXED.get(path)
    if methods is not None:
        route = methods.get("GET" if method == "HEAD" else method)
        return Match(route, _NO_PARAMETERS) if route is not None else NoMatch(_allowed(methods))
    return _walk(method, path)


@functools.lru_cache(WALKED_PATHS)
def _walk(method: str, path: str) -> Match | NoMatch:
    """The route of a path with parameters. Both the face and the door ask for it, and callers ask for the same things again."""
    if len(path) > PATH_CHARS_MAX:
        return _NOT_FOUND
    node, values = _TREE, []
    for part in path.split("/"):
        following = node.fixed.get(part)
        if following is None:
            following = node.child
            values.append(part)
        if following is None:
            return _NOT_FOUND
        node = following
    if not node.methods:
        return _NOT_FOUND
    some = next(iter(node.methods.values()))
    parameters = dict(zip(some.parameter_names, values, strict=True))
    if not all(some.parameter_shape(name).accepts(text) for name, text in parameters.items()):
        return _NOT_FOUND
    route = node.methods.get("GET" if method == "HEAD" else method)
    return Match(route, parameters) if route is not None else NoMatch(_allowed(node.methods))


def _allowed(methods: Mapping[str, Route]) -> tuple[str, ...]:
    listed: list[str] = [method for method in METHODS if method in methods]
    if "GET" in methods:
        listed.insert(1, "HEAD")
    return (*listed, "OPTIONS")
