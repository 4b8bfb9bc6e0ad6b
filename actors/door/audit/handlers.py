"""Calls about shipments and excerpts: from queries and bodies to messages, and back to JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.audit_archive import excerpts
from actors.audit_archive.messages import ShipNow, Shipped
from actors.audit_archive.record import ARCHIVE, SHIPMENT
from actors.door import cursors, shapes
from actors.door.callers import admitted_caller
from actors.door.peers import own_row
from actors.limits import PAGE_MAX
from actors.peer.messages import AskExcerpts, ExcerptsRead
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from runtime.actor import Ref
from runtime.clock import iso
from runtime.errors import Fault, FaultError, RemoteFault
from runtime.store.port import Condition, Query
from runtime.values import as_dict

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def list_audit_shipments(door: Door, request: Request) -> None:
    peer: PeerRecord = own_row(door, request).record
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    mine = (Condition("federation_peer_id", "=", peer.id),)
    rows = door.engine.store.query(Query(SHIPMENT.name, (mine,), after_id=after, limit=limit + 1))
    following = cursors.encode(rows[limit - 1].record.id) if len(rows) > limit else None
    page = [row.record.to_json() for row in rows[:limit]]
    request.ok(page, meta={"count": len(page), "next_cursor": following})


def ship_audit(door: Door, request: Request) -> None:
    def answered(outcome: Shipped) -> None:
        request.ok(as_dict(outcome))

    door.relay(request, Ref(ARCHIVE.name, request.account_id), ShipNow(request.by), answered)


def request_audit_excerpts(door: Door, request: Request) -> None:
    peer: PeerRecord = own_row(door, request).record
    asked = _window(request.body, request.wall)
    message = AskExcerpts(request.by, asked.since, asked.until, request.body["limit"], request.body["cursor"])
    door.relay(request, Ref(PEER.name, peer.id), message, request.ok)


def federation_audit_excerpts(door: Door, request: Request) -> None:
    """The caller's own part of our trail; the look is an entry of it before anything is shown."""
    admitted = admitted_caller(door, request, "audit_excerpts_per_peer", "exchange")
    record = admitted.record
    if record.status != "active":
        request.fail(RemoteFault("peer_not_active", "excerpts are for active peers", 403))
        return
    query = shapes.read_query(request.route.query, request.call.query)
    asked = _window(query, request.wall)

    def answered(outcome: Any) -> None:
        entries, following = excerpts.read(
            lambda after, limit: door.engine.store.audit(record.id, after, limit), asked, query["cursor"], query["limit"]
        )
        mine = (Condition("federation_peer_id", "=", record.id),)
        rows = door.engine.store.query(Query(SHIPMENT.name, (mine,), limit=PAGE_MAX))
        request.ok(
            {
                "peer_id": record.id,
                "window": {"since": iso(asked.since), "until": iso(asked.until)},
                "events": [excerpts.shown(entry) for entry in entries],
                "shipments": [excerpts.shown_shipment(row.record) for row in rows],
                "count": len(entries),
                "next_cursor": following,
            }
        )

    door.relay(request, Ref(PEER.name, record.id), ExcerptsRead(asked.since, asked.until), answered)


def _window(given: Mapping[str, Any], wall: float) -> excerpts.Window:
    asked = excerpts.window(given.get("since"), given.get("until"), wall)
    if isinstance(asked, Fault):
        raise FaultError(asked)
    return asked


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_audit_shipments": list_audit_shipments,
    "ship_audit": ship_audit,
    "request_audit_excerpts": request_audit_excerpts,
    "federation_audit_excerpts": federation_audit_excerpts,
}
