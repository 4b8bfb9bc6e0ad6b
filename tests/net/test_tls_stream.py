"""The TLS stream itself: every byte arrives, both ways, and its ends are told apart."""

from __future__ import annotations

import random

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


async def test_a_send_cancelled_half_way_ends_sending() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    left = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    right = await listeners[0].accept()
    root = Authority()
    client = TlsStream(left, client_context(), server_side=False)
    server = TlsStream(right, server_context((root.server().for_listener,)), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    with trio.move_on_after(0.05) as scope:
        await client.send_all(b"x" * 50_000_000)
    assert scope.cancelled_caught
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"more")
    assert not client.silent()
    client.abort()
    server.abort()
    await listeners[0].aclose()


async def test_idle_and_no_longer_usable() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    left = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    right = await listeners[0].accept()
    client = TlsStream(left, client_context(), server_side=False)
    server = TlsStream(right, server_context((Authority().server().for_listener,)), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    await server.send_all(b"x")
    assert await client.receive_some() == b"x"
    assert client.silent()
    await server.aclose()
    await until(lambda: not client.silent())
    await client.aclose()
    await listeners[0].aclose()


def test_half_a_client_identity_is_refused() -> None:
    leaf = Authority().client("x")
    with pytest.raises(ValueError, match="together"):
        client_context(leaf.pem)
    with pytest.raises(ValueError, match="belong"):
        client_context(leaf.pem, Authority().client("x").key_pem)
    with pytest.raises(ValueError, match="read"):
        client_context(b"junk", leaf.key_pem)
