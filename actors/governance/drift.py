"""Capability drift: what a peer declares and what it does are two things.

Lives here: the four conditions, pure. Must not live here: the flow of records itself (`actors.capability`).

A peer declares kinds of resources in its capabilities, which its heartbeats carry: as keys of the table, or in a list `resource_kinds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from actors.capability.declared import declared_kinds
from actors.capability.record import CapabilityRecord
from actors.findings import Finding, make
from actors.limits import CAPABILITY_CHANGES_PER_HOUR_MAX
from actors.peer.lifecycle import LIVE
from actors.peer.record import PeerEvidence, PeerRecord

KIND: Final = "peer_capability_drift"
REFUSED: Final = frozenset({"unknown_resource_kind", "resource_not_found", "not_found"})
"""What a peer answers about a kind that it does not have."""

HOUR_S: Final = 3_600.0


def scan_peer(record: PeerRecord, evidence: PeerEvidence | None, wall: float) -> Iterator[Finding]:
    """What the peer's own row shows: extensions without a word about them, and declarations that never rest."""
    if record.peer_kind != "platform" or record.status not in LIVE:
        return
    if record.extension_slugs and not record.capabilities:
        slugs = ", ".join(record.extension_slugs[:3])
        yield _drift(record, "extensions", f"it advertises extensions ({slugs}) and declares no capability")
    changes = [at for at in (evidence.capability_changes if evidence is not None else ()) if wall - at <= HOUR_S]
    if len(changes) > CAPABILITY_CHANGES_PER_HOUR_MAX:
        yield _drift(record, "restless", f"it has declared other capabilities {len(changes)} times within an hour")


def scan_capabilities(capabilities: Sequence[CapabilityRecord], peers: Sequence[PeerRecord]) -> tuple[Finding, ...]:
    """What the flow of records shows: kinds that are declared and refused, and those that are declared no more."""
    known = {peer.id: peer for peer in peers}
    found = []
    for capability in capabilities:
        peer = known.get(capability.federation_peer_id)
        if peer is None or peer.status not in LIVE:
            continue
        kind, declared = capability.resource_kind, declared_kinds(peer.capabilities)
        if kind in declared and capability.last_error in REFUSED:
            found.append(_drift(peer, f"refused {kind}", f"it declares {kind} and answers {capability.last_error} when asked for it"))
        elif capability.declared and kind not in declared:
            found.append(_drift(peer, f"withdrawn {kind}", f"{kind} is to flow, and it declares that kind no more"))
    return tuple(found)


def _drift(peer: PeerRecord, aspect: str, cause: str) -> Finding:
    context = {"account_id": peer.account_id, "remote_instance_url": peer.remote_instance_url, "status": peer.status}
    return make(KIND, peer.id, {**context, "aspect": aspect}, aspect=aspect, cause=cause)
