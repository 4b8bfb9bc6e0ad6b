"""A platform's HTTP client for tests: requests on one TLS connection, presenting any certificates at all.

The server's certificate is not checked, because these tests are about what the server makes of its callers.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL, crypto

from tests.support.certificates import Presented
from tests.support.daemons import PATIENCE_S, Reply

FEDERATION_API = "/api/v1/system/federation_api"


class Connection:
    """One TLS connection; a request after the other."""

    def __init__(self, tls: SSL.Connection, host: str) -> None:
        self._tls = tls
        self._host = host
        self._unread = b""

    @property
    def shown_root(self) -> str:
        """The fingerprint of the last certificate in the chain that the listener shows."""
        chain = self._tls.get_peer_cert_chain(as_cryptography=True)
        assert chain
        return f"sha256:{chain[-1].fingerprint(hashes.SHA256()).hex()}"

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send one request and read its whole answer."""
        self.send(method, path, body, headers)
        return self.receive()

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        """The request alone."""
        raw = b"" if body is None else json.dumps(body).encode()
        fields = {"host": self._host, **(headers or {})}
        if body is not None:
            fields |= {"content-type": "application/json", "content-length": str(len(raw))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._tls.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + raw)

    def receive(self) -> Reply:
        """The answer to what was sent."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = self._exactly(int(headers.get("content-length", "0")))
        return Reply(int(head[0].split(" ")[1]), json.loads(body or b"null"), headers)

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            self._unread += self._tls.recv(65_536)
        found, _, self._unread = self._unread.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._unread += self._tls.recv(65_536)
        found, self._unread = self._unread[:size], self._unread[size:]
        return found


@contextlib.contextmanager
def connected(public_url: str, presented: Presented | None = None, *, at: str | None = None) -> Iterator[Connection]:
    """A connection to a platform's public port, presenting a chain (leaf first) with the leaf's key, or nothing.

    `at` is the URL of a hub whose port is dialled in place of the platform's own, which is then asked for by name.
    """
    place = urlsplit(public_url)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if presented is not None and presented[0]:
        chain, key = presented
        loaded = [crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in chain]
        context.use_certificate(loaded[0])
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))
        for certificate in loaded[1:]:
            context.add_extra_chain_cert(certificate)
    with socket.create_connection(("127.0.0.1", urlsplit(at or public_url).port or 443), PATIENCE_S) as plain:
        # The library waits by itself only on a socket that has no timeout.
        plain.settimeout(None)
        tls = SSL.Connection(context, plain)
        if at is not None:
            tls.set_tlsext_host_name(str(place.hostname).encode())
        tls.set_connect_state()
        tls.do_handshake()
        yield Connection(tls, place.netloc)


def until_limited(ask: Callable[[], Reply], burst: int, one_per_s: float) -> tuple[list[Reply], Reply]:
    """Ask until the answer is 429: what was answered before, and that. The limit lets `burst` through, and one more for each while."""
    began, answers = time.monotonic(), [ask()]
    while answers[-1].status != 429:
        answers.append(ask())
    *served, refused = answers
    assert burst <= len(served) <= burst + (time.monotonic() - began) / one_per_s
    return served, refused


def accept_body(token: str, **more: Any) -> dict[str, Any]:
    """The body of an accept."""
    return {"acceptance_token": token, "contract_version": 1, **more}
