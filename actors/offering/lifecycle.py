"""The life of an offering and of a lease under it: states and every transition there is.

Lives here: tables and pure functions. Must not live here: a record or a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from actors.limits import DAY_S

State = Literal["draft", "active", "deprecated", "retired"]
Trigger = Literal["activate", "deprecate", "retire"]
LeaseState = Literal["live", "cancelled", "expired", "revoked"]
Protocol = Literal["https", "http", "tcp", "tls"]

STATES: Final[tuple[State, ...]] = ("draft", "active", "deprecated", "retired")
TRIGGERS: Final[tuple[Trigger, ...]] = ("activate", "deprecate", "retire")
LEASE_STATES: Final[tuple[LeaseState, ...]] = ("live", "cancelled", "expired", "revoked")
PROTOCOLS: Final[tuple[Protocol, ...]] = ("https", "http", "tcp", "tls")
SCOPES: Final = ("read", "write")

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = {
    ("draft", "activate"): "active",
    ("draft", "retire"): "retired",
    ("active", "deprecate"): "deprecated",
    ("active", "retire"): "retired",
    ("deprecated", "activate"): "active",
    ("deprecated", "retire"): "retired",
}

VISIBLE: Final[frozenset[State]] = frozenset({"active", "deprecated"})
"""States in which peers see an offering in the catalogue."""

SERVED: Final[frozenset[State]] = frozenset({"active", "deprecated"})
"""States in which a lease can be renewed."""

ACCESS_AFTER_RETIREMENT_S: Final = 30 * DAY_S
NOTICES_BEFORE_END_S: Final = (30 * DAY_S, 7 * DAY_S, 1 * DAY_S)
"""When subscribers hear of the end, in seconds before it: at once, seven days and one day before."""


def transition(state: State, trigger: Trigger) -> State | None:
    """Where `trigger` leads, or None if the table has no such step."""
    return TRANSITIONS.get((state, trigger))


def allowed(state: State) -> tuple[State, ...]:
    """The states that one step can lead to."""
    return tuple(target for (source, _), target in TRANSITIONS.items() if source == state)


def next_notice_at(access_ends_at: float, sent: int) -> float | None:
    """When the notice after `sent` others is due, or None if all were sent."""
    return access_ends_at - NOTICES_BEFORE_END_S[sent] if sent < len(NOTICES_BEFORE_END_S) else None
