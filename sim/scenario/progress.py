"""Whether anything can still happen, and whether what happens leads anywhere.

Lives here: exact deadlock and livelock. Must not live here: what should happen instead.
"""

from __future__ import annotations

from typing import Final

import attrs

from sim.clock import Timeline
from sim.world import LivelockError

WINDOW_S: Final = 1.0
EVENTS_PER_PLATFORM: Final = 20_000
"""As many events of one virtual second are no life any more: a platform with four peers needs about twenty."""


class DeadlockError(Exception):
    """Nothing can ever happen again, and somebody waits."""


@attrs.define
class Progress:
    """Counts the events of each virtual second."""

    timeline: Timeline
    platforms: int
    _since: float = 0.0
    _count: int = 0
    _most: int = attrs.field(init=False)

    @_most.default
    def _most_events(self) -> int:
        return EVENTS_PER_PLATFORM * max(self.platforms, 1)

    def event(self) -> None:
        """One more event has happened.

        Raises:
            LivelockError: far too many without time passing.
        """
        self._count += 1
        now = self.timeline.now
        if now - self._since >= WINDOW_S:
            self._since, self._count = now, 0
        elif self._count > self._most:
            raise LivelockError(f"{self._count} events within {WINDOW_S:g} s of virtual time")

    def check_alive(self, waiting: list[str]) -> None:
        """See that something can still happen if anybody waits.

        Raises:
            DeadlockError: nothing can.
        """
        if waiting and self.timeline.next_at is None:
            raise DeadlockError(f"nothing can happen any more, and an answer is waited for: {waiting[0]}")
