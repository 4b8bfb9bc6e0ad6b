"""What a peer's row means for everything that was given under it: the one place where others ask.

Lives here: how other actors read the record of a peer, and pure questions about it. Must not live here: why the status is what it is
(see `lifecycle`).
"""

from __future__ import annotations

from typing import Final

from actors.peer.lifecycle import REACHABLE, inbound_refusal
from actors.peer.record import KIND, PeerRecord
from runtime.context import Context
from runtime.errors import OperatorFault

PEER_NOT_FOUND: Final = OperatorFault("peer_not_found", "there is no such platform peer", 404)


def peer_of(ctx: Context, peer_id: str) -> PeerRecord | None:
    """The committed record of a peer, or None if there is none."""
    row = ctx.row(KIND.name, peer_id)
    return row.record if row is not None else None


def in_force(record: PeerRecord | None, peering_epoch: int, wall: float) -> bool:
    """Whether what was given to this peer under `peering_epoch` has effect at `wall` (seconds since the epoch).

    False for a peer that is gone, suspended, revoked, not yet proven or past its agreed end, and for another peering than this one.
    """
    return (
        record is not None
        and record.peering_epoch == peering_epoch
        and record.status in REACHABLE
        and inbound_refusal(record.status, "exchange") is None
        and (record.expires_at is None or wall < record.expires_at)
    )


def may_finish(record: PeerRecord | None, peering_epoch: int, wall: float) -> bool:
    """Whether work that was under way under `peering_epoch` (a migration) may go on at `wall`: in force, or in the grace of a revocation.

    The grace is not for work that begins: whoever asks must know that the work was under way when the peering ended.
    """
    if in_force(record, peering_epoch, wall):
        return True
    if record is None or record.status != "revoked" or record.revocation is None:
        return False
    # Revoking raised the epoch by one; what was in force up to then belongs to the one before.
    return record.revocation.phase == "draining" and wall < record.revocation.drain_until and record.peering_epoch == peering_epoch + 1
