"""Bodies and answers of the routes of capabilities and mirrors."""

from __future__ import annotations

from typing import Any, Final

from actors.capability.lifecycle import DIRECTIONS, POLICIES, STATES
from actors.capability.limits import INTERVAL_DEFAULT_S, INTERVAL_MAX_S, INTERVAL_MIN_S
from actors.door import bodies as shared
from actors.door.received_grants.relay import ETAG_CHARS_MAX
from actors.door.resources.bodies import KIND_NAME
from actors.door.shapes import (
    INTEGER_MAX,
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
from actors.mirror.record import SOURCES
from actors.problems import Problem


def _object(code: str) -> Any:
    def parse(value: object, problems: list[Problem], field: str) -> Any:
        """Any object; the declaration of the kind reads it as soon as the kind is known."""
        if not isinstance(value, dict):
            problems.append(Problem(field, code, "must be an object"))
            return None
        return value

    return Parsed(parse, FreeObject())


_FILTER_TEXT: Final = "`{attribute: value | [values] | {gte, lte, prefix}}` over filterable attributes; all must hold. `{}`: every record."
_POLICY: Final = "policy_invalid"
_INTERVAL: Final = Integer(INTERVAL_MIN_S, INTERVAL_MAX_S)
_ACKNOWLEDGE: Final = "The crossing of a data residency boundary is meant."

CREATE: Final = Object(
    (
        Field("resource_kind", KIND_NAME, required=True, code="unknown_resource_kind", status=422, type_code="unknown_resource_kind"),
        Field("direction", Choice(DIRECTIONS), required=True, code="direction_invalid", status=422, type_code="direction_invalid"),
        Field("policy", Choice(POLICIES), default="manual", code=_POLICY, status=422, type_code=_POLICY),
        Field("filter", _object("filter_invalid"), default={}, code="filter_invalid", status=422, description=_FILTER_TEXT),
        Field("interval_seconds", _INTERVAL, default=INTERVAL_DEFAULT_S),
        Field("acknowledge_residency", Boolean(), default=False, description=_ACKNOWLEDGE),
    ),
    name="CreateCapabilityRequest",
)
UPDATE: Final = Object(
    (
        Field("policy", Choice(POLICIES), code=_POLICY, status=422, type_code=_POLICY),
        Field("filter", _object("filter_invalid"), code="filter_invalid", status=422, description=_FILTER_TEXT),
        Field("interval_seconds", _INTERVAL),
        Field("acknowledge_residency", Boolean(), description=_ACKNOWLEDGE),
    ),
    name="UpdateCapabilityRequest",
)
SYNC: Final = Object(
    (Field("full", Boolean(), default=False, description="Look at every record, not only at changes since the cursor."),),
    name="SyncNowRequest",
)
SWEEP: Final = Object((Field("peer_id", Identifier(), description="Only capabilities of this peer."),), name="SweepRequest")

CAPABILITY: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("resource_kind", Text(), required=True),
        Field("direction", Choice(DIRECTIONS), required=True),
        Field("policy", Choice(POLICIES), required=True),
        Field("filter", Anything(), required=True),
        Field("interval_seconds", Integer(), required=True),
        Field("acknowledge_residency", Boolean(), required=True),
        Field("state", Choice(STATES), required=True),
        Field("sync_cursor", Anything(), required=True, description="By leg: the last record that the other side is known to have."),
        Field("last_synced_at", Instant(), nullable=True, description="End of the last pass that was completed."),
        Field("stale_seconds", Anything(), nullable=True, description="Seconds since then."),
        Field("last_error", Text(), nullable=True, description="Code of the last failed pass, until one is completed."),
        Field("last_error_at", Instant(), nullable=True),
        Field("consecutive_failures", Integer(), required=True),
        Field("next_sync_at", Instant(), nullable=True),
        Field("ended_at", Instant(), nullable=True, description="When the peering ended."),
        Field("created_at", Instant(), required=True),
        Field("updated_at", Instant(), required=True),
        Field("version", Integer(), required=True),
    ),
    name="FederationCapability",
    unknown="ignore",
)
ONE: Final = Object((Field("capability", CAPABILITY, required=True),), name="OneCapability", unknown="ignore")
DELETED: Final = Object(
    (Field("id", Identifier(), required=True), Field("deleted", Boolean(), required=True)), name="CapabilityDeleted", unknown="ignore"
)
SYNCED: Final = Object(
    (
        Field("capability", CAPABILITY, required=True),
        Field("running", Boolean(), required=True, description="True if the pass goes on beyond the answer."),
        Field("written", Integer(), required=True, description="Mirrors written so far."),
        Field("dropped", Integer(), required=True, description="Mirrors dropped so far."),
    ),
    name="CapabilitySynced",
    unknown="ignore",
)
_FAILURE: Final = Object(
    (
        Field("capability_id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("resource_kind", Text(), required=True),
        Field("code", Text(), required=True),
        Field("message", Text(), required=True),
    )
)
SWEPT: Final = Object(
    (
        Field("swept", Integer(), required=True),
        Field("synced", Integer(), required=True),
        Field("failed", Integer(), required=True),
        Field("failures", ListOf(_FAILURE, 10_000), required=True),
    ),
    name="CapabilitiesSwept",
    unknown="ignore",
)

MIRROR: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("origin_peer_id", Identifier(), required=True, description="The peer that is the home of the record."),
        Field("origin_id", Identifier(), required=True, description="The id of the record at its home."),
        Field("kind", Text(), required=True),
        Field("attributes", Anything(), required=True),
        Field("etag", Text(), required=True),
        Field("origin_updated_at", Instant(), required=True, description="By the clock of the home."),
        Field("observed_at", Instant(), required=True, description="When this was last known to be the home's present."),
        Field("age_seconds", Anything(), required=True),
        Field("stale", Boolean(), required=True, description="Whether its home may long have overtaken it."),
        Field("source", Choice(SOURCES), required=True, description="Whether we ask for it, or its home brings it."),
        Field("capability_id", Identifier(), nullable=True),
        Field("read_only", Boolean(), required=True, description="Always true: a mirror is never a home."),
    ),
    name="Mirror",
    unknown="ignore",
)
ONE_MIRROR: Final = Object((Field("mirror", MIRROR, required=True),), name="OneMirror", unknown="ignore")
MIRROR_FILTERS: Final = (
    Field("kind", KIND_NAME, description="Only of this kind."),
    Field("peer_id", Identifier(), description="Only of this home."),
    Field("origin_id", Identifier(), description="Only of this record."),
    Field("stale", Boolean(), description="Only stale ones, or only fresh ones."),
    *shared.PAGE,
)

PUSHED_MIRROR: Final = Object(
    (
        Field("epoch", Integer(0, INTEGER_MAX), required=True, description="The start of the home that tells it."),
        Field("updated_at", Instant(), required=True, description="When the home wrote this state."),
        Field("etag", Text(chars_min=1, chars_max=ETAG_CHARS_MAX, pattern="[ -~]+"), required=True),
        Field("deleted", Boolean(), default=False, description="The record is gone, or is to be mirrored no more."),
        Field("attributes", _object("invalid_attribute"), default={}, code="invalid_attribute", status=422),
        Field("acknowledge_residency", Boolean(), default=False, description=_ACKNOWLEDGE),
    ),
    name="PushMirrorRequest",
    unknown="ignore",
)
MIRROR_TAKEN: Final = Object(
    (
        Field(
            "outcome",
            Choice(("written", "unchanged", "dropped", "overtaken", "at_home")),
            required=True,
            description="`overtaken`: a later state is here already. `at_home`: the record's home is this platform.",
        ),
    ),
    name="MirrorTaken",
    unknown="ignore",
)
