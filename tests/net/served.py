"""A listener with a small application on loopback ports, for the tests of this folder."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from net.connection import AsgiApp
from net.limits import ListenerLimits
from net.listener import Listener, open_loopback, open_public
from net.tls import TlsStream, client_context
from runtime.clock import Clock
from tests.net.certs import Authority

PATIENCE_S = 60.0
"""How long is waited for what has to come. Only a failure costs it, so that it may be long enough for a machine with much else to do."""
INSTANCE = "0190c0de-0000-7000-8000-0000000000aa"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was asked; `/early` does not read the body, `/hang` never answers, a WebSocket gets its messages back."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websocket(scope, receive, send)
    elif scope["path"] == "/hang":
        while (await receive())["type"] != "http.disconnect":
            pass
    else:
        await _answer(scope, b"" if scope["path"] == "/early" else await _body(receive), send)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def _websocket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(len(scope["state"]["source"].certificates))})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"], "bytes": event["bytes"]})


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return body
        body += event["body"]
        if not event["more_body"]:
            return body


async def _answer(scope: Any, body: bytes, send: Any) -> None:
    source = scope["state"]["source"]
    source.verified["requests"] = source.verified.get("requests", 0) + 1
    answer = {
        "path": scope["path"],
        "method": scope["method"],
        "http": scope["http_version"],
        "body": body.decode("latin-1"),
        "address": source.address,
        "face": source.face,
        "certificates": len(source.certificates),
        "connection": source.connection_id,
        "requests": source.verified["requests"],
    }
    content = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@attrs.frozen
class Served:
    """A running listener and how to reach it."""

    listener: Listener
    authority: Authority
    port: int
    plain_port: int
    stop: trio.Event

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def tcp(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def plain(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.plain_port)

    async def tls(self, *identity: bytes) -> TlsStream:
        stream = TlsStream(await self.tcp(), client_context(*identity), server_side=False)
        await stream.do_handshake()
        return stream


@asynccontextmanager
async def serving(
    app: AsgiApp = echo,
    *,
    limits: ListenerLimits | None = None,
    authority: Authority | None = None,
    clock: Clock | None = None,
    **more: Any,
) -> AsyncIterator[Served]:
    root = authority or Authority()
    leaves = (root.server(INSTANCE, p256=True).for_listener, root.server(INSTANCE).for_listener)
    listener = Listener(app, leaves, limits=limits or ListenerLimits(grace_s=0.5), clock=clock, **more)
    tls, plain = await open_public("127.0.0.1", 0), await open_loopback("127.0.0.1", 0)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(listener.serve, tls=tls, loopback=plain, stop=stop))
        yield Served(listener, root, tls[0].socket.getsockname()[1], plain[0].socket.getsockname()[1], stop)
        stop.set()


async def until(condition: Any) -> None:
    """Wait for `condition()`; the loop of the event loop itself is what is waited for, so this is real time."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.005)


def descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def ask(stream: trio.abc.Stream, request: bytes = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n") -> dict[str, Any]:
    """Send one request and read an answer that has a length; its JSON body."""
    await stream.send_all(request)
    head, rest = await read_head(stream)
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(rest) < length:
        rest += await stream.receive_some(65_536)
    assert len(rest) == length
    found: dict[str, Any] = json.loads(rest)
    return found


async def read_head(stream: trio.abc.Stream) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some(65_536)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


async def read_all(stream: trio.abc.Stream) -> bytes:
    """Everything until the end, however it ends."""
    data = b""
    try:
        while piece := await stream.receive_some(65_536):
            data += piece
    except trio.BrokenResourceError:
        pass
    return data
