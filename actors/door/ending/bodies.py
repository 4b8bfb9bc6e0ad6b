"""Bodies of pausing, resuming and ending a peering."""

from __future__ import annotations

from typing import Final

from actors.door.bodies import REASON_CHARS_MAX, told
from actors.door.shapes import Boolean, Field, FreeObject, Identifier, Instant, Integer, Object, Text
from actors.limits import NAME_CHARS_MAX, PEER_EVENT_REASON_CHARS_MAX

_REASON: Final = Field(
    "reason", Text(chars_min=1, chars_max=REASON_CHARS_MAX, trim=True), description="Kept with the peer and its audit trail."
)

PAUSE: Final = Object((_REASON,), name="SuspendPeerRequest")
RESUME: Final = Object((_REASON,), name="ResumePeerRequest")
REVOKE: Final = Object(
    (
        Field(
            "reason",
            Text(chars_min=1, chars_max=REASON_CHARS_MAX, trim=True),
            description="Kept with the peer and told to the remote; `operator-initiated` when absent.",
        ),
        Field(
            "immediate",
            Boolean(),
            description="After a compromise: no notice to the remote, no grace for what is under way, our key for it destroyed at once.",
        ),
    ),
    name="RevokePeerRequest",
)
EMANCIPATE: Final = Object((_REASON,), name="EmancipateRequest")
PEER_EVENT: Final = Object(
    (
        Field("event_id", Identifier(), required=True, description="The same for every try: a repeated event takes effect once."),
        Field(
            "kind", Text(chars_min=1, chars_max=NAME_CHARS_MAX), required=True, description="An unknown kind is acknowledged as ignored."
        ),
        Field("reason", told(PEER_EVENT_REASON_CHARS_MAX), code="invalid_text", status=422),
        Field("effective_at", Instant()),
        Field("payload", FreeObject(), description="Further fields of that kind."),
    ),
    name="PeerEventRequest",
    unknown="ignore",
)
PEER_EVENT_HEARD: Final = Object(
    (
        Field("acknowledged", Boolean(), required=True),
        Field("ignored", Boolean(), description="True if this platform does not know the kind."),
        Field("heard", Integer(1), description="Where one event tells of many things: of how many."),
    ),
    name="PeerEventHeard",
    unknown="ignore",
)
