"""A peer's answer about its resources, parsed strictly before anything of it is passed on. Pure.

Lives here: the reading of lists and single records, what a query may carry to a peer, and the peer's refusals in our words. Must not live
here: which bearer is presented, or any keeping of what was read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from actors.door.shapes import NESTING_MAX
from actors.inventory import registry
from actors.limits import PAGE_MAX
from actors.peer.remote_answers import remote_code
from actors.ports import RemoteReply
from actors.received_grant.remote_answers import KIND_NAME, refused, rejected
from actors.sanitize import INTEGER_MAX, parse_instant
from runtime.clock import iso
from runtime.errors import Fault, FaultError, OperatorFault, RemoteFault
from runtime.ids import is_uuid

QUERY_PARAMETERS_MAX: Final = 16
QUERY_BYTES_MAX: Final = 4_096
CURSOR_CHARS_MAX: Final = 1_024
ETAG_CHARS_MAX: Final = 128
_FILTER = re.compile(r"filter\[[A-Za-z0-9_.]{1,64}\](\[(gte|lte|in)\])?", re.ASCII)
_PLAIN: Final = frozenset({"limit", "cursor", "sort", "fields", "updated_since", "include_deleted"})
_CURSOR = re.compile(rf"[!-~]{{1,{CURSOR_CHARS_MAX}}}", re.ASCII)

PASSED_ON: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_parameter": (400, "the peer does not understand a parameter of the list; a time is an instant such as 2031-01-31T12:00:00Z"),
    "id_invalid": (400, "the id must be a UUID in lower case"),
    "cursor_invalid": (400, "the cursor is malformed or too old; begin at the first page"),
    "cursor_foreign": (403, "the cursor belongs to another grant or another listing; begin at the first page"),
    "resource_not_found": (404, "the peer has no such resource"),
    "resource_moved": (410, "the resource has moved to another platform"),
    "unknown_resource_kind": (422, "the peer has no such kind of resource"),
    "limit_out_of_range": (422, f"limit must be from 1 to {PAGE_MAX}"),
    "unknown_sort": (422, "the peer cannot sort by that"),
    "unknown_field": (422, "the kind has no such attribute"),
    "unknown_filter": (422, "the kind cannot be filtered by that"),
    "filter_invalid": (422, "the peer does not understand the value of a filter"),
}
"""Refusals of a peer that are about what our caller asked; the words are ours, since the peer's may say anything."""


def path_of(kind: str, resource_id: str | None, query: Mapping[str, str]) -> str:
    """The path at the peer, below `/api/v1/system`, with whatever of the query a list may carry.

    Raises:
        FaultError: `invalid_parameter`.
    """
    path = f"/federation_api/resources/{quote(kind, safe='')}"
    if resource_id is not None:
        path += f"/{quote(resource_id, safe='')}"
    strange = [name for name in query if resource_id is not None or (name not in _PLAIN and _FILTER.fullmatch(name) is None)]
    text = urlencode(sorted(query.items()))
    if strange or len(query) > QUERY_PARAMETERS_MAX or len(text) > QUERY_BYTES_MAX:
        takes = "one resource takes no parameters" if resource_id is not None else f"a list takes {', '.join(sorted(_PLAIN))} and filter[…]"
        raise FaultError(OperatorFault("invalid_parameter", f"{takes}, of {QUERY_BYTES_MAX} bytes at most", 400))
    return f"{path}?{text}" if text else path


def fault_of(reply: RemoteReply) -> Fault | None:
    """What a peer's refusal means for the operator, or None if it served the call."""
    if reply.status == 200:
        return None
    code = remote_code(reply)
    known = PASSED_ON.get(code) if code is not None else None
    if code is None or known is None or reply.status != known[0]:
        return refused(reply)
    told = reply.body.get("details")
    moved_to = told.get("moved_to") if isinstance(told, Mapping) else None
    details = {"moved_to": moved_to} if code == "resource_moved" and is_uuid(moved_to) else {}
    return RemoteFault(code, known[1], known[0], details)


def read_kinds(reply: RemoteReply) -> list[str]:
    """The kinds of resources that a peer lists under a bearer.

    Raises:
        FaultError: `remote_rejected`, with the field that cannot be used.
    """
    data = reply.body.get("data")
    if not isinstance(data, list) or len(data) > PAGE_MAX:
        raise _unusable("data")
    kinds = [each.get("kind") if isinstance(each, Mapping) else None for each in data]
    for index, kind in enumerate(kinds):
        if not isinstance(kind, str) or KIND_NAME.fullmatch(kind) is None:
            raise _unusable(f"data[{index}].kind")
    return [canonical(str(kind)) for kind in kinds]


def read_list(reply: RemoteReply, kind: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records of a page, and what of its `meta` is known here.

    Raises:
        FaultError: `remote_rejected`, with the field that cannot be used.
    """
    data, meta = reply.body.get("data"), reply.body.get("meta")
    if not isinstance(data, list) or len(data) > PAGE_MAX:
        raise _unusable("data")
    if not isinstance(meta, Mapping):
        raise _unusable("meta")
    cursor, watermark = meta.get("next_cursor"), meta.get("watermark")
    if cursor is not None and (not isinstance(cursor, str) or _CURSOR.fullmatch(cursor) is None):
        raise _unusable("meta.next_cursor")
    records = [read_record(value, kind, f"data[{index}]") for index, value in enumerate(data)]
    told = {"next_cursor": cursor, "watermark": None if watermark is None else _instant(watermark, "meta.watermark")}
    return records, told


def read_record(value: object, kind: str, field: str = "data") -> dict[str, Any]:
    """One exported record, with nothing but what is known of its form.

    Raises:
        FaultError: `remote_rejected`.
    """
    if not isinstance(value, Mapping):
        raise _unusable(field)
    told, etag, attributes = value.get("kind"), value.get("etag"), value.get("attributes")
    if not isinstance(told, str) or canonical(told) != kind:
        raise _unusable(f"{field}.kind")
    if not is_uuid(value.get("id")):
        raise _unusable(f"{field}.id")
    if not isinstance(etag, str) or not 0 < len(etag) <= ETAG_CHARS_MAX or not (etag.isascii() and etag.isprintable()):
        raise _unusable(f"{field}.etag")
    if not isinstance(value.get("deleted", False), bool):
        raise _unusable(f"{field}.deleted")
    if not isinstance(attributes, Mapping) or not _plain(attributes, 1):
        raise _unusable(f"{field}.attributes")
    return {
        "kind": kind,
        "id": value["id"],
        "etag": etag,
        "updated_at": _instant(value.get("updated_at"), f"{field}.updated_at"),
        "deleted": value.get("deleted", False),
        "attributes": attributes,
    }


def another_record() -> Fault:
    """The refusal of a record that was not asked for."""
    return rejected("the peer answered with another resource than the one asked for", {"field": "data.id"})


def canonical(name: str) -> str:
    """The canonical name of a kind; one that is unknown here stays as it is."""
    found = registry.find(name)
    return found.kind if found is not None else name


def _plain(value: Any, depth: int) -> bool:
    """Whether a value is JSON that may be passed on: not deeper than our own bodies, with numbers and text that can be written again."""
    match value:
        case None | bool():
            return True
        case int():
            return abs(value) <= INTEGER_MAX
        case float():
            return math.isfinite(value)
        case str():
            return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
        case dict() if depth < NESTING_MAX:
            return all(_plain(key, depth) and _plain(child, depth + 1) for key, child in value.items())
        case list() if depth < NESTING_MAX:
            return all(_plain(child, depth + 1) for child in value)
    return False


def _instant(value: object, field: str) -> str:
    at = parse_instant(value)
    if at is None:
        raise _unusable(field)
    return iso(at)


def _unusable(field: str) -> FaultError:
    return FaultError(rejected(f"the peer's answer cannot be used: {field} is missing or malformed", {"field": field}))
