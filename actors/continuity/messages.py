"""What may be said to the continuity actor, and what it says to peers."""

from __future__ import annotations

from actors.continuity.record import ContinuityRecord, Decision
from actors.idempotency.record import Mark
from runtime.values import Value


class EpochClaimed(Value, frozen=True):
    """A peer has acknowledged a start of ours that we have not reached. No answer."""

    peer_id: str
    epoch: int


class LaterStateClaimed(Value, frozen=True):
    """A peer has heard of more than this copy of our data knows (see `says_more`): a later copy has run. No answer."""

    peer_id: str
    epoch: int
    start_mark: int
    history: int


class Decide(Value, frozen=True):
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


class Decided(Value, frozen=True):
    """The record as committed."""

    record: ContinuityRecord


class CloseWhatCameBack(Value, frozen=True):
    """To each peer: act on the decision, once for each `epoch`. No answer."""

    epoch: int
    keep_peerings: bool
    keep_grants: bool
    by: str | None
