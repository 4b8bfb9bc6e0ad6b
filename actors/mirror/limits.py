"""Named limits of mirrors, with the relations between them asserted at import."""

from __future__ import annotations

from typing import Final

from actors.limits import DAY_S
from actors.resource.limits import RECORD_BYTES_MAX

MIRRORS_PER_PEER_MAX: Final = 20_000
"""Mirrors that one peer may have here, pushed and pulled together."""

MIRROR_BODY_BYTES_MAX: Final = 2 * RECORD_BYTES_MAX
"""Body of one pushed mirror: the attributes of a record in its envelope."""

MIRRORS_KEPT_S: Final = 30 * DAY_S
"""How long mirrors outlive the peering under which they came."""

MISSED_INTERVALS_MAX: Final = 3
"""Intervals after which a mirror that was not confirmed is stale."""

CONTACT_INTERVAL_S: Final = 300.0
"""The interval of a pushed mirror, whose home alone knows its own: contact with the home stands for it."""

GONE_KEPT_S: Final = 600.0
"""How long it is remembered that a home has withdrawn a record, so that an earlier word of it which comes late brings nothing back."""

DROPPED_SLICE: Final = 200
"""Mirrors that one turn drops."""

assert MIRROR_BODY_BYTES_MAX > RECORD_BYTES_MAX + 4_096
