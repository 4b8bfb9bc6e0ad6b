"""The reverse proxy's folder: the real side of `WriteRoutes` and `EnsureCertificate`.

Lives here: files. Must not live here: what stands in them (`actors.proxy_document`). This is the one writer of the folder: a file there
that the proxy cannot read would freeze every later change.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors import proxy_document
from actors.ports import GRANT_BEARER_PURPOSE, CertificateReady, EnsureCertificate, ProxyRoute, RoutesWritten, WriteRoutes
from actors.proxy_document import OpenRoute
from net.proxy_certificates import ProxyCertificates
from net.vault import VaultError
from runtime.errors import Fault, InternalFault
from runtime.secret import Secret

PRIVATE: Final = 0o600
_ACCOUNT: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)

UNAVAILABLE: Final = InternalFault("proxy_unavailable", "the proxy's folder cannot be written; check its owner and the space there", 503)


class FolderProxy:
    """The files of each account in one folder. Calls block: hand them to a thread.

    `powernode-<account>.yml` is for the proxy's file provider, `powernode-<account>.forwards.json` for the forwarder of site-local ports.
    """

    def __init__(self, folder: Path, open_sealed: Callable[[bytes, str], Secret], certificates: ProxyCertificates) -> None:
        self._folder = folder
        self._open = open_sealed
        self._certificates = certificates

    def handle(self, request: WriteRoutes | EnsureCertificate) -> RoutesWritten | CertificateReady | Fault:
        """Answer one request of the port."""
        if isinstance(request, EnsureCertificate):
            return self._certificates.ensure(request.host)
        if not _ACCOUNT.fullmatch(request.account_id):
            return UNAVAILABLE
        try:
            opened = [self._opened(route) for route in request.routes]
        except VaultError:
            return InternalFault("seal_broken", "a bearer cannot be opened with the present master key", 503)
        files = {
            f"powernode-{request.account_id}.yml": proxy_document.dynamic_configuration(opened),
            f"powernode-{request.account_id}.forwards.json": proxy_document.forwards(opened),
        }
        try:
            changed = sum(self._put(self._folder / name, content) for name, content in files.items())
        except OSError:
            return UNAVAILABLE
        return RoutesWritten(changed > 0)

    def _opened(self, route: ProxyRoute) -> OpenRoute:
        shows = route.protocol in proxy_document.TLS and not route.site_local
        return OpenRoute(
            route,
            self._open(route.sealed_bearer, GRANT_BEARER_PURPOSE).reveal(),
            certificate=self._certificates.held(route.host) if shows else None,
            resolver=self._certificates.resolver,
        )

    def _put(self, path: Path, content: bytes) -> bool:
        if _stands(path, content):
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        try:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True


def _stands(path: Path, content: bytes) -> bool:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            return mode == PRIVATE and file.read(len(content) + 1) == content
    except OSError:
        return False
