"""The door of a platform: every family of routes there is, and what answers each route. Both composition roots open this one.

Must not live here: a rule. A route without a handler, or a handler without a route, stops the program when it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.door import accounts, federation, overview, peers
from actors.door.approvals import handlers as approvals
from actors.door.audit import handlers as audit
from actors.door.bridges import handlers as bridges
from actors.door.call import Answer, Call, Source
from actors.door.capabilities import federation as capabilities_federation
from actors.door.capabilities import handlers as capabilities
from actors.door.channel import handlers as channel
from actors.door.clock import handlers as clock
from actors.door.continuity import handlers as continuity
from actors.door.door import Door, Handler, request_id_in
from actors.door.ending import handlers as ending
from actors.door.grants import handlers as grants
from actors.door.hub import handlers as hub
from actors.door.migration_chains import handlers as migration_chains
from actors.door.migrations import handlers as migrations
from actors.door.offerings import federation as offerings_federation
from actors.door.offerings import handlers as offerings
from actors.door.overlay_peers import handlers as overlay_peers
from actors.door.received_grants import handlers as received_grants
from actors.door.resources import handlers as resources
from actors.door.routes import BY_NAME
from actors.door.subscriptions import handlers as subscriptions
from actors.door.trust import handlers as trust
from actors.door.worker import handlers as worker
from actors.hub.routing import NoRoute, Route
from actors.settings import Settings
from runtime.engine import Engine
from runtime.errors import Fault
from runtime.ids import uuid7

_FAMILIES: Final = (
    peers.HANDLERS,
    overlay_peers.HANDLERS,
    worker.HANDLERS,
    ending.HANDLERS,
    trust.HANDLERS,
    grants.HANDLERS,
    received_grants.HANDLERS,
    continuity.HANDLERS,
    clock.HANDLERS,
    overview.HANDLERS,
    accounts.HANDLERS,
    federation.HANDLERS,
    resources.HANDLERS,
    bridges.HANDLERS,
    capabilities.HANDLERS,
    capabilities_federation.HANDLERS,
    hub.HANDLERS,
    migrations.HANDLERS,
    migration_chains.HANDLERS,
    approvals.HANDLERS,
    offerings.HANDLERS,
    subscriptions.HANDLERS,
    offerings_federation.HANDLERS,
    audit.HANDLERS,
    channel.HANDLERS,
)

HANDLERS: Final[Mapping[str, Handler]] = {name: handler for family in _FAMILIES for name, handler in family.items()}

ANSWERED_BY_FACES: Final = frozenset({"get_openapi", "health_live", "health_ready", "stream_events"})
"""Routes that the HTTP face answers by itself: no decision of the domain is in them."""

if HANDLERS.keys() != BY_NAME.keys() - ANSWERED_BY_FACES:
    raise ValueError(f"routes and handlers differ: {sorted(HANDLERS.keys() ^ (BY_NAME.keys() - ANSWERED_BY_FACES))}")


class PlatformDoor(Door):
    """The door with every family behind it. See `Door`."""

    def __init__(self, engine: Engine, settings: Settings, token_key_pem: bytes) -> None:
        super().__init__(engine, settings, token_key_pem, HANDLERS)

    def open_channel(self, call: Call) -> channel.ChannelLeave | Answer:
        """Leave for a peer to have a channel with us, or the refusal to send in place of the upgrade."""
        request_id = request_id_in(call.headers.get("x-request-id")) or uuid7(self.engine.clock.wall(), self.chance)
        return channel.open_channel(self, call, request_id)

    def other_end(self, source: Source) -> str | Fault:
        """The id of the peer that is at the other end of a connection by what is known now, whatever its status serves."""
        return channel.other_end(self, source)

    def relay_route(self, server_name: str | None) -> Route | NoRoute | None:
        """Where a connection goes that asks our TLS port for this name: to a peer behind us, to nobody, or (None) to ourselves."""
        return hub.route_for(self, server_name)
