"""Records of the catalogue as JSON, for operators and for peers.

Lives here: forms. Must not live here: a choice of records.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from actors.inventory.registry import REGISTRY
from actors.resource.messages import Written
from actors.resource.record import ResourceRecord, natural_key
from runtime.clock import iso, iso_or_none


def full(record: ResourceRecord) -> dict[str, Any]:
    """The form of the operator surface."""
    moved = record.moved
    return {
        "id": record.id,
        "kind": record.kind,
        "attributes": dict(record.attributes),
        "etag": record.etag,
        "version": record.version,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "deleted": not record.lives,
        "deleted_at": iso_or_none(record.deleted_at),
        "moved_to": None if moved is None else {"peer_id": moved.peer_id, "instance_id": moved.instance_id},
        "frozen_by": record.frozen_by,
        "incoming": record.incoming,
        "origin": dict(record.origin) or None,
    }


def one(record: ResourceRecord) -> dict[str, Any]:
    """The data of an answer about one record."""
    return {"resource": full(record)}


def written(answer: Written) -> dict[str, Any]:
    """The data of an answer to a batch."""
    counts = {change: sum(1 for _, made in answer.changes if made == change) for change in ("created", "updated", "unchanged")}
    return {
        **counts,
        "resources": [{"id": id, "change": change} for id, change in answer.changes],
        "problems": [problem.to_json() for problem in answer.problems],
    }


def deleted(records: Sequence[ResourceRecord]) -> dict[str, Any]:
    """The data of an answer to a deletion."""
    return {"id": records[0].id, "deleted": True, "owned_deleted": len(records) - 1}


def exported(record: ResourceRecord, fields: Collection[str] | None = None) -> dict[str, Any]:
    """What a peer may see: the exports of the kind, or those of them that were asked for, and nothing else of the record."""
    kind = REGISTRY.kinds[record.kind]
    attributes = kind.serializer(record.attributes) if record.lives else {}
    # What a kind's own serializer makes passes the allowlist too.
    allowed = kind.fields if fields is None else kind.fields.keys() & fields
    leaving = {name: value for name, value in attributes.items() if name in allowed}
    return {
        "kind": record.kind,
        "id": record.id,
        "etag": record.etag,
        "updated_at": iso(record.updated_at),
        "deleted": not record.lives,
        "attributes": leaving,
    }


def named(record: ResourceRecord) -> str | None:
    """The natural key for people, None on a tombstone or where a kind has none."""
    if natural_key(record) is None:
        return None
    return " / ".join(str(record.attributes[name]) for name in REGISTRY.kinds[record.kind].natural_key)
