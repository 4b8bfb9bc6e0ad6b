"""Routes about the platform's clock."""

from __future__ import annotations

from typing import Final

from actors.door.clock import bodies
from actors.door.route import PEERS_MANAGE, PEERS_READ, SYSTEM, Route

_TAG: Final = "Platform"

ROUTES: Final = (
    Route(
        name="get_clock",
        method="GET",
        path=f"{SYSTEM}/platform/clock",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="What the platform's clock shows, whether that is known to be right, and since when something has waited for it",
        success={200: bodies.CLOCK},
        conditional=True,
    ),
    Route(
        name="confirm_clock",
        method="POST",
        path=f"{SYSTEM}/platform/clock/confirm",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Say that the platform's clock is right, so that what was held back goes on",
        description=(
            "What has ended by this clock is then destroyed for good, also if most peers had said that it is earlier. The word holds for "
            "the clock as it is set now and for this start of the daemon, and until peers say that it is earlier still."
        ),
        body=bodies.CONFIRM,
        success={200: bodies.CLOCK},
        errors={409: ("clock_differs", "clock_not_in_question")},
        idempotent=True,
    ),
)
