"""What a peer's row means for its grants: the facts that the chain reads, and whether a grant has effect now. Pure.

Must not live here: why a peer has its status (see `actors.peer.lifecycle`), or the state of a grant (see `lifecycle`).
"""

from __future__ import annotations

from actors.grant import lifecycle
from actors.grant.chain import PeerFacts
from actors.grant.record import GrantRecord
from actors.peer.record import PeerRecord
from actors.peer.standing import PEER_NOT_FOUND, in_force
from runtime.errors import Fault, OperatorFault


def facts(peer: PeerRecord) -> PeerFacts:
    """What the chain must know of a peer."""
    return PeerFacts(peer.id, peer.peering_epoch, peer.overlay_only)


def effective(grant: GrantRecord, peer: PeerRecord | None, wall: float, *, frozen: bool = False) -> bool:
    """Whether a call under this grant could be served now; while trust is `frozen` none is."""
    if frozen or peer is None or peer.id != grant.federation_peer_id or not in_force(peer, grant.peering_epoch, wall):
        return False
    return lifecycle.state(grant, wall) == "active" and not grant.corrupt


def issue_fault(peer: PeerRecord | None, account_id: str) -> Fault | None:
    """Why this peer gets no grant now, or None."""
    if peer is None or peer.account_id != account_id or peer.peer_kind != "platform":
        return PEER_NOT_FOUND
    if peer.status == "revoked":
        return OperatorFault("peer_revoked", "this peering has ended; grants need a new one", 409)
    if peer.status in ("proposed", "suspended"):
        return OperatorFault("peer_not_ready", f"the peer is {peer.status}; grants need an accepted peering", 409, {"status": peer.status})
    return None
