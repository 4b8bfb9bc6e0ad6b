"""Calls about shipments and excerpts: from queries and bodies to messages, and back to JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.audit_archive import excerpts
from actors.audit_archive.chains import Chain, chain_of, following
from actors.audit_archive.messages import Pruned, PruneNow, ShipNow, Shipped
from actors.audit_archive.record import ARCHIVE, PRUNING, SHIPMENT, latest_shipment
from actors.door import cursors, shapes
from actors.door.callers import admitted_caller
from actors.door.peers import complete_from, own_row, show_audit_log
from actors.limits import PAGE_MAX
from actors.peer.messages import AskExcerpts, ExcerptsRead
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from runtime.actor import Ref
from runtime.clock import iso
from runtime.errors import Fault, FaultError, OperatorFault, RemoteFault
from runtime.store.port import Condition, Query, Store
from runtime.values import as_dict

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def list_audit_chains(door: Door, request: Request) -> None:
    """What has never had an entry is left out, except peers: each of them must have a chain."""
    store, limit = door.engine.store, request.query["limit"]
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    found = following(store.query_ids, request.account_id, door.settings.identity.instance_id, after, limit + 1)
    data = [shown for chain in found[:limit] if (shown := _shown_chain(store, chain)) is not None]
    request.ok(data, meta={"count": len(data), "next_cursor": cursors.encode(found[limit - 1].id) if len(found) > limit else None})


def _shown_chain(store: Store, chain: Chain) -> dict[str, Any] | None:
    head = store.audit_head(chain.id)
    if head is None and chain.kind != "peer":
        return None
    shipped = latest_shipment(store.query, chain.id, Condition("state", "=", "verified"))
    pruned = store.audit_pruned(chain.id)
    return {
        "id": chain.id,
        "kind": chain.kind,
        "federation_peer_id": chain.id if chain.kind == "peer" else None,
        "entry_count": 0 if head is None else head.sequence,
        "head_hash": None if head is None else head.hash,
        "last_at": None if head is None else iso(head.at),
        "pruned_up_to": 0 if pruned is None else pruned.sequence,
        "pruned_hash": None if pruned is None else pruned.hash,
        "shipped_up_to": 0 if shipped is None else shipped.last_sequence,
    }


def _own_chain(door: Door, request: Request) -> Chain:
    found = chain_of(door.engine.directory.row, request.account_id, door.settings.identity.instance_id, request.parameters["id"])
    if found is None:
        raise FaultError(OperatorFault("not_found", "there is no such audit chain", 404))
    return found


def list_audit_entries(door: Door, request: Request) -> None:
    show_audit_log(door, request, _own_chain(door, request).id, named="chain")


def list_chain_shipments(door: Door, request: Request) -> None:
    _list_shipments(door, request, _own_chain(door, request).id)


def list_audit_shipments(door: Door, request: Request) -> None:
    peer: PeerRecord = own_row(door, request).record
    _list_shipments(door, request, peer.id)


def _list_shipments(door: Door, request: Request, chain: str) -> None:
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    mine = (Condition("chain", "=", chain),)
    rows = door.engine.store.query(Query(SHIPMENT.name, (mine,), after_id=after, limit=limit + 1))
    following = cursors.encode(rows[limit - 1].record.id) if len(rows) > limit else None
    page = [row.record.to_json() for row in rows[:limit]]
    request.ok(page, meta={"count": len(page), "next_cursor": following})


def ship_audit(door: Door, request: Request) -> None:
    def answered(outcome: Shipped) -> None:
        request.ok(as_dict(outcome))

    door.relay(request, Ref(ARCHIVE.name, request.account_id), ShipNow(request.by), answered)


def prune_audit(door: Door, request: Request) -> None:
    def answered(outcome: Pruned) -> None:
        request.ok(as_dict(outcome))

    message = PruneNow(request.by, request.body["dry_run"], request.body["limit"])
    door.relay(request, Ref(PRUNING.name, request.account_id), message, answered)


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
        mine = (Condition("chain", "=", record.id),)
        rows = door.engine.store.query(Query(SHIPMENT.name, (mine,), limit=PAGE_MAX))
        request.ok(
            {
                "peer_id": record.id,
                "window": {"since": iso(asked.since), "until": iso(asked.until)},
                "events": [excerpts.shown(entry) for entry in entries],
                "shipments": [excerpts.shown_shipment(row.record) for row in rows],
                "count": len(entries),
                "complete_from": complete_from(door, record.id),
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
    "list_audit_chains": list_audit_chains,
    "list_audit_entries": list_audit_entries,
    "list_chain_shipments": list_chain_shipments,
    "list_audit_shipments": list_audit_shipments,
    "ship_audit": ship_audit,
    "prune_audit": prune_audit,
    "request_audit_excerpts": request_audit_excerpts,
    "federation_audit_excerpts": federation_audit_excerpts,
}
