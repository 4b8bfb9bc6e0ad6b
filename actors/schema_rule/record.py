"""One decision about a pair of platform versions; it goes before the shipped rules and the implicit one."""

from __future__ import annotations

from typing import Any

import attrs

from actors.schema_versions import Compatibility, MatrixRow
from runtime.clock import iso
from runtime.store.port import Kind


@attrs.frozen(kw_only=True)
class SchemaRule:
    """Unique for its account and pair."""

    id: str
    version: int = 0
    account_id: str
    local_version: str
    remote_version: str
    status: Compatibility
    notes: str = ""
    created_at: float
    updated_at: float


KIND = Kind(
    name="schema_rule",
    record=SchemaRule,
    columns={"account_id": "text"},
    project=lambda record: {"account_id": record.account_id},
    unique={"pair": "schema_compatibility_exists"},
    keys=lambda record: {"pair": f"{record.account_id} {record.local_version} {record.remote_version}"},
)


def to_matrix_row(record: SchemaRule) -> MatrixRow:
    """The form that negotiation reads."""
    return MatrixRow(record.local_version, record.remote_version, record.status, record.notes)


def to_json(record: SchemaRule) -> dict[str, Any]:
    """The form of the operator surface."""
    return {
        "id": record.id,
        "local_version": record.local_version,
        "remote_version": record.remote_version,
        "status": record.status,
        "notes": record.notes or None,
        "source": "operator",
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }
