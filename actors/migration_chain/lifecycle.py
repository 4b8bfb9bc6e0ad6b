"""The life of a chain, at the platform that drives it, and of one hop, at the platform that carries it out: literal tables.

Lives here: statuses and every step there is; pure. Must not live here: a record, a message or an effect.

A chain is `in_flight` between its hops too. What a hop says when it has ended it says for ever, so whoever drives the chain may ask again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Status = Literal["planned", "in_flight", "completed", "failed", "cancelled"]
Trigger = Literal[
    "start",  # an operator lets it go on
    "hop_done",  # and another hop follows
    "arrived",  # the last hop is done
    "refused",  # a definite no; the resource stays where the last good hop has put it
    "cancel",
    "retry",
]

STATUSES: Final[tuple[Status, ...]] = ("planned", "in_flight", "completed", "failed", "cancelled")

TRANSITIONS: Final[Mapping[tuple[Status, Trigger], Status]] = {
    ("planned", "start"): "in_flight",
    ("planned", "cancel"): "cancelled",
    ("in_flight", "hop_done"): "in_flight",
    ("in_flight", "arrived"): "completed",
    ("in_flight", "refused"): "failed",
    ("in_flight", "cancel"): "cancelled",
    ("failed", "retry"): "in_flight",
    ("failed", "cancel"): "cancelled",
}

TERMINAL: Final[frozenset[Status]] = frozenset({"completed", "cancelled"})
"""Nothing follows. A failed one does not go on by itself: it is tried again, or given up."""

HopStatus = Literal["awaiting_approval", "moving", "completed", "failed", "rejected", "expired", "withdrawn"]
HopTrigger = Literal["ask", "approve", "begin", "arrive", "fail", "reject", "time_out", "withdraw"]

HOP_STATUSES: Final[tuple[HopStatus, ...]] = (
    "awaiting_approval", "moving", "completed", "failed", "rejected", "expired", "withdrawn",
)  # fmt: skip

HOP_TRANSITIONS: Final[Mapping[tuple[HopStatus | None, HopTrigger], HopStatus]] = {
    (None, "ask"): "awaiting_approval",
    (None, "begin"): "moving",
    ("awaiting_approval", "approve"): "moving",
    ("awaiting_approval", "fail"): "failed",
    ("awaiting_approval", "reject"): "rejected",
    ("awaiting_approval", "time_out"): "expired",
    ("awaiting_approval", "withdraw"): "withdrawn",
    ("moving", "arrive"): "completed",
    ("moving", "fail"): "failed",
    ("moving", "withdraw"): "withdrawn",
    ("failed", "ask"): "awaiting_approval",
    ("failed", "begin"): "moving",
    ("rejected", "ask"): "awaiting_approval",
    ("expired", "ask"): "awaiting_approval",
    ("withdrawn", "ask"): "awaiting_approval",
    ("withdrawn", "begin"): "moving",
}
"""`begin`: the holder drives the chain itself and asks nobody. What has ended without having moved may be asked for again."""

UNDER_WAY: Final[frozenset[HopStatus]] = frozenset({"awaiting_approval", "moving"})


def transition(status: Status, trigger: Trigger) -> Status | None:
    """Where `trigger` leads a chain, or None if the table has no such step."""
    return TRANSITIONS.get((status, trigger))


def hop_transition(status: HopStatus | None, trigger: HopTrigger) -> HopStatus | None:
    """Where `trigger` leads a hop, or None if the table has no such step."""
    return HOP_TRANSITIONS.get((status, trigger))
