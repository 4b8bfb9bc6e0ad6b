"""One record of the catalogue, of whatever kind, and how records are stored and found.

Lives here: fields, unique keys, columns, small questions about one record. Must not live here: what a kind consists of (see
`actors.inventory`), who may change a record (the catalogue actor) or who may read it (the door).

All kinds share this one record, so that freezing, moving, listing and mirroring are written once. What differs between kinds is data:
their declaration says which attributes a record has, which of them name it, and how it hangs together with others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from actors.inventory.registry import REGISTRY
from actors.resource.limits import TOMBSTONE_KEPT_S
from runtime.directory import Directory
from runtime.store.port import Condition, Kind, Query, Scalar

LINEAGES_REMEMBERED: Final = 4_096
"""Records whose part of the entity tag that never changes is remembered."""


@attrs.frozen
class Moved:
    """Where a record went when it moved to another platform.

    Attributes:
        peer_id: our row of the platform that is its home now.
        instance_id: that platform's instance id, which a caller is told.
        migration_id: the migration that moved it.
    """

    peer_id: str
    instance_id: str
    migration_id: str


@attrs.frozen(kw_only=True)
class ResourceRecord:
    """One record. Times are seconds since the epoch.

    Attributes:
        id: UUIDv7, kept for life, wherever the record moves.
        account_id: whose it is.
        kind: canonical name of its kind.
        attributes: the attributes of its declaration, JSON-ready; absent ones are unset.
        updated_at: rises with every write of the account's catalogue and is never given twice, so that it orders writes as they happened.
        deleted_at: since when it is a tombstone; None while it lives. A tombstone keeps no attributes.
        moved: where it went, on a tombstone that a migration left.
        frozen_by: the migration that holds it; while set it cannot be written.
        incoming: readable and not yet ours to write: a migration has brought it and its former home has not let go of it.
        origin: what a migration or a copy says about where it came from.
    """

    id: str
    version: int = 0
    account_id: str
    kind: str
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    created_at: float
    updated_at: float
    deleted_at: float | None = None
    moved: Moved | None = None
    frozen_by: str | None = None
    incoming: bool = False
    origin: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def lives(self) -> bool:
        """Whether it is a record and not a tombstone."""
        return self.deleted_at is None

    @property
    def etag(self) -> str:
        """Weak entity tag (RFC 9110, section 8.8.3) of this state: it changes with every write, and tells two homes of one id apart."""
        return f'W/"{self.version}.{_lineage(self.id, self.created_at)}"'


@lru_cache(LINEAGES_REMEMBERED)
def _lineage(id: str, created_at: float) -> str:
    return hashlib.sha256(f"{id} {created_at!r}".encode()).hexdigest()[:8]


def scope(account_id: str, kind: str) -> str:
    """The value of the columns by which the records of one kind and account are found."""
    return f"{account_id} {kind}"


def owner_of(record: ResourceRecord) -> str | None:
    """The id of the record that owns this one, None if its kind is owned by none."""
    via = OWNED_VIA.get(record.kind)
    value = record.attributes.get(via) if via is not None else None
    return value if isinstance(value, str) else None


OWNED_VIA: Final[Mapping[str, str]] = {
    dependency.kind: dependency.via for kind in REGISTRY for dependency in kind.dependencies if dependency.edge == "owned"
}
"""Owned kind to its attribute that holds the owner's id."""


def natural_key(record: ResourceRecord) -> str | None:
    """The canonical natural key of a living record, or None."""
    kind = REGISTRY.find(record.kind)
    return kind.natural_key_of(record.attributes) if kind is not None and record.lives else None


def _project(record: ResourceRecord) -> dict[str, Scalar]:
    within = scope(record.account_id, record.kind)
    return {
        "scope": within,
        "live_scope": within if record.lives else None,
        "updated_at": record.updated_at,
        "natural": natural_key(record),
        "owner_id": owner_of(record),
        "frozen_by": record.frozen_by,
    }


def unique_name(account_id: str, kind: str, key: str) -> str:
    """The value of the unique key of a living record with this natural key."""
    return f"{scope(account_id, kind)} {key}"


def _keys(record: ResourceRecord) -> dict[str, str | None]:
    key = natural_key(record)
    return {"natural": unique_name(record.account_id, record.kind, key) if key is not None else None}


def _due(record: ResourceRecord) -> float | None:
    if record.deleted_at is None or record.moved is not None:
        return None
    return record.deleted_at + TOMBSTONE_KEPT_S


KIND: Final = Kind(
    name="resource",
    record=ResourceRecord,
    columns={
        "scope": "text", "live_scope": "text", "updated_at": "real", "natural": "text", "owner_id": "text", "frozen_by": "text",
    },
    project=_project,
    unindexed=frozenset({"scope", "live_scope", "updated_at", "natural", "owner_id"}),
    indexes=(("scope", "updated_at"), ("live_scope", "updated_at"), ("live_scope", "natural"), ("owner_id", "updated_at")),
    unique={"natural": "resource_exists"},
    keys=_keys,
    due=_due,
)  # fmt: skip


def find(directory: Directory, account_id: str, kind: str, key: str) -> ResourceRecord | None:
    """The living record of this kind with this canonical natural key."""
    found = directory.find(KIND.name, "natural", unique_name(account_id, kind, key))
    row = directory.row(KIND.name, found) if found is not None else None
    record: ResourceRecord | None = row.record if row is not None else None
    return record


def get(directory: Directory, account_id: str, kind: str, id: str) -> ResourceRecord | None:
    """The record of this id, tombstones included, if it is of this account and kind."""
    row = directory.row(KIND.name, id)
    record: ResourceRecord | None = row.record if row is not None else None
    return record if record is not None and record.account_id == account_id and record.kind == kind else None


def owned_by(id: str, *, limit: int) -> Query:
    """The query for the records, tombstones included, that this one owns."""
    return Query(KIND.name, ((Condition("owner_id", "=", id),),), newest_first=False, limit=limit)
