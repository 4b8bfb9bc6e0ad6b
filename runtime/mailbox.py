"""The two-lane mailbox: system messages first, user messages bounded with a named overflow policy.

Lives here: queueing. Must not live here: who runs when (see `engine`). Lanes are made on first use and given back by `trim`, because
an idle actor must stay small. They are plain lists, since most hold one message at a time, and an empty deque weighs as much as ten lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.actor import Overflow

Envelope = tuple[Any, Any]
"""(message, ask or None)"""


class Mailbox:
    """Messages waiting for one actor."""

    __slots__ = ("system", "user", "waiters")

    def __init__(self) -> None:
        self.system: list[Envelope] | None = None
        self.user: list[Envelope] | None = None
        self.waiters: list[Callable[[], None]] | None = None

    @property
    def depth(self) -> int:
        """How many messages wait, in both lanes."""
        return (len(self.system) if self.system else 0) + (len(self.user) if self.user else 0)

    def put_system(self, envelope: Envelope) -> None:
        if self.system is None:
            self.system = []
        self.system.append(envelope)

    def put_back(self, envelope: Envelope) -> None:
        """Return an envelope to the head of the queue, ahead of everything else."""
        if self.system is None:
            self.system = []
        self.system.insert(0, envelope)

    def put_user(self, envelope: Envelope, limit: int, overflow: Overflow, key: Callable[[Any], object]) -> tuple[bool, Envelope | None]:
        """Queue a user message.

        Returns:
            (accepted, displaced): whether the message is queued, and the older message that gave way to it, if any.
        """
        lane = self.user
        if lane is None:
            lane = self.user = []
        if overflow == "coalesce":
            wanted = key(envelope[0])
            for index, (queued, _) in enumerate(lane):
                if key(queued) == wanted:
                    displaced = lane[index]
                    lane[index] = envelope
                    return True, displaced
        if len(lane) < limit:
            lane.append(envelope)
            return True, None
        if overflow == "drop_oldest":
            displaced = lane.pop(0)
            lane.append(envelope)
            return True, displaced
        return False, None

    def take(self) -> Envelope | None:
        """The next envelope, system lane first, or None."""
        if self.system:
            return self.system.pop(0)
        if self.user:
            envelope = self.user.pop(0)
            if self.waiters:
                self.waiters.pop(0)()
            return envelope
        return None

    def drain(self) -> list[Envelope]:
        """Everything queued, emptied; whoever waited for room is woken."""
        out = [*(self.system or ()), *(self.user or ())]
        self.system = self.user = None
        waiters, self.waiters = self.waiters, None
        for waiter in waiters or ():
            waiter()
        return out

    def trim(self) -> None:
        """Give back the memory of empty lanes."""
        self.system = self.system or None
        self.user = self.user or None
        self.waiters = self.waiters or None
