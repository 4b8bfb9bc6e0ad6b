"""Routes by which operators pause, resume and end a peering, and by which a remote tells that it has."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.ending import bodies
from actors.door.route import CERTIFICATE_REFUSALS, FEDERATION, PEERS_MANAGE, STATUS_REFUSALS, SYSTEM, Route

_TAG: Final = "Platform peers"
_PEER: Final = f"{SYSTEM}/platform/peers/{{id}}"

ROUTES: Final = (
    Route(
        name="suspend_peer",
        method="POST",
        path=f"{_PEER}/suspend",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Pause a peering",
        description="Calls stop in both directions with the commit, and nothing given to the peer has effect; nothing is lost.",
        body=bodies.PAUSE,
        success={200: shared.ONE_PEER},
        errors={409: ("peer_suspended",), 422: ("invalid_transition",)},
        idempotent=True,
    ),
    Route(
        name="resume_peer",
        method="POST",
        path=f"{_PEER}/resume",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="End the pause of a peering",
        description="A peer whose trust is intact is enrolled again at once, and active with the next heartbeat.",
        body=bodies.RESUME,
        success={200: shared.ONE_PEER},
        errors={409: ("peering_expired",), 422: ("invalid_transition",)},
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="revoke_peer",
        method="POST",
        path=f"{_PEER}/revoke",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="End a peering for good",
        description=(
            "No call of the peer is served from the commit on. The remote is told, what is under way may finish, then our key for it is "
            "destroyed; `revocation_phase` shows how far that has come. Peering again means a new peer. With `immediate`, a peering that "
            "has ended and is still `draining` loses what is left of its grace; otherwise an end is refused the second time."
        ),
        body=bodies.REVOKE,
        success={200: shared.ONE_PEER},
        errors={409: ("already_revoked",)},
        idempotent=True,
    ),
    Route(
        name="emancipate",
        method="POST",
        path=f"{_PEER}/emancipate",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Stand on our own, at a managed child",
        description=(
            "What this platform gave its parent for operating it ends at once and for good; the peering goes on. The parent is told until "
            "it has heard. New rights need a new grant."
        ),
        body=bodies.EMANCIPATE,
        success={200: shared.ONE_PEER},
        errors={409: ("already_revoked", "peer_not_ready"), 422: ("not_managed_child",)},
        idempotent=True,
    ),
    Route(
        name="federation_peer_events",
        method="POST",
        path=f"{FEDERATION}/peer_events",
        face="federation",
        tag="Federation API",
        summary="Tell that the peering has ended, or of another event",
        description="Heard once per `event_id`. That the peering has ended is heard in a pause and past its agreed end, too.",
        body=bodies.PEER_EVENT,
        success={200: bodies.PEER_EVENT_HEARD},
        errors={401: CERTIFICATE_REFUSALS, 403: STATUS_REFUSALS, 422: ("invalid_text",)},
    ),
)
