"""HTTP/1.1 as a client: one exchange on one connection, kept connections, and the command line's request.

Lives here: framing (h11), limits on what comes back, reuse. Must not live here: who is asked and with which identity (`net.remote`).

Cancellation is ordinary here. Whatever leaves an exchange early (a deadline, a cancelled task, an error) leaves an unknown amount of an
answer on the wire, so that connection is closed and never used again; closing needs no waiting. Redirects are never followed.
"""

from __future__ import annotations

import ipaddress
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import attrs
import h11
import msgspec
import trio

from actors.addresses import is_literal
from net.limits import (
    CLIENT_CONNECTION_AGE_S,
    CLIENT_CONNECTIONS_PER_POOL,
    CLIENT_HEADER_BYTES,
    CLIENT_IDLE_MAX,
    CLIENT_INFORMATIONAL_MAX,
    CLIENT_KEEP_ALIVE_S,
    COMMAND_REPLY_BYTES,
    RECEIVE_BYTES,
)
from net.server_identity import verify_given_ca, verify_public
from net.tls import TlsStream, abort, client_context, readable
from runtime.clock import Clock, SystemClock
from runtime.values import Value

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})  # RFC 9110, section 9.2.2
_USER_AGENT: Final = b"powernode"


class ExchangeFailed(Exception):
    """The other end did not give an answer that can be used. The argument is a short code, never anything that it wrote.

    Attributes:
        status: the HTTP status, if there was one.
    """

    def __init__(self, code: str, *, status: int | None = None) -> None:
        super().__init__(code)
        self.status = status


class ConnectionLost(ExchangeFailed):
    """The connection ended before the answer was complete.

    Attributes:
        answer_begun: whether any byte of an answer had arrived.
    """

    def __init__(self, *, answer_begun: bool) -> None:
        super().__init__("connection_lost")
        self.answer_begun = answer_begun


@attrs.frozen
class HttpReply:
    """An answer as received. Header names are lower case; of a repeated header the last value counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


class HttpClientConnection:
    """One connection and the exchanges on it, one after the other.

    Attributes:
        reused: whether an exchange was completed on it before.
        keep: False once it must not be kept for another exchange.
    """

    def __init__(self, stream: trio.abc.Stream, host: str) -> None:
        """`host` is the value of the Host header; `stream` is owned from now on and can be closed with `net.tls.abort`."""
        self.stream = stream
        self.reused = False
        self.keep = True
        self._host = host.encode("ascii")
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=CLIENT_HEADER_BYTES)
        self._opened_at = self._idle_since = trio.current_time()
        self._received_any = self._ended = False

    async def exchange(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", reply_bytes_max: int
    ) -> HttpReply:
        """Send one request and read its answer.

        Raises:
            ConnectionLost: the connection ended too early.
            ExchangeFailed: `not_http` or `reply_too_large`.
        """
        self._received_any = self._ended = False
        try:
            await self._send(method, target, headers or {}, body)
            reply = await self._receive(reply_bytes_max)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionLost(answer_begun=self._received_any) from None
        except h11.RemoteProtocolError:
            raise (ConnectionLost(answer_begun=self._received_any) if self._ended else ExchangeFailed("not_http")) from None
        self._end_cycle()
        return reply

    async def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        fields = [(b"host", self._host), (b"user-agent", _USER_AGENT), (b"accept", b"application/json")]
        fields += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if body or method in ("POST", "PUT", "PATCH"):
            fields.append((b"content-length", b"%d" % len(body)))
        data = self._http.send(h11.Request(method=method, target=target, headers=fields)) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            # A server may refuse a request before it has read all of it; its answer is then waiting for us.
            self.keep = False

    async def _receive(self, reply_bytes_max: int) -> HttpReply:
        head: h11.Response | None = None
        body = bytearray()
        informational = 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await self.stream.receive_some(RECEIVE_BYTES)
                self._received_any = self._received_any or bool(data)
                self._ended = not data
                self._http.receive_data(bytes(data))
            elif isinstance(event, h11.InformationalResponse):
                informational += 1
                if informational > CLIENT_INFORMATIONAL_MAX or event.status_code == 101:
                    raise ExchangeFailed("not_http")
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > reply_bytes_max:
                    raise ExchangeFailed("reply_too_large")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return HttpReply(head.status_code, _fields(head), bytes(body))
            else:
                raise ConnectionLost(answer_begun=self._received_any)

    def _end_cycle(self) -> None:
        self.reused = True
        self._idle_since = trio.current_time()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
        else:
            self.keep = False

    def usable(self) -> bool:
        """Whether another exchange may be tried: young enough, and the other end has neither spoken nor hung up meanwhile."""
        now = trio.current_time()
        if not self.keep or now - self._idle_since > CLIENT_KEEP_ALIVE_S or now - self._opened_at > CLIENT_CONNECTION_AGE_S:
            return False
        return self.stream.silent() if isinstance(self.stream, TlsStream) else not readable(self.stream)

    @property
    def idle_since(self) -> float:
        """When the last exchange ended, in trio's time."""
        return self._idle_since

    def close(self) -> None:
        """Close at once; safe while being cancelled."""
        self.keep = False
        abort(self.stream)


def _fields(head: h11.Response) -> Mapping[str, str]:
    return {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}


@attrs.define(eq=False)
class _Slot:
    """Connections for one purpose: the limit, who waits or works, and what is idle, oldest first."""

    limit: trio.Semaphore
    users: int = 0
    active: set[HttpClientConnection] = attrs.field(factory=set)
    idle: list[HttpClientConnection] = attrs.field(factory=list)


class ConnectionPool:
    """Kept connections, by a key that says everything on which their trust rests."""

    def __init__(self, *, per_key: int = CLIENT_CONNECTIONS_PER_POOL, idle_max: int = CLIENT_IDLE_MAX) -> None:
        """
        Args:
            per_key: connections in use at the same time for one key; further callers wait, under their own deadlines.
            idle_max: idle connections of all keys together; the one that has been idle longest goes first.
        """
        self._per_key = per_key
        self._idle_max = idle_max
        self._slots: dict[Hashable, _Slot] = {}
        self._idle: OrderedDict[HttpClientConnection, Hashable] = OrderedDict()

    @property
    def idle_connections(self) -> int:
        """How many connections are kept."""
        return len(self._idle)

    @property
    def busy_connections(self) -> int:
        """How many connections are in use."""
        return sum(len(slot.active) for slot in self._slots.values())

    @asynccontextmanager
    async def connection(
        self, key: Hashable, connect: Callable[[], Awaitable[HttpClientConnection]], *, fresh: bool = False
    ) -> AsyncIterator[HttpClientConnection]:
        """A connection for the length of the block: a kept one, or a new one from `connect`. Any exception closes it."""
        slot = self._slots.setdefault(key, _Slot(trio.Semaphore(self._per_key)))
        slot.users += 1
        try:
            async with slot.limit:
                connection = (None if fresh else self._take(slot)) or await connect()
                slot.active.add(connection)
                try:
                    yield connection
                except BaseException:
                    connection.close()
                    raise
                finally:
                    slot.active.discard(connection)
                self._give_back(key, slot, connection)
        finally:
            slot.users -= 1
            self._drop_if_unused(key, slot)

    def forget(self, which: Callable[[Any], bool]) -> int:
        """Close the idle connections of matching keys, and let those in use end with their exchange; how many were closed."""
        doomed = [key for key in self._slots if which(key)]
        closed = 0
        for key in doomed:
            slot = self._slots[key]
            for connection in slot.active:
                connection.keep = False
            closed += len(slot.idle)
            for connection in tuple(slot.idle):
                self._discard(slot, connection)
            self._drop_if_unused(key, slot)
        return closed

    def close(self) -> None:
        """Forget everything."""
        self.forget(lambda _: True)

    def _take(self, slot: _Slot) -> HttpClientConnection | None:
        while slot.idle:
            connection = slot.idle.pop()
            del self._idle[connection]
            if connection.usable():
                return connection
            connection.close()
        return None

    def _give_back(self, key: Hashable, slot: _Slot, connection: HttpClientConnection) -> None:
        if not connection.keep:
            connection.close()
            return
        slot.idle.append(connection)
        self._idle[connection] = key
        oldest_allowed = trio.current_time() - CLIENT_KEEP_ALIVE_S
        while self._idle:
            oldest, its_key = next(iter(self._idle.items()))
            if len(self._idle) <= self._idle_max and oldest.idle_since >= oldest_allowed:
                break
            its_slot = self._slots[its_key]
            self._discard(its_slot, oldest)
            self._drop_if_unused(its_key, its_slot)

    def _discard(self, slot: _Slot, connection: HttpClientConnection) -> None:
        slot.idle.remove(connection)
        del self._idle[connection]
        connection.close()

    def _drop_if_unused(self, key: Hashable, slot: _Slot) -> None:
        if not slot.users and not slot.idle and self._slots.get(key) is slot:
            del self._slots[key]


# --- The command line's request -------------------------------------------------------------------------------------


class RequestError(Exception):
    """A request of the command line failed; the text is a sentence for its user."""


class Unreachable(RequestError):
    """No connection, or it was lost before the whole answer had arrived."""


class TimedOut(RequestError):
    """The deadline passed; whether the request had an effect is unknown."""


class NotJson(RequestError):
    """Something answered, but not with a JSON object of acceptable size."""


class Untrusted(RequestError):
    """The server did not prove to be the one that was meant; nothing was sent."""


class JsonReply(Value, frozen=True):
    """A JSON answer of any status; `body` is empty if there was none (204, 304)."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


async def request_json(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    timeout_s: float = 45.0,
    ca_pem: bytes | None = None,
    clock: Clock | None = None,
) -> JsonReply:
    """One JSON request: over `http` to this machine, over `https` to a server that `ca_pem` or else public PKI vouches for.

    Args:
        timeout_s: deadline for everything together.
        ca_pem: certificates in PEM, one of which must vouch for the server; public PKI is then not asked.

    Raises:
        ValueError: `url` is no absolute http or https URL.
        Unreachable, TimedOut, NotJson, Untrusted: see there.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{url!r} is not an absolute http or https URL without a user name")
    try:
        with trio.fail_after(timeout_s):
            return await _request_json(method, parts, dict(headers or {}), body, ca_pem, clock or SystemClock())
    except trio.TooSlowError:
        raise TimedOut(f"{parts.netloc} did not answer within {timeout_s:g} seconds") from None


async def _request_json(
    method: str, parts: SplitResult, headers: dict[str, str], body: Mapping[str, Any] | None, ca_pem: bytes | None, clock: Clock
) -> JsonReply:
    stream = await _open_for_command(parts, ca_pem, clock)
    try:
        connection = HttpClientConnection(stream, parts.netloc)
        if body is not None:
            headers.setdefault("content-type", "application/json")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        content = b"" if body is None else encode_object(body)
        reply = await connection.exchange(method, target, headers=headers, body=content, reply_bytes_max=COMMAND_REPLY_BYTES)
        return JsonReply(reply.status, reply.headers, decode_object(reply))
    except ConnectionLost:
        raise Unreachable(f"{parts.netloc} closed the connection before it had answered") from None
    except ExchangeFailed as error:
        raise NotJson(f"{parts.netloc} answered with something unusable ({error})") from None
    finally:
        abort(stream)


async def _open_for_command(parts: SplitResult, ca_pem: bytes | None, clock: Clock) -> trio.abc.Stream:
    host = parts.hostname or ""
    plain = parts.scheme == "http"
    if plain and not _is_loopback(host):
        raise Untrusted(f"{host} is not this machine; use https")
    try:
        transport = await trio.open_tcp_stream(host, parts.port or (80 if plain else 443))
    except OSError as error:
        raise Unreachable(f"{parts.netloc} cannot be reached: {error}") from None
    if plain:
        return transport
    stream = TlsStream(transport, client_context(), server_side=False, server_name=None if is_literal(host) else host)
    try:
        await stream.do_handshake()
        now = clock.wall()
        reason = verify_public(stream.chain, host, now=now) if ca_pem is None else verify_given_ca(stream.chain, host, ca_pem, now=now)
        if reason is not None:
            raise Untrusted(f"{host} did not prove its identity ({reason})")
    except trio.BrokenResourceError as error:
        stream.abort()
        raise Unreachable(f"{parts.netloc}: {error}") from None
    except BaseException:
        stream.abort()
        raise
    return stream


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if is_literal(host) else host == "localhost"


def encode_object(body: Mapping[str, Any]) -> bytes:
    """`body` as compact JSON text."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode_object(reply: HttpReply) -> Mapping[str, Any]:
    """The JSON object of an answer; empty if the status allows no body.

    Raises:
        ExchangeFailed: `not_json`.
    """
    if not reply.body and reply.status in (204, 304):
        return {}
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ExchangeFailed("not_json", status=reply.status)
    try:
        found = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ExchangeFailed("not_json", status=reply.status) from None
    if not isinstance(found, dict):
        raise ExchangeFailed("not_json", status=reply.status)
    return found
