"""Routes by which operators browse what peers offer, subscribe, and keep or end what they have."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.approvals.bodies import PENDING
from actors.door.route import SERVER_FAILED, SUBSCRIPTIONS_CANCEL, SUBSCRIPTIONS_READ, SUBSCRIPTIONS_SUBSCRIBE, SYSTEM, Route
from actors.door.shapes import Choice, Field, Identifier, ListOf
from actors.door.subscriptions import bodies
from actors.subscription.lifecycle import STATES

_TAG: Final = "Services"
_BASE: Final = f"{SYSTEM}/federation/service_subscriptions"
_ONE: Final = f"{_BASE}/{{id}}"
_PEER: Final = f"{SYSTEM}/federation/peers/{{peer_id}}"
_NONE: Final = ("subscription_not_found",)
_PEER_STATES: Final = ("peer_not_ready", "peer_suspended", "peer_revoked", "peering_expired")
_WAY: Final = {502: SERVER_FAILED, 503: ("no_outbound_identity", "vault_unavailable"), 504: ("remote_timeout",)}


def _step(name: str, permission: str, summary: str, description: str, body: object, errors: dict[int, tuple[str, ...]]) -> Route:
    return Route(
        name=f"{name}_subscription",
        method="POST",
        path=f"{_ONE}/{name}",
        face="operator",
        permission=permission,
        tag=_TAG,
        summary=summary,
        description=description,
        body=body,  # type: ignore[arg-type]
        success={200: bodies.ONE_SUBSCRIPTION},
        errors={404: _NONE, **errors},
        idempotent=True,
    )


ROUTES: Final = (
    Route(
        name="browse_catalog",
        method="GET",
        path=f"{_PEER}/catalog",
        face="operator",
        permission=SUBSCRIPTIONS_READ,
        tag=_TAG,
        summary="Browse what a peer offers",
        description="Asked of the peer at every look. While it is away, what was seen last is shown with its age.",
        success={200: shared.listing_of(bodies.SEEN_ENTRY, 1_000)},
        errors={404: ("peer_not_found",), 409: _PEER_STATES, **_WAY},
        conditional=True,
    ),
    Route(
        name="subscribe",
        method="POST",
        path=f"{_PEER}/subscriptions",
        face="operator",
        permission=SUBSCRIPTIONS_SUBSCRIBE,
        tag=_TAG,
        summary="Subscribe to a service of a peer",
        description=(
            "Answers after the first try. What fails in passing (the peer is away, no certificate yet) leaves it `pending` and is "
            "tried again after 1, 5 and 25 minutes, then every hour, for a day. What the peer refuses ends it. With `override_residency` "
            "what our residency rules refuse waits for approval: 202, and nothing has been subscribed to yet."
        ),
        body=bodies.SUBSCRIBE,
        success={201: bodies.ONE_SUBSCRIPTION, 202: PENDING},
        errors={
            403: ("residency_refused",),
            404: ("peer_not_found",),
            409: ("peer_not_ready", "hostname_taken"),
            422: ("field_required", "slug_invalid", "hostname_invalid", "ttl_out_of_range", "residency_unacknowledged"),
            502: ("remote_rejected",),
        },
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="list_subscriptions",
        method="GET",
        path=_BASE,
        face="operator",
        permission=SUBSCRIPTIONS_READ,
        tag=_TAG,
        summary="List subscriptions, newest first",
        query=(
            Field("status", ListOf(Choice(STATES), len(STATES)), description="One or more, separated by commas."),
            Field("peer_id", Identifier(), description="Of one peer."),
            *shared.PAGE,
        ),
        success={200: shared.listing_of(bodies.SUBSCRIPTION)},
        conditional=True,
    ),
    Route(
        name="get_subscription",
        method="GET",
        path=_ONE,
        face="operator",
        permission=SUBSCRIPTIONS_READ,
        tag=_TAG,
        summary="Show one subscription",
        success={200: bodies.ONE_SUBSCRIPTION},
        errors={404: _NONE},
        conditional=True,
    ),
    _step(
        "cancel",
        SUBSCRIPTIONS_CANCEL,
        "End a subscription for good",
        "Traffic stops and the bearer is destroyed at once; the provider is told as often as it takes.",
        bodies.CANCEL,
        {409: ("subscription_cancelled",)},
    ),
    _step(
        "renew",
        SUBSCRIPTIONS_SUBSCRIBE,
        "Get a further term now",
        "It happens by itself from seven days before the end on. After the end of a term it asks for a seat anew.",
        bodies.STEP,
        {409: ("subscription_not_renewable", *_PEER_STATES), **_WAY},
    ),
    _step(
        "retry",
        SUBSCRIPTIONS_SUBSCRIBE,
        "Try what a pending subscription waits for now",
        "",
        bodies.STEP,
        {409: ("subscription_not_pending",), 502: ("remote_rejected",)},
    ),
)
