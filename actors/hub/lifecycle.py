"""The life of a consent to relaying: its states and every transition there is.

Lives here: tables and pure functions. Must not live here: a record or a message.

There are two consents between a hub and a peer behind it, each given by operators of its own platform, and both are needed: the hub's
operators permit that the peer is reached through the hub (`relaying`), and the peer's operators permit that the hub hands them
connections (`relayed`). Both have the same life, and neither platform can see the other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from runtime.store.port import Event

Side = Literal["relaying", "relayed"]
"""`relaying`: we relay to the peer. `relayed`: the peer relays to us."""

State = Literal["never", "permitted", "withdrawn"]
Trigger = Literal["permit", "withdraw"]

SIDES: Final[tuple[Side, ...]] = ("relaying", "relayed")
STATES: Final[tuple[State, ...]] = ("never", "permitted", "withdrawn")
TRIGGERS: Final[tuple[Trigger, ...]] = ("permit", "withdraw")

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = {
    ("never", "permit"): "permitted",
    ("withdrawn", "permit"): "permitted",
    # Permitting again changes the terms.
    ("permitted", "permit"): "permitted",
    ("permitted", "withdraw"): "withdrawn",
}


def transition(state: State, trigger: Trigger) -> State | None:
    """Where `trigger` leads, or None if the table has no such step."""
    return TRANSITIONS.get((state, trigger))


WITHDRAWALS: Final[Mapping[str, Side]] = {f"federation.hub.{side}_withdrawn": side for side in SIDES}
"""Kind of event to the side of which consent has ended, so that what it carried is cut."""


def withdrawn(events: Sequence[Event]) -> list[tuple[Side, str]]:
    """The side and the peer of each consent that has just been withdrawn."""
    return [(WITHDRAWALS[event.kind], str(event.payload["federation_peer_id"])) for event in events if event.kind in WITHDRAWALS]
