"""What may be said to the actor of the wall clock."""

from __future__ import annotations

from runtime.values import Value


class HeldBack(Value, frozen=True):
    """Something would be destroyed now if the clock were known to be right. No answer."""


class ClockHeard(Value, frozen=True):
    """A peer has told its time while ours is in question, or otherwise than is known of it. No answer.

    Attributes:
        skew_s: its clock minus ours.
    """

    peer_id: str
    skew_s: float


class Gathered(Value, frozen=True):
    """Time to decide by the words that there are."""


class Waited(Value, frozen=True):
    """The platform has run for `WAITED_EVERY_S` since the last one."""
