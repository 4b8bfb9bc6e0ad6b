"""The side behind a hub: what it makes of a hub that relays nothing, is somebody else, is away, or hands over too much."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from actors.certificates import verify_server
from actors.ports import ClientIdentity, FetchRelayed, ServerExpectation
from net.addresses import Dialler
from net.limits import RELAYED_PER_HUB_MAX, ListenerLimits
from net.listener import Listener, open_public
from net.relay import RELAY_PROTOCOL
from net.relayed import TOO_MANY, RelayedConnections, RelayedStream
from net.remote import RemoteClient
from net.tls import TlsStream
from runtime.errors import Fault
from runtime.secret import Secret
from runtime.values import evolve
from tests.net.certs import NOW, Authority
from tests.net.served import INSTANCE, PATIENCE_S, echo, until
from tests.support.engines import ManualClock

TOKEN = "t" * 43
ANOTHER = ServerExpectation(anchors_pem=(Authority("another").pem,), instance_id=INSTANCE)


@attrs.define(eq=False)
class TakesTokens:
    """A hub that writes down the tokens by which it is asked, and holds each connection until the test is over."""

    protocol: bytes = RELAY_PROTOCOL
    tokens: list[bytes] = attrs.field(factory=list)

    async def entry(self, transport: trio.abc.Stream, address: str) -> bytes | None:
        return b""

    async def leg(self, stream: TlsStream, source: Any) -> None:
        self.tokens.append(await stream.receive_some(len(TOKEN)))
        await trio.sleep_forever()


@attrs.define(eq=False)
class Behind:
    """A platform behind a hub that listens at `port`; what it is handed is kept in `served`."""

    connections: RelayedConnections
    authority: Authority
    port: int
    served: list[RelayedStream] = attrs.field(factory=list)

    def request(self, **changes: Any) -> FetchRelayed:
        client = self.authority.client(INSTANCE)
        request = FetchRelayed(
            peer_id="hub",
            urls=(f"https://127.0.0.1:{self.port}",),
            identity=ClientIdentity(client.chain_pem.decode(), client.key_pem),
            expectation=ServerExpectation(anchors_pem=(self.authority.pem,), instance_id=INSTANCE),
            token=Secret(TOKEN),
            client_address="198.51.100.4",
            timeout_s=PATIENCE_S,
        )
        return evolve(request, **changes)


@asynccontextmanager
async def behind(hub: TakesTokens | None) -> AsyncIterator[Behind]:
    authority, stop = Authority(), trio.Event()
    clock = ManualClock()
    clock.wall_at = NOW
    listener = Listener(echo, (authority.server(INSTANCE).for_listener,), limits=ListenerLimits(grace_s=0.1), relay=hub)
    public = await open_public("127.0.0.1", 0)
    client = RemoteClient(
        clock=clock,
        open_sealed=lambda sealed, purpose: sealed,
        verify_server=verify_server,
        dialler=Dialler(allowed=lambda: ("127.0.0.0/8",)),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(listener.serve, tls=public, stop=stop))
        made: list[Behind] = []

        async def serve(stream: RelayedStream) -> None:
            made[0].served.append(stream)

        made.append(Behind(RelayedConnections(client, nursery, serve), authority, public[0].socket.getsockname()[1]))
        yield made[0]
        for stream in made[0].served:
            stream.abort()
        stop.set()
        nursery.cancel_scope.deadline = trio.current_time() + 1.0


async def test_a_connection_is_fetched_by_its_token_and_served_as_what_the_hub_says_it_is() -> None:
    hub = TakesTokens()
    async with behind(hub) as platform:
        request = platform.request()
        assert await platform.connections.fetch(request) == request.urls[0]
        await until(lambda: hub.tokens and platform.served)
        (stream,) = platform.served
        assert (stream.remote_address, stream.relayed_by) == (("198.51.100.4", 0), "hub")
        assert hub.tokens == [TOKEN.encode()]


@pytest.mark.parametrize(
    ("changes", "code", "error"),
    [
        ({"expectation": ANOTHER}, "server_identity_unverified", "server_identity_unverified"),
        ({"urls": ("https://127.0.0.1:1",)}, "remote_unreachable", "connect_refused"),
        ({"urls": ("https://192.168.0.1",)}, "address_not_allowed", "address_not_allowed"),
        ({"urls": ()}, "remote_unreachable", None),
    ],
)  # fmt: skip
async def test_nothing_is_told_to_a_hub_that_is_another_or_not_there(changes: dict[str, Any], code: str, error: str | None) -> None:
    hub = TakesTokens()
    async with behind(hub) as platform:
        outcome = await platform.connections.fetch(platform.request(**changes))
        assert isinstance(outcome, Fault)
        assert outcome.code == code
        assert [entry["error"] for entry in outcome.details["probed"]] == ([error] if error else [])
        assert (hub.tokens, platform.served) == ([], [])


async def test_a_platform_that_is_no_hub_gets_no_token() -> None:
    async with behind(None) as platform:
        outcome = await platform.connections.fetch(platform.request())
        assert isinstance(outcome, Fault)
        assert (outcome.code, outcome.details["probed"][0]["error"]) == ("remote_unreachable", "not_a_hub")


async def test_one_hub_hands_over_so_much_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.relayed.RELAYED_PER_HUB_MAX", 2)
    assert RELAYED_PER_HUB_MAX > 2
    async with behind(TakesTokens()) as platform:
        for _ in range(2):
            assert isinstance(await platform.connections.fetch(platform.request()), str)
        assert await platform.connections.fetch(platform.request()) == TOO_MANY
        await until(lambda: len(platform.served) == 2)
        platform.served[0].abort()
        platform.served[0].abort()
        assert isinstance(await platform.connections.fetch(platform.request()), str)
        assert await platform.connections.fetch(platform.request()) == TOO_MANY
