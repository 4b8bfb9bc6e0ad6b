"""The two WebSockets that carry a channel: one that we dialled, and one that our listener has upgraded.

Lives here: one interface on trio-websocket and on ASGI. Must not live here: a frame (`net.channel`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import trio
import trio_websocket

from net.channel import WireClosed
from net.limits import CHANNEL_CLOSE_S
from net.tls import TlsStream

HANDSHAKE_ENDED: Final = (trio_websocket.HandshakeError, trio_websocket.ConnectionClosed, trio.BrokenResourceError, OSError)


class DialledWire:
    """A WebSocket that we dialled, and the connection under it."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, stream: TlsStream) -> None:
        self._connection = connection
        self._stream = stream

    async def send(self, text: str) -> None:
        try:
            await self._connection.send_message(text)
        except trio_websocket.ConnectionClosed:
            raise WireClosed from None

    async def receive(self) -> str | bytes:
        try:
            message: str | bytes = await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            raise WireClosed from None
        return message

    async def ping(self) -> None:
        """Ask for a sign of life, and wait for it."""
        try:
            await self._connection.ping()
        except trio_websocket.ConnectionClosed:
            raise WireClosed from None

    async def close(self, code: int, reason: str) -> None:
        with suppress(*HANDSHAKE_ENDED), trio.move_on_after(CHANNEL_CLOSE_S):
            await self._connection.aclose(code, reason)

    def abort(self) -> None:
        self._stream.abort()


class AsgiWire:
    """The WebSocket of one ASGI conversation."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        self._receive = receive
        self._send = send
        self._closed = False

    async def send(self, text: str) -> None:
        if self._closed:
            raise WireClosed
        try:
            await self._send({"type": "websocket.send", "text": text, "bytes": None})
        except OSError:
            raise WireClosed from None

    async def receive(self) -> str | bytes:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._closed = True
            raise WireClosed
        found: str | bytes = message.get("text") or message.get("bytes") or b""
        return found

    async def close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            with trio.move_on_after(CHANNEL_CLOSE_S):
                try:
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
                except OSError:
                    return

    def abort(self) -> None:
        """The server closes the connection as soon as the conversation is over."""
        self._closed = True
