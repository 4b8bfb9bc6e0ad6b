"""What may be said to a capability, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.capability.lifecycle import Direction, Policy
from actors.capability.record import CapabilityRecord
from actors.idempotency.record import Mark
from runtime.actor import CallResult


@attrs.frozen(kw_only=True)
class Create:
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


@attrs.frozen(kw_only=True)
class Update:
    """Change policy, filter, interval or acknowledgement. Another filter makes the next pass a full one. Answer: the record, or a fault."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class Delete:
    """Let nothing flow any more; what was pulled is dropped. Answer: the record that was, or a fault."""

    by: str | None
    expected_version: int | None = None
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class SyncNow:
    """Make a pass now, whatever the policy. Answer: `Synced`, or a fault that says why it came to nothing.

    Attributes:
        full: look at everything.
    """

    by: str | None = None
    full: bool = False


@attrs.frozen(kw_only=True)
class Synced:
    """A pass that was asked for has ended, or goes on beyond what the asker waits."""

    record: CapabilityRecord
    running: bool
    written: int = 0
    dropped: int = 0


@attrs.frozen
class CatalogueChanged:
    """Records of the kind have changed here. No answer."""


@attrs.frozen
class Begin:
    """The time to gather changes is over."""


@attrs.frozen
class Proceed:
    """Go on with the pass after a wait that the peer has asked for."""

    run: str


@attrs.frozen
class Waited:
    """Who asked for the pass waits no longer."""

    run: str


class PageRead(CallResult):
    """The peer has answered a page of its list."""


class MirrorPut(CallResult):
    """The peer has answered a pushed record."""


class CloseTold(CallResult):
    """The peer has heard that everything was pushed."""
