"""The reverse proxy in memory: the simulator's side of `WriteRoutes` and `EnsureCertificate`, with the faults of a real one.

It belongs to the host, not to its process: a crash changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from actors import proxy_document
from actors.ports import GRANT_BEARER_PURPOSE, CertificateReady, EnsureCertificate, ProxyRoute, RoutesWritten, WriteRoutes
from actors.proxy_document import OpenRoute
from runtime.errors import Fault, InternalFault
from runtime.secret import Secret


@attrs.define
class MemoryProxy:
    """Files by name, as the proxy would read them now.

    Attributes:
        routes: what each file of an account was made from, by account.
        full: nothing more is taken.
        certificates_end: when certificates end that are asked for, seconds since the epoch; None while there is no way to one.
        writes: how often anything had to be written.
    """

    open_sealed: Callable[[bytes, str], Secret]
    files: dict[str, bytes] = attrs.field(factory=dict)
    routes: dict[str, tuple[ProxyRoute, ...]] = attrs.field(factory=dict)
    full: bool = False
    certificates_end: float | None = None
    writes: int = 0

    def handle(self, request: WriteRoutes | EnsureCertificate) -> RoutesWritten | CertificateReady | Fault:
        """Answer one request of the port."""
        if isinstance(request, EnsureCertificate):
            if self.certificates_end is None:
                return InternalFault("certificate_authority_not_configured", "there is no way to a certificate for a host name", 503)
            return CertificateReady(self.certificates_end)
        if self.full:
            return InternalFault("proxy_unavailable", "the proxy's folder cannot be written; check its owner and the space there", 503)
        opened = []
        for route in request.routes:
            bearer = self.open_sealed(route.sealed_bearer, GRANT_BEARER_PURPOSE)
            opened.append(OpenRoute(route, bearer.reveal()))
        found = {
            f"powernode-{request.account_id}.yml": proxy_document.dynamic_configuration(opened),
            f"powernode-{request.account_id}.forwards.json": proxy_document.forwards(opened),
        }
        changed = any(self.files.get(name) != content for name, content in found.items())
        self.files |= found
        self.routes[request.account_id] = request.routes
        self.writes += changed
        return RoutesWritten(changed)
