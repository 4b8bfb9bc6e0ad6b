"""One operator's decision about a pair of platform versions; it goes before the shipped rules and the implicit one.

Lives here: the record, its unique key and its forms. Must not live here: how two versions are judged (see `schema_versions`).
"""

from __future__ import annotations

from typing import Any

import attrs

from actors.schema_versions import Compatibility, MatrixRow, parse_platform_version
from runtime.clock import iso
from runtime.store.port import Kind


@attrs.frozen(kw_only=True)
class SchemaRule:
    """One decision, unique for its account and pair. Times are seconds since the epoch.

    Attributes:
        blocked_kinds: resource kinds that are not exchanged while `status` is `degraded`.
    """

    id: str
    version: int = 0
    account_id: str
    local_version: str
    remote_version: str
    status: Compatibility
    notes: str = ""
    blocked_kinds: tuple[str, ...] = ()
    created_at: float
    updated_at: float


def _numbers(version: str) -> str:
    """Versions that negotiation holds for one are one here too: `1.4` and `v1.4.0` make the same pair."""
    parsed = parse_platform_version(version)
    return f"{parsed.major}.{parsed.minor}.{parsed.patch}" if parsed is not None else version


KIND = Kind(
    name="schema_rule",
    record=SchemaRule,
    columns={"account_id": "text"},
    project=lambda record: {"account_id": record.account_id},
    unique={"pair": "schema_compatibility_exists"},
    keys=lambda record: {"pair": f"{record.account_id} {_numbers(record.local_version)} {_numbers(record.remote_version)}"},
)


def to_matrix_row(record: SchemaRule) -> MatrixRow:
    """The form that negotiation reads."""
    return MatrixRow(record.local_version, record.remote_version, record.status, record.notes, "operator", record.blocked_kinds)


def to_json(record: SchemaRule) -> dict[str, Any]:
    """The form of the operator surface."""
    return {
        "id": record.id,
        "local_version": record.local_version,
        "remote_version": record.remote_version,
        "status": record.status,
        "notes": record.notes or None,
        "blocked_kinds": list(record.blocked_kinds),
        "source": "operator",
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }
