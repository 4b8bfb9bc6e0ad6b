"""One bridge: a peer and one of our overlay networks, and whether the two meet.

Lives here: the record, its unique key, its forms, and the questions that others ask about bridges. Must not live here: which step is
allowed (see `lifecycle`) or who may take it (the door).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.bridge import lifecycle
from actors.bridge.lifecycle import State
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from runtime.clock import iso, iso_or_none
from runtime.directory import Directory
from runtime.store.port import Kind


@attrs.frozen(kw_only=True)
class BridgeRecord:
    """One bridge. Times are seconds since the epoch.

    Attributes:
        peering_epoch: the peer's epoch in which the bridge was made; in any other it counts as revoked.
        state: what operators decided; see `lifecycle.effective` for what it amounts to.
    """

    id: str
    version: int = 0
    account_id: str
    federation_peer_id: str
    sdwan_network_id: str
    peering_epoch: int
    state: State = "proposed"
    proposed_at: float
    activated_at: float | None = None
    suspended_at: float | None = None
    revoked_at: float | None = None
    suspension_reason: str | None = None
    revocation_reason: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    created_by: str | None = None
    updated_at: float


def pair(peer_id: str, network_id: str, epoch: int) -> str:
    """The unique key of a bridge that is not revoked."""
    return f"{peer_id} {network_id} {epoch}"


KIND = Kind(
    name="bridge",
    record=BridgeRecord,
    columns={"account_id": "text", "federation_peer_id": "text", "sdwan_network_id": "text", "state": "text", "open_peer_id": "text"},
    project=lambda record: {
        "account_id": record.account_id,
        "federation_peer_id": record.federation_peer_id,
        "sdwan_network_id": record.sdwan_network_id,
        "state": record.state,
        "open_peer_id": record.federation_peer_id if record.state != "revoked" else None,
    },
    unique={"pair": "bridge_exists"},
    keys=lambda record: {
        "pair": pair(record.federation_peer_id, record.sdwan_network_id, record.peering_epoch) if record.state != "revoked" else None
    },
)


def effective_state(record: BridgeRecord, peer: PeerRecord | None) -> State:
    """What the bridge amounts to, given its peer."""
    if peer is None:
        return "revoked"
    return lifecycle.effective(record.state, record.peering_epoch, peer.status, peer.peering_epoch)


def active_bridge(directory: Directory, peer_id: str, network_id: str) -> BridgeRecord | None:
    """The bridge by which this network is open to this peer at this moment, or None."""
    row = directory.row(PEER.name, peer_id)
    if row is None:
        return None
    found = directory.find(KIND.name, "pair", pair(peer_id, network_id, row.record.peering_epoch))
    bridge = directory.row(KIND.name, found) if found is not None else None
    if bridge is None or effective_state(bridge.record, row.record) != "active":
        return None
    record: BridgeRecord = bridge.record
    return record


def to_json(record: BridgeRecord, peer: PeerRecord | None) -> dict[str, Any]:
    """The form of the operator surface."""
    amounts_to = effective_state(record, peer)
    return {
        "id": record.id,
        "federation_peer_id": record.federation_peer_id,
        "sdwan_network_id": record.sdwan_network_id,
        "state": record.state,
        "effective_state": amounts_to,
        "effective": amounts_to == "active",
        "allowed_transitions": list(lifecycle.allowed(record.state)) if amounts_to != "revoked" else [],
        "proposed_at": iso(record.proposed_at),
        "activated_at": iso_or_none(record.activated_at),
        "suspended_at": iso_or_none(record.suspended_at),
        "suspension_reason": record.suspension_reason,
        "revoked_at": iso_or_none(record.revoked_at),
        "revocation_reason": record.revocation_reason,
        "metadata": dict(record.metadata),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }
