"""The hub's side of relaying: whose a connection is, fetching its other end, and passing bytes on, unopened.

Lives here: looking at the first bytes of a connection, waiting for the peer to fetch it, copying both ways within limits, cutting.
Must not live here: who may be reached (the door and `actors.hub` decide), what it may cost (`actors.hub.ledger` counts), TLS of anybody.

A connection to our port begins with a server name. If that leads to a peer, the peer is told on its channel that a connection waits, with a
token that works once and for a few seconds. It dials us, by mutual TLS and the application protocol `RELAY_PROTOCOL` (RFC 7301), sends the
token as its first 43 bytes, and from then on that connection is the other end: what goes into one comes out of the other. TCP's own flow
control holds the sender back, so nothing is buffered here but the piece that is on its way.
"""

from __future__ import annotations

import hashlib
import logging
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import attrs
import trio

from actors.door.call import Source
from actors.hub.ledger import LASTING, Counts, Direction, Lane, Ledger
from actors.hub.routing import NoRoute, Route
from actors.limits import RELAY_TOKEN_BYTES, RELAY_TOKEN_CHARS
from net.client_hello import CLIENT_HELLO_BYTES_MAX, INTERNAL_ERROR, UNRECOGNIZED_NAME, ClientHello, NoClientHello, alert, read_client_hello
from net.limits import (
    RELAY_ANNOUNCED_AT_A_TIME,
    RELAY_BYTES,
    RELAY_FAREWELL_S,
    RELAY_HALF_OPEN_S,
    RELAY_TOLD_EVERY_S,
)
from net.tls import TlsStream, abort
from runtime.errors import Fault
from runtime.values import Value

log = logging.getLogger("net.relay")

RELAY_PROTOCOL: Final = b"powernode.relay.v1"
"""The application protocol of the connection by which a peer fetches what waits for it. Another meaning gets another number."""


class HubParts(Value, frozen=True, kw_only=True):
    """What relaying needs of its platform.

    Attributes:
        route: where a connection with this server name goes; None: to ourselves.
        announce: tells a peer on its channel that a connection waits; the status of its answer, or None if it has no channel.
        other_end: which peer the door recognises at the other end of a connection.
        count: has what was relayed for a peer kept.
        token_bytes: secret bytes.
        hello_s: from the accepted connection to the end of the ClientHello.
        open_s: for a peer to fetch a connection.
        idle_s: how long no byte may move.
    """

    route: Callable[[str | None], Route | NoRoute | None]
    announce: Callable[[str, Mapping[str, Any]], Awaitable[int | None]]
    other_end: Callable[[Source], str | Fault]
    count: Callable[[str, Counts], None]
    token_bytes: Callable[[int], bytes]
    hello_s: float
    open_s: float
    idle_s: float


@attrs.define(eq=False)
class _Waiting:
    """A connection that waits to be fetched by a peer."""

    peer_id: str
    stream: TlsStream | None = None
    fetched: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)


class RelayHub:
    """Everything that one hub relays; a `net.listener.Relay`. All methods belong to trio's thread.

    Attributes:
        joined: told of each two connections that are one from now on: the caller's, and the one by which the peer fetched it.
    """

    protocol = RELAY_PROTOCOL

    def __init__(self, parts: HubParts, ledger: Ledger) -> None:
        self._parts = parts
        self._ledger = ledger
        self._waiting: dict[bytes, _Waiting] = {}
        self._lanes: dict[str, set[trio.CancelScope]] = defaultdict(set)
        self._announcing: dict[str, trio.Semaphore] = {}
        self.joined: Callable[[trio.abc.Stream, TlsStream], None] = lambda client, leg: None

    def __len__(self) -> int:
        return self._ledger.open_now

    def cut(self, peer_id: str) -> None:
        """End every connection that is relayed to the peer, at once."""
        for scope in tuple(self._lanes.get(peer_id, ())):
            scope.cancel()

    # --- a connection arrives ---------------------------------------------------------------------------------------

    async def entry(self, transport: trio.abc.Stream, address: str) -> bytes | None:
        """Look for whom a connection is. If it is for us: what it has sent so far. Otherwise None, once it is over.

        Raises:
            trio.TooSlowError: it did not say so in time.
            trio.BrokenResourceError: it was lost.
        """
        with trio.fail_after(self._parts.hello_s):
            seen, hello = await _hello(transport)
        # Where another name is hidden (RFC 9849), this one is that of the server which can read it, so that it leads to the right place.
        name = None if hello is None else hello.server_name
        route = self._parts.route(name)
        if route is None:
            return seen
        assert name is not None
        if isinstance(route, NoRoute):
            self._ledger.refuse(route.peer_id, route.reason, trio.current_time())
            await _refuse(transport, route.reason, route.peer_id)
            return None
        lane = self._ledger.admit(route, address, trio.current_time())
        if isinstance(lane, str):
            await _refuse(transport, lane, route.peer_id)
            return None
        try:
            with trio.CancelScope() as scope:
                self._lanes[lane.peer_id].add(scope)
                await self._relay(lane, transport, seen, name, address, scope)
        finally:
            self._lanes[lane.peer_id].discard(scope)
            if not self._lanes[lane.peer_id]:
                del self._lanes[lane.peer_id]
            self._ledger.close(lane)
        return None

    async def _relay(self, lane: Lane, transport: trio.abc.Stream, seen: bytes, name: str, address: str, scope: trio.CancelScope) -> None:
        waiting = _Waiting(lane.peer_id)
        try:
            reason = await self._fetched(waiting, name, address)
            if reason is not None:
                self._ledger.refuse(lane.peer_id, reason, trio.current_time())
                await _refuse(transport, reason, lane.peer_id)
                return
            assert waiting.stream is not None
            self._ledger.opened(lane)
            self.joined(transport, waiting.stream)
            await self._pass_on(lane, transport, waiting.stream, seen, scope)
        finally:
            waiting.over.set()

    async def _fetched(self, waiting: _Waiting, name: str, address: str) -> str | None:
        """Have a peer fetch what waits for it. None once it has; otherwise why not."""
        token = urlsafe_b64encode(self._parts.token_bytes(RELAY_TOKEN_BYTES)).rstrip(b"=")
        key = hashlib.sha256(token).digest()
        body = {"token": token.decode("ascii"), "server_name": name, "client_address": address}
        self._waiting[key] = waiting
        try:
            with trio.move_on_after(self._parts.open_s):
                async with self._turn_to_announce(waiting.peer_id):
                    status = await self._parts.announce(waiting.peer_id, body)
                if status != 202:
                    return "no_channel" if status is None else "peer_refused"
                await waiting.fetched.wait()
            return None if waiting.stream is not None else "not_fetched"
        finally:
            self._waiting.pop(key, None)

    def _turn_to_announce(self, peer_id: str) -> trio.Semaphore:
        # A channel takes so many calls at a time and no more; heartbeats must find room beside ours.
        return self._announcing.setdefault(peer_id, trio.Semaphore(RELAY_ANNOUNCED_AT_A_TIME))

    # --- a peer fetches ---------------------------------------------------------------------------------------------

    async def leg(self, stream: TlsStream, source: Source) -> None:
        """Serve a connection by which a peer fetches what waits for it, until what is relayed on it is over."""
        with trio.move_on_after(self._parts.open_s) as reading:
            token = await _exactly(stream, RELAY_TOKEN_CHARS)
        if reading.cancelled_caught:
            return
        key = hashlib.sha256(token).digest()
        waiting = self._waiting.get(key)
        if waiting is None or self._parts.other_end(source) != waiting.peer_id:
            log.info("a connection from %s fetches nothing that waits for its peer", source.address)
            return
        del self._waiting[key]
        # From here on it is the peer's, and is cut with it.
        source.verified["peer_id"] = waiting.peer_id
        waiting.stream = stream
        waiting.fetched.set()
        await waiting.over.wait()

    # --- both ways --------------------------------------------------------------------------------------------------

    async def _pass_on(self, lane: Lane, client: trio.abc.Stream, leg: TlsStream, seen: bytes, scope: trio.CancelScope) -> None:
        pipe = _Pipe(self._ledger, lane, self._parts.idle_s, scope)
        pipe.moved()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(pipe.copy, "to", client, leg, seen))
            await pipe.copy("from", leg, client)
        if scope.cancelled_caught or scope.cancel_called:
            log.info("a relayed connection was cut", extra={"peer": lane.peer_id})

    # --- books ------------------------------------------------------------------------------------------------------

    async def keep_books(self) -> None:
        """Have what was relayed kept, for ever."""
        while True:
            await trio.sleep(RELAY_TOLD_EVERY_S)
            self.tell()

    def tell(self) -> None:
        """Have what was relayed since the last time kept now."""
        for peer_id, counts in self._ledger.untold().items():
            self._parts.count(peer_id, counts)


@attrs.define(eq=False)
class _Pipe:
    """One relayed connection while bytes move on it."""

    ledger: Ledger
    lane: Lane
    idle_s: float
    scope: trio.CancelScope
    half_open: bool = False

    def moved(self, wait_s: float = 0.0) -> None:
        """Something moves; the next thing has to before `idle_s` is over, `wait_s` not counted."""
        idle_s = min(self.idle_s, RELAY_HALF_OPEN_S) if self.half_open else self.idle_s
        self.scope.deadline = trio.current_time() + wait_s + idle_s

    async def copy(
        self, direction: Direction, source: trio.abc.ReceiveStream, sink: trio.abc.HalfCloseableStream | Any, data: bytes = b""
    ) -> None:
        """Pass on what comes from `source` until it ends, then end the other's half, too. What fails ends the whole connection."""
        try:
            while True:
                if data:
                    await self._pass(direction, data, sink)
                data = bytes(await source.receive_some(RELAY_BYTES))
                if not data:
                    break
            if isinstance(source, TlsStream) and not source.goodbye_heard:
                raise trio.BrokenResourceError("lost")
            self.half_open = True
            self.moved()
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.scope.cancel()

    async def _pass(self, direction: Direction, data: bytes, sink: trio.abc.SendStream) -> None:
        wait_s = self.ledger.spend(self.lane, direction, len(data), trio.current_time())
        self.moved(wait_s)
        if wait_s > 0.0:
            await trio.sleep(wait_s)
        await sink.send_all(data)
        self.moved()


async def _hello(transport: trio.abc.Stream) -> tuple[bytes, ClientHello | None]:
    """What a client has sent until it was clear for whom, and that; None if our own TLS may find out."""
    seen = b""
    while len(seen) < CLIENT_HELLO_BYTES_MAX:
        data = await transport.receive_some(CLIENT_HELLO_BYTES_MAX - len(seen))
        if not data:
            raise trio.BrokenResourceError("ended before its ClientHello")
        seen += data
        try:
            hello = read_client_hello(seen)
        except NoClientHello:
            break
        if hello is not None:
            return seen, hello
    return seen, None


async def _exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = await stream.receive_some(count - len(found))
        if not data:
            raise trio.BrokenResourceError("ended before its token")
        found += data
    return found


async def _refuse(transport: trio.abc.Stream, reason: str, peer_id: str) -> None:
    """Tell a client in its own words that there is nobody, and wait a moment for it to have read that."""
    log.info("a connection was not relayed: %s", reason, extra={"peer": peer_id})
    with trio.move_on_after(RELAY_FAREWELL_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await transport.send_all(alert(UNRECOGNIZED_NAME if reason in LASTING else INTERNAL_ERROR))
        if isinstance(transport, trio.abc.HalfCloseableStream):
            await transport.send_eof()
            while await transport.receive_some(RELAY_BYTES):
                pass
    abort(transport)
