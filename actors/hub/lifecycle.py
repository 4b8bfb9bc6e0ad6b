"""The life of a consent to relaying: its states and every transition there is.

Lives here: tables and pure functions. Must not live here: a record or a message.

There are two consents between a hub and a peer behind it, each given by operators of its own platform, and both are needed: the hub's
operators permit that the peer is reached through the hub (`relaying`), and the peer's operators permit that the hub hands them
connections (`relayed`). Both have the same life, and neither platform can see the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

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
