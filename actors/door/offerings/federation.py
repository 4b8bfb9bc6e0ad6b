"""Calls of peers about services: the catalogue, and seats. Peering is the credential; a seat is how a grant is obtained.

Lives here: one function per route. Must not live here: who gets a seat (the offering's actor decides).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from actors import residency
from actors.door import cursors, shapes
from actors.door.bodies import PAGE
from actors.door.grants.authorise import admitted_peer
from actors.grant import lifecycle as grants
from actors.grant.record import KIND as GRANT
from actors.offering import backend
from actors.offering.actor import live_leases
from actors.offering.messages import CancelLease, Leased, Renew, Subscribe
from actors.offering.record import KIND, LEASE, LeaseRecord, OfferingRecord, lease_key, slug_key, to_catalogue
from actors.offering.seats import GRANTED_KIND, NO_SUBSCRIPTION, NOT_SHOWN
from actors.peer.record import PeerRecord
from runtime.actor import Ref
from runtime.clock import iso, iso_or_none
from runtime.errors import FaultError
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request

CATALOGUE_LIMIT: Final = "catalog_per_peer"
SUBSCRIPTION_LIMIT: Final = "subscriptions_per_peer"


def federation_service_catalog(door: Door, request: Request) -> None:
    """What the caller may see, a page at a time."""
    peer = admitted_peer(door, request, CATALOGUE_LIMIT, kind=GRANTED_KIND)
    query = shapes.read_query(PAGE, request.call.query)
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    conditions = (Condition("account_id", "=", peer.account_id), Condition("status", "in", ("active", "deprecated")))
    limit = query["limit"]
    rows = door.engine.store.query(Query(KIND.name, (conditions,), after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    data = [to_catalogue(record, door.engine.store.count(live_leases(record.id))) for record in page if record.shown_to(peer.id)]
    request.ok(data, meta={"count": len(data), "next_cursor": following, "fetched_at": iso(request.wall)})


def subscribed(outcome: Leased, settings_ca_pem: str) -> dict[str, Any]:
    """What a subscriber gets. The bearer is revealed here and nowhere else."""
    offering, lease = outcome.offering, outcome.lease
    proof = backend.tls_of(offering, outcome.backend_host, settings_ca_pem)
    return {
        "grant_id": lease.grant_id,
        "bearer_token": outcome.bearer.reveal(),
        "backend_host": outcome.backend_host,
        "backend_port": offering.backend_port,
        "protocol": offering.protocol,
        "permission_scopes": list(offering.default_grant_scopes),
        "expires_at": iso(lease.expires_at),
        "ttl_seconds": int(lease.ttl_s),
        "service_offering_id": offering.id,
        "backend_tls": None
        if proof is None
        else {"server_name": proof.server_name, "anchor_fingerprint": proof.anchor_fingerprint, "anchor_pem": proof.anchor_pem},
    }


def federation_subscribe(door: Door, request: Request) -> None:
    peer = admitted_peer(door, request, SUBSCRIPTION_LIMIT, kind=GRANTED_KIND)
    body = door.read_body(request)
    found = door.engine.directory.find(KIND.name, "slug", slug_key(peer.account_id, body["slug"]))
    row = door.engine.directory.row(KIND.name, found) if found is not None else None
    known = door.engine.directory.find(LEASE.name, "key", lease_key(peer.id, body["idempotency_key"]))
    if row is None or (known is None and not row.record.known_to(peer.id)):
        raise FaultError(NOT_SHOWN)
    if row.record.residency_sensitive:
        federation = door.settings.federation
        outcome = residency.judge(federation.residency_mode, federation.residency_unknown, federation.data_residency, peer)
        fault = residency.refusal(outcome, acknowledged=body["acknowledge_residency"])
        if fault is not None:
            raise FaultError(fault)
    message = Subscribe(peer_id=peer.id, key=body["idempotency_key"], local_hostname=body["local_hostname"], ttl_days=body.get("ttl_days"))

    def answered(outcome: Leased) -> None:
        request.ok(subscribed(outcome, door.settings.identity.ca_bundle_pem), status=201 if outcome.created else 200)

    door.relay(request, Ref(KIND.name, row.record.id), message, answered)


def own_lease(door: Door, request: Request, peer: PeerRecord, *, former: bool = False, by_key: bool = False) -> LeaseRecord:
    """The lease of the caller that the path names.

    Raises:
        FaultError: `subscription_not_found`, also for a lease of another peer and for one that is over.
    """
    directory, named = door.engine.directory, request.parameters["grant_id"]
    found = directory.find(LEASE.name, "grant", named)
    if found is None and former:
        found = directory.find(LEASE.name, "former_grant", named)
    if found is None and by_key:
        found = directory.find(LEASE.name, "key", lease_key(peer.id, named))
    row = directory.row(LEASE.name, found) if found is not None else None
    if row is None or row.record.federation_peer_id != peer.id or row.record.state != "live":
        raise FaultError(NO_SUBSCRIPTION)
    if row.record.peering_epoch != peer.peering_epoch:
        raise FaultError(NO_SUBSCRIPTION)
    record: LeaseRecord = row.record
    return record


def federation_get_subscription(door: Door, request: Request) -> None:
    peer = admitted_peer(door, request, SUBSCRIPTION_LIMIT, kind=GRANTED_KIND)
    lease = own_lease(door, request, peer)
    grant = door.engine.directory.row(GRANT.name, lease.grant_id)
    offering = door.engine.directory.row(KIND.name, lease.offering_id)
    if grant is None or offering is None or grants.state(grant.record, request.wall) != "active":
        raise FaultError(NO_SUBSCRIPTION)
    record: OfferingRecord = offering.record
    request.ok(
        {
            "grant_id": lease.grant_id,
            "service_offering_id": record.id,
            "slug": record.slug,
            "local_hostname": lease.local_hostname,
            "state": lease.state,
            "expires_at": iso(lease.expires_at),
            "offering_status": record.status,
            "access_ends_at": iso_or_none(record.access_ends_at),
        }
    )


def federation_renew_subscription(door: Door, request: Request) -> None:
    peer = admitted_peer(door, request, SUBSCRIPTION_LIMIT, kind=GRANTED_KIND)
    body = door.read_body(request)
    lease = own_lease(door, request, peer, former=True)
    named = request.parameters["grant_id"]
    message = Renew(peer_id=peer.id, lease_id=lease.id, grant_id=named, key=body["idempotency_key"])

    def answered(outcome: Leased) -> None:
        request.ok(subscribed(outcome, door.settings.identity.ca_bundle_pem))

    door.relay(request, Ref(KIND.name, lease.offering_id), message, answered)


def federation_cancel_subscription(door: Door, request: Request) -> None:
    peer = admitted_peer(door, request, SUBSCRIPTION_LIMIT, kind=GRANTED_KIND)
    lease = own_lease(door, request, peer, former=True, by_key=True)
    message = CancelLease(peer_id=peer.id, lease_id=lease.id)
    door.relay(request, Ref(KIND.name, lease.offering_id), message, lambda outcome: request.ok({"cancelled": True}))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "federation_service_catalog": federation_service_catalog,
    "federation_subscribe": federation_subscribe,
    "federation_get_subscription": federation_get_subscription,
    "federation_renew_subscription": federation_renew_subscription,
    "federation_cancel_subscription": federation_cancel_subscription,
}
