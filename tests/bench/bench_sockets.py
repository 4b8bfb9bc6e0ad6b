"""What simulated sockets cost: HTTPS through the production listener and client, over them and over the system's loopback.

Both ends live in one process; requests go one after the other over one kept connection of TLS 1.3. The two runs differ in nothing but the
sockets and the clock: the simulated one has two machines, a link with latency and jitter between them, and a trace of every segment.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from net.http_client import HttpClientConnection
from net.listener import Listener, open_public
from net.tls import TlsStream, client_context
from runtime.clock import SystemClock
from sim.clock import Timeline
from sim.links import Links
from sim.network import Network
from sim.sockets.clock import VirtualLoop
from sim.sockets.sockets import Sockets
from sim.sockets.tcp import Process, Tcp
from tests.bench.figures import Figure, ratio
from tests.net.certs import Authority

REQUESTS = 400
INSTANCE = "018f0000-0000-7000-8000-000000000001"
LEAVES = (Authority().server(INSTANCE).for_listener,)

OnServer = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

_clock = SystemClock()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """A bare ASGI application."""
    if scope["type"] == "lifespan":
        return
    await receive()
    body = b'{"success": true, "data": {"status": "active"}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def exchange(host: str, on_server: OnServer) -> float:
    """Requests per second."""
    ports: list[trio.SocketListener] = []
    listener, stop = Listener(answer, LEAVES), trio.Event()

    async def bind() -> None:
        ports.extend(await open_public(host, 0))

    await on_server(bind)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(on_server, partial(listener.serve, tls=ports, stop=stop))
        port = ports[0].socket.getsockname()[1]
        stream = TlsStream(await trio.open_tcp_stream(host, port), client_context(), server_side=False)
        await stream.do_handshake()
        connection = HttpClientConnection(stream, "localhost")
        started = _clock.now()
        for _ in range(REQUESTS):
            reply = await connection.exchange("GET", "/", reply_bytes_max=10_000)
            assert reply.status == 200
        elapsed_s = _clock.now() - started
        connection.close()
        stop.set()
    return REQUESTS / elapsed_s


def over_loopback() -> float:
    async def here(function: Callable[[], Awaitable[Any]]) -> Any:
        return await function()

    return trio.run(exchange, "127.0.0.1", here)


def over_simulated_sockets() -> float:
    timeline, frames = Timeline(), []
    network = Network(Links(random.Random(1)), random.Random(2))
    for name in ("client", "server"):
        network.add(name, lambda: "listening")
    tcp = Tcp(timeline, network, lambda *frame: frames.append(frame))
    loop = VirtualLoop(timeline, random.Random(3))
    sockets = Sockets(tcp, loop)
    loop.call(sockets.install)
    client, server = (Process(tcp.machine(name), name) for name in ("client", "server"))
    on_server = partial(sockets.as_process, server)
    try:
        found: float = loop.run(sockets.as_process, client, partial(exchange, network.places["server"].address, on_server))
    finally:
        loop.close()
    assert len(frames) >= 2 * REQUESTS
    return found


FIGURES = (
    Figure("HTTPS over simulated sockets / over loopback", ">= 0.9", "x", lambda: ratio(over_simulated_sockets, over_loopback), 0.9),
)
