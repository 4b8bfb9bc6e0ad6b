"""Virtual time: one heap of events for the whole world, and each host's own view of the time.

Lives here: the passing of time. Must not live here: what happens at a moment (events are callbacks).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

EPOCH: Final = 1_900_000_000.0
"""Wall time at the start of a world, seconds since the Unix epoch."""


class Timeout:
    """Something that happens after a while unless it is cancelled first, which nearly every one is."""

    __slots__ = ("at", "event")

    def __init__(self, at: float, event: Callable[[], None]) -> None:
        self.at = at
        self.event: Callable[[], None] | None = event

    def cancel(self) -> None:
        self.event = None


class Timeline:
    """Events in order of (time, insertion). `now` is monotonic seconds since the start of the world; `fired` counts what fell due."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fired = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._soon: deque[Callable[[], None]] = deque()
        self._timeouts: dict[float, deque[Timeout]] = {}
        self._sequence = 0

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Let `event` happen at `when`, or now if that is past."""
        self._sequence += 1
        heappush(self._events, (when if when > self.now else self.now, self._sequence, event))

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Let `event` happen in `delay_s` seconds."""
        self._sequence += 1
        now = self.now
        heappush(self._events, (now + delay_s if delay_s > 0.0 else now, self._sequence, event))

    def soon(self, event: Callable[[], None]) -> None:
        """Let `event` happen now, before whatever else waits for this moment."""
        self._soon.append(event)

    def timeout(self, delay_s: float, event: Callable[[], None]) -> Timeout:
        """As `after`, for events that are nearly always cancelled: those of one delay wait in one line, of which only the head is armed."""
        timeout = Timeout(self.now + delay_s, event)
        line = self._timeouts.get(delay_s)
        if line is None:
            line = self._timeouts[delay_s] = deque()
        if not line:
            self.at(timeout.at, lambda: self._time_out(line))
        line.append(timeout)
        return timeout

    def _time_out(self, line: deque[Timeout]) -> None:
        while line and (line[0].event is None or line[0].at <= self.now):
            event = line.popleft().event
            if event is not None:
                self._soon.append(event)
        if line:
            self.at(line[0].at, lambda: self._time_out(line))

    def run_until(self, when: float) -> None:
        """Let everything up to and including `when` happen."""
        events, soon = self._events, self._soon
        while True:
            if soon:
                event = soon.popleft()
            elif events and events[0][0] <= when:
                self.now, _, event = heappop(events)
                self.fired += 1
            else:
                break
            event()
        self.now = max(self.now, when)

    def step(self, until: float = math.inf) -> bool:
        """Let the next event happen; False if there is none up to and including `until`."""
        if self._soon:
            event = self._soon.popleft()
        elif self._events and self._events[0][0] <= until:
            self.now, _, event = heappop(self._events)
            self.fired += 1
        else:
            return False
        event()
        return True

    @property
    def next_at(self) -> float | None:
        """When the next event happens, or None: nothing can ever happen again by itself."""
        if self._soon:
            return self.now
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
