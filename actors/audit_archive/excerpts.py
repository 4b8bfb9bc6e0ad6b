"""What a peer may see of its own part of our audit trail, and what we take of its answer about ours. Pure.

Lives here: the window, the fields that are shared, the reading of an answer. Must not live here: who may ask (the door).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from actors import sanitize
from actors.audit_archive.record import ShipmentRecord
from actors.limits import EXCERPT_ENTRIES_MAX, EXCERPT_WINDOW_DEFAULT_S
from runtime.clock import iso, iso_or_none, parse_iso
from runtime.errors import OperatorFault
from runtime.ids import is_uuid
from runtime.store.port import AuditEntry
from runtime.values import Value

SHARED_FIELDS: Final = frozenset(
    {
        "from", "to", "trigger", "kind", "event_id", "effective_at", "grant_id", "resource_kind", "resource_id", "permission_scopes",
        "expires_at", "code", "outcome", "axis", "serial", "count", "sdwan_network_id", "bridge_id", "offering_id", "migration_id",
        "since", "until", "contract_version",
    }
)  # fmt: skip
"""Fields of a payload that leave the platform. Who of our operators acted, and why, stays home."""

TEXT_CHARS_MAX: Final = 128
SEQUENCE_MAX: Final = 2**53
READ_SLICE: Final = 2_000


class Window(Value, frozen=True):
    """From `since` (inclusive) to `until` (exclusive), seconds since the epoch."""

    since: float
    until: float


def window(since: str | None, until: str | None, wall: float) -> Window | OperatorFault:
    """The window that two texts name; the last 90 days if they name nothing."""
    try:
        end = wall if until is None else parse_iso(until)
        begin = end - EXCERPT_WINDOW_DEFAULT_S if since is None else parse_iso(since)
    except (ValueError, OverflowError):
        return OperatorFault("invalid_timestamp", "`since` and `until` are ISO-8601 instants with a zone, as in 2031-01-31T12:00:00Z", 400)
    if end <= begin:
        return OperatorFault("invalid_window", "`until` must be later than `since`", 422)
    return Window(begin, end)


def read(page: Callable[[int, int], list[AuditEntry]], asked: Window, after: int, limit: int) -> tuple[list[AuditEntry], int | None]:
    """Entries of a chain within a window, ascending, and where to go on; `page(after, limit)` reads the chain."""
    found: list[AuditEntry] = []
    while True:
        entries = page(after, READ_SLICE)
        for entry in entries:
            after = entry.sequence
            if asked.since <= entry.at < asked.until:
                found.append(entry)
                if len(found) == limit:
                    more = bool(page(after, 1))
                    return found, after if more else None
        if len(entries) < READ_SLICE:
            return found, None


def shown(entry: AuditEntry) -> dict[str, Any]:
    """An entry as a peer sees it. Its hash is shown, so that two excerpts can be compared; it cannot be recomputed from what is shared."""
    return {
        "sequence": entry.sequence,
        "action": entry.action,
        "at": iso(entry.at),
        "actor": entry.actor_kind,
        "payload": {name: value for name, value in entry.payload.items() if name in SHARED_FIELDS},
        "hash": entry.hash,
    }


def shown_shipment(record: ShipmentRecord) -> dict[str, Any]:
    """A shipment as a peer sees it: never where it stands."""
    return {
        "id": record.id,
        "period_start": iso(record.period_start),
        "period_end": iso(record.period_end),
        "event_count": record.entry_count,
        "sha256": record.sha256,
        "status": record.state,
        "shipped_at": iso_or_none(record.shipped_at),
    }


def taken(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a remote answered, strictly read; None if it is no answer to such a question."""
    data = body.get("data")
    if not isinstance(data, Mapping) or not is_uuid(data.get("peer_id")):
        return None
    events, shipments = _objects(data.get("events"), EXCERPT_ENTRIES_MAX), _objects(data.get("shipments"), EXCERPT_ENTRIES_MAX)
    cursor, asked, begin = data.get("next_cursor"), data.get("window"), data.get("complete_from")
    if events is None or shipments is None or not (cursor is None or (isinstance(cursor, int) and cursor > 0)):
        return None
    if not isinstance(asked, dict) or sanitize.check_object(asked, "window", "remote_error"):
        return None
    return {
        "peer_id": data["peer_id"], "window": asked, "events": events, "shipments": shipments, "count": len(events),
        # Where it begins is not known of a remote of an earlier release.
        **({"complete_from": begin} if type(begin) is int and 1 <= begin <= SEQUENCE_MAX else {}), "next_cursor": cursor,
    }  # fmt: skip


def _objects(value: Any, length_max: int) -> list[dict[str, Any]] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > length_max:
        return None
    sound = all(isinstance(each, dict) and not sanitize.check_object(each, "entry", "remote_error") for each in value)
    return [dict(each) for each in value] if sound else None
