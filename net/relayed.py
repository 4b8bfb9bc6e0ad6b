"""The side behind a hub: fetching a connection that waits there, and serving it as if it had come to our own port.

Lives here: the dialling, and the stream that looks like an accepted connection. Must not live here: whether we fetch (the actor of the
consents decides), what the hub does (`net.relay`), or TLS with whoever is at the far end (the listener does that as with anybody).
"""

from __future__ import annotations

import contextvars
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from actors.ports import FetchRelayed
from net.limits import RELAYED_PER_HUB_MAX
from net.relay import RELAY_PROTOCOL
from net.remote import NoIdentity, NotReady, RemoteClient
from net.remote_faults import no_identity, timed_out, unreachable
from net.tls import ALPN_CLIENT, TlsStream, readable
from runtime.errors import Fault, RemoteFault

log = logging.getLogger("net.relay")

_LOCAL: Final = ("0.0.0.0", 0)
TOO_MANY: Final = RemoteFault("too_many_relayed", "this hub has handed over as many connections as are taken at a time", 429)


class RelayedStream(trio.abc.HalfCloseableStream):
    """A connection that a hub has handed over: bytes of a far end, inside of our own connection to the hub.

    Attributes:
        remote_address, local_address: as of an accepted socket; the former is what the hub says.
        relayed_by: the peer that is the hub.
        leg: our connection to it.
    """

    def __init__(self, leg: TlsStream, client_address: str, hub_id: str, over: Callable[[], None] = lambda: None) -> None:
        """`over` is called once, when the connection is closed, by whoever owns it then."""
        self.leg = leg
        self._over: Callable[[], None] | None = over
        self.remote_address = (client_address, 0)
        self.local_address = _LOCAL
        self.relayed_by = hub_id

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.leg.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.leg.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.leg.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self.leg.send_eof()

    async def aclose(self) -> None:
        self._end()
        await self.leg.aclose()

    def abort(self) -> None:
        """Close at once."""
        self._end()
        self.leg.abort()

    def _end(self) -> None:
        over, self._over = self._over, None
        if over is not None:
            over()

    def readable(self) -> bool:
        """Whether a read would return at once, as far as the transport can tell."""
        return readable(self.leg.transport)


class RelayedConnections:
    """Fetches connections and has them served. `nursery` is where they live."""

    def __init__(self, remote: RemoteClient, nursery: trio.Nursery, serve: Callable[[RelayedStream], Awaitable[None]]) -> None:
        self._remote = remote
        self._nursery = nursery
        self._serve = serve
        self._open: Counter[str] = Counter()

    async def fetch(self, request: FetchRelayed) -> str | Fault:
        """Fetch one connection; see `actors.ports.FetchRelayed`."""
        if self._open[request.peer_id] >= RELAYED_PER_HUB_MAX:
            return TOO_MANY
        probed: list[dict[str, Any]] = []
        with trio.move_on_after(request.timeout_s):
            for url in request.urls:
                entry: dict[str, Any] = {"url": url, "reachable": False}
                probed.append(entry)
                try:
                    await self._fetch_from(request, url)
                except NoIdentity as error:
                    return no_identity(str(error))
                except NotReady as error:
                    entry.update(error=error.code, reason=error.reason)
                else:
                    return url
            return unreachable(probed)
        return timed_out(request.timeout_s, probed)

    async def _fetch_from(self, request: FetchRelayed, url: str) -> None:
        leg = await self._remote.connect(request, url, protocols=(RELAY_PROTOCOL, *ALPN_CLIENT))
        kept = False
        try:
            if leg.protocol != RELAY_PROTOCOL.decode():
                raise NotReady("not_a_hub", "the remote relays nothing")
            await leg.send_all(request.token.reveal_bytes())
            kept = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise NotReady("connection_lost", str(error)) from None
        finally:
            if not kept:
                leg.abort()
        self._open[request.peer_id] += 1
        stream = RelayedStream(leg, request.client_address, request.peer_id, lambda: self._ended(request.peer_id))
        # In a pristine context, so that it keeps nothing of whoever announced it alive. Whoever serves it also closes it.
        contextvars.Context().run(self._nursery.start_soon, self._serve, stream)

    def _ended(self, hub_id: str) -> None:
        self._open[hub_id] -= 1
        if not self._open[hub_id]:
            del self._open[hub_id]
