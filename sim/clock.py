"""Virtual time: one heap of events for the whole world, and each host's own view of the time.

Lives here: the passing of time. Must not live here: what happens at a moment (events are callbacks).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

EPOCH: Final = 1_900_000_000.0
"""Wall time at the start of a world, seconds since the Unix epoch."""


class Timeline:
    """Events in order of (time, insertion). `now` is monotonic seconds since the start of the world."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fired = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Let `event` happen at `when`, or now if that is past."""
        self._sequence += 1
        heapq.heappush(self._events, (max(when, self.now), self._sequence, event))

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Let `event` happen in `delay_s` seconds."""
        self.at(self.now + delay_s, event)

    def run_until(self, when: float) -> None:
        """Let everything up to and including `when` happen."""
        while self._events and self._events[0][0] <= when:
            self.step()
        self.now = max(self.now, when)

    def step(self) -> bool:
        """Let the next event happen; False if there is none."""
        if not self._events:
            return False
        self.now, _, event = heapq.heappop(self._events)
        self.fired += 1
        event()
        return True

    @property
    def next_at(self) -> float | None:
        """When the next event happens, or None: nothing can ever happen again by itself."""
        return self._events[0][0] if self._events else None


class HostClock:
    """One host's clocks. `offset_s` and `drift` move its wall clock only; durations are measured truly."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.offset_s = 0.0
        self.drift = 0.0

    def now(self) -> float:
        return self._timeline.now

    def wall(self) -> float:
        return EPOCH + self._timeline.now * (1.0 + self.drift) + self.offset_s
