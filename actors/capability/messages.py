"""What may be said to a capability, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.capability.lifecycle import Direction, Policy
from actors.capability.record import CapabilityRecord
from actors.idempotency.record import Mark
from runtime.actor import CallResult
from runtime.values import Value


class Create(Value, frozen=True, kw_only=True):
    """Let records flow. Answer: the record, or a fault (`peer_not_found`, `peer_revoked`, `capability_exists`, …)."""

    account_id: str
    by: str | None
    peer_id: str
    resource_kind: str
    direction: Direction
    policy: Policy
    filter: Mapping[str, Any]
    interval_seconds: int
    acknowledge_residency: bool
    mark: Mark | None = None


class Update(Value, frozen=True, kw_only=True):
    """Change policy, filter, interval or acknowledgement. Another filter makes the next pass a full one. Answer: the record, or a fault."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


class Delete(Value, frozen=True, kw_only=True):
    """Let nothing flow any more; what was pulled is dropped. Answer: the record that was, or a fault."""

    by: str | None
    expected_version: int | None = None
    mark: Mark | None = None


class SyncNow(Value, frozen=True, kw_only=True):
    """Make a pass now, whatever the policy. Answer: `Synced`, or a fault that says why it came to nothing.

    Attributes:
        full: look at everything.
    """

    by: str | None = None
    full: bool = False


class Synced(Value, frozen=True, kw_only=True):
    """A pass that was asked for has ended, or goes on beyond what the asker waits."""

    record: CapabilityRecord
    running: bool
    written: int = 0
    dropped: int = 0


class CatalogueChanged(Value, frozen=True):
    """Records of the kind have changed here. No answer."""


class Begin(Value, frozen=True):
    """The time to gather changes is over."""


class Proceed(Value, frozen=True):
    """Go on with the pass after a wait that the peer has asked for."""

    run: str


class Waited(Value, frozen=True):
    """Who asked for the pass waits no longer."""

    run: str


class PageRead(CallResult, frozen=True):
    """The peer has answered a page of its list."""


class MirrorPut(CallResult, frozen=True):
    """The peer has answered a pushed record."""


class CloseTold(CallResult, frozen=True):
    """The peer has heard that everything was pushed."""
