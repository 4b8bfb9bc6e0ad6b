"""The shapes of everything that crosses the door: bodies, query strings and the data of answers.

Lives here: shapes as data. Must not live here: which route uses them (see `routes`) and how they are checked (see `shapes`).

Bodies of the operator API refuse unknown keys. Bodies of the federation API ignore them, because the remote may run the next version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from actors import limits
from actors.door.shapes import (
    INVALID,
    Anything,
    Boolean,
    Choice,
    ContractVersion,
    Field,
    FreeObject,
    Identifier,
    Instant,
    Integer,
    ListOf,
    Number,
    Object,
    Parsed,
    Shape,
    Spot,
    Text,
)
from actors.findings import KINDS
from actors.grant import tokens
from actors.peer.endpoints import Endpoint, parse_endpoints
from actors.periodic.works import WORKS
from actors.prefixes import parse_prefix
from actors.problems import Problem
from actors.sanitize import parse_short_text, parse_slugs
from actors.urls import VIA, canonical_url

EMAIL_CHARS_MAX: Final = 254
PASSWORD_CHARS_MIN: Final = limits.PASSWORD_CHARS_MIN
PASSWORD_CHARS_MAX: Final = 256
TOKEN_CHARS_MAX: Final = 256
REFRESH_TOKEN_CHARS_MAX: Final = 512
REASON_CHARS_MAX: Final = 512
PERMISSIONS_MAX: Final = 64
PAGE_CURSOR_CHARS_MAX: Final = 64

# A character takes at most four bytes as UTF-8.
assert PASSWORD_CHARS_MAX * 4 <= limits.PASSWORD_BYTES_MAX
assert TOKEN_CHARS_MAX > limits.TOKEN_SECRET_CHARS + 1 + limits.TOKEN_PIN_CHARS

PEER_STATUSES: Final = ("proposed", "accepted", "enrolled", "active", "degraded", "suspended", "revoked")
SPAWN_ROLES: Final = ("parent", "child", "symmetric")
SPAWN_MODES: Final = ("managed_child", "autonomous_peer", "cluster_member", "out_of_band")
ENDPOINT_SCOPES: Final = ("lan", "sdwan", "wan")
SEVERITIES: Final = ("low", "medium", "high", "critical")
COMPATIBILITY_STATUSES: Final = ("compatible", "degraded", "incompatible")


def _canonical_prefix(text: str) -> str:
    return str(parse_prefix(text))


def told(chars_max: int) -> Parsed:
    """A line of text that a remote tells about itself; blank becomes None."""
    return Parsed(partial(parse_short_text, chars_max=chars_max), Text(chars_max=chars_max))


_NAME = Text(chars_max=limits.NAME_CHARS_MAX)
_TOLD_NAME = told(limits.NAME_CHARS_MAX)
_DISCLOSURE = told(limits.DISCLOSURE_CHARS_MAX)
_URL = Text(chars_max=limits.URL_CHARS_MAX, format="uri", trim=True)
_WAY = Text(chars_max=2 * limits.URL_CHARS_MAX + len(VIA))
BASE_URL = Text(chars_max=limits.URL_CHARS_MAX, format="uri", trim=True, convert=canonical_url)
_FINGERPRINT = Text(chars_max=71, pattern="sha256:[0-9a-f]{64}")
_DIGEST = Text(chars_max=64, pattern="[0-9a-f]{64}")
_SUBJECT = Text(chars_max=40, pattern="fed:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PEM = Text(chars_max=limits.BUNDLE_BYTES_MAX, lines=True)
_PLATFORM_VERSION = Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX, trim=True)
_PREFIX = Text(chars_max=64, trim=True, convert=_canonical_prefix)
SECRET_TOKEN = Text(chars_max=TOKEN_CHARS_MAX, trim=True, secret=True)
_EMAIL = Text(chars_max=EMAIL_CHARS_MAX, pattern="[^@\\s]+@[^@\\s]+", format="email", trim=True)
_NEW_PASSWORD = Text(chars_min=PASSWORD_CHARS_MIN, chars_max=PASSWORD_CHARS_MAX, secret=True)
_PERMISSIONS = ListOf(Text(chars_max=64, pattern="[a-z_]+(\\.[a-z_]+)+"), PERMISSIONS_MAX, distinct=True)
_SLUG_LIST = ListOf(Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX), limits.EXTENSION_SLUGS_MAX)


def listing_of(shape: Shape, length_max: int = limits.PAGE_MAX) -> ListOf:
    """The data of a list answer: the array itself; its count and the cursor of the next page stand in `meta`."""
    return ListOf(shape, length_max)


# --- Signing in -----------------------------------------------------------------------------------------------------

LOGIN = Object(
    (
        Field("email", _EMAIL, required=True),
        Field("password", Text(chars_max=PASSWORD_CHARS_MAX, secret=True), required=True),
    ),
    name="LoginRequest",
)
REFRESH = Object(
    (Field("refresh_token", Text(chars_max=REFRESH_TOKEN_CHARS_MAX, secret=True), required=True),),
    name="RefreshRequest",
)
LOGOUT = Object((), name="LogoutRequest")
SESSION = Object(
    (
        Field("access_token", Text(), required=True, description="JWT to send as `Authorization: Bearer`."),
        Field("refresh_token", Text(), required=True, description="Single use; each refresh returns the next one."),
        Field("token_type", Choice(("Bearer",)), required=True),
        Field("expires_in", Integer(), required=True, description="Seconds until the access token ends."),
        Field("operator", Anything(), description="The operator who signed in."),
    ),
    name="Session",
    unknown="ignore",
)
LOGGED_OUT = Object((Field("logged_out", Boolean(), required=True),), name="LoggedOut", unknown="ignore")

# --- Endpoints ------------------------------------------------------------------------------------------------------


def _endpoint_fields() -> tuple[Field, ...]:
    return (
        Field("url", _URL, required=True, required_code="invalid_endpoint", required_status=422, description="Absolute https URL."),
        Field("scope", Choice(ENDPOINT_SCOPES), default="wan"),
        Field("priority", Integer(0, limits.ENDPOINT_PRIORITY_MAX), default=100, description="Lower is tried first."),
        Field("cidr_hint", Text(chars_max=64), nullable=True, description="Try it only from an address inside this network."),
        Field(
            "via",
            ListOf(_URL, limits.ENDPOINT_HUBS_MAX),
            nullable=True,
            description="Hubs whose address is dialled in place of the URL's own; the URL's name is asked for, and its identity demanded.",
        ),
    )


def _endpoints(element: Object, *, unknown_keys: bool) -> Field:
    def parse(value: object, problems: list[Problem], field: str) -> tuple[Endpoint, ...]:
        return parse_endpoints(value, problems, field=field, unknown_keys=unknown_keys)

    return Field("endpoints", Parsed(parse, ListOf(element, limits.ENDPOINTS_MAX)), code="invalid_endpoint", status=422)


_ENDPOINTS = _endpoints(Object(_endpoint_fields(), name="EndpointInput"), unknown_keys=False)
_REMOTE_ENDPOINTS = _endpoints(Object(_endpoint_fields(), name="RemoteEndpoint", unknown="ignore"), unknown_keys=True)

TOKEN_TTL = Field(
    "token_ttl_seconds",
    Integer(limits.TOKEN_TTL_MIN_S, limits.TOKEN_TTL_MAX_S),
    code="invalid_ttl",
    type_code="invalid_ttl",
    description="Lifetime of the acceptance token in seconds; the platform's setting when absent.",
)
METADATA = Field("metadata", FreeObject(), code="invalid_metadata", status=422, description="Merged key by key; reserved keys are refused.")
REMOTE_PREFIX = Field(
    "remote_prefix_advertisement",
    _PREFIX,
    nullable=True,
    code="invalid_prefix",
    status=422,
    description="IPv6 unique local prefix of length 48, 56 or 64.",
)

# --- Platform peers -------------------------------------------------------------------------------------------------

PROPOSE_PEER = Object(
    (
        Field(
            "remote_instance_url",
            BASE_URL,
            required=True,
            code="invalid_remote_url",
            status=422,
            required_code="remote_instance_url_required",
            description="Base URL of the other platform; https.",
        ),
        Field("sdwan_network_id", Identifier(), description="Propose a bridge to this overlay network of ours, too."),
        Field("spawn_role", Choice(SPAWN_ROLES), default="symmetric", code="invalid_spawn_role"),
        Field("spawn_mode", Choice(SPAWN_MODES), code="invalid_spawn_mode", description="Follows from the role when absent."),
        TOKEN_TTL,
        _ENDPOINTS,
        Field(
            "remote_ca_fingerprint",
            _FINGERPRINT,
            nullable=True,
            code="invalid_fingerprint",
            status=422,
            description="SHA-256 of the remote's CA certificate (DER), learned out of band.",
        ),
        REMOTE_PREFIX,
        METADATA,
    ),
    name="ProposePeerRequest",
)

_NOT_EDITABLE = (
    "id",
    "account_id",
    "peer_kind",
    "status",
    "spawn_role",
    "spawn_mode",
    "remote_instance_id",
    "remote_peer_id",
    "trust_status",
    "version",
    "created_at",
    "updated_at",
)


@attrs.frozen
class _PeerChanges(Object):
    """What operators change of a peer. A residency that waits for approval beside a status, which has its own routes, is told as such."""

    def read(self, value: object, spot: Spot) -> Any:
        if isinstance(value, dict) and {"status", "data_residency"} <= value.keys():
            text = "changes by its own route, and data_residency waits for approval: send each by itself"
            spot.problems.append(Problem("status", "residency_with_status_change", text, 422))
            super().read(value, spot)
            return INVALID
        return super().read(value, spot)


UPDATE_PEER = _PeerChanges(
    (
        _ENDPOINTS,
        METADATA,
        Field("expires_at", Instant(), nullable=True, description="Hard end of the peering; null for none."),
        Field("overlay_only", Boolean()),
        Field("data_residency", Text(chars_max=limits.NAME_CHARS_MAX, trim=True), nullable=True, code="invalid_residency", status=422),
        REMOTE_PREFIX,
        Field("remote_instance_url", BASE_URL, code="invalid_remote_url", status=422, description="Only while the peer is proposed."),
        Field(
            "remote_ca_fingerprint",
            _FINGERPRINT,
            nullable=True,
            code="invalid_fingerprint",
            status=422,
            description="Only while the peer is proposed.",
        ),
        *(Field(name, Anything(), code="field_not_editable", status=422, read_only=True) for name in _NOT_EDITABLE),
    ),
    name="UpdatePeerRequest",
)

ACCEPT_INVITATION = Object(
    (
        Field(
            "invitation",
            Text(chars_max=limits.INVITATION_CHARS_MAX, trim=True, secret=True),
            required=True,
            code="invalid_invitation",
            status=422,
            required_code="invitation_required",
            description="The one string that the other operator handed over.",
        ),
        Field(
            "spawn_role",
            Choice(SPAWN_ROLES),
            code="invalid_spawn_role",
            description="Our part: the mirror of what the inviting side chose.",
        ),
        Field("spawn_mode", Choice(SPAWN_MODES), code="invalid_spawn_mode", description="Follows from the role when absent."),
    ),
    name="AcceptInvitationRequest",
)

ACCEPT_PEER = Object(
    (
        Field(
            "acceptance_token",
            SECRET_TOKEN,
            required=True,
            code="invalid_acceptance_token",
            status=422,
            required_code="acceptance_token_required",
            required_status=422,
            description="The token that the other platform minted.",
        ),
        Field(
            "contract_version",
            ContractVersion(),
            code="unsupported_contract_version",
            status=422,
            description="The newest supported one when absent.",
        ),
    ),
    name="AcceptPeerRequest",
)

REGENERATE_TOKEN = Object((TOKEN_TTL,), name="RegenerateTokenRequest")
CANCEL_PEER = Object((Field("reason", Text(chars_max=REASON_CHARS_MAX, trim=True)),), name="CancelPeerRequest")
NO_ARGUMENTS = Object((), name="NoArguments")

_ID = Field("id", Identifier(), required=True)
_STATUS = Choice(PEER_STATUSES)


def _time(name: str) -> Field:
    return Field(name, Instant(), nullable=True)


_SUMMARY_FIELDS = (
    _ID,
    Field("remote_instance_url", _URL, required=True, nullable=True),
    Field("remote_instance_id", Identifier(), nullable=True),
    Field("peer_kind", Choice(("platform", "sdwan_only")), required=True),
    Field("spawn_role", Choice(SPAWN_ROLES), nullable=True),
    Field("spawn_mode", Choice(SPAWN_MODES), nullable=True),
    Field("status", _STATUS, required=True, description="As of now: an active peer without recent evidence reads as degraded."),
    _time("status_since"),
    Field("status_reason", Text(chars_max=4_096), nullable=True),
    Field("trust_status", Choice(("none", "pending_proof", "established", "expired", "broken"))),
    Field("remote_state", Choice(("unknown", "ok", "suspended_us", "revoked_us"))),
    Field("endpoints_count", Integer()),
    Field("acceptance_pending", Boolean()),
    _time("acceptance_expires_at"),
    _time("last_heartbeat_at"),
    _time("last_handshake_at"),
    Field("created_at", Instant(), required=True),
    Field("version", Integer(), required=True),
)

PEER_SUMMARY = Object(_SUMMARY_FIELDS, name="PeerSummary", unknown="ignore")

_OBSERVED_ENDPOINT = Object(
    (
        Field("url", _URL, required=True),
        Field("scope", Choice(ENDPOINT_SCOPES), required=True),
        Field("priority", Integer(), required=True),
        Field("cidr_hint", Text(), nullable=True),
        Field("via", ListOf(_URL, limits.ENDPOINT_HUBS_MAX)),
        Field("status", Choice(("unknown", "reachable", "unreachable"))),
        _time("last_verified_at"),
        _time("last_failure_at"),
        Field("last_failure_error", Text(), nullable=True),
        Field("consecutive_failures", Integer()),
        Field("answered", _WAY, nullable=True, description="The way by which it answered last: the URL, or `URL via URL-OF-A-HUB`."),
    ),
    name="Endpoint",
    unknown="ignore",
)

PEER = Object(
    (
        *_SUMMARY_FIELDS,
        Field("endpoints", ListOf(_OBSERVED_ENDPOINT, limits.ENDPOINTS_MAX)),
        Field("capabilities", FreeObject()),
        Field("extension_slugs", _SLUG_LIST),
        Field("metadata", FreeObject()),
        _time("signed_at"),
        Field("contract_version_agreed", Integer(), nullable=True),
        Field("contract_digest_agreed", _DIGEST, nullable=True),
        Field("parent_peer_id", Identifier(), nullable=True),
        Field("remote_account_id", Identifier(), nullable=True),
        Field("effective_spawn_mode", Choice(SPAWN_MODES), description="`autonomous_peer` once a managed child stands on its own."),
        Field("allowed_transitions", ListOf(_STATUS, len(PEER_STATUSES)), required=True),
        Field(
            "peering_epoch", Integer(), description="Rises when the peering is revoked: what was given under another epoch has no effect."
        ),
        _time("suspended_at"),
        Field("status_before_suspend", _STATUS, nullable=True),
        _time("revoked_at"),
        Field("revocation_phase", Choice(("draining", "complete")), nullable=True),
        Field("notification_pending", Boolean(), description="Whether the remote is still to be told that the peering has ended."),
        _time("last_inbound_heartbeat_at"),
        _time("last_outbound_heartbeat_at"),
        Field("platform_version", _NAME, nullable=True),
        Field("data_residency", _NAME, nullable=True),
        Field("declared_residency", _NAME, nullable=True),
        Field("trust", Anything(), description="Mode, status, anchor fingerprints and the end of our own certificate."),
        Field(
            "channel",
            Object(
                (
                    Field("state", Choice(("open", "none", "off")), required=True),
                    _time("since"),
                    Field("dialled_by", Choice(("us", "remote")), nullable=True),
                ),
                name="PeerChannel",
                unknown="ignore",
            ),
            description="Whether calls to the peer travel on a channel now.",
        ),
        Field("open_findings", Anything()),
    ),
    name="Peer",
    unknown="ignore",
)

_WARNINGS = Field("warnings", ListOf(Anything(), 64), description="What went through but deserves a look.")
ONE_PEER = Object((Field("peer", PEER, required=True), _WARNINGS), name="OnePeer", unknown="ignore")

MINTED = (
    Field("acceptance_token", Text(), required=True, nullable=True, description="Shown once; null when the same request is repeated."),
    Field("invitation", Text(chars_max=limits.INVITATION_CHARS_MAX), required=True, nullable=True, description="Shown once, as the token."),
    Field("token_already_revealed", Boolean(), description="True on a repeat under the same Idempotency-Key."),
)
PROPOSED_PEER = Object(
    (
        Field("peer", PEER, required=True),
        *MINTED,
        Field("ca_fingerprint", _FINGERPRINT, description="Of our CA, for the other operator to compare."),
        Field("contract_version", Integer(), required=True),
        Field("bridge", Anything(), description="The proposed bridge, if a network was named and it could be made."),
        _WARNINGS,
    ),
    name="ProposedPeer",
    unknown="ignore",
)
MINTED_TOKEN = Object((*MINTED, Field("acceptance_expires_at", Instant(), required=True)), name="MintedToken", unknown="ignore")

_PROBED = Object(
    (
        Field("url", _WAY, required=True, description="What was dialled: a URL, or `URL via URL-OF-A-HUB`."),
        Field("reachable", Boolean(), required=True),
        Field("elapsed_ms", Number(), nullable=True),
        Field("error", Text(), nullable=True),
    ),
    name="ProbedEndpoint",
    unknown="ignore",
)
PROBE_RESULT = Object(
    (
        Field("ok", Boolean(), required=True),
        Field("endpoint", _WAY, required=True, nullable=True),
        Field("probed", ListOf(_PROBED, limits.PROBE_CANDIDATES_MAX), required=True),
        Field("error", Text(), nullable=True),
    ),
    name="ProbeResult",
    unknown="ignore",
)
HEARTBEAT_RESULT = Object((Field("peer", PEER, required=True), Field("heartbeat", Anything())), name="HeartbeatResult", unknown="ignore")
TRUST = Object(
    (Field("trust", Anything(), required=True, description="Modes, fingerprints, serials and expiries; never a key."),),
    name="Trust",
    unknown="ignore",
)
AUDIT_ENTRY = Object(
    (
        Field("sequence", Integer(1), required=True, description="Starts at 1 for each peer, without gaps."),
        Field("action", Text(), required=True),
        Field("at", Instant(), required=True),
        Field("at_epoch_s", Anything(), required=True, description="The same instant exactly, as the hash is taken over it."),
        Field("actor", Anything(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("payload", Anything(), required=True),
        Field("prev_hash", _DIGEST, required=True),
        Field("hash", _DIGEST, required=True, description="SHA-256 over the canonical entry and prev_hash."),
    ),
    name="AuditEntry",
    unknown="ignore",
)

# --- Platform and federation ----------------------------------------------------------------------------------------

PLATFORM_HEALTH = Object(
    (
        Field("status", Choice(("ok", "degraded")), required=True),
        *(Field(name, Integer(), required=True) for name in ("total", "active", "degraded", "suspended", "heartbeat_stale")),
        _time("last_handshake_at"),
    ),
    name="PlatformHealth",
    unknown="ignore",
)
FINDING = Object(
    (
        Field("kind", Text(), required=True),
        Field("severity", Choice(SEVERITIES), required=True),
        Field("federation_peer_id", Identifier(), required=True, nullable=True),
        Field("message", Text(), required=True),
        Field("payload", Anything()),
        Field("fingerprint", Text()),
        _time("first_seen_at"),
        _time("last_seen_at"),
        _time("resolved_at"),
    ),
    name="Finding",
    unknown="ignore",
)
CONTRACT_VERSION = Object(
    (
        Field("version", Integer(1), required=True),
        Field("contract_digest", _DIGEST, required=True),
        Field("effective_at", Instant(), required=True),
        _time("deprecated_at"),
        Field("supported", Boolean(), required=True),
    ),
    name="ContractVersion",
    unknown="ignore",
)

_COMPATIBILITY_NOTES = Field("notes", Text(chars_max=1_024, lines=True), nullable=True)
CREATE_COMPATIBILITY = Object(
    (
        Field("local_version", _PLATFORM_VERSION, required=True),
        Field("remote_version", _PLATFORM_VERSION, required=True),
        Field(
            "status",
            Choice(COMPATIBILITY_STATUSES),
            required=True,
            code="invalid_compatibility_status",
            status=422,
            required_code="invalid_compatibility_status",
            required_status=422,
        ),
        _COMPATIBILITY_NOTES,
    ),
    name="CreateSchemaCompatibilityRequest",
)
UPDATE_COMPATIBILITY = Object(
    (
        Field("status", Choice(COMPATIBILITY_STATUSES), code="invalid_compatibility_status", status=422),
        _COMPATIBILITY_NOTES,
        *(
            Field(name, Anything(), code="field_not_editable", status=422, read_only=True)
            for name in ("id", "local_version", "remote_version", "source", "version", "created_at", "updated_at")
        ),
    ),
    name="UpdateSchemaCompatibilityRequest",
)
COMPATIBILITY = Object(
    (
        _ID,
        Field("local_version", _NAME, required=True),
        Field("remote_version", _NAME, required=True),
        Field("status", Choice(COMPATIBILITY_STATUSES), required=True),
        Field("notes", Text(), nullable=True),
        Field("source", Choice(("default", "operator")), required=True),
        Field("version", Integer()),
    ),
    name="SchemaCompatibility",
    unknown="ignore",
)
ONE_COMPATIBILITY = Object((Field("schema_compatibility", COMPATIBILITY, required=True),), name="OneSchemaCompatibility", unknown="ignore")
DELETED = Object((_ID, Field("deleted", Boolean(), required=True)), name="Deleted", unknown="ignore")

# --- Operators ------------------------------------------------------------------------------------------------------

CREATE_OPERATOR = Object(
    (
        Field("email", _EMAIL, required=True, code="invalid_email", status=422),
        Field("name", Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX, trim=True), required=True),
        Field("password", _NEW_PASSWORD, required=True, code="invalid_password", status=422),
        Field("permissions", _PERMISSIONS, default=(), code="invalid_permission", status=422),
    ),
    name="CreateOperatorRequest",
)
UPDATE_OPERATOR = Object(
    (
        Field("password", _NEW_PASSWORD, code="invalid_password", status=422),
        Field("permissions", _PERMISSIONS, code="invalid_permission", status=422),
        Field("disabled", Boolean()),
        *(
            Field(name, Anything(), code="field_not_editable", status=422, read_only=True)
            for name in ("id", "email", "name", "version", "created_at", "updated_at")
        ),
    ),
    name="UpdateOperatorRequest",
)
OPERATOR = Object(
    (
        _ID,
        Field("email", _EMAIL, required=True),
        Field("name", _NAME, required=True),
        Field("permissions", _PERMISSIONS, required=True),
        Field("disabled", Boolean(), required=True),
        Field("created_at", Instant(), required=True),
        Field("version", Integer(), required=True),
    ),
    name="Operator",
    unknown="ignore",
)
ONE_OPERATOR = Object((Field("operator", OPERATOR, required=True),), name="OneOperator", unknown="ignore")

# --- Flight recorder, health, events --------------------------------------------------------------------------------

PERIODIC_WORK = Object(
    (
        Field("name", Choice(tuple(WORKS)), required=True),
        Field("cadence", Text(), required=True, description="How often, and for what."),
        Field("does", Text(), required=True),
        Field(
            "next_run_at", Instant(), required=True, nullable=True, description="Of daily work; other work is due by each row's own time."
        ),
        Field("last_run_at", Instant(), required=True, nullable=True),
        Field("last_error", Text(), required=True, nullable=True, description="The code of what the last run met, null if nothing."),
        Field("runs", Integer(), required=True),
    ),
    name="PeriodicWork",
    unknown="ignore",
)
ACTOR_HISTORY = Object((Field("actor", Anything(), required=True),), name="ActorHistory", unknown="ignore")
LIVE = Object((Field("status", Choice(("live",)), required=True),), name="Liveness", unknown="ignore")
READY = Object(
    (Field("status", Choice(("ready", "not_ready")), required=True), Field("checks", Anything(), required=True)),
    name="Readiness",
    unknown="ignore",
)
EVENT = Object(
    (
        Field("cursor", Integer(1), required=True, description="Rises by one with each event of the platform."),
        Field("kind", Text(), required=True),
        Field("severity", Choice(SEVERITIES), required=True),
        Field("at", Instant(), required=True),
        Field("payload", Anything(), required=True),
    ),
    name="Event",
    unknown="ignore",
)

# --- Federation API -------------------------------------------------------------------------------------------------

_CAPABILITIES = Field("capabilities", FreeObject(), code="invalid_capabilities", status=422)
_SLUGS = Field("extension_slugs", Parsed(parse_slugs, _SLUG_LIST), code="invalid_extension_slugs", status=422)
_INSTANCE = Object(
    (
        Field("id", Identifier()),
        Field("url", BASE_URL, code="invalid_remote_url", status=422),
        Field("account_id", Identifier()),
        Field("platform_version", _TOLD_NAME),
        Field("release_tag", _DISCLOSURE),
        Field("operator_contact", _DISCLOSURE),
        Field("jurisdiction", _DISCLOSURE),
        Field("data_residency", _TOLD_NAME),
        Field("server_identity", _TOLD_NAME, description="`public` if the caller's listener shows a public certificate."),
        Field("server_ca_pem", _PEM),
    ),
    name="CallingInstance",
    unknown="ignore",
)
_OPERATOR_GRANT_INVALID: Final = "invalid_operator_grant"


def _operator_grant(name: str, shape: Shape) -> Field:
    code = _OPERATOR_GRANT_INVALID
    return Field(name, shape, required=True, code=code, status=422, required_code=code, required_status=422)


def _fitting_bearer(grant: Mapping[str, Any]) -> Sequence[Problem]:
    bearer = tokens.parse(grant["bearer_token"].reveal())
    if bearer is not None and bearer.digest is not None and bearer.grant_id == grant["grant_id"]:
        return ()
    return (Problem("bearer_token", _OPERATOR_GRANT_INVALID, "is no bearer of the grant that is named"),)


_OPERATOR_GRANT = Object(
    (
        _operator_grant("grant_id", Identifier()),
        _operator_grant("bearer_token", Text(chars_max=TOKEN_CHARS_MAX, secret=True)),
        _operator_grant("scopes", ListOf(Text(chars_max=limits.NAME_CHARS_MAX), 16)),
        _operator_grant("expires_at", Instant()),
    ),
    name="OperatorGrant",
    unknown="ignore",
    rule=_fitting_bearer,
)

FEDERATION_ACCEPT = Object(
    (
        Field(
            "acceptance_token",
            Text(chars_max=TOKEN_CHARS_MAX, secret=True),
            required=True,
            code="acceptance_token_invalid",
            status=401,
            required_code="acceptance_token_required",
            required_status=422,
            description="The credential of this call; single use.",
        ),
        Field("contract_version", ContractVersion(), code="unsupported_contract_version", status=422),
        _CAPABILITIES,
        _SLUGS,
        _REMOTE_ENDPOINTS,
        Field("csr_pem", _PEM, code="invalid_csr", status=422, description="Hierarchical trust: sign this."),
        Field("peer_ca_bundle_pem", _PEM, code="invalid_ca_bundle", status=422, description="Symmetric trust: our anchor."),
        Field(
            "caller_inbound_subject",
            _SUBJECT,
            code="inbound_subject_required",
            status=422,
            description="The subject that the caller will know us by.",
        ),
        Field("handshake_id", Identifier(), description="Same for every retry of one accept."),
        Field("contract_digest", _DIGEST, code="contract_digest_mismatch", status=422),
        Field("spawn_role", Choice(SPAWN_ROLES), code="spawn_mismatch", status=422, description="The caller's own role."),
        Field("spawn_mode", Choice(SPAWN_MODES), code="spawn_mismatch", status=422),
        Field("instance", _INSTANCE),
        Field(
            "operator_grant",
            _OPERATOR_GRANT,
            code=_OPERATOR_GRANT_INVALID,
            status=422,
            description="From a managed child: the grant by which the platform that accepts it is to operate it.",
        ),
    ),
    name="FederationAcceptRequest",
    unknown="ignore",
)
FEDERATION_ACCEPTED = Object(
    (
        Field("peer_id", Identifier(), required=True),
        Field("status", Choice(("accepted", "enrolled")), required=True),
        Field("peer_kind", Choice(("platform",)), required=True),
        Field("contract_version_agreed", Integer(1), required=True),
        Field("accepted_at", Instant(), required=True),
        _time("handshake_at"),
        Field("enrollment", Choice(("complete", "pending_first_heartbeat", "blocked_no_trust")), required=True),
        Field("federation_certificate", Anything(), description="Hierarchical trust: certificate, chain, serial, expiry."),
        Field("trust_exchange", Anything(), description="Symmetric trust: our bundle and the subject assigned to the caller."),
        Field("operator_grant", Anything(), description="To a managed child: the grant whose bearer we hold from now on."),
        Field("governance", Anything()),
        Field("our_instance", Anything(), required=True),
        Field("replayed", Boolean(), description="True when a lost answer is given again."),
        _WARNINGS,
    ),
    name="FederationAccepted",
    unknown="ignore",
)
_LAST_ACK = Object(
    (
        Field("epoch", Integer(), required=True),
        Field("sequence", Integer(), required=True),
        Field("start_mark", Integer(), description="What that start called itself."),
        Field("history", Integer(), description="The highest that any start before `epoch` has told."),
    ),
    name="LastAck",
    unknown="ignore",
)
FEDERATION_HEARTBEAT = Object(
    (
        _CAPABILITIES,
        _REMOTE_ENDPOINTS,
        Field("sync_cursor", FreeObject(), code="invalid_capabilities", status=422),
        _SLUGS,
        Field("platform_version", _TOLD_NAME),
        Field("data_residency", _TOLD_NAME),
        Field("boot_epoch", Integer(), description="Rises with every start of the sender."),
        Field("sequence", Integer(), description="Rises with every heartbeat of one start."),
        Field("start_mark", Integer(), description="Drawn by chance at every start of the sender."),
        Field("history", Integer(), description="Rises with what is committed at the sender, from start to start."),
        Field("sent_at", Instant()),
        Field("peer_state", Choice(("ok", "suspended"))),
        Field("contract_version", ContractVersion()),
        Field("contract_digest", _DIGEST),
        Field("release_tag", _DISCLOSURE),
        Field("operator_contact", _DISCLOSURE),
        Field("jurisdiction", _DISCLOSURE),
        Field("anchor_fingerprint", _FINGERPRINT),
        Field("last_ack", _LAST_ACK, description="The newest heartbeat of the other side that the sender has seen."),
    ),
    name="FederationHeartbeatRequest",
    unknown="ignore",
)
FEDERATION_BEAT = Object(
    (
        Field("status", _STATUS, required=True),
        Field("last_heartbeat_at", Instant(), required=True),
        Field("our_endpoints", ListOf(Anything(), limits.ENDPOINTS_MAX), required=True),
        Field("schema_compatibility", Anything(), required=True),
        Field("our_data_residency", _NAME, required=True),
        Field("our_anchor_fingerprint", _FINGERPRINT, required=True),
        Field("received_at", Instant(), required=True),
    ),
    name="FederationHeartbeat",
    unknown="ignore",
)
TRUST_BUNDLE = Object(
    (
        Field("ca_bundle_pem", _PEM, required=True),
        Field("fingerprints", ListOf(_FINGERPRINT, limits.BUNDLE_CERTIFICATES_MAX), required=True),
        Field("rotation", Anything(), description="Our next root and the proof that it follows from the present one."),
        Field("generated_at", Instant(), required=True),
    ),
    name="TrustBundle",
    unknown="ignore",
)

# --- Query strings --------------------------------------------------------------------------------------------------

LIMIT = Field("limit", Integer(1, limits.PAGE_MAX), default=limits.PAGE_DEFAULT, description="Most rows in one answer.")
CURSOR = Field("cursor", Text(chars_min=1, chars_max=PAGE_CURSOR_CHARS_MAX), description="`meta.next_cursor` of the former page.")
PEER_FILTERS = (
    Field("status", ListOf(Choice(PEER_STATUSES), len(PEER_STATUSES)), description="One or more, separated by commas."),
    Field("spawn_mode", Choice(SPAWN_MODES)),
    Field("spawn_role", Choice(SPAWN_ROLES)),
    Field("remote_instance_url", BASE_URL),
    LIMIT,
    CURSOR,
)
GOVERNANCE_FILTERS = (
    Field("peer_id", Identifier()),
    Field("severity", ListOf(Choice(SEVERITIES), len(SEVERITIES)), description="One or more, separated by commas."),
    Field("kind", Choice(tuple(KINDS))),
)
AUDIT_FILTERS = (Field("after_sequence", Integer(), default=0, description="Continue behind this entry."), LIMIT)
EVENT_FILTERS = (Field("cursor", Integer(), description="Continue behind this event; only new ones when absent."),)
PAGE = (LIMIT, CURSOR)
