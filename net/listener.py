"""The listener: accepts connections, shakes hands, hands each to its protocol, and keeps a register of who is connected.

Lives here: the TLS port and the plain loopback port, limits on connections, counting and logging of refusals, cutting, the graceful stop.
Must not live here: HTTP (`net.connection`), certificates (`net.tls` carries them, the door judges them), routes.

The application finds an `actors.door.call.Source` in `scope["state"]["source"]` of every request and WebSocket. One connection can fail
in any way without touching another: whatever escapes from it ends in `refused`.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import logging
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from typing import Any, Final, Literal, Protocol, cast

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState
from OpenSSL import SSL

from actors.door.call import Source
from actors.peer.channel import ShownLeaf
from net.connection import AsgiApp, HttpConnection
from net.limits import DEFAULT_LISTENER_LIMITS, ListenerLimits
from net.relayed import RelayedStream
from net.tls import ListenerLeaf, TlsStream, abort, server_context, shown_by
from net.websocket import Upgrade
from runtime.clock import Clock, SystemClock

log = logging.getLogger("net.listener")

Face = Literal["tls", "loopback"]
_LOGGED_PER_SECOND: Final = 20
_BACKLOG: Final = 512
_OUT_OF_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_OUT_OF_ROOM_PAUSE_S: Final = 0.1
# A client that vanished without a word is noticed after this long, even on a WebSocket on which only we speak.
_UNACKNOWLEDGED_MS: Final = 60_000


TakeOver = Callable[[Upgrade], Awaitable[bool]]
"""Answers the request for a WebSocket. Returns whether the connection is its own from now on: it then closes the stream, and calls
`Upgrade.ended`. At a stop nobody ends it but its owner."""


class Relay(Protocol):
    """Takes connections that have come to our port and are not for us (see `net.relay`).

    Attributes:
        protocol: the application protocol of connections that it takes after the handshake.
    """

    protocol: bytes

    async def entry(self, transport: trio.abc.Stream, address: str) -> bytes | None:
        """What a new connection has sent so far, if it is for us; None if it was not, and is over."""
        ...

    async def leg(self, stream: TlsStream, source: Source) -> None:
        """Serve a connection on which `protocol` was agreed, until it is over."""
        ...


@attrs.define(eq=False)
class _Place:
    """That a connection counts for its source."""

    taken: Counter[str]
    key: str

    def __attrs_post_init__(self) -> None:
        self.taken[self.key] += 1

    def leave(self) -> None:
        """Count no more; a second time changes nothing."""
        key, self.key = self.key, ""
        if key:
            self.taken[key] -= 1
            if not self.taken[key]:
                del self.taken[key]


@attrs.define(eq=False)
class _Open:
    """One connection in the register."""

    source: Source
    stream: trio.abc.Stream
    scope: trio.CancelScope | None
    shown: ShownLeaf | None = None
    http: HttpConnection | None = None
    upgraded: bool = False


async def open_public(host: str, port: int) -> list[trio.SocketListener]:
    """Bind the TLS port; `port` 0 takes a free one. `::` is every address of this machine, the IPv4 ones included.

    Raises:
        OSError: the address cannot be bound.
    """
    opened = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    if host == "::":
        # trio lets each socket serve one family, so that nothing hangs on a setting of the system.
        try:
            opened += await trio.open_tcp_listeners(opened[0].socket.getsockname()[1], host="0.0.0.0", backlog=_BACKLOG)
        except BaseException:
            opened[0].socket.close()
            raise
    return opened


async def open_loopback(host: str, port: int) -> list[trio.SocketListener]:
    """Bind the plain port for operators on this machine; `port` 0 takes a free one.

    Raises:
        ValueError: `host` is not an address in 127.0.0.0/8 or ::1. Names are refused too, since they may come to mean something else.
        OSError: the address cannot be bound.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host!r} is not an address; the plain listener binds 127.0.0.1 or ::1") from None
    # An IPv4 address in IPv6 clothing is loopback to some readers of it and not to others.
    if not address.is_loopback or getattr(address, "ipv4_mapped", None) is not None:
        raise ValueError(f"{host} is not a loopback address; everything else needs TLS")
    return await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)


class Listener:
    """Serves one ASGI application on any number of ports.

    Attributes:
        refused: how many connections or requests were refused or broke off, by reason.
        accepted: how many connections were accepted, by face.
    """

    def __init__(
        self,
        app: AsgiApp,
        leaves: Sequence[ListenerLeaf] = (),
        *,
        limits: ListenerLimits = DEFAULT_LISTENER_LIMITS,
        clock: Clock | None = None,
        upgrades: Mapping[bytes, TakeOver] | None = None,
        relay: Relay | None = None,
        for_many: Callable[[Source], bool] = lambda source: False,
    ) -> None:
        """
        Args:
            app: the ASGI 3 application; a scope of type `lifespan` is sent to it once.
            upgrades: who takes over a connection over TLS that asks for a WebSocket, by path.
            relay: takes connections over TLS that are not for us.
            for_many: whether a connection over TLS, once its other end has proven itself, carries calls of many: then it counts among all
                connections only, not among those of its source.
            leaves: certificates of the TLS port; may be empty if only loopback ports are served.
            limits: what one client may cost.
            clock: what the Date of answers is read from; the system's if None.

        Raises:
            ValueError: unusable certificates.
        """
        self.refused: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self._app = app
        self._limits = limits
        self._upgrades = dict(upgrades or {})
        self._relay = relay
        self._for_many = for_many
        self._shown: ShownLeaf | None = None
        self._tls = self._made_context(leaves) if leaves else None
        self._config = _protocol_config(limits, clock or SystemClock())
        self._wrapped = ASGIWrapper(app)
        self._context = WorkerContext(None)
        self._state: LifespanState = {}
        self._numbers = itertools.count(1)
        self._open: dict[str, _Open] = {}
        self._per_source: Counter[str] = Counter()
        self._upgraded = 0
        self._log_window = (0.0, 0)

    @property
    def full(self) -> bool:
        """Whether more connections are being taken over than may be."""
        return self._upgraded > self._limits.channels

    @property
    def open_connections(self) -> int:
        """How many connections are open, unfinished handshakes included."""
        return len(self._open)

    def stream(self, connection: str) -> trio.abc.Stream | None:
        """The stream of an open connection, by the number that its `Source` has."""
        found = self._open.get(connection)
        return None if found is None else found.stream

    def shown(self, connection: str) -> ShownLeaf | None:
        """What an open connection over TLS has been shown."""
        found = self._open.get(connection)
        return None if found is None else found.shown

    @property
    def now_shown(self) -> ShownLeaf | None:
        """What the next connection over TLS is shown."""
        return self._shown

    def use_leaves(self, leaves: Sequence[ListenerLeaf]) -> None:
        """Show these certificates from the next connection on; those that are open keep theirs.

        Raises:
            ValueError: unusable certificates; the old ones stay in use.
        """
        self._tls = self._made_context(leaves)

    def _made_context(self, leaves: Sequence[ListenerLeaf]) -> SSL.Context:
        context = server_context(leaves, () if self._relay is None else (self._relay.protocol,))
        self._shown = shown_by(leaves)
        return context

    async def serve_relayed(self, stream: RelayedStream) -> None:
        """Serve a connection that a hub has handed over, until it ends, as one that has come to the TLS port."""
        await self._guard("tls", stream)

    def cut(self, which: Callable[[Source], bool]) -> int:
        """Close every open connection for which `which` is true, at once and without regard to requests in flight; how many."""
        doomed = [connection for connection in self._open.values() if which(connection.source)]
        for connection in doomed:
            abort(connection.stream)
            if connection.scope is not None:
                connection.scope.cancel()
        if doomed:
            log.info("cut %d connections", len(doomed))
        return len(doomed)

    def cut_peer(self, peer_id: str) -> int:
        """Close every open connection on which that peer has authenticated; how many."""
        return self.cut(lambda source: source.verified.get("peer_id") == peer_id)

    async def serve(
        self,
        *,
        tls: Sequence[trio.abc.Listener[Any]] = (),
        loopback: Sequence[trio.abc.Listener[Any]] = (),
        stop: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop` is set, then refuse new connections, let open requests finish for `grace_s`, and close.

        Raises:
            ValueError: a TLS port without certificates.
        """
        if tls and self._tls is None:
            raise ValueError("a TLS port needs certificates")
        async with self._lifespan(), trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for face, listeners in (("tls", tls), ("loopback", loopback)):
                    for listener in listeners:
                        accepting.start_soon(self._accept, cast("Face", face), listener, connections)
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            for listener in (*tls, *loopback):
                await listener.aclose()
            connections.cancel_scope.deadline = trio.current_time() + self._limits.grace_s
            await self._announce_stop()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        lifespan = Lifespan(self._wrapped, self._config, self._state)
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            # An application may return from its lifespan at once: it then wants to hear nothing of it.
            with suppress(trio.ClosedResourceError):
                await lifespan.wait_for_startup()
            try:
                yield
            finally:
                # If we are being cancelled, so was the application's own task, and there is nobody left to tell.
                with suppress(trio.ClosedResourceError), trio.move_on_after(self._limits.grace_s):
                    await lifespan.wait_for_shutdown()
                nursery.cancel_scope.cancel()

    async def _announce_stop(self) -> None:
        await self._context.terminated.set()
        async with trio.open_nursery() as nursery:
            for connection in list(self._open.values()):
                if connection.http is not None:
                    nursery.start_soon(connection.http.stop)
                elif connection.scope is not None and not connection.upgraded:
                    connection.scope.cancel()

    async def _accept(self, face: Face, listener: trio.abc.Listener[Any], connections: trio.Nursery) -> None:
        """Accept for ever. trio's own loop closes every stream when its handler returns, and one that was taken over lives on."""
        while True:
            try:
                transport = await listener.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_ROOM:
                    raise
                self._refuse("out_of_files", "?", os.strerror(error.errno))
                await trio.sleep(_OUT_OF_ROOM_PAUSE_S)
            else:
                connections.start_soon(self._guard, face, transport)

    async def _guard(self, face: Face, transport: trio.abc.Stream) -> None:
        """Let one connection fail alone."""
        remote, taken = "?", False
        try:
            client, server = endpoints_of(transport)
            remote = client[0]
            source_key = _source_key(remote)
            reason = self._overload(source_key)
            if reason is not None:
                self._refuse(reason, remote)
                return
            place = _Place(self._per_source, source_key)
            try:
                taken = await self._shake_hands(face, transport, client, server, place)
            finally:
                place.leave()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self._refuse("connection_lost", remote)
        except* Exception as group:
            self._refuse("internal_error", remote)
            log.error("a connection from %s failed unexpectedly", remote, exc_info=group)
        finally:
            if not taken:
                abort(transport)

    def _overload(self, source_key: str) -> str | None:
        if len(self._open) - self._upgraded >= self._limits.connections:
            return "too_many_connections"
        return "too_many_from_source" if self._per_source[source_key] >= self._limits.connections_per_source else None

    async def _shake_hands(
        self, face: Face, transport: trio.abc.Stream, client: tuple[str, int], server: tuple[str, int], place: _Place
    ) -> bool:
        """Serve a connection. Whether somebody has taken it over."""
        number = f"c{next(self._numbers)}"
        self.accepted[face] += 1
        with trio.CancelScope() as scope:
            entry = self._open[number] = _Open(Source(client[0], face, (), number), transport, scope)
            try:
                alpn = ""
                if face == "tls":
                    hub_id = transport.relayed_by if isinstance(transport, RelayedStream) else ""
                    received = await self._for_us(transport, client[0]) if not hub_id else b""
                    if received is None:
                        return False
                    shown = self._shown
                    stream = await self._start_tls(transport, client[0], received)
                    if stream is None:
                        return False
                    entry.stream, entry.shown, alpn = stream, shown, stream.protocol
                    entry.source = Source(client[0], face, stream.chain, number, relayed_by=hub_id)
                    if self._for_many(entry.source):
                        place.leave()
                    if self._relay is not None and alpn.encode() == self._relay.protocol:
                        await self._relay.leg(stream, entry.source)
                        return False
                await self._talk(entry, alpn, client, server)
                await self._hand_over(entry)
            finally:
                if not entry.upgraded:
                    del self._open[number]
        # Whoever took it over ends it by its stream alone.
        entry.scope = None
        return entry.upgraded

    async def _hand_over(self, entry: _Open) -> None:
        """Give a connection that has left HTTP to whoever serves it from now on."""
        request, entry.http = entry.http.upgrade if entry.http is not None else None, None
        if request is None:
            return
        assert isinstance(entry.stream, TlsStream)
        number = entry.source.connection_id

        def ended() -> None:
            if self._open.pop(number, None) is not None:
                self._upgraded -= 1

        upgrade = Upgrade(entry.stream, entry.source, request, self._config.response_headers("h11"), ended)
        self._upgraded += 1
        entry.upgraded = True
        try:
            entry.upgraded = await self._upgrades[request.target.partition(b"?")[0]](upgrade)
        except BaseException:
            entry.upgraded = False
            raise
        finally:
            if not entry.upgraded:
                self._upgraded -= 1

    async def _for_us(self, transport: trio.abc.Stream, remote: str) -> bytes | None:
        """What a connection for us has sent so far; None if it was not for us, and is over."""
        if self._relay is None:
            return b""
        try:
            return await self._relay.entry(transport, remote)
        except trio.TooSlowError:
            self._refuse("handshake_timeout", remote)
            return None

    async def _start_tls(self, transport: trio.abc.Stream, remote: str, received: bytes) -> TlsStream | None:
        assert self._tls is not None
        stream = TlsStream(transport, self._tls, server_side=True, received=received)
        try:
            with trio.fail_after(self._limits.handshake_s):
                await stream.do_handshake()
        except trio.TooSlowError:
            self._refuse("handshake_timeout", remote)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._refuse("handshake_failed", remote, str(error))
        else:
            return stream
        return None

    async def _talk(self, entry: _Open, alpn: str, client: tuple[str, int], server: tuple[str, int]) -> None:
        entry.http = HttpConnection(
            self._app,
            self._wrapped,
            self._config,
            self._context,
            self._limits,
            entry.stream,
            ConnectionState({**self._state, "source": entry.source}),
            alpn=alpn,
            tls=entry.source.face == "tls",
            client=client,
            server=server,
            refused=lambda reason: self._refuse(reason, entry.source.address),
            upgrades=self._upgrades if entry.source.face == "tls" else (),
        )
        await entry.http.run()

    def _refuse(self, reason: str, remote: str, detail: str = "") -> None:
        """Count always, log within a budget: whoever can make us refuse must not be able to fill the disk."""
        self.refused[reason] += 1
        now = trio.current_time()
        began, logged = self._log_window
        if now - began >= 1.0:
            if logged > _LOGGED_PER_SECOND:
                log.info("%d further refusals were counted and not logged", logged - _LOGGED_PER_SECOND)
            began, logged = now, 0
        self._log_window = (began, logged + 1)
        if logged < _LOGGED_PER_SECOND:
            log.info("refused %s from %s%s", reason, remote, f" ({detail})" if detail else "")


class _ProtocolConfig(Config):
    """hypercorn's configuration, with the Date of answers (RFC 9110, section 6.6.1) from our own clock."""

    clock: Clock

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        return [(b"date", formatdate(self.clock.wall(), usegmt=True).encode("ascii"))]


def _protocol_config(limits: ListenerLimits, clock: Clock) -> Config:
    config = _ProtocolConfig()
    config.clock = clock
    config.accesslog = None
    config.errorlog = logging.getLogger("net.http")
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.header_bytes
    config.h2_max_header_list_size = limits.header_bytes
    config.h2_max_concurrent_streams = limits.http2_streams
    config.keep_alive_max_requests = limits.requests_per_connection
    config.websocket_max_message_size = limits.websocket_message_bytes
    config.websocket_ping_interval = limits.websocket_ping_s
    return config


def endpoints_of(transport: trio.abc.Stream) -> tuple[tuple[str, int], tuple[str, int]]:
    """Remote and local (address, port). A stream that is no socket says them itself, as `remote_address` and `local_address`."""
    if not isinstance(transport, trio.SocketStream):
        return transport.remote_address, transport.local_address  # type: ignore[attr-defined]
    with suppress(OSError):
        transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    remote, local = transport.socket.getpeername(), transport.socket.getsockname()
    return (_canonical(remote[0]), remote[1]), (_canonical(local[0]), local[1])


def _canonical(address: str) -> str:
    """One text for one address, also if an IPv4 client comes in through an IPv6 socket."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _source_key(address: str) -> str:
    """Who counts as one source: an IPv4 address, or the /64 that an IPv6 client can fill at will."""
    parsed = ipaddress.ip_address(address)
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
