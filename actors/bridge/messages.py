"""What may be said to a bridge; every answer is the record or a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.bridge.lifecycle import Trigger
from actors.idempotency.record import Mark


@attrs.frozen(kw_only=True)
class Create:
    """Propose a bridge. Faults: `peer_not_found`, `peer_revoked`, `network_not_found`, `bridge_exists`."""

    account_id: str
    by: str | None
    federation_peer_id: str
    sdwan_network_id: str
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class Step:
    """Take one step of the life. Faults: `invalid_transition`, `peer_not_ready`, `version_conflict`."""

    by: str | None
    trigger: Trigger
    reason: str | None = None
    expected_version: int | None = None
    mark: Mark | None = None


@attrs.frozen
class Update:
    """Replace `metadata`. Faults: `version_conflict`."""

    by: str | None
    metadata: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None
