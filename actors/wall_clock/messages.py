"""What may be said to the actor of the wall clock."""

from __future__ import annotations

from actors.idempotency.record import Mark
from actors.wall_clock.record import WallClockRecord
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


class Confirm(Value, frozen=True):
    """An operator has compared the clock with another one, and it is right. Answer: `Confirmed`, or a fault.

    The word is about the clock as it is set now: another start, a clock that is set, or peers that say something new put it in question
    again. It says nothing of what is refused.

    Attributes:
        time: what the operator holds to be the time (seconds since the epoch); ours must be the same, within what clocks may differ by.
        reason: how it was found out; kept in the audit trail.
    """

    by: str | None
    time: float
    reason: str
    mark: Mark | None = None


class Confirmed(Value, frozen=True):
    """The record as committed."""

    record: WallClockRecord


class Gathered(Value, frozen=True):
    """Time to decide by the words that there are."""


class Waited(Value, frozen=True):
    """The platform has run for `WAITED_EVERY_S` since the last one."""
