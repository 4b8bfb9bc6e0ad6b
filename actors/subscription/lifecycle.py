"""The life of a subscription: states, every transition there is, and when what failed is tried again.

Lives here: tables and pure functions. Must not live here: a record or a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from actors.limits import DAY_S

State = Literal["pending", "active", "suspended", "cancelled"]
Trigger = Literal["activate", "suspend", "resume", "cancel"]
Phase = Literal["request", "certificate", "route"]
"""How far a pending subscription has come: asked for, waiting for a certificate, waiting for its route."""

STATES: Final[tuple[State, ...]] = ("pending", "active", "suspended", "cancelled")

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = {
    ("pending", "activate"): "active",
    ("pending", "cancel"): "cancelled",
    ("active", "suspend"): "suspended",
    ("active", "cancel"): "cancelled",
    ("suspended", "resume"): "active",
    ("suspended", "cancel"): "cancelled",
}

PAST: Final[Mapping[Trigger, str]] = {"activate": "activated", "suspend": "suspended", "resume": "resumed", "cancel": "cancelled"}
"""Trigger to the word for it in events."""

RETRIES_S: Final = (60.0, 300.0, 1_500.0)
RETRY_LAST_S: Final = 3_600.0
PENDING_MAX_S: Final = DAY_S
"""How long a subscription may stay pending before it is given up."""

RENEWED_BEFORE_S: Final = 7 * DAY_S
RENEWED_ONCE_IN_S: Final = DAY_S
"""How often a term is renewed by itself at most, so that one of seven days is not renewed at every look; its last day excepted."""
STALE_AFTER_S: Final = 30 * DAY_S
LOOK_EVERY_S: Final = 3_600.0


def transition(state: State, trigger: Trigger) -> State | None:
    """Where `trigger` leads, or None if the table has no such step."""
    return TRANSITIONS.get((state, trigger))


def allowed(state: State) -> tuple[State, ...]:
    """The states that one step can lead to."""
    return tuple(target for (source, _), target in TRANSITIONS.items() if source == state)


def retry_after(tries: int) -> float:
    """Seconds until the next try after `tries` that have failed: one, five, twenty-five minutes, then an hour each time."""
    return RETRIES_S[tries - 1] if 0 < tries <= len(RETRIES_S) else RETRY_LAST_S
