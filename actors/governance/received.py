"""What a scan finds in grants that peers gave us. Pure.

Lives here: the conditions of these findings. Must not live here: reading rows, or the notice by which an issuer tells of an end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.findings import Finding, make
from actors.peer.lifecycle import LIVE
from actors.peer.peer_events import OPERATOR_GRANT
from actors.peer.record import PeerRecord
from actors.peer.standing import in_force
from actors.peer.stewardship import is_parent
from actors.received_grant.record import ReceivedGrantRecord, usable


def scan_received(
    revoked: Sequence[ReceivedGrantRecord], held: Sequence[ReceivedGrantRecord], peers: Sequence[PeerRecord], wall: float
) -> tuple[Finding, ...]:
    """Grants that their issuer revoked within a peering that goes on, and in whose place we hold no other.

    Args:
        revoked: grants of which the issuer has said so.
        held: all that we hold of their issuers.
        wall: seconds since the epoch.
    """
    by_id = {peer.id: peer for peer in peers}
    found = []
    for record in revoked:
        peer = by_id.get(record.federation_peer_id)
        if not in_force(peer, record.peering_epoch, wall) or any(_replaces(other, record, peer, wall) for other in held):
            continue
        facts = {"grant_id": record.grant_id, "resource_kind": record.resource_kind, "scopes": ", ".join(record.permission_scopes)}
        context: dict[str, Any] = {"account_id": record.account_id, **facts}
        found.append(make("peer_grant_revoked", record.federation_peer_id, context, **facts))
    return tuple(found)


def scan_children(children: Sequence[PeerRecord], held: Sequence[ReceivedGrantRecord]) -> tuple[Finding, ...]:
    """Managed children that came without the grant by which their parent operates them.

    Args:
        children: see `managed`.
        held: all that they ever gave us.
    """
    given = {(record.federation_peer_id, record.peering_epoch) for record in held if record.resource_kind == OPERATOR_GRANT}
    return tuple(grant_missing(child) for child in children if (child.id, child.peering_epoch) not in given)


def grant_missing(child: PeerRecord) -> Finding:
    """That a managed child came without its grant."""
    return make("managed_child_grant_missing", child.id, {"account_id": child.account_id, "remote_instance_url": child.remote_instance_url})


def managed(peer: PeerRecord) -> bool:
    """Whether we are to operate this peer: a child in force that does not stand on its own."""
    return is_parent(peer) and peer.status in LIVE


def _replaces(other: ReceivedGrantRecord, record: ReceivedGrantRecord, peer: PeerRecord | None, wall: float) -> bool:
    """Whether one grant allows all that another allowed, and can be presented now."""
    return (
        other.federation_peer_id == record.federation_peer_id
        and other.resource_kind == record.resource_kind
        and other.resource_id in (None, record.resource_id)
        and set(record.permission_scopes) <= set(other.permission_scopes)
        and usable(other, peer, wall)
    )
