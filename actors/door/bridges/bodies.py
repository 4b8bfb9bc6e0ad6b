"""Bodies and answers of the routes of bridges."""

from __future__ import annotations

from typing import Final

from actors.bridge.lifecycle import STATES
from actors.door.bodies import REASON_CHARS_MAX
from actors.door.shapes import Anything, Boolean, Choice, Field, FreeObject, Identifier, Instant, Integer, ListOf, Object, Text

_KEPT: Final = "Kept with the bridge for its operators."
_METADATA: Final = Field("metadata", FreeObject(), code="invalid_metadata", status=422, description=_KEPT)
_REASON: Final = Field(
    "reason", Text(chars_min=1, chars_max=REASON_CHARS_MAX, trim=True), description="Kept with the bridge and the peer's audit trail."
)

CREATE_BRIDGE: Final = Object(
    (
        Field("sdwan_network_id", Identifier(), required=True, description="An `SdwanNetwork` of the catalogue."),
        _METADATA,
    ),
    name="CreateBridgeRequest",
)
UPDATE_BRIDGE: Final = Object(
    (Field("metadata", FreeObject(), required=True, code="invalid_metadata", status=422, description=_KEPT),), name="UpdateBridgeRequest"
)
STEP: Final = Object((_REASON,), name="BridgeStepRequest")
_STATE: Final = Choice(STATES)
BRIDGE: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("sdwan_network_id", Identifier(), required=True),
        Field("state", _STATE, required=True, description="What operators decided."),
        Field("effective_state", _STATE, required=True, description="What it amounts to, given the state of the peer."),
        Field("effective", Boolean(), required=True, description="Whether the network is open to the peer now."),
        Field("allowed_transitions", ListOf(_STATE, len(STATES)), required=True),
        Field("proposed_at", Instant(), required=True),
        Field("activated_at", Instant(), nullable=True),
        Field("suspended_at", Instant(), nullable=True),
        Field("suspension_reason", Text(), nullable=True),
        Field("revoked_at", Instant(), nullable=True),
        Field("revocation_reason", Text(), nullable=True),
        Field("metadata", Anything(), required=True),
        Field("updated_at", Instant(), required=True),
        Field("version", Integer(), required=True),
    ),
    name="Bridge",
    unknown="ignore",
)
ONE_BRIDGE: Final = Object((Field("bridge", BRIDGE, required=True),), name="OneBridge", unknown="ignore")
