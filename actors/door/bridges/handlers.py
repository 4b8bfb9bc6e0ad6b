"""Operators' calls about bridges: from bodies to messages of the bridge's actor, and back to JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.bridge.lifecycle import TRIGGERS, Trigger
from actors.bridge.messages import Create, Step, Update
from actors.bridge.record import KIND, BridgeRecord, pair, to_json
from actors.door import cursors
from actors.door.peers import own_row_of_any_kind
from actors.peer.record import PeerRecord
from runtime.actor import Ref
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def own_bridge(door: Door, request: Request) -> tuple[BridgeRecord, PeerRecord]:
    """The bridge that the path names, with its peer.

    Raises:
        FaultError: `not_found`, also for a bridge of another peer or account.
    """
    peer: PeerRecord = own_row_of_any_kind(door, request).record
    row = door.engine.directory.row(KIND.name, request.parameters["bridge_id"])
    if row is None or row.record.federation_peer_id != peer.id:
        raise FaultError(OperatorFault("not_found", "there is no such bridge", 404))
    return row.record, peer


def list_bridges(door: Door, request: Request) -> None:
    peer: PeerRecord = own_row_of_any_kind(door, request).record
    conditions = [Condition("federation_peer_id", "=", peer.id)]
    if request.query.get("state"):
        conditions.append(Condition("state", "in", tuple(request.query["state"])))
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    rows = door.engine.store.query(Query(KIND.name, (tuple(conditions),), after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    request.ok([to_json(record, peer) for record in page], meta={"count": len(page), "next_cursor": following})


def get_bridge(door: Door, request: Request) -> None:
    record, peer = own_bridge(door, request)
    request.ok({"bridge": to_json(record, peer)}, version=record.version)


def create_bridge(door: Door, request: Request) -> None:
    peer: PeerRecord = own_row_of_any_kind(door, request).record
    network_id = request.body["sdwan_network_id"]
    message = Create(
        account_id=request.account_id,
        by=request.by,
        federation_peer_id=peer.id,
        sdwan_network_id=network_id,
        metadata=request.body.get("metadata") or {},
        mark=request.mark,
    )

    def answered(outcome: BridgeRecord) -> None:
        request.ok({"bridge": to_json(outcome, _peer(door, request))}, status=201)

    def refused(fault: Fault) -> Fault:
        if fault.code != "bridge_exists":
            return fault
        existing = door.engine.directory.find(KIND.name, "pair", pair(peer.id, network_id, peer.peering_epoch))
        return OperatorFault("bridge_exists", "there is a bridge between this peer and this network already", 409, {"bridge_id": existing})

    door.relay(request, Ref(KIND.name, uuid7(request.wall, door.chance)), message, answered, refused=refused)


def update_bridge(door: Door, request: Request) -> None:
    record, _ = own_bridge(door, request)
    _shown(door, request, record.id, Update(request.by, request.body["metadata"], request.expected_version(), request.mark))


def step_bridge(door: Door, request: Request, *, trigger: Trigger) -> None:
    record, _ = own_bridge(door, request)
    reason, expected = request.body.get("reason"), request.expected_version()
    _shown(door, request, record.id, Step(by=request.by, trigger=trigger, reason=reason, expected_version=expected, mark=request.mark))


def _shown(door: Door, request: Request, bridge_id: str, message: Any) -> None:
    def answered(outcome: BridgeRecord) -> None:
        request.ok({"bridge": to_json(outcome, _peer(door, request))}, version=outcome.version)

    door.relay(request, Ref(KIND.name, bridge_id), message, answered)


def _peer(door: Door, request: Request) -> PeerRecord:
    peer: PeerRecord = own_row_of_any_kind(door, request).record
    return peer


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_bridges": list_bridges,
    "get_bridge": get_bridge,
    "create_bridge": create_bridge,
    "update_bridge": update_bridge,
    **{f"{trigger}_bridge": functools.partial(step_bridge, trigger=trigger) for trigger in TRIGGERS},
}
