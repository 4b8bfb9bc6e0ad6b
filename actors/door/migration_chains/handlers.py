"""Calls about chains of migrations, of operators and of peers: from bodies to messages, and back to JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.door import cursors
from actors.door.grants.authorise import admitted_peer
from actors.door.migrations.federation import LIMIT, begun
from actors.inventory.registry import find
from actors.migration.steps import Header
from actors.migration_chain.actor import NOT_FOUND
from actors.migration_chain.lifecycle import UNDER_WAY
from actors.migration_chain.messages import ActOnChain, MakeChain, StartHop, WithdrawHop
from actors.migration_chain.record import CHAIN, HOP, MigrationChainRecord, Place, hop_id, shown
from actors.migration_chain.word import HopWord
from actors.peer.record import KIND as PEER
from runtime.actor import Ref
from runtime.errors import FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


# --- operators -------------------------------------------------------------------------------------------------------


def list_chains(door: Door, request: Request) -> None:
    conditions = [Condition("account_id", "=", request.account_id)]
    if request.query.get("status"):
        conditions.append(Condition("status", "in", tuple(request.query["status"])))
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    rows = door.engine.store.query(Query(CHAIN.name, (tuple(conditions),), after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    data = [shown(record, _places(door), whole=False) for record in page]
    request.ok(data, meta={"count": len(page), "next_cursor": following})


def get_chain(door: Door, request: Request) -> None:
    record = _own(door, request)
    request.ok({"migration_chain": shown(record, _places(door))}, version=record.version)


def plan_chain(door: Door, request: Request) -> None:
    body = request.body
    kind = find(body["root_resource_kind"])
    if kind is None or not kind.catalogued:
        raise FaultError(OperatorFault("unknown_resource_kind", "there is no such kind of resource here", 422))
    message = MakeChain(
        account_id=request.account_id,
        by=request.by,
        header=Header(operation=body["operation"], root_resource_kind=kind.kind, root_resource_id=body["root_resource_id"]),
        hop_peer_ids=tuple(body["hop_peer_ids"]),
        acknowledge_residency=body["acknowledge_residency"],
        mark=request.mark,
    )
    _shown(door, request, uuid7(request.wall, door.chance), message, status=201)


def act_on_chain(door: Door, request: Request, *, act: str) -> None:
    record = _own(door, request)
    _shown(door, request, record.id, ActOnChain(by=request.by, act=act, expected_version=request.expected_version(), mark=request.mark))


def _own(door: Door, request: Request) -> MigrationChainRecord:
    row = door.engine.directory.row(CHAIN.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(NOT_FOUND)
    record: MigrationChainRecord = row.record
    return record


def _places(door: Door) -> Callable[[str | None], Place]:
    def found(peer_id: str | None) -> Place:
        if peer_id is None:
            return door.settings.identity.instance_id, door.settings.identity.url
        row = door.engine.directory.row(PEER.name, peer_id)
        return (row.record.remote_instance_id, row.record.remote_instance_url) if row is not None else (None, None)

    return found


def _shown(door: Door, request: Request, id: str, message: Any, *, status: int = 200) -> None:
    def answered(outcome: MigrationChainRecord) -> None:
        request.ok({"migration_chain": shown(outcome, _places(door))}, status=status, version=outcome.version)

    door.relay(request, Ref(CHAIN.name, id), message, answered)


# --- peers -----------------------------------------------------------------------------------------------------------


def start_hop(door: Door, request: Request) -> None:
    """A peer wishes that a resource of ours moves on. The destination is named by its instance, and must be a peer of ours too."""
    body, header, allowed = begun(door, request, judged=False)
    peer = allowed.peer
    key = f"{peer.account_id} {body['destination_instance_id']}"
    destination = door.engine.directory.find(PEER.name, "instance", key)
    if destination is None:
        raise FaultError(OperatorFault("peer_not_found", "the destination is no peer of the holder", 404))
    message = StartHop(
        account_id=peer.account_id,
        chain_id=request.parameters["id"],
        number=int(request.parameters["number"]),
        attempt=body["attempt"],
        asker_peer_id=peer.id,
        grant_id=allowed.grant.id,
        header=header,
        destination_peer_id=destination,
        acknowledge_residency=bool(body.get("acknowledge_residency", False)),
    )
    _stands(door, request, peer.id, message)


def withdraw_hop(door: Door, request: Request) -> None:
    _stands(door, request, admitted_peer(door, request, LIMIT).id, WithdrawHop())


def _stands(door: Door, request: Request, asker: str, message: Any) -> None:
    if isinstance(message, WithdrawHop):
        door.read_body(request)

    def answered(word: HopWord) -> None:
        request.ok({"hop": word.to_json()}, status=202 if word.status in UNDER_WAY else 200)

    ref = Ref(HOP.name, hop_id(asker, request.parameters["id"], int(request.parameters["number"])))
    door.relay(request, ref, message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_migration_chains": list_chains,
    "get_migration_chain": get_chain,
    "plan_migration_chain": plan_chain,
    **{f"{act}_migration_chain": functools.partial(act_on_chain, act=act) for act in ("run", "advance", "cancel", "retry")},
    "federation_start_hop": start_hop,
    "federation_withdraw_hop": withdraw_hop,
}
