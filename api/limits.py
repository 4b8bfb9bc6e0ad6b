"""Named limits of the HTTP faces, with the relations between them asserted at import. Limits of connections live in `net.limits`."""

from __future__ import annotations

from typing import Final

# A call.
ANSWER_DEADLINE_S: Final = 50.0
"""The door answers every operator request within its own 45 s; the face waits a little longer, so that the door's answer wins."""
BODY_DEADLINE_S: Final = 30.0
QUERY_BYTES_MAX: Final = 4_096
QUERY_FIELDS_MAX: Final = 32
REQUEST_ID_CHARS_MAX: Final = 64

# The event stream.
EVENTS_KEPT: Final = 1_024
EVENTS_PER_READ: Final = 256
EVENTS_PER_TURN: Final = 64
EVENTS_BEHIND_MAX: Final = 4_096
SUBSCRIBERS_MAX: Final = 256
STREAM_SEND_S: Final = 10.0
STREAM_CLOSE_S: Final = 2.0
SESSION_RECHECK_S: Final = 5.0

# The flight recorder's file.
FLIGHT_WRITE_S: Final = 5.0
"""How long the disk may take for it, also at the stop."""

assert ANSWER_DEADLINE_S > 45.0
assert EVENTS_PER_TURN <= EVENTS_PER_READ <= EVENTS_KEPT <= EVENTS_BEHIND_MAX
assert STREAM_CLOSE_S < STREAM_SEND_S
