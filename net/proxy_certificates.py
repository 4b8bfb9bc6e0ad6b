"""Certificates that the reverse proxy shows at the host names of subscriptions.

Lives here: where operators put them, and whether one is good for a name. Must not live here: how the proxy is told
(`actors.proxy_document`), and how a certificate is obtained: operators bring theirs, or the proxy has a resolver of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from actors.ports import CertificateReady
from actors.proxy_document import HostCertificate
from runtime.errors import Fault, InternalFault

FILE_BYTES_MAX: Final = 65_536
_HOST: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII)

NOT_CONFIGURED: Final = InternalFault(
    "certificate_authority_not_configured",
    "there is no way to a certificate for a host name; set proxy.certificate_resolver, or proxy.certificates and put one there",
    503,
)
MISSING: Final = InternalFault("certificate_missing", "there is no certificate for this host name in the folder of proxy.certificates", 503)


UNREADABLE: Final = InternalFault(
    "certificate_unreadable",
    "the certificate of this host name or its key cannot be read: both must be PEM, the key without a password",
    503,
)
KEY_MISMATCH: Final = InternalFault("certificate_key_mismatch", "the key beside the certificate of this host name is that of another", 503)
HOST_MISMATCH: Final = InternalFault(
    "certificate_host_mismatch", "the certificate that was brought for this host name does not name it", 503
)
NOT_VALID: Final = InternalFault("certificate_not_valid", "the certificate of this host name has ended, or has not begun", 503)


@attrs.frozen
class ProxyCertificates:
    """Where certificates of host names come from. Calls block on files.

    Attributes:
        wall: seconds since the epoch.
        folder: holds `<host>.crt` (PEM, leaf first) and `<host>.key` for each name; one that is there goes before the resolver.
        resolver: name of the certificate resolver that the proxy itself has; None if it has none.
    """

    wall: Callable[[], float]
    folder: Path | None = None
    resolver: str | None = None

    def ensure(self, host: str) -> CertificateReady | Fault:
        """Whether the proxy can show something at this name."""
        found = self._read(host)
        if isinstance(found, tuple):
            return CertificateReady(found[1])
        if found is not None and found is not MISSING:
            return found
        if self.resolver is not None:
            return CertificateReady(None)
        return NOT_CONFIGURED if self.folder is None else MISSING

    def held(self, host: str) -> HostCertificate | None:
        """The certificate that was brought for this name, if it is good."""
        found = self._read(host)
        return found[0] if isinstance(found, tuple) else None

    def _read(self, host: str) -> tuple[HostCertificate, float] | Fault | None:
        if self.folder is None:
            return None
        if not _HOST.fullmatch(host):
            return MISSING
        try:
            chain, key = (_content(self.folder / f"{host}{suffix}") for suffix in (".crt", ".key"))
        except FileNotFoundError:
            return MISSING
        except (OSError, ValueError):
            return UNREADABLE
        return _examined(chain, key, host, self.wall())


def _content(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError("too large")
    return content


def _examined(chain_pem: bytes, key_pem: bytes, host: str, wall: float) -> tuple[HostCertificate, float] | Fault:
    try:
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
        key = load_pem_private_key(key_pem, None).public_key()
        held = HostCertificate(chain_pem.decode("ascii"), key_pem.decode("ascii"))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return HOST_MISMATCH
    except (ValueError, TypeError, IndexError):
        return UNREADABLE
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return KEY_MISMATCH
    parent = host.partition(".")[2]
    if not any(name.lower() in (host, f"*.{parent}") for name in names):
        return HOST_MISMATCH
    now = datetime.fromtimestamp(wall, UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        return NOT_VALID
    return held, leaf.not_valid_after_utc.timestamp()
