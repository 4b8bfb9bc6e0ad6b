"""A reverse proxy that ends TLS, as one in front of a platform does: it takes any client certificate and hands it on in `Client-Cert`.

It speaks HTTP/1.1, one request at a time on each connection, and keeps a connection of its own to the platform for each that it has.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from tests.net.certs import Leaf

REPLACED = frozenset({"client-cert", "client-cert-chain", "x-calling-instance", "x-sdwan-network"})
WAIT_S = 120.0


@attrs.define(eq=False)
class Proxy:
    """A proxy between a socket that listens and a port of this machine.

    Attributes:
        shown: the certificate that it shows to callers.
        own: the client certificate that it shows to the platform.
        address: what it says from where every call comes.
        seen: method, path and status of every call that it has handed on.
        sloppy: it passes on what callers say in the headers that it should replace.
    """

    listener: socket.socket
    upstream: int
    shown: Leaf
    own: Leaf
    address: str
    seen: list[tuple[str, str, int]] = attrs.field(factory=list)
    sloppy: bool = False
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listener.getsockname()[1]}"

    def calls(self) -> list[tuple[str, str, int]]:
        with self._lock:
            return list(self.seen)

    def run(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, SSL.Error), contextlib.closing(client), contextlib.closing(socket.socket()) as onward:
            outside = SSL.Connection(_context(self.shown, server=True), client)
            outside.set_accept_state()
            outside.do_handshake()
            onward.connect(("127.0.0.1", self.upstream))
            inside = SSL.Connection(_context(self.own, server=False), onward)
            inside.set_connect_state()
            inside.do_handshake()
            while self._exchange(_Messages(outside), _Messages(inside), outside.get_peer_certificate(as_cryptography=True)):
                pass

    def _exchange(self, caller: _Messages, platform: _Messages, certificate: object) -> bool:
        first, headers, body = caller.read()
        kept = [line for line in headers if self.sloppy or line.partition(":")[0].strip().lower() not in REPLACED]
        if certificate is not None and not self.sloppy:
            der = certificate.public_bytes(Encoding.DER)  # type: ignore[attr-defined]
            kept.append(f"Client-Cert: :{base64.b64encode(der).decode()}:")
        kept.append(f"X-Forwarded-For: {self.address}")
        platform.write(first, kept, body)
        status, told, answer = platform.read()
        with self._lock:
            method, path, _ = first.split(" ", 2)
            self.seen.append((method, path, int(status.split(" ")[1])))
        caller.write(status, told, answer)
        return not any(line.lower().replace(" ", "") == "connection:close" for line in told)


class _Messages:
    """HTTP/1.1 messages on one end; each has a length or no body."""

    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls

    def read(self) -> tuple[str, list[str], bytes]:
        unread = b""
        while b"\r\n\r\n" not in unread:
            unread += self._tls.recv(65_536)
        head, _, body = unread.partition(b"\r\n\r\n")
        first, *headers = head.decode("latin-1").split("\r\n")
        length = next((int(line.partition(":")[2]) for line in headers if line.lower().startswith("content-length:")), 0)
        while len(body) < length:
            body += self._tls.recv(65_536)
        return first, headers, body

    def write(self, first: str, headers: list[str], body: bytes) -> None:
        self._tls.sendall("\r\n".join([first, *headers, "", ""]).encode("latin-1") + body)


def _context(leaf: Leaf, *, server: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder) / "chain.pem", Path(folder) / "key.pem"
        chain.write_bytes(leaf.pem)
        key.write_bytes(leaf.key_pem)
        context.use_certificate_chain_file(str(chain))
        context.use_privatekey_file(str(key))
    if server:
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    return context


@contextlib.contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy, listening until the block is left."""
    proxy.listener.listen(64)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        # A thread that waits in accept() is not woken by close() alone.
        with contextlib.suppress(OSError):
            proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        thread.join(WAIT_S)
