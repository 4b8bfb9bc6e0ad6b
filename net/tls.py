"""TLS over any trio stream, with certificates handed up instead of judged.

Lives here: contexts (the listener's, with several leaves; the client's, with an optional certificate) and `TlsStream`.
Must not live here: whether a certificate is good. A server takes any client certificate, so that a stranger gets an answer with a
reason; a client takes any server certificate and must check `TlsStream.chain` before it sends its first byte. The handshake itself
still proves that the other end holds the private key of the leaf it shows.

Sessions are never resumed, since a resumed session would skip the certificate: nothing is cached, and the tickets that OpenSSL still sends
under TLS 1.3 (its switch for their number is out of reach here) name nothing that we kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL, crypto

from actors.certificates import fingerprint
from actors.peer.channel import ShownLeaf
from net.limits import CERTIFICATES_MAX, RECEIVE_BYTES

ALPN_SERVER: Final = (b"h2", b"http/1.1")
ALPN_CLIENT: Final = (b"http/1.1",)
_CIPHERS_TLS12: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
# A peer that knows Ed25519 is shown that leaf, a browser (none of which offers it) the other one.
_SIGNATURES: Final = b"ed25519:ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA+SHA256"
_OPTIONS: Final = SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
_RECORD_BYTES: Final = 16_384  # RFC 8446, section 5.1

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@attrs.frozen
class ListenerLeaf:
    """One certificate that the listener may show: the chain in PEM (leaf first, root last) and the leaf's private key in PEM."""

    chain_pem: bytes
    key_pem: bytes = attrs.field(repr=False)


def shown_by(leaves: Sequence[ListenerLeaf]) -> ShownLeaf:
    """What these certificates are to whoever keeps a connection for long: of them, the one that ends first."""
    chains = [x509.load_pem_x509_certificates(leaf.chain_pem) for leaf in leaves]
    chain = min(chains, key=lambda chain: chain[0].not_valid_after_utc)
    root = fingerprint(chain[-1].public_bytes(Encoding.DER)) if len(chain) > 1 else chain[0].issuer.public_bytes().hex()
    return ShownLeaf(root, chain[0].not_valid_before_utc.timestamp(), chain[0].not_valid_after_utc.timestamp())


def server_context(leaves: Sequence[ListenerLeaf], protocols: Sequence[bytes] = ()) -> SSL.Context:
    """A context that shows whichever leaf the client can verify, and asks for a client certificate without demanding one.

    `protocols` are taken besides HTTP, before it, from clients that offer them (ALPN, RFC 7301).

    Raises:
        ValueError: no leaf, two leaves with one kind of key, unreadable material, or a key that is not the leaf's.
    """
    if not leaves:
        raise ValueError("a TLS listener needs at least one certificate")
    context = _context(SSL.TLS_SERVER_METHOD)
    kinds: set[type] = set()
    for leaf in leaves:
        kind = type(_load(context, leaf.chain_pem, leaf.key_pem))
        if kind in kinds:
            raise ValueError("two of the listener's certificates have the same kind of key")
        kinds.add(kind)
    context.set_verify(SSL.VERIFY_PEER, _take_any)
    context.set_alpn_select_callback(partial(_choose_protocol, (*protocols, *ALPN_SERVER)))
    return context


def client_context(certificate_pem: bytes | None = None, key_pem: bytes | None = None) -> SSL.Context:
    """A context that presents the certificate if one is given, and leaves the judgement of the server to the caller.

    Raises:
        ValueError: only half of the pair, unreadable material, or a key that is not the certificate's.
    """
    if (certificate_pem is None) != (key_pem is None):
        raise ValueError("a certificate and its private key come together")
    context = _context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_alpn_protos(list(ALPN_CLIENT))
    if certificate_pem is not None and key_pem is not None:
        _load(context, certificate_pem, key_pem)
    return context


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_CIPHERS_TLS12)
    # pyOpenSSL has no public name for this call; without it clients that know both kinds of leaf are shown P-256.
    if SSL._lib.SSL_CTX_set1_sigalgs_list(context._context, _SIGNATURES) != 1:  # type: ignore[attr-defined]
        raise ValueError("the TLS library refuses the list of signature algorithms")
    return context


def _load(context: SSL.Context, chain_pem: bytes, key_pem: bytes) -> PrivateKey:
    """Put a chain and its key into the context. OpenSSL keeps one chain for each kind of key, but only when it reads it from a file."""
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem)
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("a certificate or its private key cannot be read") from None
    if not isinstance(key, PrivateKey):
        raise ValueError("a listener's or client's key must be Ed25519, ECDSA or RSA")
    if certificates[0].public_key() != key.public_key():
        raise ValueError("the private key does not belong to the certificate")
    with tempfile.NamedTemporaryFile(prefix="chain-", suffix=".pem") as file:
        file.write(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates))
        file.flush()
        try:
            context.use_certificate_chain_file(file.name)
            context.use_privatekey(key)
        except SSL.Error:
            raise ValueError("the TLS library refuses the certificate or its key") from None
    return key


def _take_any(connection: SSL.Connection, certificate: object, error: int, depth: int, verified: int) -> bool:
    return True


def _choose_protocol(known: Sequence[bytes], connection: SSL.Connection, offered: list[bytes]) -> bytes:
    # A client that offers only what we do not speak gets HTTP/1.1 and finds out there; refusing here would only hide the reason.
    return next((protocol for protocol in known if protocol in offered), ALPN_SERVER[-1])


class Turns:
    """A lock for senders that costs nothing while there is only one: no checkpoint, since the send itself is one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock: trio.Lock | None = None

    @property
    def taken(self) -> bool:
        """Whether somebody is sending."""
        return self._lock is not None

    async def __aenter__(self) -> None:
        if self._lock is None:
            self._lock = trio.Lock()
        lock = self._lock
        try:
            lock.acquire_nowait()
        except trio.WouldBlock:
            await lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        assert self._lock is not None
        self._lock.release()
        if not self._lock.locked():
            # Most streams are silent most of the time, and a lock weighs half a kilobyte.
            self._lock = None


class TlsFailed(trio.BrokenResourceError):
    """The other end is there, but what it says is not TLS as it must be. A connection that just ended is no such failure."""


class TlsStream(trio.abc.HalfCloseableStream):
    """TLS on top of `transport`.

    One task may receive while another sends. A send that is cancelled half-way leaves a torn record behind, so every later send fails.
    `chain` is available after `do_handshake`. `goodbye_heard` tells an end that was meant from a connection that was lost.
    `unsent` is ciphertext that `send_now` could not give to the transport.
    """

    def __init__(
        self,
        transport: trio.abc.Stream,
        context: SSL.Context,
        *,
        server_side: bool,
        server_name: str | None = None,
        protocols: Sequence[bytes] = (),
        received: bytes = b"",
    ) -> None:
        """
        Args:
            transport: a connected stream; owned from now on.
            server_side: which half of the handshake is ours.
            server_name: the DNS name to ask for (client only); never an address.
            protocols: application protocols to offer in place of the context's (client only).
            received: what has been read from the transport already.
        """
        self.transport = transport
        self._server_side = server_side
        self._tls = SSL.Connection(context)
        if server_side:
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()
            if server_name is not None:
                self._tls.set_tlsext_host_name(server_name.encode("ascii"))
            if protocols:
                self._tls.set_alpn_protos(list(protocols))
        if received:
            self._tls.bio_write(received)
        self._turn = Turns()
        self._torn = False
        self._closed = False
        self._goodbye_sent = False
        self.unsent = b""
        self.chain: tuple[bytes, ...] = ()
        self.goodbye_heard = False

    async def do_handshake(self) -> None:
        """Agree on keys and read the other end's certificates.

        Raises:
            TlsFailed: the other end broke the protocol.
            trio.BrokenResourceError: the other end went away.
        """
        while True:
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                await self._flush()
                await self._feed(truncation="closed during the TLS handshake")
            except SSL.Error as error:
                await self._flush_alert()
                raise TlsFailed(f"TLS handshake failed: {_reason(error)}") from None
            else:
                await self._flush()
                self.chain = self._presented_chain()
                return

    @property
    def protocol(self) -> str:
        """The protocol agreed on in the handshake (ALPN, RFC 7301), or the empty string."""
        return self._tls.get_alpn_proto_negotiated().decode("ascii", "replace")

    def binding(self, label: bytes, size: int) -> bytes | None:
        """Secret bytes that only the two ends of this connection know (RFC 8446, section 7.5); None below TLS 1.3.

        Earlier versions let whoever stands between the ends give both the same bytes.
        """
        if self._tls.get_protocol_version_name() != "TLSv1.3":
            return None
        return self._tls.export_keying_material(label, size)

    def _presented_chain(self) -> tuple[bytes, ...]:
        # As OpenSSL's own objects: a stricter parser would fail here on a certificate that deserves an answer with a reason.
        leaf = self._tls.get_peer_certificate()
        if leaf is None:
            return ()
        chain = self._tls.get_peer_cert_chain() or []
        if len(chain) > CERTIFICATES_MAX:
            raise TlsFailed(f"more than {CERTIFICATES_MAX} certificates presented")
        # OpenSSL lists the leaf in the chain on the client's side only.
        presented = [leaf, *chain] if self._server_side else chain
        return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in presented)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At most `max_bytes` bytes, or nothing at the end of the stream.

        A connection that ends without the TLS goodbye counts as ended on a server, where HTTP's own framing tells a cut request from
        a whole one; on a client it is an error, because an answer may be delimited by the end of the connection.
        """
        size = RECEIVE_BYTES if max_bytes is None else max_bytes
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            data: bytes | None = None
            try:
                data = self._tls.recv(size)
            except SSL.WantReadError:
                # To be waited for below: a reader that waited here would keep the error and its frames alive for as long.
                pass
            except SSL.ZeroReturnError:
                self.goodbye_heard = True
                await trio.lowlevel.checkpoint()
                return b""
            except SSL.Error as error:
                await self._flush_alert()
                raise trio.BrokenResourceError(f"TLS failed: {_reason(error)}") from None
            if data is not None:
                return data
            await self._flush()
            if not await self._feed(truncation=None if self._server_side else "ended without the TLS goodbye"):
                return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, in records that never pile up in memory."""
        view = memoryview(data)
        async with self._turn:
            self._check_sendable()
            waiting = 0
            if self.unsent:
                await self._drain()
            while view:
                try:
                    # The library takes no more of a long buffer than fits into one record, and says how much.
                    taken = self._tls.send(bytes(view[:_RECORD_BYTES]))
                except SSL.Error as error:
                    self._torn = True
                    raise trio.BrokenResourceError(f"TLS failed: {_reason(error)}") from None
                view = view[taken:]
                waiting += taken
                if not view or waiting >= RECEIVE_BYTES:
                    await self._drain()
                    waiting = 0

    def send_now(self, data: bytes) -> bool:
        """Send a little without waiting and without a task. False, and nothing has happened, if that cannot be done now.

        What the transport does not take at once is left over (`unsent`); it leaves before anything else, with the next `send_all`.
        """
        ready = not (self._closed or self._torn or self._goodbye_sent or self._turn.taken or self.unsent)
        if not ready or not isinstance(self.transport, trio.SocketStream) or not 0 < len(data) <= _RECORD_BYTES:
            return False
        try:
            self._tls.send(data)
            records = self._tls.bio_read(RECEIVE_BYTES + 4096)
            self.unsent = records[write_now(self.transport, records) :]
        except BlockingIOError:
            self.unsent = records
        except (OSError, SSL.Error):
            # Whoever sends next hears of it.
            self._torn = True
        return not self._torn

    def release_buffers(self) -> None:
        """Give back what the library keeps of past records, if nothing is under way: a memory buffer of OpenSSL never shrinks by itself.

        pyOpenSSL has no public name for this; its two buffers are replaced by empty ones.
        """
        if self._turn.taken or self._torn or self._closed:
            return
        lib, tls = SSL._lib, self._tls  # type: ignore[attr-defined]
        held = SSL._ffi.new("char **")  # type: ignore[attr-defined]
        if any(lib.BIO_get_mem_data(buffer, held) != 0 for buffer in (tls._into_ssl, tls._from_ssl)):
            return
        into, out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        # The connection owns its buffers, and frees the former ones here.
        lib.SSL_set_bio(tls._ssl, into, out)
        tls._into_ssl, tls._from_ssl = into, out

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send is likely to make progress."""
        self._check_sendable()
        await self.transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say goodbye (RFC 8446, section 6.1) and, where the transport can, close its sending half."""
        async with self._turn:
            if self._closed:
                raise trio.ClosedResourceError
            if self._goodbye_sent:
                return
            self._goodbye_sent = True
            self._say_goodbye()
            await self._drain()
            if isinstance(self.transport, trio.abc.HalfCloseableStream):
                await self.transport.send_eof()

    async def aclose(self) -> None:
        """Say goodbye if that is possible at once, and close the transport."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        try:
            if not self._goodbye_sent and not self._torn and not self._turn.taken:
                self._goodbye_sent = True
                self._say_goodbye()
                # Polite, not owed: a full send buffer must not keep a closing connection alive.
                with trio.move_on_after(1.0):
                    await self._drain()
        except trio.BrokenResourceError:
            pass
        finally:
            await self.transport.aclose()

    def abort(self) -> None:
        """Close without goodbye and without waiting; safe while being cancelled."""
        self._closed = True
        abort(self.transport)

    def silent(self) -> bool:
        """Whether an idle connection is still usable: nothing unread inside, and nothing to read outside (not even its end)."""
        if self._closed or self._torn or readable(self.transport):
            return False
        try:
            self._tls.recv(1)
        except SSL.WantReadError:
            return True
        except SSL.Error:
            return False
        return False

    def _check_sendable(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if self._torn or self._goodbye_sent:
            raise trio.BrokenResourceError("the sending half of this TLS stream has ended")

    def _say_goodbye(self) -> None:
        try:
            self._tls.shutdown()
        except SSL.Error:
            self._torn = True

    async def _feed(self, truncation: str | None) -> bool:
        """Bring in one piece of ciphertext; False at the end of the transport."""
        socket, data = kernel_socket(self.transport), None
        while data is None:
            if socket is None:
                data = await self.transport.receive_some(RECEIVE_BYTES)
            else:
                # Waited for here and not in the stream below: its frames are much of what a silent connection weighs.
                if socket.fileno() < 0:
                    raise trio.ClosedResourceError
                await trio.lowlevel.wait_readable(socket)
                data = _read_now(socket)
        if data:
            self._tls.bio_write(data)
            return True
        if truncation is not None:
            raise trio.BrokenResourceError(truncation)
        return False

    async def _flush(self) -> None:
        """Send what the protocol itself wants to say: handshake messages, key updates.

        Whoever is sending already, or sends what is left over, takes these bytes along. Waiting for it instead would stop us from receiving
        while the other end, perhaps, does not receive before it has sent.
        """
        if not self._torn and not self._turn.taken and not self.unsent:
            async with self._turn:
                await self._drain()

    async def _flush_alert(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._flush()

    async def _drain(self) -> None:
        pending, self.unsent = self.unsent, b""
        if not pending:
            try:
                pending = self._tls.bio_read(RECEIVE_BYTES + 4096)
            except SSL.WantReadError:
                return
        self._torn = True
        while pending:
            await self.transport.send_all(pending)
            try:
                pending = self._tls.bio_read(RECEIVE_BYTES + 4096)
            except SSL.WantReadError:
                pending = b""
        self._torn = False


def abort(stream: trio.abc.AsyncResource) -> None:
    """Close `stream` at once, without waiting and without a goodbye."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.close()
        return
    close: Callable[[], None] | None = getattr(stream, "abort", None)
    if close is None:
        raise TypeError(f"{type(stream).__name__} cannot be closed at once: it has no abort()")
    close()


def readable(stream: trio.abc.AsyncResource) -> bool:
    """Whether a read on `stream` would return at once, with data or with the end."""
    if isinstance(stream, trio.SocketStream):
        return stream.socket.is_readable()
    question: Callable[[], bool] | None = getattr(stream, "readable", None)
    return question() if question is not None else False


def kernel_socket(stream: trio.abc.AsyncResource) -> trio.socket.SocketType | None:
    """The socket of the kernel under `stream`; None if there is none, as in a simulated network, whose sockets bring `write_now`."""
    socket = stream.socket if isinstance(stream, trio.SocketStream) else None
    return None if socket is None or hasattr(socket, "write_now") else socket


def write_now(stream: trio.SocketStream, data: bytes) -> int:
    """Give a connection as much of `data` as it takes without waiting; how much that is.

    Raises:
        BlockingIOError: it takes nothing now.
        OSError: it has broken.
    """
    socket = kernel_socket(stream)
    if socket is not None:
        return os.write(socket.fileno(), data)
    taken: int = stream.socket.write_now(data)  # type: ignore[attr-defined]
    return taken


def _read_now(socket: trio.socket.SocketType) -> bytes | None:
    """What has arrived; None if it is nothing after all."""
    try:
        return os.read(socket.fileno(), RECEIVE_BYTES)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.EBADF:
            raise trio.ClosedResourceError from None
        raise trio.BrokenResourceError(f"the connection has broken: {error}") from None


def _reason(error: SSL.Error) -> str:
    """The library's words for the first error, without its function names."""
    first = error.args[0] if error.args else None
    if isinstance(first, list) and first:
        return str(first[0][-1])
    return type(error).__name__
