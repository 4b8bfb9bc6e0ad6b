"""Whether this platform runs on an earlier copy of its own data, and what operators have decided about that.

Lives here: the record, and the one question whether trust is frozen; pure. Must not live here: what is refused meanwhile (see the door).

A copy that `powernode restore` has made says so itself. A copy that was put back by hand is noticed when a peer acknowledges a start of
ours that lies in our future. Either way what was closed since (tokens, grants, peerings) may have come back, so nothing may be opened, and
nothing that was given may be used, until an operator has decided.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from actors.settings import Identity
from runtime.clock import iso_or_none
from runtime.errors import InternalFault, OperatorFault
from runtime.store.port import Kind

Cause = Literal["restored", "echo"]
Decision = Literal["restored", "not_restored"]

CLAIMANTS_MAX: Final = 64

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
        claimants: the peers that said so since the last decision.
        decided_epoch: starts up to this one are dealt with.
        disbelieved: peers whose word about our starts counts for nothing any more.
        closing: the decision under way; trust stays frozen until every peer has acted on it.
    """

    id: str
    version: int = 0
    frozen_at: float | None = None
    claimed_epoch: int = 0
    claimants: tuple[str, ...] = ()
    decided_epoch: int = 0
    decided_at: float | None = None
    decided_by: str | None = None
    decision: Decision | None = None
    disbelieved: tuple[str, ...] = ()
    closing: Closing | None = None


KIND = Kind(name="continuity", record=ContinuityRecord, due=lambda record: record.closing.look_at if record.closing is not None else None)


def frozen_by(record: ContinuityRecord | None, identity: Identity) -> Cause | None:
    """Why trust is frozen now, or None."""
    if record is not None and record.frozen_at is not None:
        return "echo"
    if (record is not None and record.closing is not None) or identity.restored_at_epoch > (record.decided_epoch if record else 0):
        return "restored"
    return None


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
        "restart_needed": known.decision == "restored" and known.claimed_epoch > identity.boot_epoch,
    }


def epoch_floor(record: ContinuityRecord | None) -> int:
    """The start that the next one must exceed, so that peers take our word again."""
    return record.decided_epoch if record is not None else 0
