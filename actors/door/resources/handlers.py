"""Operators' calls about the catalogue: from bodies to messages of its actor, and back to JSON.

Lives here: one function per route. Must not live here: a rule that the catalogue does not check again, or what peers may read
(`federation`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.door.resources import cursors, federation, parameters
from actors.door.resources.cursors import Bound, Resumption
from actors.inventory.drafts import read_attributes, read_changes
from actors.inventory.kind import ResourceKind
from actors.inventory.registry import REGISTRY, find
from actors.problems import Problem, refusal
from actors.resource import pages, projection
from actors.resource.actor import NOT_FOUND
from actors.resource.catalogue import KIND as CATALOGUE
from actors.resource.messages import Delete, Deleted, Draft, Update, Write, Written
from actors.resource.pages import PageRequest
from actors.resource.record import KIND, ResourceRecord, get, scope
from runtime.actor import Ref
from runtime.errors import FaultError
from runtime.ids import is_uuid
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


# --- reads ----------------------------------------------------------------------------------------------------------


def catalogued(name: str) -> ResourceKind:
    """The kind of a path, if the catalogue holds it.

    Raises:
        FaultError: `unknown_resource_kind`.
    """
    kind = find(name)
    if kind is None or not kind.catalogued:
        raise FaultError(federation.unknown_kind())
    return kind


def record_id(request: Request) -> str:
    """The id in the path.

    Raises:
        FaultError: `id_invalid`.
    """
    id = request.parameters["id"]
    if not is_uuid(id):
        raise FaultError(federation.ID_INVALID)
    return id


def list_resource_kinds(door: Door, request: Request) -> None:
    data = []
    for kind in REGISTRY:
        if kind.catalogued:
            within = Condition("live_scope", "=", scope(request.account_id, kind.kind))
            data.append(federation.described(kind) | {"count": door.engine.store.count(Query(KIND.name, ((within,),)))})
    request.ok(data, meta={"count": len(data)})


def list_resources(door: Door, request: Request) -> None:
    kind = catalogued(request.parameters["kind"])
    asked = parameters.read(kind, request.call.query)
    bound = Bound(holder=f"account {request.account_id}", listing=f"{kind.kind} {asked.shown}")
    resumed = cursors.open_cursor(door.cursor_key, bound, asked.cursor, request.wall) if asked.cursor is not None else None
    wanted = PageRequest(
        account_id=request.account_id,
        kind=kind,
        limit=asked.limit,
        sort=asked.sort,
        filters=asked.filters,
        updated_since=asked.updated_since,
        include_deleted=asked.include_deleted,
        after=resumed.place if resumed is not None else None,
    )
    page = pages.read(door.engine.store, wanted)
    data = [projection.full(record) for record in page.records]
    if asked.fields is not None:
        for shown in data:
            shown["attributes"] = {name: value for name, value in shown["attributes"].items() if name in asked.fields}
    following = None
    if not page.complete and page.examined is not None:
        following = cursors.seal(door.cursor_key, bound, Resumption(wanted.place_of(page.examined), None), request.wall)
    request.ok(data, meta={"count": len(data), "next_cursor": following})


def get_resource(door: Door, request: Request) -> None:
    kind, id = catalogued(request.parameters["kind"]), record_id(request)
    record = get(door.engine.directory, request.account_id, kind.kind, id)
    if record is None:
        raise FaultError(NOT_FOUND)
    request.ok(projection.one(record), version=record.version)


# --- writes ---------------------------------------------------------------------------------------------------------


def draft(name: str, id: str | None, attributes: Mapping[str, Any], problems: list[Problem], path: str) -> Draft | None:
    """One draft of a body, or None after noting what is wrong with it."""
    kind = find(name)
    here = f"{path}.attributes" if path else "attributes"
    if id is not None and id[14] != "7":
        problems.append(Problem(f"{path}.id" if path else "id", "id_not_v7", "must be a UUID of version 7"))
    if kind is None or not kind.catalogued:
        code = "unknown_resource_kind" if kind is None else "reserved_resource_kind"
        problems.append(Problem(f"{path}.kind" if path else "kind", code, "is no kind of resource that the catalogue keeps"))
        return None
    read = read_attributes(kind, attributes, problems, here)
    return None if read is None else Draft(path=path or "resource", kind=kind.kind, id=id, attributes=read)


def write_resources(door: Door, request: Request) -> None:
    problems: list[Problem] = []
    drafts = [
        draft(entry["kind"], entry.get("id"), entry["attributes"], problems, f"resources[{place}]")
        for place, entry in enumerate(request.body["resources"])
    ]
    if problems:
        raise FaultError(refusal(problems))
    message = Write(
        account_id=request.account_id,
        by=request.by,
        drafts=tuple(each for each in drafts if each is not None),
        dry_run=request.body["dry_run"],
        mark=request.mark,
    )

    def answered(outcome: Written) -> None:
        request.ok(projection.written(outcome))

    door.relay(request, Ref(CATALOGUE.name, request.account_id), message, answered)


def create_resource(door: Door, request: Request) -> None:
    catalogued(request.parameters["kind"])
    problems: list[Problem] = []
    wanted = draft(request.parameters["kind"], request.body.get("id"), request.body["attributes"], problems, "")
    if problems or wanted is None:
        raise FaultError(refusal(problems))
    message = Write(account_id=request.account_id, by=request.by, drafts=(wanted,), new_only=True, mark=request.mark)

    def answered(outcome: Written) -> None:
        request.ok(projection.one(outcome.records[0]), status=201)

    door.relay(request, Ref(CATALOGUE.name, request.account_id), message, answered)


def update_resource(door: Door, request: Request) -> None:
    kind, id = catalogued(request.parameters["kind"]), record_id(request)
    problems: list[Problem] = []
    changes = read_changes(kind, request.body["attributes"], problems, "attributes")
    if changes is None:
        raise FaultError(refusal(problems))
    message = Update(
        account_id=request.account_id,
        by=request.by,
        kind=kind.kind,
        id=id,
        changes=changes,
        expected_version=request.expected_version(),
        mark=request.mark,
    )

    def answered(outcome: ResourceRecord) -> None:
        request.ok(projection.one(outcome), version=outcome.version)

    door.relay(request, Ref(CATALOGUE.name, request.account_id), message, answered)


def delete_resource(door: Door, request: Request) -> None:
    kind, id = catalogued(request.parameters["kind"]), record_id(request)
    message = Delete(
        account_id=request.account_id,
        by=request.by,
        kind=kind.kind,
        id=id,
        expected_version=request.expected_version(),
        mark=request.mark,
    )

    def answered(outcome: Deleted) -> None:
        request.ok(projection.deleted(outcome.records))

    door.relay(request, Ref(CATALOGUE.name, request.account_id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_resource_kinds": list_resource_kinds,
    "write_resources": write_resources,
    "list_resources": list_resources,
    "create_resource": create_resource,
    "get_resource": get_resource,
    "update_resource": update_resource,
    "delete_resource": delete_resource,
    **federation.HANDLERS,
}
