"""What may be said to the book of a peer's grants and to the row of one grant, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.grant.axes import ANY, Axis
from actors.grant.book import Expectation
from actors.grant.record import GrantorType, GrantRecord, Origin
from actors.idempotency.record import Mark
from runtime.actor import CallResult
from runtime.secret import Secret
from runtime.values import Value

# --- to the book: writes of operators -------------------------------------------------------------------------------


class Draft(Value, frozen=True, kw_only=True):
    """What a new grant is to allow, checked and in stored form."""

    remote_subject: str
    resource_kind: str
    resource_id: str | None = None
    permission_scopes: tuple[str, ...] = ("read",)
    node_instance_ids: Axis = ANY
    sdwan_network_ids: Axis = ANY
    source_cidrs: Axis = ANY
    ttl_s: float
    label: str | None = None
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Issue(Value, frozen=True, kw_only=True):
    """Issue a grant under the id `grant_id`. Answer: `Issued` or a fault (`grant_exists`, `peer_not_ready`, `grant_test_failed`, …).

    Attributes:
        bare: mint a bearer without a secret, good only over its peer's connection.
        deliver: hand the bearer to the holder over the peer's connection instead of to the operator.
        replace: revoke the grant in force for the same peer, subject, kind and resource in the same transaction.
        force: write although a grant test breaks.
        warnings: told along with the answer.
    """

    account_id: str
    grant_id: str
    draft: Draft
    by: str | None
    grantor_type: GrantorType = "user"
    origin: Origin = "operator"
    bare: bool = False
    deliver: bool = False
    replace: bool = False
    force: bool = False
    warnings: tuple[str, ...] = ()
    mark: Mark | None = None


class Issued(Value, frozen=True):
    """A grant with its bearer, which is told once. `bearer` is None where it was delivered."""

    record: GrantRecord
    bearer: Secret | None
    warnings: tuple[str, ...] = ()
    delivered: bool = False


class Narrow(Value, frozen=True, kw_only=True):
    """Allow less. `changes` holds fields in stored form. Answer: `Changed` or a fault (`grant_widening_refused`, …)."""

    grant_id: str
    changes: Mapping[str, Any]
    by: str | None
    expected_version: int | None = None
    force: bool = False
    mark: Mark | None = None


class Revoke(Value, frozen=True, kw_only=True):
    """End a grant for good. Answer: `Changed` or `grant_already_revoked`.

    `immediate`: no grace for a migration under way; a grant that was revoked with a grace loses what is left of it.
    """

    grant_id: str
    by: str | None
    reason: str | None = None
    immediate: bool = False
    force: bool = False
    mark: Mark | None = None


class Rotate(Value, frozen=True, kw_only=True):
    """Mint a new secret; the former bearer stays good for `overlap_s`. Answer: `Issued` or a fault."""

    grant_id: str
    by: str | None
    overlap_s: float = 0.0
    mark: Mark | None = None


class Review(Value, frozen=True, kw_only=True):
    """Note that somebody has looked at the grant and found it right. Answer: `Changed` or a fault."""

    grant_id: str
    by: str | None
    mark: Mark | None = None


class Changed(Value, frozen=True):
    """A grant as it is now."""

    record: GrantRecord


# --- to the book: what happens --------------------------------------------------------------------------------------


class Ended(Value, frozen=True):
    """A grant has reached its expiry, or the time of its archival. No answer."""

    grant_id: str


class Lapsed(Value, frozen=True, kw_only=True):
    """The peering under which a grant was issued has ended: mark the row. It admits nobody already. No answer."""

    grant_id: str
    peering_epoch: int
    reason: str = "peer_revoked"


class SetTests(Value, frozen=True, kw_only=True):
    """Keep these grant tests in place of the former ones. Answer: the `GrantBook` or a fault."""

    account_id: str
    tests: tuple[Expectation, ...]
    by: str | None
    expected_version: int | None = None


class NoteDenial(Value, frozen=True, kw_only=True):
    """A call of this peer was refused by the chain. `grant_id` only where the grant is this peer's. No answer."""

    account_id: str
    grant_id: str | None
    code: str
    axis: str | None
    subject: str | None
    route: str
    source: str
    request_id: str


class NoteFirstUse(Value, frozen=True):
    """A grant was used for the first time in this hour. No answer."""

    account_id: str
    grant_id: str
    subject: str
    source: str
    bare: bool


class NoteSpoof(Value, frozen=True):
    """A caller sent headers that only a trusted proxy may send. No answer."""

    account_id: str
    headers: tuple[str, ...]
    source: str


class TellDenials(Value, frozen=True):
    """Time to tell how many refusals of a source were held back."""

    source: str


class BearerSealed(CallResult, frozen=True):
    """The vault has sealed the bearer that is to be delivered."""


class Delivered(CallResult, frozen=True):
    """The holder has answered the delivery of a bearer."""


# --- to the row of one grant ----------------------------------------------------------------------------------------


class Used(Value, frozen=True):
    """Calls were served under this grant. No answer.

    Attributes:
        source: key of where the last of them came from.
        bare: the bearer had no secret.
        at: when the last of them came, seconds since the epoch.
        times: how many.
    """

    source: str
    bare: bool
    at: float
    times: int = 1


class Denied(Value, frozen=True):
    """A call under this grant was refused. No answer."""
