"""Relaying put together: a platform's hub, and what it does when it is behind one.

Lives here: the wiring of `net.relay` and `net.relayed` with the door, the channels and the actors. Must not live here: a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from actors.door.families import PlatformDoor
from actors.hub.ledger import Counts, Ledger, limits_of
from actors.hub.messages import Counted
from actors.hub.record import KIND as HUB
from actors.settings import FederationSettings
from net.channels import Channels
from net.relay import HubParts, RelayHub
from runtime.actor import Ref
from runtime.engine import Engine

RELAYED_PATH: Final = "/federation_api/relayed"


def hub_of(
    federation: FederationSettings,
    engine: Engine,
    door: PlatformDoor,
    channels: Channels,
    token_bytes: Callable[[int], bytes],
    hello_s: float,
) -> RelayHub | None:
    """The hub of a platform; None if it is none."""
    if not federation.hub_enabled:
        return None

    async def announce(peer_id: str, body: Mapping[str, Any]) -> int | None:
        answer = await channels.call(peer_id, "POST", RELAYED_PATH, msgspec.json.encode(body))
        return None if answer is None else answer.status

    def count(peer_id: str, counts: Counts) -> None:
        told = Counted(
            connections=counts.connections,
            refused=counts.refused,
            bytes_to=counts.bytes_to,
            bytes_from=counts.bytes_from,
            open_now=counts.open_now,
        )
        engine.tell(Ref(HUB.name, peer_id), told)

    parts = HubParts(
        route=door.relay_route,
        announce=announce,
        other_end=door.other_end,
        count=count,
        token_bytes=token_bytes,
        hello_s=hello_s,
        open_s=federation.hub_open_s,
        idle_s=federation.hub_idle_s,
    )
    return RelayHub(parts, Ledger(limits_of(federation)))
