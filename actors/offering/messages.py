"""What may be said to an offering, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.idempotency.record import Mark
from actors.offering.lifecycle import LeaseState, Trigger
from actors.offering.record import LeaseRecord, OfferingRecord
from actors.peer.messages import Tell
from runtime.actor import CallResult
from runtime.secret import Secret
from runtime.values import Value


class Create(Value, frozen=True, kw_only=True):
    """Draft an offering. `fields` are those of the record, checked. Answer: the record, or `offering_exists`, `backend_vip_not_found`."""

    account_id: str
    by: str | None
    fields: Mapping[str, Any]
    mark: Mark | None = None


class Update(Value, frozen=True, kw_only=True):
    """Change fields. Answer: the record, or `offering_retired`, `version_conflict`, `backend_vip_not_found`, `backend_required`."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


class Step(Value, frozen=True, kw_only=True):
    """Take a step of the life. Answer: the record, or `invalid_transition`, `offering_retired`, `version_conflict`.

    To retire leaves thirty days of access. To end it at once takes an approval, which the offering is told of by `Execute`.
    """

    by: str | None
    trigger: Trigger
    expected_version: int | None = None
    mark: Mark | None = None


class Subscribe(Value, frozen=True, kw_only=True):
    """A peer asks for a seat. Answer: `Leased`, or `offering_not_found`, `offering_not_accepting`, `offering_at_capacity`, a peer's fault.

    Attributes:
        key: the subscriber's name of its request: a repeated one gets the same answer.
        ttl_days: None for the offering's default.
    """

    peer_id: str
    key: str
    local_hostname: str
    ttl_days: int | None = None


class Renew(Value, frozen=True, kw_only=True):
    """A peer asks for a further term under a grant of its lease. Answer: `Leased`, `subscription_not_found`, `offering_not_accepting`."""

    peer_id: str
    lease_id: str
    grant_id: str
    key: str


class CancelLease(Value, frozen=True, kw_only=True):
    """A peer gives its seat back. Answer: the `LeaseRecord`, or `subscription_not_found`."""

    peer_id: str
    lease_id: str


class Leased(Value, frozen=True):
    """A seat with the bearer of its grant. `created` is False for a repeated request."""

    offering: OfferingRecord
    lease: LeaseRecord
    bearer: Secret
    backend_host: str
    created: bool = True


class LeaseEnded(Value, frozen=True, kw_only=True):
    """A lease is over by itself: its time, or its peering. `epoch` names the peering that has ended. No answer."""

    lease_id: str
    state: LeaseState
    reason: str
    epoch: int | None = None


class GrantEnded(Value, frozen=True):
    """An operator has revoked a grant that came with a seat. No answer."""

    grant_id: str
    reason: str


class BearerSealed(CallResult, frozen=True):
    """The vault has sealed the bearer of a new grant."""


class BearerOpened(CallResult, frozen=True):
    """The vault has opened the bearer for a repeated answer."""


class NoticeSent(CallResult, frozen=True):
    """A subscriber was told, or could not be reached: notices are best effort, and the subscriber looks by itself every hour."""


class TellFurther(Value, frozen=True):
    """Tell the next slice of peers, those whose ids come after `after_id`. No answer."""

    told: Tell
    after_id: str


class CutFurther(Value, frozen=True):
    """End the next slice of leases. No answer."""
