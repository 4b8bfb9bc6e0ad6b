"""What may be said to a subscription, to the routes of an account, and to the kept catalogue of a peer."""

from __future__ import annotations

from actors.approval.messages import AskApproval
from actors.idempotency.record import Mark
from runtime.actor import CallResult
from runtime.errors import Fault
from runtime.values import Value


class Create(Value, frozen=True, kw_only=True):
    """Subscribe. Answer: the record after the first try, or `peer_not_found`, `peer_not_ready`, `hostname_taken`, `remote_rejected`,
    `residency_refused`, `residency_unacknowledged`.

    A provider that cannot be reached is no refusal: the subscription is pending then and is tried again.
    """

    account_id: str
    by: str | None
    peer_id: str
    slug: str
    local_hostname: str
    ttl_days: int | None = None
    dns_credential_id: str | None = None
    acknowledge_residency: bool = False
    auto_renew: bool = True
    override_residency: bool = False
    mark: Mark | None = None


class NeedsException(Value, frozen=True):
    """The answer where our rules refuse and an exception is wanted (`override_residency`): what to let wait. Nothing was subscribed to."""

    asked: AskApproval


class Cancel(Value, frozen=True, kw_only=True):
    """End a subscription for good. Answer: the record, or `subscription_cancelled`, `version_conflict`."""

    by: str | None
    reason: str | None = None
    mark: Mark | None = None


class Renew(Value, frozen=True, kw_only=True):
    """Get a further term now. Answer: the record, or `subscription_not_renewable`, `remote_rejected`, the fault of the way there."""

    by: str | None
    mark: Mark | None = None


class Retry(Value, frozen=True, kw_only=True):
    """Try what a pending subscription waits for now. Answer: the record after the try, or `subscription_not_pending`."""

    by: str | None
    mark: Mark | None = None


class Told(Value, frozen=True, kw_only=True):
    """The provider tells that the grant has ended, or that the offering is going to. No answer."""

    reason: str
    revoked: bool
    access_ends_at: float | None = None


class Routed(Value, frozen=True):
    """The routes of the account have been written with this subscription's among them, or could not be. No answer."""

    fault: Fault | None = None


class Answered(CallResult, frozen=True):
    """The provider has answered a request for a seat or a renewal."""


class Sealed(CallResult, frozen=True):
    """The vault has sealed the bearer."""


class Certified(CallResult, frozen=True):
    """The certificate for the host is there, or is not."""


class Looked(CallResult, frozen=True):
    """The provider has answered whether the seat lives."""


class Released(CallResult, frozen=True):
    """The provider has answered that the seat is free."""


# --- to the routes of an account ------------------------------------------------------------------------------------


class Rewrite(Value, frozen=True):
    """Something that routes follow from has changed. `waiting` is a subscription that wants to hear when they are written. No answer."""

    waiting: str | None = None


class Written(CallResult, frozen=True):
    """The proxy's files are as asked, or could not be written."""


# --- to the catalogue of a peer -------------------------------------------------------------------------------------


class Browse(Value, frozen=True):
    """Show what the peer offers: asked anew, else as last seen. Answer: `Seen`, or the fault of the way there if nothing was ever seen."""


class Fetched(CallResult, frozen=True):
    """The peer has answered a page of its catalogue."""
