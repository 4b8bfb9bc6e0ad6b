"""Seats of an offering: leases and their grants, written together.

Lives here: what a peer's request for a seat, its renewal and its end do to the rows. Must not live here: the life of the offering itself
(see `actor`). A lease, its grant and their audit entries are one transaction, and the offering's actor decides about one request at a
time: the last seat goes to one subscriber.
"""

from __future__ import annotations

from typing import Any, Final

from actors import residency
from actors.grant import lifecycle as grants
from actors.grant import tokens
from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord
from actors.limits import DAY_S
from actors.offering import backend, lifecycle
from actors.offering.lifecycle import LeaseState
from actors.offering.messages import NoticeSent
from actors.offering.record import KIND, LEASE, LeaseRecord, OfferingRecord, lease_key
from actors.peer.outbound import exchange
from actors.peer.peer_events import GRANT_REVOKED
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.ports import GRANT_BEARER_PURPOSE, Seal
from runtime.actor import Actor, CallResult
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

GRANTED_KIND: Final = "ServiceOffering"
LEASES_A_TURN: Final = 100

OFFERING_NOT_FOUND: Final = OperatorFault("offering_not_found", "there is no such offering", 404)
NOT_SHOWN: Final = RemoteFault("offering_not_found", "there is no such offering for this peer", 404)
NO_SUBSCRIPTION: Final = RemoteFault("subscription_not_found", "this peer has no such subscription", 404)
ENDED: Final = RemoteFault("subscription_ended", "what this request obtained has ended; ask anew under another key", 409)
KEY_REUSED: Final = RemoteFault("idempotency_key_reused", "this key was used for another request", 409)
FULL: Final = RemoteFault("offering_at_capacity", "every seat of this offering is taken", 409)


class Seats(Actor):
    """The part of an offering's actor that gives seats and takes them back."""

    kind = KIND

    # --- rows ----------------------------------------------------------------------------------------------------

    def lease(self, ctx: Context, lease_id: str | None) -> LeaseRecord | None:
        """A lease of this offering."""
        row = ctx.row(LEASE.name, lease_id) if lease_id is not None else None
        record: LeaseRecord | None = row.record if row is not None else None
        return record if record is not None and record.offering_id == ctx.ref.id else None

    def by_key(self, ctx: Context, peer_id: str, key: str) -> LeaseRecord | None:
        """The lease, living or not, that this request of the peer has obtained; of any offering."""
        found = ctx.find(LEASE.name, "key", lease_key(peer_id, key))
        row = ctx.row(LEASE.name, found) if found is not None else None
        return row.record if row is not None else None

    def live(self, ctx: Context, limit: int | None = None) -> list[LeaseRecord]:
        """Leases that have a seat, oldest first."""
        query = Query(LEASE.name, ((Condition("live_offering_id", "=", ctx.ref.id),),), newest_first=False, limit=limit)
        return [row.record for row in ctx.query(query)]

    def grant(self, ctx: Context, grant_id: str) -> GrantRecord | None:
        """The committed row of a grant."""
        row = ctx.row(GRANT.name, grant_id)
        return row.record if row is not None else None

    def stands(self, ctx: Context, lease: LeaseRecord | None, peer: PeerRecord | None) -> bool:
        """Whether the lease gives access now: it lives, its peering is the present one, and nobody has ended its grant."""
        if lease is None or peer is None or lease.state != "live" or lease.peering_epoch != peer.peering_epoch:
            return False
        grant = self.grant(ctx, lease.grant_id)
        return grant is not None and grants.state(grant, ctx.wall) == "active"

    # --- giving --------------------------------------------------------------------------------------------------

    def seat_fault(self, ctx: Context, peer: PeerRecord | None, hostname: str) -> Fault | None:
        """Why this peer gets no seat now, or None."""
        record: OfferingRecord | None = self.record
        if record is None or peer is None or peer.account_id != record.account_id:
            return NOT_SHOWN
        if not record.known_to(peer.id):
            return NOT_SHOWN
        if record.status != "active":
            return not_accepting(record)
        if backend.address(ctx, record) is None:
            return RemoteFault("offering_not_accepting", "the backend of this offering has no address now", 409, {"status": record.status})
        if record.max_subscribers is None:
            return None
        taken = [lease for lease in self.live(ctx) if self.stands(ctx, lease, peer_of(ctx, lease.federation_peer_id))]
        others = [lease for lease in taken if (lease.federation_peer_id, lease.local_hostname) != (peer.id, hostname)]
        return FULL if len(others) >= record.max_subscribers else None

    def mint(self, ctx: Context, then: type[CallResult], tag: tuple[Any, ...]) -> None:
        """Have a bearer made and sealed; the outcome's tag is the given one, the grant's id, the bearer and its digest."""
        grant_id = ctx.new_id()
        bearer, digest = tokens.mint(grant_id, ctx.token_bytes(tokens.SECRET_BYTES))
        ctx.call(Seal(bearer, GRANT_BEARER_PURPOSE), then=then, tag=(*tag, grant_id, bearer, digest))

    def give(
        self, ctx: Context, peer: PeerRecord, key: str, hostname: str, ttl_s: float, grant_id: str, digest: str | None, sealed: bytes
    ) -> LeaseRecord:
        """Write a lease with its grant. A seat that the peer holds under the same host is replaced, so that it never holds two of them."""
        record: OfferingRecord = self.record
        for former in self.live(ctx):
            # A grant that is over, or another peering's, keeps no seat; its row is brought up to date on this occasion.
            same = (former.federation_peer_id, former.local_hostname) == (peer.id, hostname)
            if same:
                self.end(ctx, former, "revoked", "replaced", told=False)
            elif not self.stands(ctx, former, peer_of(ctx, former.federation_peer_id)):
                self.end(ctx, former, "revoked", "grant_ended", told=False)
        lease = LeaseRecord(
            id=ctx.new_id(),
            version=1,
            account_id=record.account_id,
            offering_id=record.id,
            federation_peer_id=peer.id,
            peering_epoch=peer.peering_epoch,
            key=key,
            grant_id=grant_id,
            local_hostname=hostname,
            ttl_s=ttl_s,
            expires_at=ctx.wall + ttl_s,
            sealed_bearer=sealed,
            created_at=ctx.wall,
            updated_at=ctx.wall,
        )
        self._issue(ctx, peer, lease, digest, None)
        self._tell_places(ctx, peer, lease)
        ctx.put_row(LEASE.name, lease)
        return lease

    def _tell_places(self, ctx: Context, peer: PeerRecord, lease: LeaseRecord) -> None:
        """Of an offering that is bound to a place: tell that the seat crosses a boundary, or note that nobody knows whether it does."""
        record, federation = self.record, ctx.settings.federation
        if not record.residency_sensitive:
            return
        outcome = residency.judge(federation.residency_mode, federation.residency_unknown, federation.data_residency, peer)
        about = {"federation_peer_id": peer.id, **_about(lease)}
        if outcome.severity is not None:
            ctx.audit_in(peer.id, "lease.cross_boundary", "system", None, **about)
            ctx.emit("federation.offering.cross_boundary", outcome.severity, record.account_id, slug=record.slug, **about)
        elif outcome.noted:
            ctx.audit_in(peer.id, "lease.residency_unknown", "system", None, **about)

    def extend(
        self, ctx: Context, peer: PeerRecord, lease: LeaseRecord, key: str, grant_id: str, digest: str | None, sealed: bytes
    ) -> LeaseRecord:
        """Give a lease a further term: a new grant in place of the former one, in one transaction."""
        former = self.grant(ctx, lease.grant_id)
        extended = evolve(
            lease,
            version=lease.version + 1,
            grant_id=grant_id,
            former_grant_id=lease.grant_id,
            renewal_key=key,
            expires_at=ctx.wall + lease.ttl_s,
            sealed_bearer=sealed,
            updated_at=ctx.wall,
        )
        if former is not None:
            self._revoke(ctx, former, f"replaced_by:{grant_id}", replaced_by=grant_id)
        self._issue(ctx, peer, extended, digest, former.id if former is not None else None)
        ctx.put_row(LEASE.name, extended, lease.version)
        return extended

    def _issue(self, ctx: Context, peer: PeerRecord, lease: LeaseRecord, digest: str | None, replaces: str | None) -> None:
        record: OfferingRecord = self.record
        grant = GrantRecord(
            id=lease.grant_id,
            version=1,
            account_id=record.account_id,
            federation_peer_id=peer.id,
            peering_epoch=peer.peering_epoch,
            grantor_type="system",
            origin="service_catalog",
            remote_subject=backend.subject(record.slug, lease.local_hostname, peer.id),
            resource_kind=GRANTED_KIND,
            resource_id=record.id,
            permission_scopes=record.default_grant_scopes,
            issued_at=ctx.wall,
            expires_at=lease.expires_at,
            token_digest=digest,
            replaces_grant_id=replaces,
            updated_at=ctx.wall,
            node_instance_ids=record.node_instance_ids,
            sdwan_network_ids=record.sdwan_network_ids,
            source_cidrs=record.source_cidrs,
        )
        ctx.put_row(GRANT.name, grant)
        self._tell_grant(ctx, grant, "issued", replaces=replaces, expires_at=iso(grant.expires_at))

    # --- taking back ---------------------------------------------------------------------------------------------

    def end(self, ctx: Context, lease: LeaseRecord, state: LeaseState, reason: str, *, told: bool) -> None:
        """End a lease and its grant; `told` tells the subscriber, if it can be reached."""
        ended = evolve(
            lease, version=lease.version + 1, state=state, ended_at=ctx.wall, end_reason=reason, sealed_bearer=b"", updated_at=ctx.wall
        )
        ctx.put_row(LEASE.name, ended, lease.version)
        peer_id = lease.federation_peer_id
        ctx.audit_in(peer_id, f"lease.{state}", "system", None, federation_peer_id=peer_id, **_about(ended), reason=reason)
        grant = self.grant(ctx, lease.grant_id)
        if grant is not None and grants.state(grant, ctx.wall) == "active":
            self._revoke(ctx, grant, f"subscription_{state}: {reason}")
        if told:
            self.notify(ctx, lease, GRANT_REVOKED, reason, {"grant_id": lease.grant_id})

    def _revoke(self, ctx: Context, grant: GrantRecord, reason: str, replaced_by: str | None = None) -> None:
        ended = evolve(
            grant, version=grant.version + 1, revoked_at=ctx.wall, revocation_reason=reason, replaced_by=replaced_by, updated_at=ctx.wall
        )
        ctx.put_row(GRANT.name, ended, grant.version)
        self._tell_grant(ctx, ended, "revoked", reason=reason)

    def _tell_grant(self, ctx: Context, grant: GrantRecord, what: str, **payload: Any) -> None:
        peer_id = grant.federation_peer_id
        about = {"federation_peer_id": peer_id, "grant_id": grant.id, "origin": grant.origin, "remote_subject": grant.remote_subject}
        outline = {
            "resource_kind": grant.resource_kind,
            "resource_id": grant.resource_id,
            "permission_scopes": list(grant.permission_scopes),
        }
        ctx.audit_in(peer_id, f"grant.{what}", "system", None, **about, **outline, **payload)
        ctx.emit(f"federation.grant.{what}", "low", grant.account_id, **about, **outline, **payload)

    def notify(self, ctx: Context, lease: LeaseRecord, kind: str, reason: str, payload: dict[str, Any]) -> None:
        """Tell the subscriber of a lease, best effort: it looks by itself every hour."""
        peer = peer_of(ctx, lease.federation_peer_id)
        if peer is None or peer.peering_epoch != lease.peering_epoch:
            return
        body = {"event_id": ctx.new_id(), "kind": kind, "reason": reason, "effective_at": iso(ctx.wall), "payload": payload}
        request = exchange(peer, None, ctx.settings, ctx.wall, "POST", "/federation_api/peer_events", body)
        if not isinstance(request, Fault):
            ctx.call(request, then=NoticeSent)


def not_accepting(record: OfferingRecord) -> RemoteFault:
    """The refusal of a subscription or a renewal under an offering that takes none."""
    return RemoteFault("offering_not_accepting", f"this offering is {record.status}", 409, {"status": record.status})


def ttl_s(record: OfferingRecord, ttl_days: int | None) -> float:
    """The term of a lease in seconds."""
    return (record.default_grant_ttl_days if ttl_days is None else ttl_days) * DAY_S


def served(record: OfferingRecord) -> bool:
    """Whether leases of the offering can be renewed."""
    return record.status in lifecycle.SERVED


def _about(lease: LeaseRecord) -> dict[str, Any]:
    return {"lease_id": lease.id, "offering_id": lease.offering_id, "grant_id": lease.grant_id, "local_hostname": lease.local_hostname}
