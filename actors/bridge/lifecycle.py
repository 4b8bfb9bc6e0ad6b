"""The life of a bridge: its states, every transition there is, and what the peer's own state makes of it.

Lives here: tables and pure functions. Must not live here: a record or a message.

A bridge stores what operators decided about it. What its peer's state adds is derived on every look: a suspended peer suspends its
bridges and a resumed one gives back exactly those that it took, a revoked one revokes them, all without a write that could be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from actors.peer.lifecycle import Status

State = Literal["proposed", "active", "suspended", "revoked"]
Trigger = Literal["activate", "suspend", "resume", "revoke"]

STATES: Final[tuple[State, ...]] = ("proposed", "active", "suspended", "revoked")
TRIGGERS: Final[tuple[Trigger, ...]] = ("activate", "suspend", "resume", "revoke")

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = {
    ("proposed", "activate"): "active",
    ("proposed", "revoke"): "revoked",
    ("active", "suspend"): "suspended",
    ("active", "revoke"): "revoked",
    ("suspended", "resume"): "active",
    ("suspended", "revoke"): "revoked",
}

PAST: Final[Mapping[State, str]] = {"proposed": "proposed", "active": "activated", "suspended": "suspended", "revoked": "revoked"}
"""State to the word for having entered it, in events and in the record's times."""

CARRYING: Final[frozenset[Status]] = frozenset({"accepted", "enrolled", "active", "degraded"})
"""Statuses of a peer in which a bridge to it can be active."""


def transition(state: State, trigger: Trigger) -> State | None:
    """Where `trigger` leads, or None if the table has no such step."""
    return TRANSITIONS.get((state, trigger))


def allowed(state: State) -> tuple[State, ...]:
    """The states that one step can lead to."""
    return tuple(target for (source, _), target in TRANSITIONS.items() if source == state)


def effective(state: State, epoch: int, peer_status: Status | None, peer_epoch: int) -> State:
    """What a bridge amounts to now.

    Args:
        state, epoch: the bridge's own state, and the peering epoch in which it was made.
        peer_status: None if the peer is gone.
    """
    if state == "revoked" or peer_status in (None, "revoked") or epoch != peer_epoch:
        return "revoked"
    if state == "active" and peer_status not in CARRYING:
        return "suspended"
    return state
