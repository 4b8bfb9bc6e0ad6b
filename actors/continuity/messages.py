"""What may be said to the continuity actor, and what it says to peers."""

from __future__ import annotations

import attrs

from actors.continuity.record import ContinuityRecord, Decision
from actors.idempotency.record import Mark


@attrs.frozen
class EpochClaimed:
    """A peer has acknowledged a start of ours that we have not reached. No answer."""

    peer_id: str
    epoch: int


@attrs.frozen
class Decide:
    """An operator's decision. Answer: `Decided`, or a fault (`trust_not_frozen`, `claim_disproved`).

    Attributes:
        decision: `restored`: this is an earlier copy. `not_restored`: the claims are false; those peers are disbelieved from now on.
        keep_peerings: with `restored`: peerings in force go on instead of being paused for review.
        keep_grants: with `restored`: what the copy holds as granted stays in force.
    """

    by: str | None
    decision: Decision
    keep_peerings: bool = False
    keep_grants: bool = False
    mark: Mark | None = None


@attrs.frozen
class Decided:
    """The record as committed."""

    record: ContinuityRecord


@attrs.frozen
class CloseWhatCameBack:
    """To each peer: act on the decision, once for each `epoch`. No answer."""

    epoch: int
    keep_peerings: bool
    keep_grants: bool
    by: str | None
