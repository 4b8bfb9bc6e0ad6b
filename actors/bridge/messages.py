"""What may be said to a bridge; every answer is the record or a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.bridge.lifecycle import Trigger
from actors.idempotency.record import Mark
from runtime.values import Value


class Create(Value, frozen=True, kw_only=True):
    """Propose a bridge. Faults: `peer_not_found`, `peer_revoked`, `network_not_found`, `bridge_exists`."""

    account_id: str
    by: str | None
    federation_peer_id: str
    sdwan_network_id: str
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)
    mark: Mark | None = None


class Step(Value, frozen=True, kw_only=True):
    """Take one step of the life. Faults: `invalid_transition`, `peer_not_ready`, `version_conflict`."""

    by: str | None
    trigger: Trigger
    reason: str | None = None
    expected_version: int | None = None
    mark: Mark | None = None


class Update(Value, frozen=True):
    """Replace `metadata`. Faults: `version_conflict`."""

    by: str | None
    metadata: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None
