"""The real side of the `Remote` port: calls to other platforms over mutual TLS.

Lives here: choosing among a peer's URLs, our identity on the wire, the proof of the server's identity before a byte is sent, and the
translation of what went wrong into the port's faults. Must not live here: HTTP framing (`net.http_client`), addresses (`net.addresses`),
what a certificate must look like (`actors.certificates`).

Everything fails closed. A request that needs an identity and has none that is whole, readable and valid now sends nothing. A kept
connection is only used for the same peer, the same identity, the same expectation and the same URL with which it was opened.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import attrs
import trio
from cryptography import x509
from OpenSSL import SSL

from actors.addresses import inside, is_literal
from actors.certificates import fingerprint
from actors.limits import PROBE_CANDIDATES_MAX, SKEW_MAX_S
from actors.ports import (
    GRANT_BEARER_PURPOSE,
    OUTBOUND_KEY_PURPOSE,
    ClientIdentity,
    FetchRelayed,
    OpenChannel,
    Probed,
    ProbeRequest,
    ProbeResult,
    RemoteReply,
    RemoteRequest,
    ServerExpectation,
    with_opened,
)
from actors.urls import Way, host_of, parse_way, port_of
from net.addresses import DialFailed, Dialler, local_addresses
from net.client_hello import refused_by_alert, refused_by_hub
from net.http_client import (
    IDEMPOTENT,
    ConnectionLost,
    ConnectionPool,
    ExchangeFailed,
    HttpClientConnection,
    HttpReply,
    decode_object,
    encode_object,
)
from net.limits import CLIENT_HANDSHAKE_S, CLIENT_IDENTITIES_MAX
from net.remote_faults import connection_lost, no_identity, seal_broken, timed_out, unreachable, unusable_answer
from net.server_identity import VerifyServer, verify_public
from net.tls import TlsFailed, TlsStream, client_context
from runtime.clock import Clock
from runtime.errors import Fault
from runtime.values import Value, evolve

log = logging.getLogger("net.remote")

PATH_PREFIX: Final = "/api/v1/system"
ACCEPT_PATH: Final = "/federation_api/accept"
DATES_REMEMBERED: Final = 16_384

OpenSealed = Callable[[bytes, str], bytes]


class NotReady(Exception):
    """No byte of the request was sent to this URL, so the next one may be tried.

    Attributes:
        code: short code for `Probed.error`.
        reason: what exactly, for a person.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class NoIdentity(Exception):
    """Our own certificate or key cannot be used; the argument says why."""


class FieldNotOpened(Exception):
    """A sealed field of the body cannot be opened; the argument is its name."""


class _Purpose(Value, frozen=True):
    """What a kept connection was opened for. Only an equal purpose may use it."""

    peer_id: str
    url: str
    identity: ClientIdentity | None
    expectation: ServerExpectation


@attrs.frozen
class _Identity:
    """A TLS context that presents an identity, and the dates of its certificate (seconds since the epoch)."""

    context: SSL.Context = attrs.field(repr=False)
    not_before: float
    not_after: float


class ServerProof(Value, frozen=True):
    """What a server has shown on a connection that is kept.

    Attributes:
        chain: DER, leaf first.
        host: its name in the URL.
        expectation: what it has met.
        ends: when the first of its certificates ends, in seconds since the epoch; until then it need not be judged again.
    """

    chain: tuple[bytes, ...]
    host: str
    expectation: ServerExpectation
    ends: float


class RemoteClient:
    """Calls other platforms and probes their endpoints."""

    def __init__(
        self,
        *,
        clock: Clock,
        open_sealed: OpenSealed,
        verify_server: VerifyServer,
        dialler: Dialler,
        own_addresses: Callable[[], Awaitable[frozenset[str]]] = local_addresses,
        pool: ConnectionPool | None = None,
    ) -> None:
        """
        Args:
            clock: wall time for the dates of certificates.
            open_sealed: opens a sealed value for a purpose (`outbound-key`: a private key in PEM; `acceptance-token`: text). Any
                exception means that it cannot be opened.
            verify_server: checks a chain against an expectation that names anchors, a fingerprint or a pin.
            dialler: resolves, applies the address policy, connects.
            own_addresses: addresses of this host, for endpoints that are meant for one network only.
            pool: kept connections; one of its own if None.
        """
        self._clock = clock
        self._open_sealed = open_sealed
        self._verify_server = verify_server
        self._dialler = dialler
        self._own_addresses = own_addresses
        self.pool = pool or ConnectionPool()
        self._anonymous = client_context()
        self._identities: OrderedDict[tuple[str, ClientIdentity], _Identity] = OrderedDict()

    def forget(self, peer_id: str) -> None:
        """Drop that peer's kept connections and its opened identities; exchanges under way end normally."""
        self.pool.forget(lambda purpose: purpose.peer_id == peer_id)
        for key in [key for key in self._identities if key[0] == peer_id]:
            del self._identities[key]

    def close(self) -> None:
        """Drop everything that is kept."""
        self.pool.close()
        self._identities.clear()

    # --- request ----------------------------------------------------------------------------------------------------

    async def request(self, request: RemoteRequest) -> RemoteReply | Fault:
        """Carry out one exchange; see `actors.ports.RemoteRequest` for what comes back."""
        probed: list[dict[str, Any]] = []
        with trio.move_on_after(request.timeout_s):
            return await self._request(request, probed)
        return timed_out(request.timeout_s, probed)

    async def _request(self, request: RemoteRequest, probed: list[dict[str, Any]]) -> RemoteReply | Fault:
        if request.identity is None and request.path != ACCEPT_PATH:
            return no_identity("there is none for this peer")
        try:
            context = self._context(request.peer_id, request.identity)
            body = self._body(request)
            headers = self._headers(request, body)
        except NoIdentity as error:
            return no_identity(str(error))
        except FieldNotOpened as error:
            return seal_broken(str(error))
        for url in request.urls:
            entry: dict[str, Any] = {"url": url, "reachable": False}
            probed.append(entry)
            started = trio.current_time()
            try:
                return await self._exchange(request, url, context, (body, headers), started)
            except NotReady as error:
                entry.update(error=error.code, reason=error.reason)
            except ExchangeFailed as error:
                entry.update(reachable=True, error=str(error))
                return _broken_answer(error, probed)
            finally:
                entry["elapsed_ms"] = round((trio.current_time() - started) * 1000, 3)
        return unreachable(probed)

    def _body(self, request: RemoteRequest) -> bytes:
        if request.body is None and not request.sealed_fields:
            return b""
        opened = {}
        for name, sealed in request.sealed_fields.items():
            try:
                opened[name] = self._open_sealed(sealed, request.sealed_purpose).decode()
            except Exception:
                # The error may quote what it failed on, so nothing of it travels on.
                raise FieldNotOpened(name) from None
        return encode_object(with_opened(request.body, opened))

    def _headers(self, request: RemoteRequest, body: bytes) -> dict[str, str]:
        headers = {"content-type": "application/json"} if body else {}
        if request.sealed_bearer is not None:
            try:
                headers["authorization"] = f"Bearer {self._open_sealed(request.sealed_bearer, GRANT_BEARER_PURPOSE).decode('ascii')}"
            except Exception:
                raise FieldNotOpened("authorization") from None
        return headers

    async def _exchange(
        self, request: RemoteRequest, url: str, context: SSL.Context, sent: tuple[bytes, dict[str, str]], started: float
    ) -> RemoteReply:
        way = _way(url)
        purpose = _Purpose(request.peer_id, str(way), request.identity, request.expectation)

        async def connect() -> HttpClientConnection:
            stream = await self._open(way, context, request.expectation, request.connect_timeout_s, CLIENT_HANDSHAKE_S)
            return HttpClientConnection(stream, way.url.removeprefix("https://"))

        reply, chain = await self._exchange_once_or_again(request, purpose, connect, sent)
        return RemoteReply(
            status=reply.status,
            body=decode_object(reply),
            headers=reply.headers,
            url=url,
            elapsed_s=trio.current_time() - started,
            chain_fingerprints=tuple(fingerprint(der) for der in chain),
        )

    async def _exchange_once_or_again(
        self,
        request: RemoteRequest,
        purpose: _Purpose,
        connect: Callable[[], Awaitable[HttpClientConnection]],
        sent: tuple[bytes, dict[str, str]],
    ) -> tuple[HttpReply, tuple[bytes, ...]]:
        """One exchange; a second one only where the first met a kept connection that the server was just closing (RFC 9110, 9.2.2)."""
        body, headers = sent
        for fresh in (False, True):
            reused = False
            try:
                async with self.pool.connection(purpose, connect, fresh=fresh) as connection:
                    reused = connection.reused
                    reply = await connection.exchange(
                        request.method, PATH_PREFIX + request.path, headers=headers, body=body, reply_bytes_max=request.reply_bytes_max
                    )
                    assert isinstance(connection.stream, TlsStream)
                    return reply, connection.stream.chain
            except ConnectionLost as error:
                if fresh or not reused or error.answer_begun or request.method not in IDEMPOTENT:
                    raise
        raise AssertionError("the second attempt either returns or raises")

    # --- probe ------------------------------------------------------------------------------------------------------

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        """Find the first endpoint that answers and proves its identity; sends no request."""
        probed: list[Probed] = []
        own = await self._own_addresses() if any(target.cidr_hint for target in request.targets) else frozenset()
        fitting = [target for target in request.targets if target.cidr_hint is None or inside(own, target.cidr_hint)]
        for target in fitting[:PROBE_CANDIDATES_MAX]:
            outcome = await self._probe_one(request, target.url)
            probed.append(outcome)
            if outcome.reachable:
                return ProbeResult(target.url, tuple(probed))
        return ProbeResult(None, tuple(probed))

    async def _probe_one(self, request: ProbeRequest, url: str) -> Probed:
        started = trio.current_time()
        try:
            context = self._context(request.peer_id, request.identity)
            stream = await self._open(_way(url), context, request.expectation, request.connect_timeout_s, request.handshake_timeout_s)
        except NoIdentity:
            return Probed(url, False, None, "no_outbound_identity")
        except NotReady as error:
            return Probed(url, False, _milliseconds_since(started), error.code)
        elapsed_ms = _milliseconds_since(started)
        with trio.move_on_after(request.handshake_timeout_s):
            await stream.aclose()
        return Probed(url, True, elapsed_ms)

    # --- channels ---------------------------------------------------------------------------------------------------

    def check_dates(self, identity: ClientIdentity) -> None:
        """See that an identity by which we have proven ourselves once is still in force.

        Raises:
            NoIdentity: it is not.
        """
        dates = _dates(identity.certificate_pem)
        if dates is None:
            raise NoIdentity("its certificate cannot be read")
        self._check_dates(*dates)

    def proof(self, stream: TlsStream, url: str, expectation: ServerExpectation) -> ServerProof:
        """What the server at the other end of a connection has shown, which met `expectation` when it was opened."""
        ends = []
        for der in stream.chain:
            # What stands beside the certificates that were judged may be anything.
            with suppress(ValueError):
                ends.append(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp())
        return ServerProof(stream.chain, host_of(_way(url).url), expectation, min(ends))

    def proven_still(self, proof: ServerProof, expectation: ServerExpectation) -> ServerProof | None:
        """What a server has shown, if that would meet `expectation` now as well; None if it would not."""
        if expectation == proof.expectation and self._clock.wall() <= proof.ends:
            return proof
        return evolve(proof, expectation=expectation) if self._judge(proof.chain, proof.host, expectation) is None else None

    async def connect(self, request: OpenChannel | FetchRelayed, url: str, *, protocols: Sequence[bytes] = ()) -> TlsStream:
        """A connection of its own to the platform at `url`, which has proven to be the one expected.

        `protocols` are offered in place of HTTP; which one was taken is the stream's `protocol`.

        Raises:
            NoIdentity: our identity cannot be used; nothing was sent.
            NotReady: there is no such connection; nothing was sent.
        """
        context = self._context(request.peer_id, request.identity)
        timeout_s = request.connect_timeout_s
        return await self._open(_way(url), context, request.expectation, timeout_s, CLIENT_HANDSHAKE_S, protocols)

    # --- connections ------------------------------------------------------------------------------------------------

    async def _open(
        self,
        way: Way,
        context: SSL.Context,
        expectation: ServerExpectation,
        connect_timeout_s: float,
        handshake_timeout_s: float,
        protocols: Sequence[bytes] = (),
    ) -> TlsStream:
        """A connection to a server that has proven to be the one expected. Of a hub on the way only the address is used: it proves nothing.

        Raises:
            NotReady: anything else; nothing of the request was sent.
        """
        host = host_of(way.url)
        try:
            transport = await self._dialler.dial(host_of(way.dialled), port_of(way.dialled), connect_timeout_s)
        except DialFailed as error:
            raise NotReady(error.code, error.reason) from None
        stream = TlsStream(transport, context, server_side=False, server_name=None if is_literal(host) else host, protocols=protocols)
        try:
            with trio.fail_after(handshake_timeout_s):
                await stream.do_handshake()
            reason = self._judge(stream.chain, host, expectation)
        except trio.TooSlowError:
            stream.abort()
            raise NotReady("handshake_timeout", f"no TLS within {handshake_timeout_s:g} s") from None
        except TlsFailed as error:
            stream.abort()
            # An alert is said before any certificate, so that it says nothing about who the server is: a hub does not reach it, or the
            # server will not speak with us now.
            code = "not_relayed" if refused_by_hub(str(error)) else "tls_refused" if refused_by_alert(str(error)) else "tls_failed"
            raise NotReady(code, str(error)) from None
        except (trio.BrokenResourceError, OSError) as error:
            # A platform that stops or starts hangs up in the middle. That says nothing about who it is.
            stream.abort()
            raise NotReady("connection_lost", str(error)) from None
        except BaseException:
            stream.abort()
            raise
        if reason is not None:
            stream.abort()
            log.info("%s did not prove its identity: %s", host, reason)
            raise NotReady("server_identity_unverified", reason)
        return stream

    def _judge(self, chain: tuple[bytes, ...], host: str, expectation: ServerExpectation) -> str | None:
        now = self._clock.wall()
        if expectation.anchors_pem or expectation.ca_fingerprint is not None or expectation.ca_pin is not None:
            return self._verify_server(chain, expectation, now=now)
        return verify_public(chain, host, now=now)

    def _context(self, peer_id: str, identity: ClientIdentity | None) -> SSL.Context:
        """The context that presents `identity`, opened at most once while it is in use.

        Raises:
            NoIdentity: half of it is missing, it cannot be read, or it is not valid now.
        """
        if identity is None:
            return self._anonymous
        key = (peer_id, identity)
        found = self._identities.get(key)
        if found is None:
            found = self._identities[key] = self._load_identity(identity)
            while len(self._identities) > CLIENT_IDENTITIES_MAX:
                self._identities.popitem(last=False)
        self._identities.move_to_end(key)
        self._check_dates(found.not_before, found.not_after)
        return found.context

    def _check_dates(self, not_before: float, not_after: float) -> None:
        now = self._clock.wall()
        if now > not_after:
            raise NoIdentity("its certificate has expired")
        if now < not_before - SKEW_MAX_S:
            raise NoIdentity("its certificate is not valid yet")

    def _load_identity(self, identity: ClientIdentity) -> _Identity:
        if not identity.certificate_pem or not identity.sealed_key:
            raise NoIdentity("half of the certificate and its key is missing")
        try:
            key_pem = self._open_sealed(identity.sealed_key, OUTBOUND_KEY_PURPOSE)
        except Exception:
            # The error may quote what it failed on, so nothing of it travels on.
            raise NoIdentity("its key cannot be opened") from None
        pem = identity.certificate_pem.encode()
        try:
            context = client_context(pem, key_pem)
            leaf = x509.load_pem_x509_certificates(pem)[0]
        except ValueError as error:
            raise NoIdentity(str(error)) from None
        return _Identity(context, leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())


@lru_cache(maxsize=DATES_REMEMBERED)
def _dates(certificate_pem: str) -> tuple[float, float] | None:
    try:
        leaf = x509.load_pem_x509_certificates(certificate_pem.encode())[0]
    except ValueError:
        return None
    return leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()


def _way(text: str) -> Way:
    try:
        return parse_way(text)
    except ValueError as error:
        raise NotReady("invalid_url", str(error)) from None


def _milliseconds_since(started: float) -> float:
    return round((trio.current_time() - started) * 1000, 3)


def _broken_answer(error: ExchangeFailed, probed: list[dict[str, Any]]) -> Fault:
    if isinstance(error, ConnectionLost):
        return connection_lost(probed, str(error))
    return unusable_answer(probed, str(error), error.status)
