"""One accepted connection, from its bytes to calls of the ASGI application.

Lives here: what surrounds hypercorn's HTTP/1.1, HTTP/2 and WebSocket state machines: reading, writing, deadlines, bounded buffering, the
orderly end. Must not live here: accepting, counting and cutting connections (`net.listener`), and anything about TLS or certificates.

hypercorn's own server class is not used: an unexpected error in it leaves through the caller's nursery, it starts a task for every
idle period, and it waits without limit for applications that have answered without reading the body. Its protocol classes are not
documented for reuse; a test names every part of them that stands on this page.

Life of a connection, seen by its reader (the only task that ever receives):

    waiting for headers -> request open -> waiting for headers -> ... -> finishing -> gone

`finishing` begins when a protocol is done with the connection: our half is closed, and what the client still sends is thrown away for a
short while, because closing with unread data would reset the connection and destroy the answer on its way.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from typing import Any, Protocol, cast

import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, H11SendableEvent, Scope
from hypercorn.typing import ConnectionState as SharedState
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from net.limits import RECEIVE_BYTES, ListenerLimits
from net.tls import Turns, abort

log = logging.getLogger("net.listener")

AsgiSend = Callable[[Any], Awaitable[None]]
AsgiApp = Callable[[Any, Callable[[], Awaitable[Any]], AsgiSend], Awaitable[None]]
Refuse = Callable[[str], None]


class ConnectionRefused(Exception):
    """The client broke a rule that costs it the connection; the argument is the reason to count."""


class ClientGone(OSError):
    """Raised in an application that goes on sending to a client that is no longer there (ASGI 2.4)."""


class Inbox:
    """What one request or WebSocket has received and the application has not yet read, bounded in bytes.

    A full inbox makes the reader of the connection wait, and TCP makes the client wait. Once the application has been told that the
    client is gone (or has answered), nothing waits any more: what still arrives is dropped.
    """

    def __init__(self, limits: ListenerLimits, refuse: Refuse, *, websocket: bool) -> None:
        self._limits = limits
        self._refuse = refuse
        self._websocket = websocket
        self._events: deque[ASGIReceiveEvent] = deque()
        self._buffered_bytes = 0
        self._received_bytes = 0
        self._end: ASGIReceiveEvent | None = None
        # A WebSocket may be silent for as long as it likes; a request body may not.
        self._deadline = math.inf if websocket else trio.current_time() + limits.body_s
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    @property
    def ended(self) -> bool:
        """Whether the client is gone or answered."""
        return self._end is not None

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Take one event from the protocol.

        Raises:
            ConnectionRefused: the body is larger than the listener lets through.
        """
        if event["type"] in ("http.disconnect", "websocket.disconnect"):
            self._finish(event)
            return
        size = _size(event)
        self._received_bytes += size
        if not self._websocket and self._received_bytes > self._limits.body_bytes:
            self.disconnect()
            raise ConnectionRefused("body_too_large")
        while self._end is None and self._buffered_bytes + size > self._limits.buffered_body_bytes and self._events:
            await self._writers.park()
        if self._end is not None:
            return
        if event["type"] == "http.request" and not event["more_body"]:
            self._deadline = math.inf
        self._events.append(event)
        self._buffered_bytes += size
        self._readers.unpark()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event for the application; after the end, the same disconnect event every time."""
        while not self._events:
            if self._end is not None:
                await trio.lowlevel.checkpoint()
                return self._end
            with trio.CancelScope(deadline=self._deadline) as scope:
                await self._readers.park()
            if scope.cancelled_caught:
                self._refuse("slow_body")
                self.disconnect()
        event = self._events.popleft()
        self._buffered_bytes -= _size(event)
        self._writers.unpark_all()
        return event

    def disconnect(self) -> None:
        """The connection is gone, whatever the protocol has said about it."""
        self._finish({"type": "websocket.disconnect", "code": 1006} if self._websocket else {"type": "http.disconnect"})

    def _finish(self, event: ASGIReceiveEvent) -> None:
        if self._end is None:
            self._end = event
            if not self._websocket:
                self._events.clear()
                self._buffered_bytes = 0
        self._readers.unpark_all()
        self._writers.unpark_all()


def _size(event: ASGIReceiveEvent) -> int:
    if event["type"] == "http.request":
        return len(event["body"])
    if event["type"] == "websocket.receive":
        return len(event["bytes"] or event["text"] or b"")
    return 0


class AppTasks:
    """Starts the application for each request; stands in for hypercorn's task group.

    Attributes:
        helpers: where tasks of the protocol itself run; unlike calls of the application they end with the connection.
    """

    helpers: trio.Nursery

    def __init__(self, nursery: trio.Nursery, app: AsgiApp, limits: ListenerLimits, refuse: Refuse) -> None:
        self._nursery = nursery
        self._app = app
        self._limits = limits
        self._refuse = refuse
        self._open: set[Inbox] = set()

    def disconnect(self) -> None:
        """Tell every running call of the application that its client is gone."""
        for inbox in self._open:
            inbox.disconnect()

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Callable[[ASGISendEvent | None], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application on one request; what is returned takes the request's events."""
        inbox = Inbox(self._limits, self._refuse, websocket=scope["type"] == "websocket")
        self._nursery.start_soon(self._run, scope, inbox, send)
        return inbox.put

    def spawn(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task of the protocol itself."""
        self.helpers.start_soon(function, *args)

    async def __aenter__(self) -> AppTasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def _run(self, scope: Scope, inbox: Inbox, send: Callable[[ASGISendEvent | None], Awaitable[None]]) -> None:
        async def send_in_time(message: ASGISendEvent) -> None:
            if inbox.ended:
                raise ClientGone("the client has closed the connection")
            # HTTP/2 makes a sender wait for as long as the client keeps its window shut, so the limit stands here and not at the socket.
            with trio.CancelScope(deadline=trio.current_time() + self._limits.send_s) as waiting:
                await send(message)
            if waiting.cancelled_caught:
                self._refuse("slow_reader")

        self._open.add(inbox)
        try:
            await self._app(scope, inbox.receive, send_in_time)
        except BaseException as error:
            control = _control_part(error, scope)
            if control is not None:
                raise control from None
        finally:
            self._open.discard(inbox)
        await send(None)


def _control_part(error: BaseException, scope: Scope) -> BaseException | None:
    """Log what is an error of the application; give back what is none and must travel on, above all cancellation."""
    group = error if isinstance(error, BaseExceptionGroup) else BaseExceptionGroup("", [error])
    errors, control = group.split(Exception)
    bugs = None if errors is None else errors.split(ClientGone)[1]
    if bugs is not None:
        log.error("the application failed on %s", scope.get("path", "?"), exc_info=bugs)
    return control if control is None or group is error else error


class TakenOver(Exception):
    """The connection is to become something that is not served here; the argument is the request that asks for it."""

    def __init__(self, request: h11.Request) -> None:
        super().__init__()
        self.request = request


class Link(Protocol):
    """What the protocols below need from their connection.

    Attributes:
        upgrades: paths on which a WebSocket is not served here but given to whoever serves connections.
    """

    limits: ListenerLimits
    upgrades: Container[bytes]

    def refuse(self, reason: str) -> None:
        """Count a broken rule and give the connection up."""
        ...

    def malformed(self, reason: str) -> None:
        """Count a broken rule; the protocol itself answers and closes."""
        ...


class Http1(H11Protocol):
    """HTTP/1.1 without upgrades to HTTP/2, with early refusal of large bodies, and WebSockets without compression."""

    link: Link
    _counted = False
    _head = b""

    @property
    def websocket(self) -> bool:
        """Whether the connection has become a WebSocket."""
        return isinstance(self.stream, WSStream)

    async def going_away(self) -> None:
        """Tell a WebSocket that the server stops."""
        if isinstance(self.stream, WSStream) and self.stream.handshake.accepted:
            await self.stream._send_wsproto_event(CloseConnection(code=CloseReason.GOING_AWAY))

    async def handle(self, event: Event) -> None:
        websocket = self.stream if isinstance(self.stream, WSStream) else None
        if websocket is not None and not websocket.handshake.accepted and isinstance(event, RawData) and event.data:
            await self._refuse_websocket("malformed_websocket")
            return
        await super().handle(event)
        if self.connection.their_state is h11.ERROR and self.connection.our_state is h11.SEND_BODY:
            self._count("malformed_request")
        websocket = self.stream if isinstance(self.stream, WSStream) else websocket
        if websocket is not None and isinstance(event, RawData) and event.data:
            await self._check_websocket(websocket)

    async def _check_websocket(self, websocket: WSStream) -> None:
        if not websocket.handshake.accepted:
            broken = "malformed_websocket" if websocket.closed else None
        elif websocket.buffer.length > websocket.buffer.max_length:
            broken = "websocket_message_too_large"
        else:
            broken = "malformed_websocket" if websocket.closed and websocket.connection.state is ConnectionState.OPEN else None
        if broken is not None:
            await self._refuse_websocket(broken)

    async def _refuse_websocket(self, reason: str) -> None:
        self._count(reason)
        await self.send(Closed())

    def _count(self, reason: str) -> None:
        if not self._counted:
            self._counted = True
            self.link.malformed(reason)

    async def _check_protocol(self, event: h11.Request) -> None:
        # HTTP/2 is agreed on in the TLS handshake or not at all; its clear-text forms only widen what a stranger can reach.
        return

    async def _create_stream(self, request: h11.Request) -> None:
        headers = request.headers
        if _wants_websocket(request) and request.target.partition(b"?")[0] in self.link.upgrades:
            if self.connection.trailing_data[0]:
                # Frames before our acceptance (RFC 6455, section 4.1).
                await self._refuse_websocket("malformed_websocket")
                return
            raise TakenOver(request)
        announced = next((value for name, value in headers if name == b"content-length"), b"0")
        if int(announced) > self.link.limits.body_bytes:
            self._count("body_too_large")
            await self._send_error_response(413)
            await self.send(Closed())
            return
        if any(name == b"sec-websocket-extensions" for name, _ in headers):
            # A compressed message may inflate a thousandfold before anything can look at its size.
            kept = [(name, value) for name, value in headers if name != b"sec-websocket-extensions"]
            request = h11.Request(method=request.method, target=request.target, headers=kept, http_version=request.http_version)
        await super()._create_stream(request)
        if isinstance(self.connection, H11WSConnection) and self.connection.buffer:
            # Frames before our acceptance (RFC 6455, section 4.1) would be answered in the middle of it.
            self.connection.buffer.clear()
            await self._refuse_websocket("malformed_websocket")

    async def _send_error_response(self, status_code: int) -> None:
        self._count("headers_too_large" if status_code == 431 else "malformed_request")
        await super()._send_error_response(status_code)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        # ASGI holds the head of an answer back until its body begins; both then leave in one record.
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        self._head += data or b""
        if not isinstance(event, h11.Response):
            head, self._head = self._head, b""
            await self.send(RawData(data=head))


def _wants_websocket(request: h11.Request) -> bool:
    """Whether a request without a body asks for a WebSocket (RFC 6455, section 4.1)."""
    fields = {name: value.lower() for name, value in request.headers}
    tokens = [token.strip() for token in fields.get(b"connection", b"").split(b",")]
    body = fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields
    return request.method == b"GET" and fields.get(b"upgrade") == b"websocket" and b"upgrade" in tokens and not body


class Http2(H2Protocol):
    """HTTP/2 (RFC 9113) with an orderly end, no WebSockets inside, and an account of what a client makes us do for nothing."""

    link: Link

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.config.h2_max_concurrent_streams,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: self.config.h2_max_header_list_size,
                h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 0,
            },
        )
        self._resets = 0
        self._control_frames = 0
        self._draining = False

    @property
    def finished(self) -> bool:
        """Whether the connection is to be closed and no request is open any more."""
        return (self._draining or self.context.terminated.is_set()) and self.idle

    async def going_away(self) -> None:
        """Tell the client which requests were taken (RFC 9113, section 6.8)."""
        self.connection.close_connection()
        await self._flush()

    async def handle(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().handle(event)
            return
        try:
            events = self.connection.receive_data(event.data)
        except h2.exceptions.ProtocolError:
            self.link.malformed("malformed_http2")
            await self._flush()
            await self.send(Closed())
        else:
            await self._handle_events(events)

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and (b"connection", b"close") in event.headers:
            self._draining = True
        await super().stream_send(event)
        if isinstance(event, StreamClosed):
            await self._end_if_finished(event.stream_id)

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
        await self._end_if_finished(stream_id)

    async def _close_stream(self, stream_id: int) -> None:
        await super()._close_stream(stream_id)
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None and not buffer._complete:
            # The answer stops in the middle: the client must not take it for whole, and whoever waits to send more must not go on waiting.
            with suppress(h2.exceptions.ProtocolError):
                self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            await buffer.close()
            await self.has_data.set()
            await self._flush()

    async def _end_if_finished(self, stream_id: int) -> None:
        # A request can be closed before the last frame of its answer has been sent.
        if self.finished and not self.closed and stream_id not in self.stream_buffers:
            await self.going_away()
            await self.send(Closed())

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if self.closed:
                return
            try:
                await self._handle_event(event)
            except ConnectionRefused as error:
                self.link.malformed(str(error))
                await self._abandon(cast("int", event.stream_id))  # type: ignore[attr-defined]
        await self._flush()

    async def _handle_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            if not _understood(event):
                self.link.malformed("malformed_request")
                self.connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
                return
            if self._draining or self.context.terminated.is_set():
                self.connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
                return
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id not in self.streams:
                # Answered already; the rest of the body only has to be paid for in flow control.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                return
        elif isinstance(event, h2.events.StreamReset):
            self._resets += 1
        elif not isinstance(event, h2.events.WindowUpdated | h2.events.StreamEnded):
            self._control_frames += 1
        if self._resets > self.link.limits.http2_resets or self._control_frames > self.link.limits.http2_control_frames:
            await self._calm_down()
            return
        await super()._handle_events([event])
        if self.keep_alive_requests >= self.link.limits.requests_per_connection:
            self._draining = True

    async def _abandon(self, stream_id: int) -> None:
        self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        await self._close_stream(stream_id)

    async def _calm_down(self) -> None:
        self.link.malformed("http2_abuse")
        self.connection.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        await self._flush()
        await self.send(Closed())


def _understood(request: h2.events.RequestReceived) -> bool:
    """Whether a request names a method and a path that are text. CONNECT, with or without a WebSocket inside, is not served."""
    fields = dict(request.headers or [])
    method, path = fields.get(b":method", b""), fields.get(b":path", b"")
    return method.isascii() and path.isascii() and path != b"" and method.upper() != b"CONNECT"


class HttpConnection:
    """Serves one connection until it ends.

    Attributes:
        idle: no request is open.
        upgrade: the request by which the connection left HTTP; whoever runs it then goes on with the open stream.
    """

    def __init__(
        self,
        app: AsgiApp,
        wrapped: AppWrapper,
        config: Config,
        context: WorkerContext,
        limits: ListenerLimits,
        stream: trio.abc.Stream,
        state: SharedState,
        *,
        alpn: str,
        tls: bool,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        refused: Refuse,
        upgrades: Container[bytes] = (),
    ) -> None:
        self.limits = limits
        self.upgrades = upgrades
        self.upgrade: h11.Request | None = None
        self.idle = True
        self._refused = refused
        self._app = app
        self._config = config
        self._context = context
        self._stream = stream
        self._make = Http2 if alpn == "h2" else Http1
        self._arguments = (wrapped, config, context, state, tls, client, server)
        self._turn = Turns()
        self._reading = trio.CancelScope()
        self._served = False
        self._partial = False
        self._finishing = False
        self._gone = False

    def refuse(self, reason: str) -> None:
        """Count a broken rule and close the connection at once."""
        if not self._gone:
            self.malformed(reason)
            self.abort()

    def malformed(self, reason: str) -> None:
        """Count a broken rule; the answer, if there is one, still goes out."""
        self._refused(reason)

    def abort(self) -> None:
        """Close at once; safe in any task, more than once, and while being cancelled."""
        self._gone = True
        abort(self._stream)
        self._reading.cancel()

    async def stop(self) -> None:
        """Close now if no request is open; a WebSocket is told that we go away; else closing follows the answer."""
        if self.idle:
            await self._protocol.going_away()
            await self.send(Closed())
            # Nothing was answered that a reset could destroy.
            self.abort()
        elif isinstance(self._protocol, Http1) and self._protocol.websocket:
            await self._protocol.going_away()
            await self.send(Closed())

    async def run(self) -> None:
        """Serve until the connection has ended and the application has finished.

        Raises:
            Exception: whatever a bug or a hostile client brings up; the caller counts it and closes.
        """
        async with trio.open_nursery() as calls:
            tasks = AppTasks(calls, self._app, self.limits, self.refuse)
            async with trio.open_nursery() as helpers:
                tasks.helpers = helpers
                await self._serve(tasks)
                helpers.cancel_scope.cancel()
            tasks.disconnect()
            calls.cancel_scope.deadline = trio.current_time() + self.limits.abandoned_s

    async def _serve(self, tasks: AppTasks) -> None:
        wrapped, config, context, state, tls, client, server = self._arguments
        self._protocol = self._make(wrapped, config, context, tasks, state, tls, client, server, self.send)
        self._protocol.link = self
        try:
            self._reading.deadline = trio.current_time() + self.limits.header_s
            with self._reading:
                await self._protocol.initiate()
                await self._read()
            if self._reading.cancelled_caught and not self._gone and not self._finishing:
                self._note_expiry()
        finally:
            if self.upgrade is None:
                self.abort()
        await self._protocol.handle(Closed())

    def _note_expiry(self) -> None:
        if self._partial:
            self.malformed("slow_headers")
        elif not self._served:
            self.malformed("no_request")

    async def _read(self) -> None:
        try:
            while not self._finishing:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                if not data:
                    return
                if self._finishing:
                    break
                self._watch_headers()
                await self._protocol.handle(RawData(bytes(data)))
            await self._linger()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        except ConnectionRefused as error:
            self.malformed(str(error))
        except TakenOver as error:
            self.upgrade = error.request

    def _watch_headers(self) -> None:
        """From the first byte of a request, its headers have to arrive in time; HTTP/2 has frames between requests."""
        if self.idle and not self._partial and isinstance(self._protocol, Http1):
            self._partial = True
            self._reading.deadline = min(self._reading.deadline, trio.current_time() + self.limits.header_s)

    async def _linger(self) -> None:
        drained = 0
        while drained < self.limits.linger_bytes:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                return
            drained += len(data)

    async def send(self, event: Event) -> None:
        """Take what a protocol wants done: bytes out, the end, or news about whether a request is open."""
        if isinstance(event, RawData):
            if event.data:
                await self._send_bytes(event.data)
        elif isinstance(event, Updated):
            self._set_idle(event.idle)
        elif isinstance(event, Closed) and not self._finishing:
            await self._finish()

    def _set_idle(self, idle: bool) -> None:
        if self._finishing:
            return
        self.idle = idle
        self._partial = False
        self._served = True
        self._reading.deadline = trio.current_time() + self.limits.keep_alive_s if idle else math.inf

    async def _send_bytes(self, data: bytes) -> None:
        if self._gone:
            # Without this, an application that never stops sending would never let the reader tell it to.
            await trio.lowlevel.checkpoint()
            return
        # A handler that is cancelled in the middle of its answer must not leave half a record or half a frame on the wire.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self.limits.send_s) as waiting:
            try:
                async with self._turn:
                    await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.abort()
        if waiting.cancelled_caught:
            self.refuse("slow_reader")

    async def _finish(self) -> None:
        """Close our half and leave the reader to drain the other one for a moment."""
        self._finishing = True
        self._reading.deadline = trio.current_time() + self.limits.linger_s
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self.limits.linger_s):
            try:
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    async with self._turn:
                        await self._stream.send_eof()
                else:
                    self.abort()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.abort()
        await self._protocol.handle(Closed())
