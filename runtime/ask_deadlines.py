"""How long asks wait for their answers.

Lives here: the deadlines of asks that nobody has answered yet. Must not live here: what an ask hears when its time is over (see `engine`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from runtime.cell import Ask
from runtime.clock import Clock
from runtime.timers import TimerHeap


class AskDeadlines:
    """Deadlines that hardly ever come, because an ask is answered long before.

    Asks that wait equally long expire in the order in which they were asked. So they stand in one line, of which only the head is a timer,
    and an answer costs nothing here.
    """

    def __init__(self, clock: Clock, timers: TimerHeap, expire: Callable[[Ask], None]) -> None:
        self._clock = clock
        self._timers = timers
        self._expire = expire
        self._lines: dict[float, deque[tuple[float, Ask]]] = {}

    def watch(self, ask: Ask, timeout_s: float) -> None:
        """Let `ask` expire after `timeout_s` if it is still open then."""
        at = self._clock.now() + timeout_s
        line = self._lines.get(timeout_s)
        if line is None:
            line = self._lines[timeout_s] = deque()
            self._timers.add(at, partial(self._look, timeout_s))
        else:
            while line and not line[0][1].open:
                line.popleft()
        line.append((at, ask))

    def clear(self) -> None:
        """Forget every deadline; the timers are forgotten by whoever owns them."""
        self._lines.clear()

    def _look(self, timeout_s: float) -> None:
        line, now = self._lines[timeout_s], self._clock.now()
        while line and (line[0][0] <= now or not line[0][1].open):
            ask = line.popleft()[1]
            if ask.open:
                self._expire(ask)
        if line:
            self._timers.add(line[0][0], partial(self._look, timeout_s))
        else:
            del self._lines[timeout_s]
