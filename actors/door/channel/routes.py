"""The route on which a peer opens a channel."""

from __future__ import annotations

from typing import Final

from actors.door.route import CERTIFICATE_REFUSALS, FEDERATION, STATUS_REFUSALS, Route

CHANNEL_URL_PATH: Final = f"{FEDERATION}/channel"

ROUTES: Final = (
    Route(
        name="federation_channel",
        method="GET",
        path=CHANNEL_URL_PATH,
        face="federation",
        tag="Federation API",
        summary="Open a peer channel",
        description=(
            "Upgrades to a WebSocket with the subprotocol `powernode.channel.v1`, on which both sides call each other: heartbeats, peer"
            " events, trust bundles. Each call is admitted as if it had come over HTTP."
        ),
        success={101: None},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: STATUS_REFUSALS,
            409: ("channel_behind_proxy",),
            426: ("upgrade_required",),
            503: ("no_outbound_identity", "channels_full"),
        },
        websocket=True,
    ),
)
