"""Routes about frozen trust."""

from __future__ import annotations

from typing import Final

from actors.door.continuity import bodies
from actors.door.route import PEERS_MANAGE, PEERS_READ, SYSTEM, Route

_TAG: Final = "Federation"

ROUTES: Final = (
    Route(
        name="get_continuity",
        method="GET",
        path=f"{SYSTEM}/platform/trust",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Whether trust is frozen because this platform runs on an earlier copy of its data",
        success={200: bodies.CONTINUITY},
        conditional=True,
    ),
    Route(
        name="unfreeze_trust",
        method="POST",
        path=f"{SYSTEM}/platform/trust/unfreeze",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Decide whether this platform runs on an earlier copy, and what still holds",
        description=(
            "With `restored`, open tokens die, what was granted is void and peerings in force are paused, unless they are kept. Trust "
            "stays frozen until every peer has acted on it."
        ),
        body=bodies.UNFREEZE,
        success={200: bodies.CONTINUITY},
        errors={409: ("trust_not_frozen", "claim_disproved")},
        idempotent=True,
    ),
)
