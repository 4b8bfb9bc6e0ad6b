"""Operators' calls about peers on the overlay's surface: from bodies to messages of the peer actor.

Lives here: one function per route, and who may call it on which kind of row. Must not live here: the form of the answers, which the routes
make of what the platform's surface would say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.continuity.record import FROZEN_HERE
from actors.door import cursors
from actors.door.bridges import proposal as bridges
from actors.door.overlay_peers.bodies import misplaced
from actors.door.peers import (
    accept_with,
    change,
    check_metadata,
    check_remote_url,
    own_row_of_any_kind,
    propose,
    relay_shown,
    show_audit_log,
    shown_in_full,
)
from actors.door.request import Request
from actors.door.route import PEERS_INVITE, PEERS_MANAGE, PEERS_READ
from actors.door.shapes import refuse
from actors.peer import projection
from actors.peer.messages import AcceptOverlay, Propose, ResumePeering, Revoke, Suspend, Update
from actors.peer.operator_side import update_fault
from actors.peer.record import KIND
from actors.peer.steps import invalid_transition
from runtime.errors import FaultError, OperatorFault
from runtime.store.port import Condition, Query, Row

if TYPE_CHECKING:
    from actors.door.door import Door

_TOKEN_REQUIRED = OperatorFault("acceptance_token_required", "an acceptance token is needed", 422, {"field": "acceptance_token"})


def admitted_row(door: Door, request: Request, permission: str) -> Row:
    """The peer that the path names, if the caller may do to a row of its kind what needs `permission` on the platform's surface.

    Raises:
        FaultError: `not_found` or `forbidden`.
    """
    row = own_row_of_any_kind(door, request)
    if row.record.peer_kind == "platform":
        assert request.claims is not None
        door.require(request.claims, permission)
    return row


def list_overlay_peers(door: Door, request: Request) -> None:
    """Peers of the kinds that the caller may see, newest first. Reads committed rows only; no actor is woken."""
    assert request.claims is not None
    query, settings = request.query, door.settings
    common = [Condition("account_id", "=", request.account_id)]
    if query.get("peer_kind"):
        common.append(Condition("peer_kind", "=", query["peer_kind"]))
    if not door.permits(request.claims, PEERS_READ):
        common.append(Condition("peer_kind", "=", "sdwan_only"))
    alternatives: tuple[tuple[Condition, ...], ...] = ((),)
    if query.get("status"):
        alternatives = projection.status_conditions(query["status"], request.wall, settings.federation.stale_after_s)
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    limit = query["limit"]
    any_of = tuple((*common, *alternative) for alternative in alternatives)
    rows = door.engine.store.query(Query(KIND.name, any_of, newest_first=True, after_id=after, limit=limit + 1))
    page = [door.engine.directory.freshest(KIND.name, row) for row in rows[:limit]]
    data = [projection.overlay_summary(row.record, row.evidence, settings, request.wall) for row in page]
    if query.get("status"):
        # Evidence that has not been flushed yet may have moved a row; what it reads as now decides.
        data = [summary for summary in data if summary["status"] in query["status"]]
    more = len(rows) > limit
    request.ok(data, meta={"count": len(data), "next_cursor": cursors.encode(page[-1].record.id) if more else None})


def get_overlay_peer(door: Door, request: Request) -> None:
    row = admitted_row(door, request, PEERS_READ)
    request.ok({"peer": shown_in_full(door, row)}, version=row.record.version)


def propose_overlay_peer(door: Door, request: Request) -> None:
    body = request.body["federation_peer"]
    check_remote_url(door, body["remote_instance_url"])
    check_metadata(body.get("metadata") or {})
    network_id = body.get("sdwan_network_id")
    if network_id is not None:
        bridges.own_network(door, request, network_id)
    door.limit("propose_per_operator", request.by or "", request.now)
    message = Propose(
        account_id=request.account_id,
        by=request.by,
        url=body["remote_instance_url"],
        pairing=None,
        token_ttl_s=body.get("token_ttl_seconds") or door.settings.federation.token_ttl_s,
        prefix=body.get("remote_prefix_advertisement"),
        remote_account_id=body.get("remote_account_id"),
        metadata=body.get("metadata") or {},
        mark=request.mark,
    )
    propose(door, request, message, network_id)


def update_overlay_peer(door: Door, request: Request) -> None:
    problems = list(misplaced(request.body))
    if problems:
        refuse(problems)
    changes = dict(request.body["federation_peer"])
    target = changes.pop("status", None)
    if target is None:
        row = admitted_row(door, request, PEERS_MANAGE)
        if "data_residency" in changes:
            # It waits, and is carried out only for somebody who may decide it for any peer.
            assert request.claims is not None
            door.require(request.claims, PEERS_MANAGE)
        change(door, request, row, changes)
        return
    row = own_row_of_any_kind(door, request)
    accepts = target == "accepted" and row.record.status != "suspended"
    row = admitted_row(door, request, PEERS_INVITE if accepts else PEERS_MANAGE)
    _check_version(request, row)
    token = request.body.get("acceptance_token") or changes.get("acceptance_token")
    if target == "accepted":
        door.refuse_while_frozen(FROZEN_HERE)
    if accepts:
        _accept(door, request, row, token)
        return
    if token is not None:
        raise FaultError(OperatorFault("status_not_alone", "a token only goes with the acceptance of a proposed peer", 422))
    _step(door, request, row, target, changes.get("reason"))


def _check_version(request: Request, row: Row) -> None:
    fault = update_fault(row.record, Update(request.by, {}, request.expected_version()))
    if fault is not None:
        raise FaultError(fault)


def _accept(door: Door, request: Request, row: Row, token: Any) -> None:
    if token is None:
        raise FaultError(_TOKEN_REQUIRED if row.record.status == "proposed" else invalid_transition(row.record, "accepted"))
    if row.record.peer_kind == "platform":
        accept_with(door, request, row, token)
    else:
        relay_shown(door, request, row.record.id, AcceptOverlay(request.by, token, request.mark))


def _step(door: Door, request: Request, row: Row, target: str, reason: str | None) -> None:
    by, mark = request.by, request.mark
    message: Any
    if target == "accepted":
        message = ResumePeering(by, reason, mark)
    elif target == "suspended":
        message = Suspend(by, reason, mark)
    elif target == "revoked":
        message = Revoke(by, reason, False, mark)
    else:
        # The others come with evidence, on nobody's word.
        raise FaultError(invalid_transition(row.record, target))
    relay_shown(door, request, row.record.id, message)


def delete_overlay_peer(door: Door, request: Request) -> None:
    row = admitted_row(door, request, PEERS_MANAGE)
    _check_version(request, row)
    relay_shown(door, request, row.record.id, Revoke(request.by, None, False, request.mark))


def revoke_overlay_peer(door: Door, request: Request) -> None:
    row = admitted_row(door, request, PEERS_MANAGE)
    message = Revoke(request.by, request.body.get("reason"), bool(request.body.get("immediate")), request.mark)
    relay_shown(door, request, row.record.id, message)


def list_overlay_peer_audit_log(door: Door, request: Request) -> None:
    show_audit_log(door, request, own_row_of_any_kind(door, request).record.id)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_overlay_peers": list_overlay_peers,
    "get_overlay_peer": get_overlay_peer,
    "propose_overlay_peer": propose_overlay_peer,
    "update_overlay_peer": update_overlay_peer,
    "delete_overlay_peer": delete_overlay_peer,
    "revoke_overlay_peer": revoke_overlay_peer,
    "list_overlay_peer_audit_log": list_overlay_peer_audit_log,
}
