"""WebSockets that cost little while they are silent: the upgrade from either end, and messages on a stream.

Lives here: one small object for each WebSocket, on wsproto's state machine: bounded sending, whole messages of bounded size, signs of life.
Must not live here: what a message means (`net.channel`), or TLS.

A WebSocket has no task of its own. Whoever receives is its only reader, and a task that writes exists only while something waits to be
sent, so that ten thousand silent WebSockets are ten thousand waiting readers and nothing more. Compression is never agreed on: a
compressed message may inflate a thousandfold before anything can look at its size.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import h11
import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from actors.door.call import Source
from actors.limits import CHANNEL_FRAME_BYTES_MAX
from net.limits import CHANNEL_CLOSE_S, CHANNEL_SEND_S, UPGRADE_REFUSAL_BYTES_MAX, WEBSOCKET_KEPT_BYTES, WEBSOCKET_RECEIVE_BYTES
from net.tls import TlsStream

log = logging.getLogger("net.channel")

Spawn = Callable[[Callable[[], Awaitable[None]]], None]

_ENDED: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class WireClosed(Exception):
    """The WebSocket has ended."""


class WireMisused(Exception):
    """The other end broke the protocol or a limit of it."""


class UpgradeFailed(Exception):
    """The other end made no WebSocket of the connection, and what it said is no answer either."""


class UpgradeRefused(Exception):
    """The other end refused the upgrade with an HTTP answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.headers = headers
        self.body = body


class StreamWire:
    """One WebSocket. All methods belong to trio's thread; one task receives.

    Attributes:
        heard_at: when anything at all arrived last, by trio's clock.
    """

    __slots__ = ("_closed", "_protocol", "_spawn", "_stream", "_too_slow", "_waiting", "_writing", "heard_at", "waiting_max")

    def __init__(self, stream: TlsStream, protocol: Connection, spawn: Spawn, *, waiting_max: int) -> None:
        """
        Args:
            protocol: wsproto's state after the upgrade; may hold what has arrived since.
            spawn: starts a task that may outlive the caller.
            waiting_max: how many messages may wait to be sent.
        """
        self.heard_at = trio.current_time()
        self.waiting_max = waiting_max
        self._stream = stream
        self._protocol = protocol
        self._spawn = spawn
        self._waiting: list[bytes] = []
        self._writing: trio.Event | None = None
        self._closed = False
        self._too_slow: Callable[[], None] | None = None
        stream.release_buffers()

    def on_too_slow(self, call: Callable[[], None]) -> None:
        """Have `call` called when the other end does not take what we send in time."""
        self._too_slow = call

    def post(self, message: str | bytes) -> bool:
        """Send a message as soon as the other end takes it. False if too many wait already, and then it is not sent."""
        return self._post(TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message))

    def ping(self) -> bool:
        """Ask for a sign of life."""
        return self._post(Ping())

    def _post(self, event: Event) -> bool:
        if self._closed:
            return True
        if len(self._waiting) >= self.waiting_max:
            return False
        try:
            data = self._protocol.send(event)
        except LocalProtocolError:
            # A goodbye has passed in one direction already.
            return True
        if self._writing is None and self._stream.send_now(data):
            if not self._stream.unsent:
                if len(data) > WEBSOCKET_KEPT_BYTES:
                    self._stream.release_buffers()
                return True
            data = b""
        self._waiting.append(data)
        if self._writing is None:
            self._writing = trio.Event()
            self._spawn(self._write)
        return True

    async def _write(self) -> None:
        assert self._writing is not None
        try:
            while self._waiting and not self._closed:
                data, self._waiting = b"".join(self._waiting), []
                with trio.move_on_after(CHANNEL_SEND_S) as sending:
                    await self._stream.send_all(data)
                if sending.cancelled_caught:
                    if self._too_slow is not None:
                        self._too_slow()
                    return
                if len(data) > WEBSOCKET_KEPT_BYTES:
                    self._stream.release_buffers()
        except _ENDED:
            # The reader hears of it, too.
            self._closed = True
        finally:
            self._writing.set()
            self._writing = None

    async def receive(self) -> str | bytes:
        """The next whole message.

        Raises:
            WireClosed
            WireMisused
        """
        parts: list[Any] = []
        size = 0
        while True:
            for event in self._protocol.events():
                if isinstance(event, Message):
                    parts.append(event.data)
                    size += len(event.data)
                    if size > CHANNEL_FRAME_BYTES_MAX:
                        raise WireMisused("a message is too large")
                    if event.message_finished:
                        if size > WEBSOCKET_KEPT_BYTES:
                            self._stream.release_buffers()
                        return "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)
                elif isinstance(event, Ping):
                    if not self._post(event.response()):
                        raise WireMisused("answers to pings are not read")
                elif isinstance(event, CloseConnection):
                    await self._answer_goodbye(event)
                    raise WireClosed
            await self._feed()

    async def _feed(self) -> None:
        try:
            data = await self._stream.receive_some(WEBSOCKET_RECEIVE_BYTES)
        except _ENDED:
            raise WireClosed from None
        if not data:
            raise WireClosed
        self.heard_at = trio.current_time()
        try:
            self._protocol.receive_data(data)
        except (LocalProtocolError, RemoteProtocolError):
            raise WireMisused("it is no WebSocket") from None

    async def _answer_goodbye(self, event: CloseConnection) -> None:
        if self._protocol.state is ConnectionState.REMOTE_CLOSING and self._post(event.response()) and self._writing is not None:
            with trio.move_on_after(CHANNEL_CLOSE_S):
                await self._writing.wait()

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, after what waits to be sent, if that is possible within a moment."""
        if self._closed:
            return
        with suppress(LocalProtocolError, *_ENDED), trio.move_on_after(CHANNEL_CLOSE_S):
            if self._protocol.state is ConnectionState.OPEN:
                self._waiting.append(self._protocol.send(CloseConnection(code=code, reason=reason)))
            if self._writing is None:
                self._writing = trio.Event()
                await self._write()
            else:
                await self._writing.wait()
            await self._stream.send_eof()
        self._closed = True

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        self._stream.abort()


# --- the upgrade, at the listener ---------------------------------------------------------------------------------------


class Upgrade:
    """A call on a listener that wants to become a WebSocket, and is not answered yet.

    Attributes:
        scope: the call as ASGI would tell it.
        ended: to be called when the connection is over, by whoever took it over.
    """

    def __init__(
        self,
        stream: TlsStream,
        source: Source,
        request: h11.Request,
        date: Sequence[tuple[bytes, bytes]],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """`date`: headers that every answer has. `ended`: see the attribute."""
        path, _, query = request.target.partition(b"?")
        headers = [(bytes(name), bytes(value)) for name, value in request.headers]
        offered = b",".join(value for name, value in headers if name == b"sec-websocket-protocol")
        self.stream = stream
        self.ended = ended
        self.scope: Mapping[str, Any] = {
            "type": "websocket",
            "http_version": request.http_version.decode("ascii"),
            "method": "GET",
            "path": path.decode("ascii", "replace"),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "subprotocols": [word.strip().decode("latin-1") for word in offered.split(b",") if word.strip()],
            "state": {"source": source},
        }
        self._date = list(date)
        self._handshake = H11Handshake(ConnectionType.SERVER)
        self._headers, self._target = headers, request.target

    def malformed(self) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        """Why this cannot become a WebSocket (RFC 6455, section 4.2.1), as status and headers; None if it can."""
        try:
            self._handshake.initiate_upgrade_connection(self._headers, self._target)
        except RemoteProtocolError as error:
            hint = error.event_hint
            return (hint.status_code, list(hint.headers)) if isinstance(hint, RejectConnection) else (400, [])
        except (LocalProtocolError, UnicodeError, h11.ProtocolError):
            return 400, []
        return None

    async def accept(self, subprotocol: str) -> Connection:
        """Become a WebSocket.

        Raises:
            WireClosed
        """
        answer = self._handshake.send(AcceptConnection(subprotocol=subprotocol, extra_headers=self._date))
        assert self._handshake.connection is not None
        await self._send(answer)
        return self._handshake.connection

    async def refuse(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer without becoming one, if that is possible within a moment; the connection ends."""
        response = h11.Response(status_code=status, headers=[*headers, *self._date, (b"connection", b"close")])
        answering = h11.Connection(h11.SERVER)
        parts = [answering.send(event) or b"" for event in (response, h11.Data(data=body), h11.EndOfMessage())]
        with suppress(WireClosed, *_ENDED), trio.move_on_after(CHANNEL_SEND_S):
            await self._send(b"".join(parts))
            await self.stream.send_eof()
            while await self.stream.receive_some(WEBSOCKET_RECEIVE_BYTES):
                pass

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(CHANNEL_SEND_S):
            try:
                await self.stream.send_all(data)
            except _ENDED:
                raise WireClosed from None
            return
        raise WireClosed


# --- the upgrade, by whoever dials --------------------------------------------------------------------------------------


async def upgraded(stream: TlsStream, host: str, target: str, subprotocol: str) -> Connection:
    """Make a WebSocket of a connection that we dialled. The caller limits the time.

    Raises:
        UpgradeRefused
        UpgradeFailed
    """
    handshake = H11Handshake(ConnectionType.CLIENT)
    answer = _Answer()
    try:
        await stream.send_all(handshake.send(Request(host=host, target=target, subprotocols=[subprotocol])))
        while not answer.complete:
            data = await stream.receive_some(WEBSOCKET_RECEIVE_BYTES)
            if not data:
                raise UpgradeFailed("the connection ended before the answer")
            handshake.receive_data(data)
            for event in handshake.events():
                answer.take(event)
    except _ENDED as error:
        raise UpgradeFailed(str(error) or type(error).__name__) from None
    except (RemoteProtocolError, LocalProtocolError, h11.ProtocolError, UnicodeError) as error:
        raise UpgradeFailed(f"the answer is no upgrade: {error}") from None
    if answer.accepted is None:
        raise UpgradeRefused(answer.status, answer.headers, bytes(answer.body))
    if answer.accepted.subprotocol != subprotocol or answer.accepted.extensions or handshake.connection is None:
        raise UpgradeFailed("the remote speaks another protocol")
    return handshake.connection


@attrs.define
class _Answer:
    """What has come of the answer to an upgrade."""

    accepted: AcceptConnection | None = None
    status: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytearray = attrs.field(factory=bytearray)
    complete: bool = False

    def take(self, event: Event) -> None:
        if isinstance(event, AcceptConnection):
            self.accepted, self.complete = event, True
        elif isinstance(event, RejectConnection):
            self.status = event.status_code
            self.headers = {bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1") for name, value in event.headers}
            self.complete = not event.has_body
        elif isinstance(event, RejectData):
            self.body += event.data
            self.complete = event.body_finished
            if len(self.body) > UPGRADE_REFUSAL_BYTES_MAX:
                raise UpgradeFailed("the refusal is too long")
