"""Routes of the hub: operators' consents, and the word of a hub that it has a connection for us."""

from __future__ import annotations

from typing import Final

from actors.door.hub import bodies
from actors.door.route import CERTIFICATE_REFUSALS, FEDERATION, PEERS_MANAGE, PEERS_READ, STATUS_REFUSALS, SYSTEM, Route

_TAG: Final = "Hub"
_HUB: Final = f"{SYSTEM}/platform/peers/{{id}}/hub"

_NOT_READY: Final = ("version_conflict", "peer_not_ready", "channel_disabled")


def _step(name: str, word: str, summary: str, description: str, *, permits: bool, errors: dict[int, tuple[str, ...]]) -> Route:
    return Route(
        name=name,
        method="POST",
        path=f"{_HUB}/{word}",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary=summary,
        description=description,
        body={"permit_relaying": bodies.PERMIT, "use_hub": bodies.USE}.get(name, bodies.STEP),
        success={200: bodies.ONE},
        errors=errors,
        idempotent=True,
        conditional=True,
        opens_trust=permits,
    )


_WITHDRAWN: Final[dict[int, tuple[str, ...]]] = {409: ("version_conflict",), 422: ("invalid_transition",)}

ROUTES: Final = (
    Route(
        name="get_hub",
        method="GET",
        path=f"{SYSTEM}/platform/hub",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show whether this platform is a hub, for whom, and what has been relayed",
        success={200: bodies.OVERVIEW},
        conditional=True,
    ),
    Route(
        name="get_peer_hub",
        method="GET",
        path=_HUB,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show the consents about relaying with one peer, and what has been relayed",
        success={200: bodies.ONE},
        conditional=True,
    ),
    _step(
        "permit_relaying",
        "permit",
        "Let a peer be reached through this platform",
        "TLS connections that ask our port for the host of the peer's URL are passed on to it, unopened. A second time changes the terms.",
        permits=True,
        errors={
            409: (*_NOT_READY, "hub_disabled", "server_name_taken"),
            422: ("server_name_required", "server_name_own", "invalid_network"),
        },
    ),
    _step(
        "withdraw_relaying",
        "withdraw",
        "Stop relaying to a peer",
        "Relayed connections of the peer are cut at once.",
        permits=False,
        errors=_WITHDRAWN,
    ),
    _step(
        "use_hub",
        "use",
        "Let a peer hand connections to this platform, as its hub",
        "The peer must have permitted it, too. Each such connection is judged by our own TLS and door as any other. "
        "Peers are told of the hub with the next heartbeat, unless `announce` is false.",
        permits=True,
        errors={409: _NOT_READY},
    ),
    _step(
        "leave_hub",
        "leave",
        "Take no connections from a hub any more",
        "Connections that came through it are cut at once.",
        permits=False,
        errors=_WITHDRAWN,
    ),
    Route(
        name="federation_relayed",
        method="POST",
        path=f"{FEDERATION}/relayed",
        face="federation",
        tag="Federation API",
        summary="Tell that a connection waits at the caller, a hub",
        description="It is fetched with the token, once, by a connection to the hub whose application protocol is `powernode.relay.v1`.",
        body=bodies.RELAYED,
        success={202: bodies.RELAYED_HEARD},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: (*STATUS_REFUSALS, "relay_not_permitted"),
            409: ("peering_expired",),
            422: ("server_name_foreign",),
            503: ("no_outbound_identity",),
        },
    ),
)
