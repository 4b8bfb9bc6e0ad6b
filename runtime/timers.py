"""One heap of timers for one engine: entries fire as callbacks in (time, insertion) order.

Lives here: the heap. Must not live here: sleeping (drivers do that) or wall-clock deadlines (the engine re-checks those).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable


class Timer:
    """A pending entry. `cancel()` is idempotent and safe after it has fired."""

    __slots__ = ("_heap", "at", "callback")

    def __init__(self, at: float, callback: Callable[[], None], heap: TimerHeap) -> None:
        self.at = at
        self.callback: Callable[[], None] | None = callback
        self._heap = heap

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self._heap.note_cancelled()


class TimerHeap:
    """Timers by monotonic time. Cancelled entries are dropped lazily and compacted before they outnumber the live ones.

    Attributes:
        entries: the heap, always the same list, so that who passes often may look at its head before calling anything.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self.entries) - self._cancelled

    def add(self, at: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(at, callback, self)
        self._sequence += 1
        heapq.heappush(self.entries, (at, self._sequence, timer))
        return timer

    def note_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self.entries):
            self.entries[:] = [entry for entry in self.entries if entry[2].callback is not None]
            heapq.heapify(self.entries)
            self._cancelled = 0

    def next_at(self) -> float:
        """When the earliest live entry fires, or infinity."""
        entries = self.entries
        while entries and entries[0][2].callback is None:
            heapq.heappop(entries)
            self._cancelled -= 1
        return entries[0][0] if entries else math.inf

    def fire_due(self, now: float) -> int:
        """Run every entry with `at <= now`; returns how many ran. Entries added meanwhile for a due time run too."""
        fired = 0
        entries = self.entries
        while entries and entries[0][0] <= now:
            timer = heapq.heappop(entries)[2]
            callback = timer.callback
            if callback is None:
                self._cancelled -= 1
                continue
            timer.callback = None
            fired += 1
            callback()
        return fired

    def clear(self) -> None:
        for _, _, timer in self.entries:
            timer.callback = None
        self.entries.clear()
        self._cancelled = 0
