"""The resources endpoints for peers: what a grant shows, and nothing else.

Lives here: one function per route. Every call, each page of a list included, is judged before anything of the catalogue is looked at;
only the exports of a kind leave. Must not live here: the judgement (`actors.door.grants`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.door.call import Answer, success
from actors.door.grants.authorise import Authorised, authorise
from actors.door.request import has_already
from actors.door.resources import cursors, parameters
from actors.door.resources.cursors import Bound, Resumption
from actors.door.resources.parameters import ListParameters
from actors.inventory.kind import ResourceKind
from actors.inventory.registry import REGISTRY, find
from actors.resource import pages, projection
from actors.resource.actor import NOT_FOUND, moved_fault
from actors.resource.catalogue import KIND as CATALOGUE
from actors.resource.limits import CHANNEL_PAGE_BYTES_MAX, PAGE_BYTES_MAX
from actors.resource.pages import PageRequest
from actors.resource.record import ResourceRecord, get
from runtime.clock import iso
from runtime.errors import FaultError, OperatorFault
from runtime.ids import is_uuid

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request

ID_INVALID: Final = OperatorFault("id_invalid", "the id must be a UUID in lower case", 400)


def unknown_kind() -> OperatorFault:
    """The refusal of a kind that cannot be read here."""
    known = [kind.kind for kind in REGISTRY if kind.catalogued]
    return OperatorFault("unknown_resource_kind", "there is no such kind of resource here", 422, {"known": known})


def described(kind: ResourceKind) -> dict[str, Any]:
    """What may be known of a kind."""
    return {
        "kind": kind.kind,
        "alias": kind.alias,
        "title": kind.title,
        "exports": list(kind.fields),
        "filterable": list(kind.filters),
        "sortable": ["updated_at", *kind.natural_key[-1:]],
        "natural_key": list(kind.natural_key),
        "scopes": sorted(kind.scopes),
    }


def readable(door: Door, request: Request, *, resource_id: str | None = None, scope: str = "read") -> ResourceKind:
    """The kind of the path. Only a caller whose grant would serve a kind that there is hears that there is no such one.

    Raises:
        FaultError: the refusal of the call as of any other, or `unknown_resource_kind`.
    """
    kind = find(request.parameters["kind"])
    if kind is None or not kind.listable or not kind.catalogued:
        authorise(door, request, kind=None, resource_id=resource_id, scope=scope, counts=False)
        raise FaultError(unknown_kind())
    return kind


def federation_resource_kinds(door: Door, request: Request) -> None:
    allowed = authorise(door, request, kind=None, resource_id=None, scope="read")
    kind = find(allowed.grant.resource_kind)
    data = [described(kind)] if kind is not None and kind.listable else []
    request.ok(data, meta={"count": len(data), "grant_id": allowed.grant.id, "fetched_at": iso(request.wall)})


def federation_list_resources(door: Door, request: Request) -> None:
    kind = readable(door, request)
    allowed = authorise(door, request, kind=kind.kind, resource_id=None, scope="read")
    door.refuse_while_in_question(allowed.peer.account_id)
    asked = parameters.read(kind, request.call.query)
    bound = Bound(holder=f"grant {allowed.grant.id}", listing=f"{kind.kind} {asked.shown}")
    resumed = cursors.open_cursor(door.cursor_key, bound, asked.cursor, request.wall) if asked.cursor is not None else None
    wanted = page_request(kind, allowed, asked, resumed)
    newest = _stamp(door, allowed.peer.account_id)
    page = pages.read(door.engine.store, wanted)
    # On a channel there may be no other way, so a page must fit into its frame.
    bytes_max = CHANNEL_PAGE_BYTES_MAX if request.call.source.channel else PAGE_BYTES_MAX
    data, cut = _exported(page.records, asked.fields, bytes_max)
    following, watermark = None, newest
    if cut or not page.complete:
        last = page.records[len(data) - 1] if cut else page.examined
        assert last is not None
        watermark = _watermark(wanted, resumed, last, newest)
        following = cursors.seal(door.cursor_key, bound, Resumption(wanted.place_of(last), watermark), request.wall)
    elif resumed is not None and wanted.sort == "natural":
        watermark = resumed.watermark
    meta = {
        "kind": kind.kind,
        "count": len(data),
        "next_cursor": following,
        "watermark": iso(watermark) if watermark is not None else None,
        "grant_id": allowed.grant.id,
        "fetched_at": iso(request.wall),
    }
    request.ok(data, meta=meta)


def page_request(kind: ResourceKind, allowed: Authorised, asked: ListParameters, resumed: Resumption | None) -> PageRequest:
    """The page that this caller may see: of the account that granted, and of the one record if the grant names one."""
    return PageRequest(
        account_id=allowed.peer.account_id,
        kind=kind,
        limit=asked.limit,
        sort=asked.sort,
        filters=asked.filters,
        updated_since=asked.updated_since,
        include_deleted=asked.include_deleted,
        only_id=allowed.grant.resource_id,
        after=resumed.place if resumed is not None else None,
    )


def _stamp(door: Door, account_id: str) -> float | None:
    """When the newest write of the account happened. Read before the page, so that nothing later is claimed to have been shown."""
    row = door.engine.directory.row(CATALOGUE.name, account_id)
    return row.record.stamp if row is not None else None


def _watermark(wanted: PageRequest, resumed: Resumption | None, last: ResourceRecord, newest: float | None) -> float | None:
    """Up to when a caller that has read this page and all before it has seen every change."""
    if wanted.sort == "updated_at":
        return last.updated_at
    return resumed.watermark if resumed is not None else newest


def _exported(records: tuple[ResourceRecord, ...], fields: frozenset[str] | None, bytes_max: int) -> tuple[list[dict[str, Any]], bool]:
    """The records as they leave, and whether some had to wait for the next page because they would be more than `bytes_max`."""
    data: list[dict[str, Any]] = []
    size = 0
    for record in records:
        shown = projection.exported(record, fields)
        size += len(msgspec.json.encode(shown)) + 1
        if size > bytes_max and data:
            return data, True
        data.append(shown)
    return data, False


def federation_get_resource(door: Door, request: Request) -> None:
    id = request.parameters["id"]
    kind = readable(door, request, resource_id=id)
    allowed = authorise(door, request, kind=kind.kind, resource_id=id, scope="read")
    door.refuse_while_in_question(allowed.peer.account_id)
    if not is_uuid(id):
        raise FaultError(ID_INVALID)
    record = get(door.engine.directory, allowed.peer.account_id, kind.kind, id)
    if record is not None and record.moved is not None:
        raise FaultError(moved_fault(record))
    if record is None or not record.lives:
        raise FaultError(NOT_FOUND)
    shown = door.shown.of(record)
    headers = {"etag": shown["etag"]}
    if has_already(request.call.headers.get("if-none-match"), shown["etag"]):
        request.answer(Answer(304, None, headers))
    else:
        request.answer(success(shown, headers=headers))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "federation_resource_kinds": federation_resource_kinds,
    "federation_list_resources": federation_list_resources,
    "federation_get_resource": federation_get_resource,
}
