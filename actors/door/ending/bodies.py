"""Bodies of pausing, resuming and ending a peering."""

from __future__ import annotations

from typing import Final

from actors.door.bodies import REASON_CHARS_MAX
from actors.door.shapes import Boolean, Field, Object, Text

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
