"""Data residency: where a peer keeps data, and what a difference means for data that is about to move.

Lives here: the effective tag, the situations, and the table of outcomes. Pure. Must not live here: who moves what, or the storing of tags.

A tag is free text (a country, a region, `global`), compared without regard to case. What the peer declares about itself never overwrites
what our operators decided about it; where the two differ, the pair counts as crossing until an operator resolves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from actors.peer.record import PeerRecord
from runtime.errors import OperatorFault
from runtime.values import Value

Mode = Literal["permissive", "warn", "refuse"]
Unknown = Literal["allow", "refuse"]
Situation = Literal["same", "different", "unknown"]
Severity = Literal["medium", "high"]

MODES: Final[tuple[Mode, ...]] = ("permissive", "warn", "refuse")
UNKNOWN_MODES: Final[tuple[Unknown, ...]] = ("allow", "refuse")
UNKNOWN_TAG: Final = "unknown"
"""What a platform says of itself while nobody has decided."""


class Outcome(Value, frozen=True):
    """What the rules say of one move.

    Attributes:
        allowed: whether the data may move at all.
        crossing: whether it crosses a boundary, which is marked on the move at both ends.
        severity: of the event that tells of the crossing, None where none is told.
        needs_acknowledgement: whether the plan must say that the crossing is meant.
        noted: whether the trail says that a side has not declared where its data lives.
    """

    allowed: bool
    crossing: bool = False
    severity: Severity | None = None
    needs_acknowledgement: bool = False
    noted: bool = False


_SAME: Final = Outcome(allowed=True)
_UNKNOWN: Final[Mapping[Unknown, Outcome]] = {
    "allow": Outcome(allowed=True, noted=True),
    "refuse": Outcome(allowed=False, noted=True),
}
_DIFFERENT: Final[Mapping[Mode, Outcome]] = {
    "permissive": Outcome(allowed=True, crossing=True, severity="medium"),
    "warn": Outcome(allowed=True, crossing=True, severity="high", needs_acknowledgement=True),
    "refuse": Outcome(allowed=False, crossing=True),
}

TABLE: Final[Mapping[tuple[Mode, Unknown, Situation], Outcome]] = {
    (mode, unknown, situation): {"same": _SAME, "different": _DIFFERENT[mode], "unknown": _UNKNOWN[unknown]}[situation]
    for mode in MODES
    for unknown in UNKNOWN_MODES
    for situation in ("same", "different", "unknown")
}
"""Every outcome there is."""


def tag(text: str | None) -> str | None:
    """The tag in a comparable form; None for none, a blank one and `unknown`."""
    folded = (text or "").strip().casefold()
    return folded if folded and folded != UNKNOWN_TAG else None


def remote_tag(peer: PeerRecord) -> str | None:
    """Where the peer keeps data, as we hold it: what operators decided, else what it declares."""
    return tag(peer.data_residency) or tag(peer.declared_residency)


def conflicts(peer: PeerRecord) -> bool:
    """Whether the peer declares something else than our operators decided."""
    decided, declared = tag(peer.data_residency), tag(peer.declared_residency)
    return decided is not None and declared is not None and decided != declared


def situation(ours: str | None, peer: PeerRecord) -> Situation:
    """How our tag and the peer's relate."""
    if conflicts(peer):
        return "different"
    here, there = tag(ours), remote_tag(peer)
    if here is None or there is None:
        return "unknown"
    return "same" if here == there else "different"


def judge(mode: str, unknown: str, ours: str | None, peer: PeerRecord) -> Outcome:
    """What the rules say of a move between us and this peer. Settings that make no sense refuse."""
    for (known_mode, known_unknown, known), outcome in TABLE.items():
        if (known_mode, known_unknown, known) == (mode, unknown, situation(ours, peer)):
            return outcome
    return Outcome(allowed=False)


def refusal(outcome: Outcome, *, acknowledged: bool = False, overridden: bool = False) -> OperatorFault | None:
    """Why the move may not be made, or None.

    Args:
        acknowledged: the plan says that a crossing is meant.
        overridden: an approved one-off exception covers this move.
    """
    if not outcome.allowed and not overridden:
        why = "the data would cross a boundary" if outcome.crossing else "where the data would live is not known"
        return OperatorFault("residency_refused", f"{why}, and this platform refuses that", 403)
    if outcome.needs_acknowledgement and not acknowledged:
        return OperatorFault("residency_unacknowledged", "the data crosses a boundary; say acknowledge_residency to go on", 422)
    return None
