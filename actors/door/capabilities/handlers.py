"""Operators' calls about capabilities and mirrors: from bodies to messages of their actors, and back to JSON.

Lives here: one function per route. Must not live here: what peers bring (`federation`), or a way to write a mirror: there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.capability import filters
from actors.capability.actor import NOT_FOUND
from actors.capability.messages import Create, Delete, Synced, SyncNow, Update
from actors.capability.record import KIND, CapabilityRecord, shown_of, to_json
from actors.door import cursors
from actors.door.grants.handlers import own_peer
from actors.door.resources.federation import unknown_kind
from actors.inventory.kind import ResourceKind
from actors.inventory.registry import find
from actors.mirror.projection import to_json as mirror_to_json
from actors.mirror.projection import upkeep_of
from actors.mirror.record import KIND as MIRROR
from actors.mirror.record import MirrorRecord, Upkeep, shelf_of_kind
from actors.peer.record import KIND as PEER
from actors.problems import Problem, refusal
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Ref
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request

SCANNED_MAX = 2_000
"""Mirrors looked through for one page at most."""


def flowing_kind(name: str) -> ResourceKind:
    """The kind of a capability.

    Raises:
        FaultError: `unknown_resource_kind` or `reserved_resource_kind`.
    """
    kind = find(name)
    if kind is None:
        raise FaultError(unknown_kind())
    if kind.reserved or not kind.catalogued or not kind.listable or not kind.mirrorable:
        raise FaultError(OperatorFault("reserved_resource_kind", "records of this kind do not flow", 422, {"field": "resource_kind"}))
    return kind


def own_capability(door: Door, request: Request) -> CapabilityRecord:
    """The capability that the path names, of the peer that it names.

    Raises:
        FaultError: `peer_not_found` or `not_found`.
    """
    peer = own_peer(door, request)
    row = door.engine.directory.row(KIND.name, request.parameters["capability_id"])
    if row is None or row.record.federation_peer_id != peer.id or row.record.going:
        raise FaultError(NOT_FOUND)
    record: CapabilityRecord = row.record
    return record


def list_capabilities(door: Door, request: Request) -> None:
    peer = own_peer(door, request)
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    rows = door.engine.store.query(shown_of(peer.id, after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    request.ok([to_json(record, request.wall) for record in page], meta={"count": len(page), "next_cursor": following})


def get_capability(door: Door, request: Request) -> None:
    record = own_capability(door, request)
    request.ok({"capability": to_json(record, request.wall)}, version=record.version)


def create_capability(door: Door, request: Request) -> None:
    peer, body = own_peer(door, request), request.body
    kind = flowing_kind(body["resource_kind"])
    _check_filter(kind, body["filter"])
    message = Create(
        account_id=request.account_id,
        by=request.by,
        peer_id=peer.id,
        resource_kind=kind.kind,
        direction=body["direction"],
        policy=body["policy"],
        filter=body["filter"],
        interval_seconds=body["interval_seconds"],
        acknowledge_residency=body["acknowledge_residency"],
        mark=request.mark,
    )

    def answered(outcome: CapabilityRecord) -> None:
        request.ok({"capability": to_json(outcome, request.wall)}, status=201)

    def refused(fault: Fault) -> Fault:
        if fault.code != "capability_exists":
            return fault
        return OperatorFault("capability_exists", "records of this kind flow in this direction already; change that capability", 409)

    door.relay(request, Ref(KIND.name, uuid7(request.wall, door.chance)), message, answered, refused=refused)


def _check_filter(kind: ResourceKind, value: Mapping[str, Any]) -> None:
    problems: list[Problem] = []
    if filters.read(kind, value, problems) is None:
        raise FaultError(refusal(problems))


def update_capability(door: Door, request: Request) -> None:
    record = own_capability(door, request)
    changes = dict(request.body)
    kind = find(record.resource_kind)
    if "filter" in changes and kind is not None:
        _check_filter(kind, changes["filter"])

    def answered(outcome: CapabilityRecord) -> None:
        request.ok({"capability": to_json(outcome, request.wall)}, version=outcome.version)

    message = Update(by=request.by, changes=changes, expected_version=request.expected_version(), mark=request.mark)
    door.relay(request, Ref(KIND.name, record.id), message, answered)


def delete_capability(door: Door, request: Request) -> None:
    record = own_capability(door, request)

    def answered(outcome: CapabilityRecord) -> None:
        request.ok({"id": outcome.id, "deleted": True})

    message = Delete(by=request.by, expected_version=request.expected_version(), mark=request.mark)
    door.relay(request, Ref(KIND.name, record.id), message, answered)


def sync_capability(door: Door, request: Request) -> None:
    record = own_capability(door, request)

    def answered(outcome: Synced) -> None:
        shown = to_json(outcome.record, door.engine.clock.wall())
        request.ok({"capability": shown, "running": outcome.running, "written": outcome.written, "dropped": outcome.dropped})

    door.relay(request, Ref(KIND.name, record.id), SyncNow(by=request.by, full=request.body["full"]), answered)


def sync_capabilities(door: Door, request: Request) -> None:
    """Ask every capability for a pass, and gather what they say."""
    wanted = [Condition("account_id", "=", request.account_id)]
    peer_id = request.body.get("peer_id")
    if peer_id is not None:
        row = door.engine.directory.row(PEER.name, peer_id)
        if row is None or row.record.account_id != request.account_id:
            raise FaultError(OperatorFault("peer_not_found", "there is no such platform peer", 404))
        wanted.append(Condition("federation_peer_id", "=", peer_id))
    sweep(door, request, tuple(wanted))


def sweep(door: Door, request: Request, of: tuple[Condition, ...]) -> None:
    """Ask every open capability of which these conditions hold for a pass, and answer with what they say."""
    wanted = (*of, Condition("open_peer_id", "not null"))
    records = [row.record for row in door.engine.store.query(Query(KIND.name, (wanted,), newest_first=False)) if row.record.legs]
    failures: list[dict[str, Any]] = []
    left = len(records)

    def finish() -> None:
        failures.sort(key=lambda failure: str(failure["capability_id"]))
        told = {"swept": len(records), "synced": len(records) - len(failures), "failed": len(failures), "failures": failures}
        request.ok(told)

    def one(record: CapabilityRecord) -> Callable[[Any], None]:
        def done(outcome: Any) -> None:
            nonlocal left
            left -= 1
            if isinstance(outcome, Fault):
                about = {"capability_id": record.id, "federation_peer_id": record.federation_peer_id, "resource_kind": record.resource_kind}
                failures.append({**about, "code": outcome.code, "message": outcome.message})
            if left == 0:
                finish()

        return done

    if not records:
        finish()
    for record in records:
        door.engine.ask(Ref(KIND.name, record.id), SyncNow(by=request.by), door.deadline_s, one(record))


# --- mirrors --------------------------------------------------------------------------------------------------------


def list_mirrors(door: Door, request: Request) -> None:
    query = request.query
    conditions = [Condition("account_id", "=", request.account_id)]
    kind = find(query["kind"]) if query.get("kind") else None
    if query.get("kind") and kind is None:
        raise FaultError(unknown_kind())
    if kind is not None and query.get("peer_id"):
        conditions.append(Condition("peer_kind", "=", shelf_of_kind(query["peer_id"], kind.kind)))
    elif kind is not None:
        conditions.append(Condition("kind", "=", kind.kind))
    elif query.get("peer_id"):
        conditions.append(Condition("origin_peer_id", "=", query["peer_id"]))
    if query.get("origin_id"):
        conditions.append(Condition("origin_id", "=", query["origin_id"]))
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    limit = query["limit"]
    rows = door.engine.store.query(Query(MIRROR.name, (tuple(conditions),), newest_first=True, after_id=after, limit=SCANNED_MAX + 1))
    upkeep = _Upkeeps(door, request.wall)
    page: list[dict[str, Any]] = []
    last = None
    for row in rows[:SCANNED_MAX]:
        if len(page) == limit:
            break
        last = row.record.id
        if shown(door, row.record):
            made = mirror_to_json(row.record, upkeep.of(row.record), request.wall)
            if query.get("stale") in (None, made["stale"]):
                page.append(made)
    more = last is not None and last != rows[-1].record.id
    request.ok(page, meta={"count": len(page), "next_cursor": cursors.encode(last) if more and last is not None else None})


def get_mirror(door: Door, request: Request) -> None:
    row = door.engine.directory.row(MIRROR.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id or row.record.gone_at is not None or not shown(door, row.record):
        raise FaultError(OperatorFault("not_found", "there is no such mirror", 404))
    record: MirrorRecord = row.record
    request.ok({"mirror": mirror_to_json(record, upkeep_of(door.engine.directory, record, request.wall), request.wall)})


def shown(door: Door, record: MirrorRecord) -> bool:
    """Whether a mirror is still one: of a record that has come home here nothing else is shown."""
    row = door.engine.directory.row(RESOURCE.name, record.origin_id)
    return row is None or row.record.moved is not None


class _Upkeeps:
    """What keeps mirrors fresh, looked up once for each way in which they come."""

    def __init__(self, door: Door, wall: float) -> None:
        self._door = door
        self._wall = wall
        self._known: dict[tuple[str, str | None, str | None], Upkeep] = {}

    def of(self, record: MirrorRecord) -> Upkeep:
        """Of one mirror."""
        key = (record.origin_peer_id, record.capability_id, record.grant_id)
        if key not in self._known:
            self._known[key] = upkeep_of(self._door.engine.directory, record, self._wall)
        return self._known[key]


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_capabilities": list_capabilities,
    "get_capability": get_capability,
    "create_capability": create_capability,
    "update_capability": update_capability,
    "delete_capability": delete_capability,
    "sync_capability": sync_capability,
    "sync_capabilities": sync_capabilities,
    "list_mirrors": list_mirrors,
    "get_mirror": get_mirror,
}
