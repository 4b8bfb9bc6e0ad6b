"""Malformed connections by the hundred against the real listener: it goes on answering, and nothing of them stays behind."""

from __future__ import annotations

import gc
import random
import resource
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from net.limits import ListenerLimits
from tests.net.served import PATIENCE_S, Served, ask, descriptors, serving, until

AT_ONCE = 24
PATIENCE_OF_CLIENTS_S = 4.0
"""More than every limit: the listener lets them go, and not they it."""
# A well-behaved client is served in the same moments and by the same process, so it must not be taken for a slow one.
LIMITS = ListenerLimits(
    handshake_s=1.5,
    header_s=1.5,
    body_s=0.4,
    send_s=0.4,
    linger_s=0.2,
    keep_alive_s=1.5,
    abandoned_s=0.3,
    grace_s=0.5,
    body_bytes=300_000,
    linger_bytes=600_000,
    http2_resets=50,
    http2_control_frames=200,
    websocket_message_bytes=10_000,
)

Kind = Callable[[Served, random.Random], Awaitable[None]]
HEAD = b"POST / HTTP/1.1\r\nhost: t\r\n"
EARLY = b"POST /early HTTP/1.1\r\nhost: t\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: t\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


def _browser(*alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


HTTP1, HTTP2 = _browser("http/1.1"), _browser("h2")


async def _say(stream: trio.abc.Stream, *pieces: bytes, linger_s: float = PATIENCE_OF_CLIENTS_S) -> None:
    """Send everything, then read until the listener lets go or patience ends."""
    try:
        for piece in pieces:
            await stream.send_all(piece)
        with trio.move_on_after(linger_s):
            while await stream.receive_some(65_536):
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def _over_tls(served: Served, context: ssl.SSLContext, *pieces: bytes, linger_s: float = PATIENCE_OF_CLIENTS_S) -> None:
    stream = trio.SSLStream(await served.tcp(), context, https_compatible=True)
    await stream.do_handshake()
    await _say(stream, *pieces, linger_s=linger_s)


def _raw(make: Callable[[random.Random], bytes]) -> Kind:
    """Bytes that reach the TLS port without TLS."""

    async def kind(served: Served, chance: random.Random) -> None:
        await _say(await served.tcp(), make(chance))

    return kind


def _plain(make: Callable[[random.Random], bytes]) -> Kind:
    """Bytes on the plain port or, half of the time, inside TLS."""

    async def kind(served: Served, chance: random.Random) -> None:
        if chance.random() < 0.5:
            await _say(await served.plain(), make(chance))
        else:
            await _over_tls(served, HTTP1, make(chance))

    return kind


def _frames(make: Callable[[random.Random], bytes]) -> Kind:
    """HTTP/2 frames after a proper preface."""

    async def kind(served: Served, chance: random.Random) -> None:
        await _over_tls(served, HTTP2, PREFACE + SETTINGS + make(chance))

    return kind


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


# HPACK: indexed fields of the static table, :method GET, :scheme https, :path /, and :authority as a literal.
_GET = b"\x82\x87\x84\x41\x01t"
_POST = b"\x83\x87\x84\x41\x01t"


def _hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = HTTP1.wrap_bio(ssl.MemoryBIO(), outgoing)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = _hello()


async def reset_at_once(served: Served, chance: random.Random) -> None:
    stream = await (served.tcp() if chance.random() < 0.5 else served.plain())
    if chance.random() < 0.5:
        await stream.send_all(HELLO[:50])
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def reset_inside_a_request(served: Served, chance: random.Random) -> None:
    stream = await served.tls()
    await stream.send_all(HEAD + b"content-length: 1000\r\n\r\nabc")
    stream.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.abort()


async def silence_after_tls(served: Served, chance: random.Random) -> None:
    await _over_tls(served, HTTP2 if chance.random() < 0.5 else HTTP1)


async def a_gigabyte_streamed(served: Served, chance: random.Random) -> None:
    path = b"/early" if chance.random() < 0.5 else b"/"
    framing = b"content-length: 299999\r\n\r\n" if chance.random() < 0.3 else b"transfer-encoding: chunked\r\n\r\n"
    piece = b"x" * 65_536
    chunk = piece if b"length" in framing else b"10000\r\n" + piece + b"\r\n"
    await _say(await served.plain(), b"POST " + path + b" HTTP/1.1\r\nhost: t\r\n" + framing, *[chunk] * 16_384)


async def a_hanging_handler_left_alone(served: Served, chance: random.Random) -> None:
    await _say(await served.plain(), b"GET /hang HTTP/1.1\r\nhost: t\r\n\r\n", linger_s=0.02)


async def an_answer_never_read(served: Served, chance: random.Random) -> None:
    stream = await served.plain()
    await _say(stream, b"GET / HTTP/1.1\r\nhost: t\r\n\r\n" * 50, linger_s=0.0)


async def headers_byte_by_byte(served: Served, chance: random.Random) -> None:
    stream = await served.plain()
    try:
        for byte in HEAD + b"x-slow: " + b"y" * 1_000:
            await stream.send_all(bytes((byte,)))
            await trio.sleep(0.02)
    except trio.BrokenResourceError:
        pass
    await trio.aclose_forcefully(stream)


KINDS: dict[str, Kind] = {
    "garbage": _raw(lambda chance: chance.randbytes(chance.randrange(1, 5_000))),
    "clear text on the TLS port": _raw(lambda _: b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"),
    "half a hello": _raw(lambda chance: HELLO[: chance.randrange(1, len(HELLO) - 1)]),
    "a damaged hello": _raw(lambda chance: HELLO[:60] + chance.randbytes(20) + HELLO[80:]),
    "an absurd record": _raw(lambda _: b"\x16\x03\x01\xff\xff" + b"\0" * 70_000),
    "reset at once": reset_at_once,
    "reset inside a request": reset_inside_a_request,
    "silence after TLS": silence_after_tls,
    "rubbish instead of a request": _plain(lambda chance: chance.randbytes(500)),
    "two lengths": _plain(lambda _: HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
    "length and chunks": _plain(lambda _: HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a negative length": _plain(lambda _: HEAD + b"content-length: -1\r\n\r\n"),
    "a gigabyte announced": _plain(lambda _: HEAD + b"content-length: 1073741824\r\n\r\n" + b"x" * 100_000),
    "a gigabyte streamed": a_gigabyte_streamed,
    "slow headers": _plain(lambda _: HEAD + b"x-slow: "),
    "headers byte by byte": headers_byte_by_byte,
    "oversized headers": _plain(lambda _: HEAD + b"x-large: " + b"y" * 40_000 + b"\r\n\r\n"),
    "endless headers": _plain(lambda _: HEAD + b"x: y\r\n" * 20_000),
    "a broken chunk": _plain(lambda _: HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc"),
    "a broken chunk after an early answer": _plain(lambda _: EARLY + b"transfer-encoding: chunked\r\n\r\nzz\r\n"),
    "a slow body": _plain(lambda _: HEAD + b"content-length: 1000\r\n\r\nab"),
    "pipelined junk": _plain(lambda chance: b"GET / HTTP/1.1\r\nhost: t\r\n\r\n" + chance.randbytes(300)),
    "a WebSocket with rubbish": _plain(lambda chance: UPGRADE + chance.randbytes(300)),
    "a WebSocket with an extra line": _plain(lambda _: UPGRADE + b"\r\n"),
    "a WebSocket with an unmasked frame": _plain(lambda _: UPGRADE + b"\x81\x05hello"),
    "a WebSocket without a key": _plain(lambda _: UPGRADE.replace(b"sec-websocket-key", b"sec-websocket-kex")),
    "HTTP/2 in clear text": _plain(lambda _: PREFACE + SETTINGS),
    "an upgrade to HTTP/2": _plain(lambda _: HEAD + b"upgrade: h2c\r\nconnection: upgrade\r\nhttp2-settings: AAA\r\n\r\n!"),
    "no host": _plain(lambda _: b"GET / HTTP/1.1\r\n\r\n"),
    "HTTP/2 rubbish": _frames(lambda chance: chance.randbytes(500)),
    "HTTP/2 frame too large": _frames(lambda _: b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"),
    "HTTP/2 data on no stream": _frames(lambda _: _frame(0, 0, 7, b"abc")),
    "HTTP/2 bad compression": _frames(lambda _: _frame(1, 5, 1, b"\xff\xff\xff\xff\xff")),
    "HTTP/2 endless continuation": _frames(lambda _: _frame(1, 0, 1, _GET) + _frame(9, 0, 1, b"\x40\x01a\x01b") * 500),
    "HTTP/2 without a method": _frames(lambda _: _frame(1, 5, 1, b"\x87\x84")),
    "HTTP/2 connect": _frames(lambda _: _frame(1, 5, 1, b"\x42\x07CONNECT\x41\x01t")),
    "HTTP/2 a path that is no text": _frames(lambda _: _frame(1, 5, 1, b"\x82\x87\x44\x02\xff\xfe\x41\x01t")),
    "HTTP/2 rapid reset": _frames(lambda _: b"".join(_frame(1, 5, n, _GET) + _frame(3, 0, n, b"\0\0\0\x08") for n in range(1, 400, 2))),
    "HTTP/2 ping flood": _frames(lambda _: _frame(6, 0, 0, b"12345678") * 500),
    "HTTP/2 settings flood": _frames(lambda _: SETTINGS * 500),
    "HTTP/2 priority tree": _frames(lambda _: b"".join(_frame(2, 0, n, b"\0\0\0\0\x10") for n in range(1, 1_000, 2))),
    "HTTP/2 more than the window": _frames(lambda _: _frame(1, 4, 1, _POST) + _frame(0, 0, 1, b"x" * 16_384) * 10),
    "HTTP/2 half a request": _frames(lambda _: _frame(1, 4, 1, _POST) + _frame(0, 0, 1, b"x")),
    "a handler left hanging": a_hanging_handler_left_alone,
    "an answer never read": an_answer_never_read,
}


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def _attack(served: Served, chance: random.Random, count: int) -> None:
    limit = trio.CapacityLimiter(AT_ONCE)

    async def one(kind: Kind, own_chance: random.Random) -> None:
        async with limit:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                await kind(served, own_chance)

    kinds = list(KINDS.values())
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, kinds[number % len(kinds)], random.Random(chance.random()))


@pytest.mark.parametrize("connections", [300, pytest.param(2_000, marks=pytest.mark.sweep)])
async def test_malformed_connections_harm_nobody(connections: int, caplog: pytest.LogCaptureFixture) -> None:
    assert len(KINDS) >= 15
    chance = random.Random(7)
    async with serving(limits=LIMITS) as served:
        await _attack(served, chance, 2 * len(KINDS))
        await until(lambda: served.listener.open_connections == 0)
        gc.collect()
        before, memory = descriptors(), _resident_bytes()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_attack, served, chance, connections)
            for _ in range(20):
                # A well-behaved client is served while the attack runs.
                witness = await served.tls()
                with trio.fail_after(PATIENCE_S):
                    assert (await ask(witness))["path"] == "/"
                await witness.aclose()
                await trio.sleep(0.05)
        await until(lambda: served.listener.open_connections == 0)
        gc.collect()
        assert descriptors() == before
        assert _resident_bytes() - memory < 30 * 1_048_576
        refused = served.listener.refused
        assert refused["internal_error"] == 0, caplog.text
        for reason in ("handshake_timeout", "handshake_failed", "slow_headers", "slow_body", "malformed_request", "headers_too_large"):
            assert refused[reason] > 0, (reason, refused)
        for reason in ("body_too_large", "malformed_http2", "http2_abuse", "malformed_websocket", "no_request"):
            assert refused[reason] > 0, (reason, refused)
        for stream in (await served.plain(), await served.tls()):
            assert (await ask(stream))["path"] == "/"
            await stream.aclose()
