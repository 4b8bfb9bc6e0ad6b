"""Calling an ASGI application without a server: one request or one WebSocket, in memory.

Lives here: building scopes and collecting what is sent. Must not live here: any application.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal

import attrs
import trio

from actors.door.call import Source

App = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
Pairs = Iterable[tuple[str, str]]
Face = Literal["tls", "loopback"]


@attrs.frozen
class Reply:
    """A complete response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def scope_of(kind: str, path: str, headers: Pairs, face: Face, **more: Any) -> dict[str, Any]:
    """The ASGI scope of a request or WebSocket; `path` may carry a query string."""
    raw, _, query = path.partition("?")
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "wss" if kind == "websocket" else "https",
        "path": more.pop("decoded_path", raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (("host", "test"), *headers)],
        "client": ("192.0.2.1", 1234),
        "server": ("test", 443),
        "state": {"source": Source("192.0.2.1", face)},
        "extensions": {},
        **more,
    }


async def request(
    app: App,
    method: str,
    path: str,
    *,
    headers: Pairs = (),
    chunks: Sequence[bytes] = (b"",),
    face: Face = "tls",
    ends: bool = True,
    **more: Any,
) -> Reply:
    """One request. `chunks` are the pieces in which its body arrives; `ends` False means that the last one never comes."""
    reply, _ = await request_counting(app, method, path, headers=headers, chunks=chunks, face=face, ends=ends, **more)
    return reply


async def request_counting(
    app: App,
    method: str,
    path: str,
    *,
    headers: Pairs = (),
    chunks: Sequence[bytes] = (b"",),
    face: Face = "tls",
    ends: bool = True,
    **more: Any,
) -> tuple[Reply, int]:
    """As `request`; also how many chunks of the body the application took."""
    taken = 0
    sent: list[Any] = []

    async def receive() -> Any:
        nonlocal taken
        await trio.lowlevel.checkpoint()
        if taken == len(chunks):
            await trio.sleep_forever()
        taken += 1
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": taken < len(chunks) or not ends}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    await app(scope_of("http", path, headers, face, method=method, **more), receive, send)
    start, *parts = sent
    assert [part["more_body"] for part in parts] == [True] * (len(parts) - 1) + [False]
    pairs = [(name.decode(), value.decode()) for name, value in start["headers"]]
    assert len(dict(pairs)) == len(pairs), "a header is sent twice"
    return Reply(start["status"], dict(pairs), b"".join(part["body"] for part in parts)), taken


class WebSocket:
    """The client's end of one WebSocket. `room` is how many messages fit on the way to it before the server has to wait."""

    def __init__(self, path: str, headers: Pairs = (), subprotocols: Sequence[str] = (), face: Face = "tls", room: int = 1_000) -> None:
        extensions = {"websocket.http.response": {}}
        self._scope = scope_of("websocket", path, headers, face, subprotocols=list(subprotocols), extensions=extensions)
        self._to_server, self._from_client = trio.open_memory_channel[Any](10)
        self._to_client, self.messages = trio.open_memory_channel[Any](room)
        self._to_server.send_nowait({"type": "websocket.connect"})

    async def run(self, app: App) -> None:
        """Serve it until the application is done with it."""
        await app(self._scope, self._from_client.receive, self._to_client.send)

    def say(self, text: str) -> None:
        """Send a text message to the server."""
        self._to_server.send_nowait({"type": "websocket.receive", "text": text, "bytes": None})

    def leave(self) -> None:
        """Drop the connection."""
        self._to_server.send_nowait({"type": "websocket.disconnect", "code": 1006})

    async def next(self) -> Any:
        """The next ASGI message from the server."""
        return await self.messages.receive()

    async def reply(self) -> Reply:
        """The HTTP response that refuses the upgrade."""
        start = await self.next()
        assert start["type"] == "websocket.http.response.start", start
        body = b""
        while True:
            part = await self.next()
            body += part["body"]
            if not part.get("more_body"):
                return Reply(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body)
