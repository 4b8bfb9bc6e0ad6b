"""The TLS stream itself: every byte arrives, both ways, and its ends are told apart."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from net.tls import TlsStream, client_context, server_context
from tests.net.certs import Authority
from tests.net.served import until


async def _pair() -> tuple[TlsStream, TlsStream]:
    left, right = trio.testing.memory_stream_pair()
    root = Authority()
    client = TlsStream(left, client_context(), server_side=False, server_name="platform.example")
    server = TlsStream(right, server_context((root.server().for_listener,)), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    return client, server


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 65_536, 65_537, 1_000_003])
async def test_every_byte_arrives_both_ways_at_once(size: int) -> None:
    client, server = await _pair()
    data = random.Random(size).randbytes(size)

    async def send(stream: TlsStream) -> None:
        await stream.send_all(data)
        await stream.send_eof()

    async def receive(stream: TlsStream) -> None:
        found = bytearray()
        while piece := await stream.receive_some(10_000):
            found += piece
        assert found == data

    async with trio.open_nursery() as nursery:
        for stream in (client, server):
            nursery.start_soon(send, stream)
            nursery.start_soon(receive, stream)


async def test_a_cut_connection_is_an_error_for_the_client_and_an_end_for_the_server() -> None:
    client, server = await _pair()
    await client.transport.aclose()
    assert await server.receive_some() == b""
    client, server = await _pair()
    await server.transport.aclose()
    with pytest.raises(trio.BrokenResourceError, match="goodbye"):
        await client.receive_some()


async def test_a_goodbye_is_an_end_for_both() -> None:
    client, server = await _pair()
    await server.send_eof()
    assert await client.receive_some() == b""
    await client.send_all(b"still")
    assert await server.receive_some() == b"still"
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"no more")


@asynccontextmanager
async def _over_tcp() -> AsyncIterator[tuple[TlsStream, TlsStream]]:
    """A client and a server over a connection of this machine."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    left = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    right = await listener.accept()
    client = TlsStream(left, client_context(), server_side=False)
    server = TlsStream(right, server_context((Authority().server().for_listener,)), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    try:
        yield client, server
    finally:
        client.abort()
        server.abort()
        await listener.aclose()


async def _received(stream: TlsStream, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = await stream.receive_some()
        assert piece
        found += piece
    return bytes(found)


async def test_a_little_leaves_at_once() -> None:
    async with _over_tcp() as (client, server):
        assert server.send_now(b"one ")
        await server.send_all(b"two ")
        assert server.send_now(b"three")
        assert not server.unsent
        assert await _received(client, 13) == b"one two three"
        assert not server.send_now(b"")
        assert not server.send_now(b"x" * 16_385)


async def test_what_the_transport_does_not_take_at_once_leaves_first() -> None:
    async with _over_tcp() as (client, server):
        pieces = [bytes([number % 251]) * 16_384 for number in range(2_000)]
        sent = 0
        while not server.unsent and sent < len(pieces):
            assert server.send_now(pieces[sent])
            sent += 1
        assert server.unsent, "the kernel takes everything"
        assert not server.send_now(b"past it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, b"the end")
            assert await _received(client, 16_384 * sent + 7) == b"".join(pieces[:sent]) + b"the end"
        assert not server.unsent
        assert server.send_now(b"again")
        assert await _received(client, 5) == b"again"


async def test_whoever_receives_never_waits_for_what_is_left_over_to_leave() -> None:
    async with _over_tcp() as (client, server):
        while not server.unsent:
            assert server.send_now(b"x" * 16_384)
        await client.send_all(b"I speak before I read")
        with trio.fail_after(30.0):
            assert await server.receive_some() == b"I speak before I read"
        assert server.unsent


async def test_a_handshake_on_a_closed_connection_says_that_it_is_closed() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    server = TlsStream(await listener.accept(), server_context((Authority().server().for_listener,)), server_side=True)
    server.abort()
    with pytest.raises(trio.ClosedResourceError):
        await server.do_handshake()
    await client.aclose()
    await listener.aclose()


async def test_nothing_leaves_at_once_when_sending_is_over_or_under_way() -> None:
    async with _over_tcp() as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, b"x" * 50_000_000)
            await trio.testing.wait_all_tasks_blocked()
            assert not server.send_now(b"in between")
            nursery.cancel_scope.cancel()
        assert not server.send_now(b"torn")
        await client.send_eof()
        assert not client.send_now(b"after the goodbye")
    assert not client.send_now(b"closed")


async def test_a_connection_that_has_broken_is_told_of_by_the_next_send() -> None:
    async with _over_tcp() as (client, server):
        client.abort()
        while server.send_now(b"x"):
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"more")


async def test_a_send_cancelled_half_way_ends_sending() -> None:
    async with _over_tcp() as (client, _):
        with trio.move_on_after(0.05) as scope:
            await client.send_all(b"x" * 50_000_000)
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"more")
        assert not client.silent()


async def test_idle_and_no_longer_usable() -> None:
    async with _over_tcp() as (client, server):
        await server.send_all(b"x")
        assert await client.receive_some() == b"x"
        assert client.silent()
        await server.aclose()
        await until(lambda: not client.silent())
        await client.aclose()


def test_half_a_client_identity_is_refused() -> None:
    leaf = Authority().client("x")
    with pytest.raises(ValueError, match="together"):
        client_context(leaf.pem)
    with pytest.raises(ValueError, match="belong"):
        client_context(leaf.pem, Authority().client("x").key_pem)
    with pytest.raises(ValueError, match="read"):
        client_context(b"junk", leaf.key_pem)
