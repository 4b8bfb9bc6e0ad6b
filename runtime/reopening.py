"""When a store whose last commit ended without a verdict is opened again.

Lives here: the pauses. Must not live here: opening (whoever composes an engine does that), or waiting.

The first time is at once, since nothing may be answered from memory meanwhile. If it did not help (a full disk stays full), the next
times come at growing intervals: every reopened store wakes all that was under way, and that must not become a storm upon the peers.
"""

from __future__ import annotations

import math
from typing import Final

from runtime.clock import Clock

PAUSE_FIRST_S: Final = 1.0
PAUSE_MAX_S: Final = 60.0
CALM_S: Final = 300.0
"""A store that has worked for so long is trusted anew."""

assert CALM_S > PAUSE_MAX_S


class Reopening:
    """The memory of how often reopening did not help."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = -math.inf
        self._pause_s = 0.0

    def pause_s(self) -> float:
        """How long to wait before the store is opened this time; counts as done."""
        now = self._clock.now()
        if now - self._last > CALM_S:
            self._pause_s = 0.0
        else:
            self._pause_s = min(max(PAUSE_FIRST_S, 2 * self._pause_s), PAUSE_MAX_S)
        self._last = now + self._pause_s
        return self._pause_s
