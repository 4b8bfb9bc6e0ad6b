"""A WebSocket over real TLS in memory: whole messages, bounds in both directions, signs of life, the end, and the upgrade."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import h11
import pytest
import trio
import trio.testing
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from actors.door.call import Source
from actors.limits import CHANNEL_FRAME_BYTES_MAX
from net.limits import CHANNEL_SEND_S, UPGRADE_REFUSAL_BYTES_MAX
from net.tls import TlsStream, client_context, server_context
from net.websocket import StreamWire, Upgrade, UpgradeFailed, UpgradeRefused, WireClosed, WireMisused, upgraded
from tests.net.certs import Authority
from tests.net.served import INSTANCE

WAITING_MAX = 4
SOURCE = Source("192.0.2.1", "tls", (), "c1")


async def connection() -> tuple[TlsStream, TlsStream]:
    """Both ends of a TLS connection in memory."""
    return await agreed(*trio.testing.memory_stream_pair())


async def agreed(near: trio.abc.Stream, far: trio.abc.Stream) -> tuple[TlsStream, TlsStream]:
    """Both ends of a TLS connection on a pair of streams, client first."""
    leaves = (Authority().server(INSTANCE).for_listener,)
    client, server = TlsStream(near, client_context(), server_side=False), TlsStream(far, server_context(leaves), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    return client, server


@attrs.define(eq=False)
class Raw:
    """The dialling end, played by the test with wsproto alone."""

    stream: TlsStream
    protocol: Connection = attrs.field(factory=lambda: Connection(ConnectionType.CLIENT))

    async def say(self, *events: Any) -> None:
        await self.stream.send_all(b"".join(self.protocol.send(event) for event in events))

    async def hear(self) -> list[Any]:
        self.protocol.receive_data(await self.stream.receive_some())
        return list(self.protocol.events())


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[StreamWire, Raw]]:
    client, server = await connection()
    async with trio.open_nursery() as nursery:
        yield StreamWire(server, Connection(ConnectionType.SERVER), nursery.start_soon, waiting_max=WAITING_MAX), Raw(client)
        nursery.cancel_scope.cancel()


async def test_messages_arrive_whole_and_in_order_however_they_were_cut() -> None:
    async with wired() as (wire, raw):
        await raw.say(TextMessage(data="one "), TextMessage(data="two"), BytesMessage(data=b"\x00\xff"))
        assert [await wire.receive(), await wire.receive(), await wire.receive()] == ["one ", "two", b"\x00\xff"]
        await raw.say(TextMessage(data="a", message_finished=False))
        await raw.say(TextMessage(data="é" * 40_000, message_finished=True))
        assert await wire.receive() == "a" + "é" * 40_000


async def test_what_waits_to_be_sent_leaves_in_order() -> None:
    async with wired() as (wire, raw):
        assert [wire.post("first"), wire.post(b"second"), wire.ping()] == [True] * 3
        heard: list[Any] = []
        while len(heard) < 3:
            heard += await raw.hear()
        assert [type(event) for event in heard] == [TextMessage, BytesMessage, Ping]


async def test_what_a_full_connection_takes_by_and_by_arrives_whole_and_in_order() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    client, server = await agreed(near, await listener.accept())
    raw, messages = Raw(client), [f"{number:04} {'x' * 8_000}" for number in range(2_000)]
    async with trio.open_nursery() as nursery:
        wire = StreamWire(server, Connection(ConnectionType.SERVER), nursery.start_soon, waiting_max=WAITING_MAX)
        taken = [message for message in messages if wire.post(message)]
        assert WAITING_MAX < len(taken) < len(messages)
        heard = ""
        while len(heard) < sum(map(len, taken)):
            heard += "".join(event.data for event in await raw.hear())
        assert heard == "".join(taken)
    assert wire.post("small again")
    assert [event.data for event in await raw.hear()] == ["small again"]
    client.abort()
    server.abort()
    await listener.aclose()


async def test_who_does_not_read_is_told_of_and_no_more_than_so_many_messages_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with wired() as (wire, _):
        slow: list[float] = []
        wire.on_too_slow(lambda: slow.append(trio.current_time()))
        # The memory under the TLS connection takes everything, so the test stands in the way of it.
        blocked = trio.Event()
        wire._stream.transport.send_stream.send_all_hook = blocked.wait  # type: ignore[attr-defined]
        began = trio.current_time()
        assert wire.post("begun")
        await trio.testing.wait_all_tasks_blocked()
        assert [wire.post("x") for _ in range(WAITING_MAX + 2)] == [True] * WAITING_MAX + [False] * 2
        await trio.sleep(CHANNEL_SEND_S + 1.0)
        assert slow == [began + CHANNEL_SEND_S]


async def test_pings_are_answered_while_nobody_speaks() -> None:
    async with wired() as (wire, raw), trio.open_nursery() as nursery:
        nursery.start_soon(wire.receive)
        await raw.say(Ping(payload=b"are you there"))
        assert [event.payload for event in await raw.hear() if isinstance(event, Pong)] == [b"are you there"]
        nursery.cancel_scope.cancel()


async def test_a_message_over_the_limit_is_given_up_before_it_is_whole() -> None:
    async with wired() as (wire, raw), trio.open_nursery() as nursery:

        async def flood() -> None:
            for _ in range(CHANNEL_FRAME_BYTES_MAX // 1_000 + 2):
                await raw.say(TextMessage(data="x" * 1_000, message_finished=False))

        nursery.start_soon(flood)
        with pytest.raises(WireMisused):
            await wire.receive()


@pytest.mark.parametrize("garbage", [b"\xff" * 16, b"\x81\x05hello", b"\x80\x80\x00\x00\x00\x00"])
async def test_what_is_no_websocket_ends_it(garbage: bytes) -> None:
    async with wired() as (wire, raw):
        await raw.stream.send_all(garbage)
        with pytest.raises((WireMisused, WireClosed)):
            await wire.receive()


async def test_a_goodbye_is_answered_and_ends_it() -> None:
    async with wired() as (wire, raw):
        await raw.say(CloseConnection(code=1001, reason="going"))
        with pytest.raises(WireClosed):
            await wire.receive()
        assert [event.code for event in await raw.hear()] == [1001]


async def test_our_goodbye_follows_what_waits() -> None:
    async with wired() as (wire, raw):
        wire.post("last")
        await wire.close(4001, "over")
        heard = await raw.hear()
        assert [(type(event), getattr(event, "code", None)) for event in heard] == [(TextMessage, None), (CloseConnection, 4001)]


async def test_large_messages_leave_no_large_buffers_behind() -> None:
    async with wired() as (wire, raw):
        before = wire._stream._tls._from_ssl  # type: ignore[attr-defined]
        await raw.say(TextMessage(data="x" * 100))
        await wire.receive()
        assert wire._stream._tls._from_ssl is before  # type: ignore[attr-defined]
        await raw.say(TextMessage(data="x" * 60_000))
        await wire.receive()
        assert wire._stream._tls._from_ssl is not before  # type: ignore[attr-defined]
        wire.post("still")
        assert [event.data for event in await raw.hear()] == ["still"]


# --- the upgrade ----------------------------------------------------------------------------------------------------------


def asked(*headers: tuple[str, str], target: str = "/channel?x=1") -> h11.Request:
    return h11.Request(method="GET", target=target, headers=[("host", "b.example"), *headers])


RIGHT = (
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "other, mine"),
    ("sec-websocket-extensions", "permessage-deflate"),
)


async def test_an_upgrade_agrees_on_the_subprotocol_and_on_no_compression() -> None:
    client, server = await connection()
    upgrade = Upgrade(server, SOURCE, asked(*RIGHT), [(b"date", b"now")])
    assert (upgrade.scope["path"], upgrade.scope["query_string"], upgrade.scope["subprotocols"]) == ("/channel", b"x=1", ["other", "mine"])
    assert upgrade.malformed() is None
    await upgrade.accept("mine")
    head = (await client.receive_some()).lower()
    assert head.startswith(b"http/1.1 101")
    assert b"sec-websocket-protocol: mine" in head
    assert b"date: now" in head
    assert b"extensions" not in head


@pytest.mark.parametrize(("missing", "status"), [("sec-websocket-version", 400), ("sec-websocket-key", 400), ("upgrade", 400)])
async def test_a_malformed_upgrade_is_named(missing: str, status: int) -> None:
    _, server = await connection()
    upgrade = Upgrade(server, SOURCE, asked(*(pair for pair in RIGHT if pair[0] != missing)), [])
    found = upgrade.malformed()
    assert found is not None
    assert found[0] == status


async def dialled(answer: bytes) -> Any:
    """What the dialling end makes of an answer."""
    client, server = await connection()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await server.receive_some()
            await server.send_all(answer)
            await server.send_eof()

        nursery.start_soon(serve)
        return await upgraded(client, "b.example:1", "/channel", "mine")


async def test_a_refusal_is_read_with_its_body() -> None:
    client, server = await connection()
    async with trio.open_nursery() as nursery:

        async def refuse() -> None:
            await server.receive_some()
            headers = [(b"content-length", b"2"), (b"retry-after", b"3")]
            await Upgrade(server, SOURCE, asked(*RIGHT), [(b"date", b"now")]).refuse(429, headers, b"{}")

        nursery.start_soon(refuse)
        with pytest.raises(UpgradeRefused) as refused:
            await upgraded(client, "b.example", "/channel", "mine")
        await client.aclose()
    assert (refused.value.status, refused.value.headers["retry-after"], refused.value.body) == (429, "3", b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: no\r\n\r\n",
        b"HTTP/1.1 200 x\r\ncontent-length: 99999999\r\n\r\n" + b"x" * (UPGRADE_REFUSAL_BYTES_MAX + 1),
    ],
)
async def test_what_is_no_answer_to_an_upgrade_fails(answer: bytes) -> None:
    with pytest.raises((UpgradeFailed, ExceptionGroup)) as failed:
        await dialled(answer)
    error = failed.value
    assert isinstance(error.exceptions[0] if isinstance(error, ExceptionGroup) else error, UpgradeFailed)
