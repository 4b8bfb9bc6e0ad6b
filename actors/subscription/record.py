"""One subscription: the frozen record, how it is stored and found, and its form for operators.

Lives here: fields, index columns, the unique key, the deadline. Must not live here: which step is allowed (see `lifecycle`).
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from actors.offering import backend
from actors.peer.record import PeerRecord
from actors.peer.standing import in_force
from actors.ports import ProxyRoute
from actors.subscription import lifecycle
from actors.subscription.lifecycle import LOOK_EVERY_S, RETRY_LAST_S, Phase, State
from runtime.clock import iso, iso_or_none
from runtime.store.port import Condition, Kind, Query

SUBSCRIPTIONS_LISTED_MAX: Final = 256
"""Grants of seats that are listed with the other grants of a peer."""


@attrs.frozen(kw_only=True)
class Backend:
    """What the provider told: where the service is, and how that place proves itself."""

    host: str
    port: int
    protocol: str
    server_name: str | None = None
    anchor_pem: str | None = None


@attrs.frozen(kw_only=True)
class Release:
    """The word to the provider that a seat is free: an intent that survives a crash.

    Attributes:
        name: the grant, or the key of the request where the grant was never learnt.
        next_at: when it leaves again.
        overtaking: a request never answered may arrive after the word, so that a provider which knows of no seat is told once more.
    """

    name: str
    tries: int
    next_at: float
    overtaking: bool = False


@attrs.frozen(kw_only=True)
class SubscriptionRecord:
    """One subscription; its id is the key of its request at the provider. Times are seconds since the epoch.

    Attributes:
        peering_epoch: the peer's epoch in which it was made; in any other it is over.
        sealed_bearer: None once the subscription is over.
        tries, next_at: of the step that a pending one waits for.
        look_at: when the monitor looks at it next.
        certificate_not_after: of the certificate at the host name; None where there is none, or where the proxy renews it by itself.
        certificate_fault: why the proxy has none to show that is good, since the last look.
        seated_at: when the present term was obtained.
        renewal_key: of a renewal under way, so that a lost answer can be asked for again.
        residency_exception: the approval by which our residency rules let it be; None if they were not in the way.
    """

    id: str
    version: int = 0
    account_id: str
    federation_peer_id: str
    peering_epoch: int
    slug: str
    local_hostname: str
    site_local: bool
    ttl_days: int | None = None
    dns_credential_id: str | None = None
    acknowledge_residency: bool = False
    residency_exception: str | None = None
    auto_renew: bool = True
    state: State = "pending"
    phase: Phase = "request"
    pending_reason: str | None = None
    suspension_reason: str | None = None
    cancellation_reason: str | None = None
    offering_id: str | None = None
    grant_id: str | None = None
    sealed_bearer: bytes | None = attrs.field(default=None, repr=False)
    backend: Backend | None = None
    permission_scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    access_ends_at: float | None = None
    certificate_not_after: float | None = None
    certificate_fault: str | None = None
    seated_at: float | None = None
    renewal_key: str | None = None
    tries: int = 0
    next_at: float | None = None
    look_at: float | None = None
    release: Release | None = None
    activated_at: float | None = None
    suspended_at: float | None = None
    cancelled_at: float | None = None
    created_by: str | None = None
    created_at: float
    updated_at: float


def _due(record: SubscriptionRecord) -> float | None:
    if record.state == "cancelled":
        return record.release.next_at if record.release is not None else None
    if record.state == "pending":
        return record.next_at
    return record.look_at


def host_key(account_id: str, local_hostname: str) -> str:
    """The key under which an account's end of a service is taken once."""
    return f"{account_id} {backend.forwarded(local_hostname)}"


KIND = Kind(
    name="service_subscription",
    record=SubscriptionRecord,
    columns={"account_id": "text", "federation_peer_id": "text", "state": "text", "open_peer_id": "text", "grant_id": "text"},
    project=lambda record: {
        "account_id": record.account_id,
        "federation_peer_id": record.federation_peer_id,
        "state": record.state,
        "open_peer_id": record.federation_peer_id if record.state != "cancelled" else None,
        "grant_id": record.grant_id,
    },
    unique={"host": "hostname_taken"},
    keys=lambda record: {"host": host_key(record.account_id, record.local_hostname) if record.state != "cancelled" else None},
    due=_due,
    put_off_s=max(LOOK_EVERY_S, RETRY_LAST_S),
    # An attempt that has failed waits for its time; one that the end of the process cut short need not.
    resume=lambda record: record.state == "pending" and record.tries == 0,
)


def with_grant(peer_id: str) -> Query:
    """The query for the subscriptions to a peer that are not over."""
    return Query(KIND.name, ((Condition("open_peer_id", "=", peer_id),),), limit=SUBSCRIPTIONS_LISTED_MAX)


def held_grant(record: SubscriptionRecord, peer: PeerRecord | None, wall: float) -> dict[str, Any] | None:
    """The grant that came with a seat, in the form of `received_grant.record.to_json`; None while there is none. Never the bearer."""
    if record.sealed_bearer is None or record.grant_id is None or record.expires_at is None:
        return None
    revoked, expired = record.suspension_reason == "grant_revoked", record.suspension_reason == "grant_expired" or wall >= record.expires_at
    return {
        "id": record.id,
        "federation_peer_id": record.federation_peer_id,
        "grant_id": record.grant_id,
        "remote_subject": None,
        "resource_kind": "ServiceOffering",
        "resource_id": record.offering_id,
        "permission_scopes": list(record.permission_scopes),
        "issued_at": None,
        "expires_at": iso(record.expires_at),
        "state": "refused" if revoked else "expired" if expired else "active",
        "usable": wants_route(record, peer, wall),
        "source": "subscription",
        "received_at": iso(record.created_at),
        "received_by": record.created_by,
        "refused_code": "grant_revoked" if revoked else None,
        "refused_at": iso_or_none(record.suspended_at) if revoked else None,
        "version": record.version,
    }


def wants_route(record: SubscriptionRecord, peer: PeerRecord | None, wall: float) -> bool:
    """Whether traffic goes to the provider now: what is active, or about to be, under a peering in force and a grant that has not ended."""
    ready = record.state == "active" or (record.state == "pending" and record.phase == "route")
    if not ready or record.sealed_bearer is None or record.backend is None:
        return False
    if record.expires_at is not None and record.expires_at <= wall:
        return False
    return in_force(peer, record.peering_epoch, wall)


def wants_certificate(record: SubscriptionRecord) -> bool:
    """Whether the proxy shows a certificate at the host name of this one."""
    return record.backend is not None and record.backend.protocol in backend.TLS_PROTOCOLS and not record.site_local


def route_of(record: SubscriptionRecord) -> ProxyRoute:
    """The route of a subscription that wants one."""
    assert record.backend is not None
    assert record.sealed_bearer is not None
    protocol: Any = record.backend.protocol
    return ProxyRoute(
        key=f"sub-{record.id}",
        protocol=protocol,
        host=record.local_hostname,
        site_local=record.site_local,
        backend_host=record.backend.host,
        backend_port=record.backend.port,
        sealed_bearer=record.sealed_bearer,
        server_name=record.backend.server_name,
        anchor_pem=record.backend.anchor_pem,
    )


def to_json(record: SubscriptionRecord, peer: PeerRecord | None, wall: float) -> dict[str, Any]:
    """The form of the operator surface. The bearer is never shown."""
    told = record.backend
    return {
        "id": record.id,
        "federation_peer_id": record.federation_peer_id,
        "slug": record.slug,
        "local_hostname": record.local_hostname,
        "site_local": record.site_local,
        "status": record.state,
        "served": record.state == "active" and wants_route(record, peer, wall),
        "allowed_transitions": list(lifecycle.allowed(record.state)),
        "pending_reason": record.pending_reason,
        "suspension_reason": record.suspension_reason,
        "cancellation_reason": record.cancellation_reason,
        "release_pending": record.release is not None,
        "protocol": told.protocol if told is not None else None,
        "backend_host": told.host if told is not None else None,
        "backend_port": told.port if told is not None else None,
        "service_offering_id": record.offering_id,
        "grant_id": record.grant_id,
        "permission_scopes": list(record.permission_scopes),
        "auto_renew": record.auto_renew,
        "residency_exception": record.residency_exception,
        "certificate_not_after": iso_or_none(record.certificate_not_after),
        "certificate_fault": record.certificate_fault,
        "expires_at": iso_or_none(record.expires_at),
        "access_ends_at": iso_or_none(record.access_ends_at),
        "next_try_at": iso_or_none(record.next_at),
        "activated_at": iso_or_none(record.activated_at),
        "suspended_at": iso_or_none(record.suspended_at),
        "cancelled_at": iso_or_none(record.cancelled_at),
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }
