"""Whether this platform runs on an earlier copy of its own data, and what operators have decided about that.

Lives here: the record, and the one question whether trust is frozen; pure. Must not live here: what is refused meanwhile (see the door).

A copy that `powernode restore` has made says so itself. A copy that was put back by hand is noticed by what peers have heard: of a start of
ours that lies in our future, of another start under the number of this one, or of more events before this start than it began with. What a
heartbeat tells is on the disk before it leaves, so no crash makes a platform fall behind what it has told. Either way what was closed since
(tokens, grants, peerings) may have come back, so nothing may be opened, and nothing that was given may be used, until an operator has
decided.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from actors.limits import DEPENDANTS_LOOK_S
from actors.sanitize import INTEGER_MAX
from actors.settings import Identity
from runtime.clock import iso_or_none
from runtime.context import Context
from runtime.errors import InternalFault, OperatorFault
from runtime.store.port import Kind

Cause = Literal["restored", "echo"]
Decision = Literal["restored", "not_restored"]

CLAIMANTS_MAX: Final = 64
START_MARK_BITS: Final = 52
LEAP: Final = 1 << 40
"""By how much what is told of our history rises when operators have decided that this is an earlier copy: above all that the lost copy can
have told, so that whoever comes back with that later says nothing new."""
LEAPS_AT_ONCE_MAX: Final = 16
"""So that a peer that lies, and is believed, does not use up the numbers."""

FROZEN_HERE: Final = OperatorFault(
    "trust_frozen", "this platform may run on an earlier copy of its data; `powernode trust show` says why and how to go on", 409
)
"""To operators who would open something."""
FROZEN_THERE: Final = InternalFault("trust_frozen", "this platform opens and serves nothing until its operators have looked at it", 503)
"""To peers who would use something."""


@attrs.frozen(kw_only=True)
class Closing:
    """What an operator decided, on its way to every peer.

    Attributes:
        after_id: peers up to this id have been told in this pass.
        missed: whether this pass has met a peer that had not acted yet; another pass follows.
        look_at: when the next slice is due, seconds since the epoch.
    """

    keep_peerings: bool
    keep_grants: bool
    after_id: str | None = None
    missed: bool = False
    look_at: float


@attrs.frozen(kw_only=True)
class ContinuityRecord:
    """One row for the platform; `id` is its instance id. Times are seconds since the epoch.

    Attributes:
        frozen_at: since when a peer's word has frozen trust; None if none has.
        claimed_epoch: the highest start of ours that a peer has acknowledged and that lies in our future.
        claimed_history: the highest history of earlier starts of ours that a peer has heard of and that this copy does not hold.
        leap: what is added to the number of our events when peers are told of it.
        claimants: the peers that said any of this since the last decision.
        decided_epoch: starts up to this one are dealt with. It rises with every decision.
        decided_restore: the newest restore by command that is dealt with; None in records of a time that did not note it, for which
            `decided_epoch` says it.
        disbelieved: peers whose word about our starts counts for nothing any more.
        closing: the decision under way; trust stays frozen until every peer has acted on it.
    """

    id: str
    version: int = 0
    frozen_at: float | None = None
    claimed_epoch: int = 0
    claimed_history: int = 0
    leap: int = 0
    claimants: tuple[str, ...] = ()
    decided_epoch: int = 0
    decided_restore: int | None = None
    decided_at: float | None = None
    decided_by: str | None = None
    decision: Decision | None = None
    disbelieved: tuple[str, ...] = ()
    closing: Closing | None = None


KIND = Kind(
    name="continuity",
    record=ContinuityRecord,
    due=lambda record: record.closing.look_at if record.closing is not None else None,
    put_off_s=DEPENDANTS_LOOK_S,
)


def frozen_by(record: ContinuityRecord | None, identity: Identity) -> Cause | None:
    """Why trust is frozen now, or None."""
    if record is not None and record.frozen_at is not None:
        return "echo"
    if (record is not None and record.closing is not None) or undecided_restore(record, identity):
        return "restored"
    return None


def frozen_now(ctx: Context) -> bool:
    """Whether trust is frozen, for actors that show what is good for something now."""
    identity = ctx.settings.identity
    row = ctx.row(KIND.name, identity.instance_id)
    return frozen_by(row.record if row is not None else None, identity) is not None


def undecided_restore(record: ContinuityRecord | None, identity: Identity) -> bool:
    """Whether `powernode restore` made this copy, and operators have not decided about it yet."""
    if record is None:
        return identity.restored_at_epoch > 0
    return identity.restored_at_epoch > (record.decided_epoch if record.decided_restore is None else record.decided_restore)


def shown(record: ContinuityRecord | None, identity: Identity) -> dict[str, Any]:
    """The form of the operator surface."""
    known = record if record is not None else ContinuityRecord(id=identity.instance_id)
    cause = frozen_by(record, identity)
    return {
        "frozen": cause is not None,
        "cause": cause,
        "frozen_at": iso_or_none(known.frozen_at),
        "closing": known.closing is not None,
        "boot_epoch": identity.boot_epoch,
        "claimed_epoch": known.claimed_epoch,
        "claimants": list(known.claimants),
        "decided_at": iso_or_none(known.decided_at),
        "decision": known.decision,
        "restart_needed": known.decision == "restored" and known.claimed_epoch >= identity.boot_epoch,
    }


def told_history(record: ContinuityRecord | None, events: int) -> int:
    """What peers are told when so many events are committed."""
    return min(events + (record.leap if record is not None else 0), INTEGER_MAX)


def says_more(
    record: ContinuityRecord | None, identity: Identity, epoch: int, start_mark: int, history: int
) -> Literal["start", "history"] | None:
    """In what a peer that has heard of this start of ours knows more than this copy can: of another start under the same number, or of a
    longer history before it; None if in nothing, or if operators have decided about it."""
    if epoch != identity.boot_epoch:
        return None
    if start_mark not in (0, identity.start_mark) and epoch > (record.decided_epoch if record is not None else 0):
        return "start"
    return "history" if history > told_history(record, identity.history) else None


def leap_after(record: ContinuityRecord, events: int) -> int:
    """The next leap: above all that has been told here, and that peers say to have been told."""
    told = told_history(record, events)
    return (max(told, min(record.claimed_history, told + LEAPS_AT_ONCE_MAX * LEAP)) // LEAP + 1) * LEAP


def epoch_floor(record: ContinuityRecord | None) -> int:
    """The start that the next one must exceed, so that peers take our word again."""
    return record.decided_epoch if record is not None else 0
