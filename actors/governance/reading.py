"""What a scan reads beside the rows of peers: one function for the periodic scan and for the fresh one that an operator asks for.

Lives here: queries. Must not live here: a condition of a finding (see `scanner`, `drift`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actors.audit_archive.record import PRUNING, SHIPMENT
from actors.bridge.record import KIND as BRIDGE
from actors.capability.record import KIND as CAPABILITY
from actors.findings import Finding
from actors.governance import drift, received, scanner
from actors.grant.record import KIND as GRANT
from actors.hub.lifecycle import SIDES
from actors.hub.record import KIND as HUB
from actors.limits import FINDINGS_OPEN_MAX
from actors.migration_chain.record import CHAIN
from actors.peer.record import PeerRecord
from actors.received_grant.record import KIND as RECEIVED_GRANT
from actors.received_grant.record import of_peer
from actors.settings import Settings
from actors.wall_clock.record import KIND as WALL_CLOCK
from runtime.store.port import Condition, Query, Row

Read = Callable[[Query], list[Row]]
ReadOne = Callable[[str, str], Row | None]


def scan_across(
    read: Read, one: ReadOne, account_id: str, peers: Sequence[PeerRecord], settings: Settings, wall: float
) -> tuple[Finding, ...]:
    """What the other rows of an account show, given its peers that are not past; `one` reads the row of a kind and an id."""
    here = Condition("account_id", "=", account_id)

    def records(kind: str, *alternatives: tuple[Condition, ...]) -> list[Any]:
        return [row.record for row in read(Query(kind, tuple((here, *each) for each in alternatives), limit=FINDINGS_OPEN_MAX))]

    bridges = records(BRIDGE.name, (Condition("state", "=", "active"),))
    shipments = records(SHIPMENT.name, (Condition("state", "=", "failed"),))
    pruning = one(PRUNING.name, account_id)
    clock = one(WALL_CLOCK.name, settings.identity.instance_id)
    grants = records(GRANT.name, (Condition("corrupt", "=", 1),), (Condition("wide", "=", 1),))
    chains = records(CHAIN.name, (Condition("stalled", "=", 1),), (Condition("status", "=", "failed"),))
    capabilities = records(CAPABILITY.name, (Condition("open_peer_id", "not null"),))
    taken = records(RECEIVED_GRANT.name, (Condition("revoked_by_peer_id", "not null"),))
    held = [row.record for id in dict.fromkeys(record.federation_peer_id for record in taken) for row in read(of_peer(id))]
    children = [peer for peer in peers if received.managed(peer)]
    given = [row.record for child in children for row in read(of_peer(child.id))]
    permitted = tuple((here, Condition(side, "=", "permitted")) for side in SIDES)
    hubs = read(Query(HUB.name, permitted, limit=FINDINGS_OPEN_MAX))
    found = (
        *scanner.scan_across(peers, settings),
        *scanner.scan_bridges(bridges, peers),
        *scanner.scan_shipments(shipments),
        *scanner.scan_pruning(pruning.record if pruning is not None else None),
        *scanner.scan_clock(clock.record if clock is not None else None, account_id, settings.identity.boot_epoch),
        *scanner.scan_grants(grants, wall),
        *scanner.scan_chains(chains, wall),
        *received.scan_received(taken, held, peers, wall),
        *received.scan_children(children, given),
        *scanner.scan_hubs(hubs, peers, settings, wall),
        *drift.scan_capabilities(capabilities, peers),
    )
    return scanner.with_peers(found, peers)
