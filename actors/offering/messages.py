"""What may be said to an offering, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.idempotency.record import Mark
from actors.offering.lifecycle import LeaseState, Trigger
from actors.offering.record import LeaseRecord, OfferingRecord
from actors.peer.messages import Tell
from runtime.actor import CallResult
from runtime.secret import Secret


@attrs.frozen(kw_only=True)
class Create:
    """Draft an offering. `fields` are those of the record, checked. Answer: the record, or `offering_exists`, `backend_vip_not_found`."""

    account_id: str
    by: str | None
    fields: Mapping[str, Any]
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class Update:
    """Change fields. Answer: the record, or `offering_retired`, `version_conflict`, `backend_vip_not_found`, `backend_required`."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class Step:
    """Take a step of the life. Answer: the record, or `invalid_transition`, `offering_retired`, `version_conflict`.

    Attributes:
        immediate: with `retire`: access ends now instead of after thirty days.
    """

    by: str | None
    trigger: Trigger
    immediate: bool = False
    expected_version: int | None = None
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class Subscribe:
    """A peer asks for a seat. Answer: `Leased`, or `offering_not_found`, `offering_not_accepting`, `offering_at_capacity`, a peer's fault.

    Attributes:
        key: the subscriber's name of its request: a repeated one gets the same answer.
        ttl_days: None for the offering's default.
    """

    peer_id: str
    key: str
    local_hostname: str
    ttl_days: int | None = None


@attrs.frozen(kw_only=True)
class Renew:
    """A peer asks for a further term under a grant of its lease. Answer: `Leased`, `subscription_not_found`, `offering_not_accepting`."""

    peer_id: str
    lease_id: str
    grant_id: str
    key: str


@attrs.frozen(kw_only=True)
class CancelLease:
    """A peer gives its seat back. Answer: the `LeaseRecord`, or `subscription_not_found`."""

    peer_id: str
    lease_id: str


@attrs.frozen
class Leased:
    """A seat with the bearer of its grant. `created` is False for a repeated request."""

    offering: OfferingRecord
    lease: LeaseRecord
    bearer: Secret
    backend_host: str
    created: bool = True


@attrs.frozen(kw_only=True)
class LeaseEnded:
    """A lease is over by itself: its time, or its peering. `epoch` names the peering that has ended. No answer."""

    lease_id: str
    state: LeaseState
    reason: str
    epoch: int | None = None


@attrs.frozen
class GrantEnded:
    """An operator has revoked a grant that came with a seat. No answer."""

    grant_id: str
    reason: str


class BearerSealed(CallResult):
    """The vault has sealed the bearer of a new grant."""


class BearerOpened(CallResult):
    """The vault has opened the bearer for a repeated answer."""


class NoticeSent(CallResult):
    """A subscriber was told, or could not be reached: notices are best effort, and the subscriber looks by itself every hour."""


@attrs.frozen
class TellFurther:
    """Tell the next slice of peers, those whose ids come after `after_id`. No answer."""

    told: Tell
    after_id: str


@attrs.frozen
class CutFurther:
    """End the next slice of leases. No answer."""
