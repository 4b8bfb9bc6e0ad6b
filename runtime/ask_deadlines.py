"""How long asks wait for their answers.

Lives here: the deadlines of asks that nobody has answered yet. Must not live here: what an ask hears when its time is over (see `engine`).
"""

from __future__ import annotations

import math
from collections import deque

from runtime.cell import Ask


class AskDeadlines:
    """Deadlines that hardly ever come, because an ask is answered long before.

    Asks that wait equally long expire in the order in which they were asked. So they stand in one line, and an answer costs nothing here:
    whoever was answered is passed over when somebody looks at the head of the line.
    """

    def __init__(self) -> None:
        self._lines: dict[float, deque[tuple[float, Ask]]] = {}

    def watch(self, ask: Ask, now: float, timeout_s: float) -> None:
        """Let `ask` expire `timeout_s` after `now` if it is still open then."""
        line = self._lines.get(timeout_s)
        if line is None:
            line = self._lines[timeout_s] = deque()
        else:
            while line and not line[0][1].open:
                line.popleft()
        line.append((now + timeout_s, ask))

    def next_at(self) -> float:
        """When the next ask that is still open expires, or infinity."""
        earliest = math.inf
        for timeout_s, line in list(self._lines.items()):
            while line and not line[0][1].open:
                line.popleft()
            if not line:
                del self._lines[timeout_s]
            elif line[0][0] < earliest:
                earliest = line[0][0]
        return earliest

    def overdue(self, now: float) -> list[Ask]:
        """The open asks whose time is over, the longest overdue first; they are forgotten here."""
        found: list[tuple[float, Ask]] = []
        while (at := self.next_at()) <= now:
            line = next(line for line in self._lines.values() if line[0][0] == at)
            found.append(line.popleft())
        return [ask for _, ask in found]

    def clear(self) -> None:
        """Forget every deadline."""
        self._lines.clear()
