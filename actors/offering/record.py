"""An offering and the leases under it: frozen records, how they are stored and found.

Lives here: fields, index columns, unique keys, deadlines, and the forms shown to operators and peers. Must not live here: which step is
allowed (see `lifecycle`). The backend's address is in the operators' form and in the answer to a subscriber, never in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.grant.axes import ANY, AXES, Axis, AxisName
from actors.offering import lifecycle
from actors.offering.lifecycle import LeaseState, Protocol, State
from runtime.clock import iso, iso_or_none
from runtime.store.port import Kind


@attrs.frozen(kw_only=True)
class OfferingRecord:
    """One offering. Times are seconds since the epoch; names of fields are those of the operator surface.

    Attributes:
        visible_to: ids of the peers that see it; None for all.
        backend_vip_id, backend_host: where it is served; the virtual address goes first.
        backend_server_name, backend_anchor_pem: how a TLS backend proves itself; by default by its host and our own CA.
        max_subscribers: seats; None for any number.
        residency_sensitive: whether what subscribers keep in it may be bound to a jurisdiction.
        notices_sent: how many notices of the end have been sent.
        cut_leases: how many leases have been ended since `access_ends_at`.
        cut_at: when the last of them was.
    """

    id: str
    version: int = 0
    account_id: str
    slug: str
    name: str
    description_markdown: str | None = None
    subscription_terms_markdown: str | None = None
    protocol: Protocol
    backend_vip_id: str | None = None
    backend_host: str | None = None
    backend_port: int
    backend_server_name: str | None = None
    backend_anchor_pem: str | None = None
    default_grant_scopes: tuple[str, ...] = ("read",)
    default_grant_ttl_days: int = 30
    node_instance_ids: Axis = ANY
    sdwan_network_ids: Axis = ANY
    source_cidrs: Axis = ANY
    visible_to: tuple[str, ...] | None = None
    max_subscribers: int | None = None
    residency_sensitive: bool = False
    capacity_metadata: Mapping[str, Any] = attrs.field(factory=dict)
    latency_metadata: Mapping[str, Any] = attrs.field(factory=dict)
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    status: State = "draft"
    activated_at: float | None = None
    deprecated_at: float | None = None
    retired_at: float | None = None
    access_ends_at: float | None = None
    notices_sent: int = 0
    cut_leases: int = 0
    cut_at: float | None = None
    created_by: str | None = None
    created_at: float
    updated_at: float

    def axis(self, name: AxisName) -> Axis:
        """One axis of the grants of its subscribers."""
        found: Axis = getattr(self, name)
        return found

    def known_to(self, peer_id: str) -> bool:
        """Whether the peer sees it in the catalogue, or did until it was retired."""
        seen = self.status in lifecycle.VISIBLE or (self.status == "retired" and self.activated_at is not None)
        return seen and (self.visible_to is None or peer_id in self.visible_to)

    def shown_to(self, peer_id: str) -> bool:
        """Whether the peer sees it in the catalogue."""
        return self.status in lifecycle.VISIBLE and (self.visible_to is None or peer_id in self.visible_to)


@attrs.frozen(kw_only=True)
class LeaseRecord:
    """One seat of an offering, given to a peer. The offering's actor is its only writer.

    Attributes:
        peering_epoch: the peer's epoch in which it was given; in any other it is over.
        key: the subscriber's own name of its request, a UUID: the same for every try.
        grant_id, former_grant_id: what admits the subscriber, and what did before the last renewal.
        renewal_key: name of the request that renewed it last.
        sealed_bearer: of the current grant, so that a repeated request gets the same answer.
    """

    id: str
    version: int = 0
    account_id: str
    offering_id: str
    federation_peer_id: str
    peering_epoch: int
    key: str
    grant_id: str
    former_grant_id: str | None = None
    renewal_key: str | None = None
    local_hostname: str
    ttl_s: float
    expires_at: float
    sealed_bearer: bytes = attrs.field(repr=False)
    state: LeaseState = "live"
    ended_at: float | None = None
    end_reason: str | None = None
    created_at: float
    updated_at: float


def slug_key(account_id: str, slug: str) -> str:
    """The unique key of an offering."""
    return f"{account_id} {slug}"


def lease_key(peer_id: str, key: str) -> str:
    """The unique key of a subscriber's request."""
    return f"{peer_id} {key}"


def _due(record: OfferingRecord) -> float | None:
    if record.access_ends_at is None or record.cut_at is not None:
        return None
    notice_at = lifecycle.next_notice_at(record.access_ends_at, record.notices_sent)
    return record.access_ends_at if notice_at is None else min(notice_at, record.access_ends_at)


KIND = Kind(
    name="service_offering",
    record=OfferingRecord,
    columns={"account_id": "text", "status": "text"},
    project=lambda record: {"account_id": record.account_id, "status": record.status},
    unique={"slug": "offering_exists"},
    keys=lambda record: {"slug": slug_key(record.account_id, record.slug)},
    due=_due,
)

LEASE = Kind(
    name="subscription_lease",
    record=LeaseRecord,
    columns={
        "account_id": "text",
        "offering_id": "text",
        "live_offering_id": "text",
        "federation_peer_id": "text",
        "live_peer_id": "text",
        "state": "text",
    },
    project=lambda record: {
        "account_id": record.account_id,
        "offering_id": record.offering_id,
        "live_offering_id": record.offering_id if record.state == "live" else None,
        "federation_peer_id": record.federation_peer_id,
        "live_peer_id": record.federation_peer_id if record.state == "live" else None,
        "state": record.state,
    },
    unique={"key": "lease_exists", "grant": "internal_error", "former_grant": "internal_error"},
    keys=lambda record: {
        "key": lease_key(record.federation_peer_id, record.key),
        "grant": record.grant_id,
        "former_grant": record.former_grant_id,
    },
    due=lambda record: record.expires_at if record.state == "live" else None,
)


def to_json(record: OfferingRecord, live_leases: int) -> dict[str, Any]:
    """The form of the operator surface."""
    return {
        "id": record.id,
        "slug": record.slug,
        "name": record.name,
        "description_markdown": record.description_markdown,
        "subscription_terms_markdown": record.subscription_terms_markdown,
        "protocol": record.protocol,
        "backend_vip_id": record.backend_vip_id,
        "backend_host": record.backend_host,
        "backend_port": record.backend_port,
        "backend_server_name": record.backend_server_name,
        "backend_anchor_pem": record.backend_anchor_pem,
        "default_grant_scopes": list(record.default_grant_scopes),
        "default_grant_ttl_days": record.default_grant_ttl_days,
        "default_axes": {name: list(record.axis(name)) for name in AXES},
        "visibility": "all_peers" if record.visible_to is None else {"peers": list(record.visible_to)},
        "max_subscribers": record.max_subscribers,
        "residency_sensitive": record.residency_sensitive,
        "live_leases": live_leases,
        "capacity_metadata": dict(record.capacity_metadata),
        "latency_metadata": dict(record.latency_metadata),
        "metadata": dict(record.metadata),
        "status": record.status,
        "allowed_transitions": list(lifecycle.allowed(record.status)),
        "deprecated_at": iso_or_none(record.deprecated_at),
        "retired_at": iso_or_none(record.retired_at),
        "access_ends_at": iso_or_none(record.access_ends_at),
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }


def to_catalogue(record: OfferingRecord, live_leases: int) -> dict[str, Any]:
    """The form that a peer sees while browsing: never the backend's address, an account or another subscriber."""
    free = record.max_subscribers is None or live_leases < record.max_subscribers
    return {
        "id": record.id,
        "slug": record.slug,
        "name": record.name,
        "description_markdown": record.description_markdown,
        "subscription_terms_markdown": record.subscription_terms_markdown,
        "protocol": record.protocol,
        "port": record.backend_port,
        "capacity_metadata": dict(record.capacity_metadata),
        "latency_metadata": dict(record.latency_metadata),
        "default_grant_ttl_days": record.default_grant_ttl_days,
        "default_grant_scopes": list(record.default_grant_scopes),
        "residency_sensitive": record.residency_sensitive,
        "status": record.status,
        "accepting_new_subscriptions": record.status == "active" and free,
        "deprecated_at": iso_or_none(record.deprecated_at),
        "updated_at": iso(record.updated_at),
    }


def lease_to_json(record: LeaseRecord) -> dict[str, Any]:
    """A lease as the provider's operators see it."""
    return {
        "id": record.id,
        "offering_id": record.offering_id,
        "federation_peer_id": record.federation_peer_id,
        "grant_id": record.grant_id,
        "local_hostname": record.local_hostname,
        "state": record.state,
        "expires_at": iso(record.expires_at),
        "ended_at": iso_or_none(record.ended_at),
        "end_reason": record.end_reason,
        "created_at": iso(record.created_at),
    }
