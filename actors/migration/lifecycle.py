"""The life of a migration: at the platform that gives, and at the one that receives.

Lives here: the statuses and every transition there is, as literal tables; pure. Must not live here: a record, a message or an effect.

At the source a migration holds its records from `transferring` on, and lets go of them only with a definite answer: `completed` for good,
`failed` or `cancelled` back to their owner. At the destination one row decides: what it says first, applied or fenced, it says for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Status = Literal[
    "planned", "validating", "conflict", "transferring", "applying", "in_doubt", "finalizing", "completed", "failed", "cancelled"
]
Trigger = Literal[
    "validate",  # an operator wants to know what stands in the way
    "conflicts_found",
    "changed",  # the records are no longer those of the plan
    "frozen",  # every record is held and is as planned
    "uploaded",  # all steps are staged at the destination
    "receipt_held",  # the destination has applied the plan and said so in a way that can be proven
    "answer_lost",
    "departed",  # the source has let go of the records and the destination knows
    "refused",  # a definite no: of the destination, or of the fence
    "cancel",
    "retry",
]

STATUSES: Final[tuple[Status, ...]] = (
    "planned", "validating", "conflict", "transferring", "applying", "in_doubt", "finalizing", "completed", "failed", "cancelled",
)  # fmt: skip

TRANSITIONS: Final[Mapping[tuple[Status, Trigger], Status]] = {
    ("planned", "validate"): "validating",
    ("planned", "cancel"): "cancelled",
    ("validating", "validate"): "validating",
    ("validating", "conflicts_found"): "conflict",
    ("validating", "changed"): "validating",
    ("validating", "frozen"): "transferring",
    ("validating", "refused"): "failed",
    ("validating", "cancel"): "cancelled",
    ("conflict", "validate"): "validating",
    ("conflict", "cancel"): "cancelled",
    ("transferring", "uploaded"): "applying",
    ("transferring", "refused"): "failed",
    ("transferring", "cancel"): "cancelled",
    ("applying", "receipt_held"): "finalizing",
    ("applying", "refused"): "failed",
    ("applying", "answer_lost"): "in_doubt",
    ("in_doubt", "receipt_held"): "finalizing",
    ("in_doubt", "refused"): "failed",
    ("finalizing", "departed"): "completed",
    ("failed", "retry"): "validating",
}

HOLDING: Final[frozenset[Status]] = frozenset({"transferring", "applying", "in_doubt", "finalizing"})
"""Statuses in which the records of a migration that moves are held."""

TERMINAL: Final[frozenset[Status]] = frozenset({"completed", "cancelled"})
"""Nothing follows; a failed one can be tried again."""

STUCK: Final[frozenset[Status]] = frozenset({"applying", "in_doubt", "finalizing"})
"""Statuses that only the destination's word ends. If its peering has ended for good, an operator has to say what became of it."""

Verdict = Literal["staged", "applied", "finalized", "fenced", "failed", "released"]
Word = Literal["open", "apply", "refuse", "fence", "finalize", "release"]

VERDICTS: Final[Mapping[tuple[Verdict | None, Word], Verdict]] = {
    (None, "open"): "staged",
    (None, "fence"): "fenced",
    ("staged", "open"): "staged",
    ("staged", "apply"): "applied",
    ("staged", "refuse"): "failed",
    ("staged", "fence"): "fenced",
    ("failed", "fence"): "fenced",
    ("applied", "finalize"): "finalized",
    ("applied", "release"): "released",
}
"""What the destination says of a migration. `finalized`, `fenced` and `released` are promises that nothing takes back, and `applied` is one
that only an operator takes back, who has heard that the source keeps its records."""


def transition(status: Status, trigger: Trigger) -> Status | None:
    """Where `trigger` leads, or None if the table has no such step."""
    return TRANSITIONS.get((status, trigger))


def verdict(now: Verdict | None, word: Word) -> Verdict | None:
    """What the destination says after `word`, or None if that cannot be said any more."""
    return VERDICTS.get((now, word))
