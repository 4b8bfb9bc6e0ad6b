"""Routes of the bridges between a peer and our overlay networks."""

from __future__ import annotations

from typing import Final

from actors.bridge.lifecycle import STATES, TRIGGERS, Trigger
from actors.door import bodies as shared
from actors.door.bridges import bodies
from actors.door.route import PEERS_MANAGE, PEERS_READ, SYSTEM, Route
from actors.door.shapes import Choice, Field, ListOf

_TAG: Final = "Bridges"
_BRIDGES: Final = f"{SYSTEM}/platform/peers/{{id}}/bridges"
_BRIDGE: Final = f"{_BRIDGES}/{{bridge_id}}"

_STATES: Final = Field("state", ListOf(Choice(STATES), len(STATES)), description="One or more, as stored, separated by commas.")

_SUMMARIES: Final[dict[Trigger, tuple[str, str]]] = {
    "activate": ("Open a network to a peer", "Needs a peer that is accepted, enrolled, active or degraded."),
    "suspend": ("Close a network to a peer for a while", "Calls from this network are refused with the commit."),
    "resume": ("Open a suspended bridge again", "Needs a peer that is accepted, enrolled, active or degraded."),
    "revoke": ("End a bridge for good", "A new one may be made for the same network afterwards."),
}


def _step(trigger: Trigger) -> Route:
    summary, description = _SUMMARIES[trigger]
    opens = trigger in ("activate", "resume")
    return Route(
        name=f"{trigger}_bridge",
        method="POST",
        path=f"{_BRIDGE}/{trigger}",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary=summary,
        description=description,
        body=bodies.STEP,
        success={200: bodies.ONE_BRIDGE},
        errors={409: ("version_conflict", *(("peer_not_ready",) if opens else ())), 422: ("invalid_transition",)},
        idempotent=True,
        conditional=True,
    )


ROUTES: Final = (
    Route(
        name="list_bridges",
        method="GET",
        path=_BRIDGES,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List the bridges of a peer, newest first",
        query=(_STATES, *shared.PAGE),
        success={200: shared.listing_of(bodies.BRIDGE)},
        conditional=True,
    ),
    Route(
        name="create_bridge",
        method="POST",
        path=_BRIDGES,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Propose a bridge between a peer and an overlay network",
        body=bodies.CREATE_BRIDGE,
        success={201: bodies.ONE_BRIDGE},
        errors={404: ("peer_not_found",), 409: ("bridge_exists", "peer_revoked"), 422: ("network_not_found", "invalid_metadata")},
        idempotent=True,
    ),
    Route(
        name="get_bridge",
        method="GET",
        path=_BRIDGE,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show one bridge",
        success={200: bodies.ONE_BRIDGE},
        conditional=True,
    ),
    Route(
        name="update_bridge",
        method="PATCH",
        path=_BRIDGE,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Change what is noted about a bridge",
        body=bodies.UPDATE_BRIDGE,
        success={200: bodies.ONE_BRIDGE},
        errors={409: ("version_conflict",), 422: ("invalid_metadata",)},
        idempotent=True,
        conditional=True,
    ),
    *(_step(trigger) for trigger in TRIGGERS),
)
