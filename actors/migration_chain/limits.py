"""Named limits of chains of migrations, with the relations between them asserted at import."""

from __future__ import annotations

import itertools
from typing import Final

HOPS_MAX: Final = 8
HOPS_LISTED_MAX: Final = 64
"""Destinations that are read at all, so that one too many is told as what it is."""

TICK_S: Final = 60.0
"""Between two looks at a hop that is under way."""

LOOK_S: Final = 30.0
"""Between two looks of a holder at the migration of its own hop."""

RETRY_S: Final = (60.0, 120.0, 240.0, 480.0, 960.0)
"""Waits after what failed in passing; then every hour."""

HOURLY_S: Final = 3_600.0

STALLED_AFTER_S: Final = 3_600.0
"""Without progress for so long a chain is called stalled."""

ATTEMPT_MAX: Final = 1_000_000

LOG_KEPT: Final = 200

NAME_CHARS_MAX: Final = 120
"""Of a resource's name, in what operators are asked."""

FAILED_SHOWN_S: Final = 7 * 86_400.0
"""How long a failed chain is a finding."""

assert HOPS_MAX <= HOPS_LISTED_MAX
assert LOOK_S < TICK_S == RETRY_S[0]
assert all(earlier < later for earlier, later in itertools.pairwise(RETRY_S))
assert RETRY_S[-1] < HOURLY_S


def retry_after(tries: int) -> float:
    """Seconds to wait after the so-manieth failure in passing, counted from 1."""
    return RETRY_S[tries - 1] if tries <= len(RETRY_S) else HOURLY_S
