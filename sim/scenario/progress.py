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
    """Counts the events of each virtual second. Whoever lets one happen adds to `count`, and calls `look` once something may be amiss.

    Attributes:
        count: events of this second so far, at most `most` of them.
        until: when the second ends.
    """

    timeline: Timeline
    platforms: int
    count: int = 0
    until: float = WINDOW_S
    most: int = attrs.field(init=False)

    @most.default
    def _most_events(self) -> int:
        return EVENTS_PER_PLATFORM * max(self.platforms, 1)

    def look(self) -> None:
        """Begin the next second if this one is over.

        Raises:
            LivelockError: far too many events without time passing.
        """
        if self.timeline.now >= self.until:
            self.until, self.count = self.timeline.now + WINDOW_S, 0
        elif self.count > self.most:
            raise LivelockError(f"{self.count} events within {WINDOW_S:g} s of virtual time")

    def check_alive(self, waiting: list[str]) -> None:
        """See that something can still happen if anybody waits.

        Raises:
            DeadlockError: nothing can.
        """
        if waiting and self.timeline.next_at is None:
            raise DeadlockError(f"nothing can happen any more, and an answer is waited for: {waiting[0]}")
