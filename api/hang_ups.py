"""Hanging up on peers whose peering is paused or over: their open connections end soon after the commit.

Lives here: following committed events, and cutting what is connected. Must not live here: refusing a request, which the door does from the
commit on, on any connection, whether or not it is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from runtime.services import Service
from runtime.store.port import Event

HANG_UP_AFTER_S: Final = 1.0
"""Answers that are on their way when the peering ends, such as the one to the notice that ended it, get this long to leave."""

ENDINGS: Final = frozenset({"federation.peer.suspended", "federation.peer.revoked"})


class HangUps:
    """Cuts each peer a moment after the event that paused or ended its peering. All methods belong to trio's thread."""

    def __init__(self, cut: Callable[[str], object], forget: Callable[[str], object]) -> None:
        """
        Args:
            cut: closes the connections on which that peer has authenticated with us.
            forget: drops the kept connections to that peer.
        """
        self._cut = cut
        self._forget = forget
        self._pending: deque[tuple[float, str]] = deque()
        self._news = trio.lowlevel.ParkingLot()

    def publish(self, events: Sequence[Event]) -> None:
        """Tell of committed events."""
        for event in events:
            if event.kind in ENDINGS:
                self._pending.append((trio.current_time() + HANG_UP_AFTER_S, str(event.payload["federation_peer_id"])))
        self._news.unpark_all()

    async def run(self, service: Service) -> None:
        """Hang up for as long as the platform serves."""
        service.started()
        while True:
            while not self._pending:
                await self._news.park()
            at, peer_id = self._pending[0]
            await trio.sleep_until(at)
            self._cut(peer_id)
            self._forget(peer_id)
            self._pending.popleft()
