"""What may be said to the rotation actor, and what it says."""

from __future__ import annotations

import attrs

from actors.idempotency.record import Mark
from actors.rotation.record import RotationRecord
from runtime.actor import CallResult


@attrs.frozen(kw_only=True)
class Rotate:
    """Begin a rotation. Answer: `Rotating`, or a fault (`rotation_under_way`, `tokens_outlive_overlap`)."""

    by: str | None
    overlap_days: int
    force: bool = False
    reason: str | None = None
    mark: Mark | None = None


@attrs.frozen
class Rotating:
    """The record as committed."""

    record: RotationRecord


@attrs.frozen
class RootMade(CallResult):
    """The next root exists; the tag is what was asked and who waits."""
