"""What may be said to a schema rule; every answer is the record (the last one, when it was forgotten) or a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.idempotency.record import Mark
from actors.schema_versions import Compatibility
from runtime.values import Value


class Create(Value, frozen=True, kw_only=True):
    """Decide about a pair."""

    account_id: str
    by: str | None
    local_version: str
    remote_version: str
    status: Compatibility
    notes: str = ""
    blocked_kinds: tuple[str, ...] = ()
    mark: Mark | None = None


class Update(Value, frozen=True):
    """Change `status`, `notes` or `blocked_kinds`."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


class Delete(Value, frozen=True):
    """Forget the decision."""

    by: str | None
    expected_version: int | None = None
    mark: Mark | None = None
