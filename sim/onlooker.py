"""Whoever watches a world: told what platforms commit and what crosses the links, at the moment when it happens.

Lives here: the protocol between the world and its watcher. Must not live here: judgement (see `sim.checkers`). A watcher changes nothing:
with and without one a world takes the same course.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from actors.door.call import Answer, Call
from actors.ports import RemoteRequest
from runtime.store.port import Committed, Row, Unit

if TYPE_CHECKING:
    from sim.world import Host

Former = Sequence[tuple[str, str, Row | None]]
"""Rows as they were before each write of a unit: kind, id, and the row (None: there was none)."""


class Onlooker(Protocol):
    """Gets word of a world. Nothing that it does may reach the platforms; it must not raise."""

    def started(self, host: Host) -> None:
        """A process has started on what the disk holds, and has not run yet."""
        ...

    def paced(self, host: Host, in_s: float = 0.0) -> None:
        """A process was stopped without ending, slowed down, or goes on as fast as it can, in so many seconds."""
        ...

    def committed(self, host: Host, unit: Unit, former: Former, result: Committed) -> None:
        """A unit is durable; nobody has heard of it yet. A crash may still have made it so."""
        ...

    def sent(self, host: Host, request: RemoteRequest) -> None:
        """An actor hands a request to another platform over to its port."""
        ...

    def returned(self, host: Host, request: RemoteRequest, outcome: Any) -> None:
        """The outcome of a request is about to reach the actor that sent it."""
        ...

    def arrived(self, host: Host, call: Call, source: str) -> None:
        """A call stands at a platform's door. `source` is the name of the host that sent it, empty for its own operator."""
        ...

    def answered(self, host: Host, call: Call, source: str, answer: Answer) -> None:
        """The answer to a call leaves the door."""
        ...

    def relays(self, hub: Host, peer_id: str, address: str) -> None:
        """A hub has taken a connection from an address, to relay it to a peer."""
        ...
