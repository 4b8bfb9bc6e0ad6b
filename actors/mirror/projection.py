"""Mirrors as JSON, with how fresh they are.

Lives here: the form, and what keeps one mirror fresh as of now. Must not live here: a choice of mirrors.
"""

from __future__ import annotations

from typing import Any

from actors.grant import lifecycle
from actors.grant.record import KIND as GRANT
from actors.mirror.record import MirrorRecord, Upkeep, confirmed_at, is_stale
from actors.mirror.shelf import CAPABILITY
from actors.peer.record import KIND as PEER
from actors.peer.standing import in_force
from runtime.clock import iso
from runtime.directory import Directory


def upkeep_of(directory: Directory, record: MirrorRecord, wall: float) -> Upkeep:
    """What keeps a mirror fresh.

    A pulled one is confirmed by each completed pass of its capability. A pushed one is confirmed by contact with its home, which would tell
    of a change, as long as our grant lets it.
    """
    row = directory.row(PEER.name, record.origin_peer_id)
    peer = row.record if row is not None else None
    if record.source == "pull":
        found = directory.row(CAPABILITY, record.capability_id) if record.capability_id is not None else None
        if found is None or peer is None:
            return Upkeep(confirmed_at=None, in_force=False)
        capability = found.record
        going_on = capability.open and in_force(peer, peer.peering_epoch, wall)
        completed_at = capability.pull.completed_at
        return Upkeep(confirmed_at=completed_at, interval_s=capability.interval_seconds, in_force=going_on)
    granted = directory.row(GRANT.name, record.grant_id) if record.grant_id is not None else None
    if granted is None or peer is None:
        return Upkeep(confirmed_at=None, in_force=False)
    grant = granted.record
    lets = lifecycle.state(grant, wall) == "active" and in_force(peer, grant.peering_epoch, wall)
    evidence = row.evidence if row is not None else None
    return Upkeep(confirmed_at=evidence.last_heartbeat_at if evidence is not None else None, in_force=lets)


def to_json(record: MirrorRecord, upkeep: Upkeep, wall: float) -> dict[str, Any]:
    """The form of the operator surface."""
    observed_at = confirmed_at(record, upkeep)
    return {
        "id": record.id,
        "origin_peer_id": record.origin_peer_id,
        "origin_id": record.origin_id,
        "kind": record.kind,
        "attributes": dict(record.attributes),
        "etag": record.etag,
        "origin_updated_at": iso(record.moment.updated_at),
        "observed_at": iso(observed_at),
        "age_seconds": round(max(0.0, wall - observed_at), 3),
        "stale": is_stale(record, upkeep, wall),
        "source": record.source,
        "capability_id": record.capability_id,
        "read_only": True,
    }
