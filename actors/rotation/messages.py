"""What may be said to the rotation actor, and what it says."""

from __future__ import annotations

from actors.idempotency.record import Mark
from actors.rotation.record import RotationRecord
from runtime.actor import CallResult
from runtime.values import Value


class Rotate(Value, frozen=True, kw_only=True):
    """Begin a rotation. Answer: `Rotating`, or a fault (`rotation_under_way`, `rotation_incomplete`, `tokens_outlive_overlap`).

    `force`: the present key is in other hands, so its root ends at once and its word is not given; open tokens die with it, except with
    `keep_tokens`. `account_id`: whose peers are named.
    """

    by: str | None
    account_id: str
    overlap_days: float
    force: bool = False
    keep_tokens: bool = False
    reason: str | None = None
    mark: Mark | None = None


class Finish(Value, frozen=True, kw_only=True):
    """End the overlap before its time. Answer: `Rotating`, or a fault (`no_rotation`, `peers_left_behind`, `tokens_pin_former_root`).

    `give_up` names peers that are not waited for; `force` gives up all that have not followed.
    """

    by: str | None
    account_id: str
    give_up: tuple[str, ...] = ()
    force: bool = False
    mark: Mark | None = None


class Rotating(Value, frozen=True):
    """The record as committed."""

    record: RotationRecord


class RootMade(CallResult, frozen=True):
    """The next root exists; the tag is what was asked and who waits."""
