"""Small steps of a subscription: the record after each of them, with its event and the word to the routes. The caller saves it."""

from __future__ import annotations

from typing import Any

from actors.subscription import lifecycle
from actors.subscription.answers import Seat
from actors.subscription.lifecycle import Trigger
from actors.subscription.messages import Rewrite
from actors.subscription.record import Release, SubscriptionRecord
from runtime.actor import Ref
from runtime.context import Context
from runtime.values import evolve

ROUTES_KIND = "proxy_routes"


class IllegalStepError(Exception):
    """A handler asked for a step that the table does not have: a bug, never an answer to a caller."""


def step(ctx: Context, record: SubscriptionRecord, trigger: Trigger, reason: str | None, by: str | None = None) -> SubscriptionRecord:
    """The record after `trigger`. Routes are told, so that traffic follows within the second."""
    target = lifecycle.transition(record.state, trigger)
    if target is None:
        raise IllegalStepError(f"{record.state} has no step for {trigger}")
    severity: Any = "medium" if target in ("suspended", "cancelled") else "low"
    tell(ctx, record, lifecycle.PAST[trigger], severity, by, reason=reason)
    ctx.send(Ref(ROUTES_KIND, record.account_id), Rewrite())
    changes: dict[str, Any] = {"state": target, f"{target if target != 'active' else 'activated'}_at": ctx.wall, "updated_at": ctx.wall}
    if target == "active":
        changes |= {"pending_reason": None, "suspension_reason": None, "suspended_at": None, "next_at": None, "tries": 0}
        changes["look_at"] = next_look(record.expires_at, ctx.wall)
    elif target == "suspended":
        changes |= {"suspension_reason": reason, "look_at": ctx.wall + lifecycle.LOOK_EVERY_S}
    else:
        changes |= {"pending_reason": None, "suspension_reason": None, "cancellation_reason": reason}
        changes |= {"sealed_bearer": None, "look_at": None, "next_at": None, "renewal_key": None}
    return evolve(record, **changes)


def cancelled(ctx: Context, record: SubscriptionRecord, reason: str, by: str | None = None, *, owed: bool = True) -> SubscriptionRecord:
    """The record after its end; `owed` if the provider may hold a seat of it."""
    # A seat that was asked for anew, after the end of the former one, is known by the key of that request until its answer has come.
    name = (record.renewal_key if record.state == "suspended" else None) or record.grant_id or record.id
    ended = step(ctx, record, "cancel", reason, by)
    release = Release(name=name, tries=0, next_at=ctx.wall, overtaking=name != record.grant_id)
    return evolve(ended, release=release if owed else None)


def seated(record: SubscriptionRecord, seat: Seat, sealed: bytes, wall: float) -> SubscriptionRecord:
    """The record with what the provider gave."""
    return evolve(
        record,
        grant_id=seat.grant_id,
        sealed_bearer=sealed,
        backend=seat.backend,
        permission_scopes=seat.permission_scopes,
        expires_at=seat.expires_at,
        offering_id=seat.offering_id,
        seated_at=wall,
        renewal_key=None,
        tries=0,
        updated_at=wall,
    )


def wants_renewal(record: SubscriptionRecord, wall: float) -> bool:
    """Whether the term is so near to its end that another one is asked for without being told to."""
    if not record.auto_renew or record.expires_at is None:
        return False
    left_s = record.expires_at - wall
    fresh = record.seated_at is not None and wall - record.seated_at < lifecycle.RENEWED_ONCE_IN_S
    return left_s <= lifecycle.RENEWED_BEFORE_S and not (fresh and left_s > lifecycle.RENEWED_ONCE_IN_S)


def next_look(expires_at: float | None, wall: float) -> float:
    """When the monitor looks next: within the hour, and at the instant at which the grant ends."""
    hour = wall + lifecycle.LOOK_EVERY_S
    return min(hour, expires_at) if expires_at is not None and expires_at > wall else hour


def tell(ctx: Context, record: SubscriptionRecord, what: str, severity: Any, by: str | None, **payload: Any) -> None:
    """The audit entry in the peer's chain, and the event."""
    about = note(ctx, record, what, by, **payload)
    ctx.emit(f"federation.subscription.{what}", severity, record.account_id, federation_peer_id=record.federation_peer_id, **about)


def note(ctx: Context, record: SubscriptionRecord, what: str, by: str | None, **payload: Any) -> dict[str, Any]:
    """The audit entry in the peer's chain; what it says."""
    about = {"subscription_id": record.id, "slug": record.slug, "local_hostname": record.local_hostname, **payload}
    peer_id = record.federation_peer_id
    ctx.audit_in(peer_id, f"subscription.{what}", "user" if by else "system", by, federation_peer_id=peer_id, **about)
    return about
