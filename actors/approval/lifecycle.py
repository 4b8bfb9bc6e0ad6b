"""The life of a request for approval, and of the operation behind it: literal tables.

Lives here: statuses and every step there is; pure. Must not live here: who may decide (`deciding`), a record or an effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Status = Literal["pending", "approved", "rejected", "expired", "cancelled"]
Trigger = Literal["approve", "reject", "time_out", "cancel"]
Execution = Literal["none", "running", "succeeded", "failed"]
Progress = Literal["begin", "done", "broken"]

STATUSES: Final[tuple[Status, ...]] = ("pending", "approved", "rejected", "expired", "cancelled")
EXECUTIONS: Final[tuple[Execution, ...]] = ("none", "running", "succeeded", "failed")

TRANSITIONS: Final[Mapping[tuple[Status, Trigger], Status]] = {
    ("pending", "approve"): "approved",
    ("pending", "reject"): "rejected",
    ("pending", "time_out"): "expired",
    ("pending", "cancel"): "cancelled",
}
"""A decision is final: nothing leaves another status than `pending`."""

EXECUTION: Final[Mapping[tuple[Execution, Progress], Execution]] = {
    ("none", "begin"): "running",
    ("none", "broken"): "failed",
    ("running", "done"): "succeeded",
    ("running", "broken"): "failed",
}
"""What becomes of an approved operation. `none` to `failed`: what was approved no longer holds, so nothing was begun."""


def transition(status: Status, trigger: Trigger) -> Status | None:
    """Where `trigger` leads, or None if the table has no such step."""
    return TRANSITIONS.get((status, trigger))


def progress(now: Execution, word: Progress) -> Execution | None:
    """What is said of the operation after `word`, or None if that cannot be said any more."""
    return EXECUTION.get((now, word))
