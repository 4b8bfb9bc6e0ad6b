"""Connections to other platforms at frame level: dialling one URL, and keeping what was opened.

Lives here: the steps of `net.remote` that come before the first byte of a request (name, address policy, TCP, TLS, the server's proof),
each with its time, and the rules by which a kept connection may be used again. Must not live here: requests and answers (`remote`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import attrs

from actors import certificates
from actors.addresses import is_literal, refused_reason
from actors.door.call import Source
from actors.ports import ServerExpectation
from actors.urls import Way, host_of, parse_way, port_of
from net.limits import CLIENT_ADDRESSES_MAX, CLIENT_CONNECTION_AGE_S, CLIENT_KEEP_ALIVE_S, RESOLVE_S
from sim.names import Resolved
from sim.network import Failure, Path

if TYPE_CHECKING:
    from sim.relay import SimulatedHub
    from sim.world import Host

HELLO_BYTES: Final = 512
CHAIN_BYTES: Final = 3_000

Purpose = tuple[str, str, str, ServerExpectation]
"""Peer, URL, our certificate, what the server must prove: only an equal purpose may use a kept connection."""


@attrs.define(eq=False)
class Connection:
    """An open connection to a server that has proven to be the one expected.

    Attributes:
        source: what the server's door sees of it.
        chain: what the server has shown.
        busy: told when the connection ends under it.
        gone: the end was noticed; it must not be used again.
    """

    path: Path
    server: Host
    server_incarnation: int
    source: Source
    chain: tuple[bytes, ...]
    opened_at: float
    idle_since: float = 0.0
    reused: bool = False
    gone: bool = False
    busy: Callable[[], None] | None = None

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Those of the chain."""
        return tuple(certificates.fingerprint(der) for der in self.chain)

    def usable(self, now: float) -> bool:
        """Whether another request may be tried on it. A half-open connection looks usable."""
        return not self.gone and now - self.idle_since <= CLIENT_KEEP_ALIVE_S and now - self.opened_at <= CLIENT_CONNECTION_AGE_S

    def close(self) -> None:
        """Never use it again."""
        self.gone = True
        self.busy = None
        self.path.close()

    def watch(self, after: Callable[[float, Callable[[], None]], None], now: Callable[[], float]) -> None:
        """Notice its end when the news has travelled; news that cannot pass is never noticed."""

        def ended() -> None:
            delay_s = self.path.news_s("back", now())
            if delay_s is not None:
                after(delay_s, noticed)

        def noticed() -> None:
            self.gone = True
            busy, self.busy = self.busy, None
            if busy is not None:
                busy()

        self.path.on_end(ended)


@attrs.define(eq=False)
class Dial:
    """One attempt to open a connection to one URL. Exactly one of `opened` and `failed` is called, later.

    `failed` gets the codes of `net.remote`: `invalid_url`, `name_not_resolved`, `address_not_allowed`, `connect_timeout`,
    `connect_refused`, `unreachable`, `handshake_timeout`, `connection_lost`, `not_relayed`, `server_identity_unverified`.
    """

    host: Host
    url: str
    presented: tuple[bytes, ...]
    expectation: ServerExpectation
    connect_timeout_s: float
    handshake_timeout_s: float
    opened: Callable[[Connection], None]
    failed: Callable[[str, str], None]

    def start(self) -> None:
        try:
            dialled = _way(self.url).dialled
        except ValueError as error:
            self.failed("invalid_url", str(error))
            return
        name, port = host_of(dialled), port_of(dialled)
        if is_literal(name):
            self._judge_addresses((name,), port)
            return
        network, now = self.host.world.network, self.host.world.timeline.now
        found = network.resolve(self.host.name, name, now)
        if isinstance(found, Resolved):
            self._after(found.delay_s, lambda: self._judge_addresses(found.addresses, port))
        elif found.after_s is None or found.after_s > RESOLVE_S:
            self._after(RESOLVE_S, lambda: self.failed("name_not_resolved", f"no answer within {RESOLVE_S:g} s"))
        else:
            self._after(found.after_s, lambda: self.failed("name_not_resolved", "the name has no address"))

    def _judge_addresses(self, addresses: Sequence[str], port: int) -> None:
        allowed = self.host.federation.allowed_networks
        reasons = {address: refused_reason(address, allowed) for address in addresses}
        permitted = [address for address, reason in reasons.items() if reason is None]
        if permitted:
            self._connect(permitted[:CLIENT_ADDRESSES_MAX], port)
        else:
            self.failed("address_not_allowed", next((reason for reason in reasons.values() if reason is not None), "no address"))

    def _connect(self, addresses: Sequence[str], port: int) -> None:
        """Try the first address, and the others after it."""
        made = self.host.world.network.connect(self.host.name, addresses[0], port, self.host.world.timeline.now)
        limit_s = self.connect_timeout_s
        if isinstance(made, Path) and made.opening_s <= limit_s:
            self._after(made.opening_s, lambda: self._shake_hands(made))
            return
        if isinstance(made, Failure) and made.after_s is not None and made.after_s <= limit_s:
            wait_s, code, reason = made.after_s, made.code, made.reason
        else:
            wait_s, code, reason = limit_s, "connect_timeout", f"no answer within {limit_s:g} s"
        if isinstance(made, Path):
            made.close()
        if len(addresses) > 1:
            self._after(wait_s, lambda: self._connect(addresses[1:], port))
        else:
            self._after(wait_s, lambda: self.failed(code, reason))

    def _shake_hands(self, path: Path) -> None:
        server = self.host.world.hosts[path.target]
        name = host_of(_way(self.url).url)
        if server.hub is not None and server.responsive and not is_literal(name) and server.hub.relays(name):
            Relaying(self, path, server.hub, name).start()
        else:
            self._greet(path, server, "")

    def _greet(self, path: Path, server: Host, hub_id: str) -> None:
        now = self.host.world.timeline.now
        hello_s = path.transit("out", HELLO_BYTES, "segment", now).delay_s
        answer_s = path.transit("back", CHAIN_BYTES, "segment", now).delay_s
        taken_s = None if hello_s is None or answer_s is None or not server.responsive else hello_s + answer_s
        if path.state == "reset":
            self.failed("connection_lost", "the connection was reset")
        elif taken_s is None or taken_s > self.handshake_timeout_s:
            path.close()
            limit_s = self.handshake_timeout_s
            self._after(limit_s, lambda: self.failed("handshake_timeout", f"no TLS within {limit_s:g} s"))
        else:
            incarnation = server.incarnation
            self._after(taken_s, lambda: self._judge_server(path, server, incarnation, hub_id))

    def _judge_server(self, path: Path, server: Host, incarnation: int, hub_id: str) -> None:
        if path.state == "reset":
            self.failed("connection_lost", "the connection was reset")
            return
        chain = server.server_chain
        reason = self.host.world.server_checks.unproven(chain, self.expectation, self.host.clock.wall())
        if reason is not None:
            path.close()
            self.failed("server_identity_unverified", reason)
            return
        world = self.host.world
        source = Source(path.seen[0], "tls", self.presented, f"{self.host.name}:{path.seen[1]}", relayed_by=hub_id)
        connection = Connection(path, server, incarnation, source, chain, world.timeline.now, world.timeline.now)
        connection.watch(world.timeline.after, lambda: world.timeline.now)
        self.opened(connection)

    def _after(self, delay_s: float, step: Callable[[], None]) -> None:
        incarnation = self.host.incarnation
        self.host.world.timeline.after(delay_s, lambda: step() if self.host.incarnation == incarnation else None)


@attrs.define(eq=False)
class Relaying:
    """The part of a dial in which a hub finds the server."""

    dial: Dial
    path: Path
    hub: SimulatedHub
    name: str
    finished: bool = False

    def start(self) -> None:
        """Say to the hub for whom the connection is."""
        dial, limit_s = self.dial, self.dial.handshake_timeout_s
        delay_s = self.path.transit("out", HELLO_BYTES, "segment", dial.host.world.timeline.now).delay_s
        if delay_s is not None:
            dial._after(delay_s, lambda: self.hub.entry(self.name, self.path, self._fetched, self._refused))
        dial._after(limit_s, lambda: self._fail("handshake_timeout", f"no TLS within {limit_s:g} s"))

    def _fetched(self, path: Path, server: Host, hub_id: str) -> None:
        if self.finished:
            path.close()
            return
        self.finished = True
        self.dial._greet(path, server, hub_id)

    def _refused(self, words: str) -> None:
        delay_s = self.path.news_s("back", self.dial.host.world.timeline.now)
        if delay_s is not None:
            self.dial._after(delay_s, lambda: self._fail("not_relayed", words))

    def _fail(self, code: str, reason: str) -> None:
        if not self.finished:
            self.finished = True
            self.path.close()
            self.dial.failed(code, reason)


class Kept:
    """The idle connections of one incarnation, by purpose; the newest is used first."""

    def __init__(self) -> None:
        self._idle: dict[Purpose, list[Connection]] = {}

    def take(self, purpose: Purpose, now: float) -> Connection | None:
        """A connection that may be used again, if there is one."""
        idle = self._idle.get(purpose)
        while idle:
            connection = idle.pop()
            if connection.usable(now):
                return connection
            connection.close()
        return None

    def give_back(self, purpose: Purpose, connection: Connection, now: float) -> None:
        """Keep a connection after a whole exchange."""
        connection.reused, connection.idle_since, connection.busy = True, now, None
        self._idle.setdefault(purpose, []).append(connection)

    def forget(self, peer_id: str) -> None:
        """Close what is kept for one peer."""
        for purpose in [purpose for purpose in self._idle if purpose[0] == peer_id]:
            for connection in self._idle.pop(purpose):
                connection.close()


@lru_cache(maxsize=4096)
def _way(text: str) -> Way:
    return parse_way(text)
