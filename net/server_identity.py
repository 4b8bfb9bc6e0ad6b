"""Whether the server at the other end is the one that was meant, by public PKI or by a certificate authority given on the command line.

Lives here: checks that need the host's name and the system's roots. Must not live here: what a peer's certificate must look like
(`actors.certificates`), and sockets.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from actors import certificates
from actors.ports import ServerExpectation

_PEM_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_PEM_END: Final = b"-----END CERTIFICATE-----"


class VerifyServer(Protocol):
    """How a presented chain (DER, leaf first) is checked against an expectation at `now` (seconds since the epoch).

    Returns None if the server is the one expected, else a short reason.
    """

    def __call__(self, chain: Sequence[bytes], expectation: ServerExpectation, *, now: float) -> str | None: ...


def verify_public(chain: Sequence[bytes], host: str, *, now: float, roots: verification.Store | None = None) -> str | None:
    """Whether `chain` leads to a root of this system (or of `roots`) and its leaf names `host`; None if so, else a short reason.

    Path building and name matching follow RFC 5280 and the web's profile of it.
    """
    trusted = system_roots() if roots is None else roots
    if trusted is None:
        return "no_system_roots"
    if not chain:
        return "chain_empty"
    try:
        leaf, *others = [x509.load_der_x509_certificate(der) for der in chain]
        policy = verification.PolicyBuilder().store(trusted).time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
        policy.build_server_verifier(_subject(host)).verify(leaf, others)
    except (ValueError, x509.UnsupportedGeneralNameType, x509.DuplicateExtension):
        return "unreadable"
    except verification.VerificationError:
        return "not_publicly_trusted"
    return None


def verify_given_ca(chain: Sequence[bytes], host: str, ca_pem: bytes, *, now: float) -> str | None:
    """Whether one of the certificates in `ca_pem` issued the leaf, or leads to it, and the leaf names `host`; else a short reason."""
    if not chain:
        return "chain_empty"
    ders = _pem_ders(ca_pem)
    if not ders:
        return "ca_unreadable"
    reasons = [_verify_direct(chain[0], host, ca, now) for ca in ders]
    if None in reasons:
        return None
    # The federation's own profile has one step and Ed25519 roots; a corporate root may stand behind intermediates.
    roots = _store(ders)
    if roots is not None and verify_public(chain, host, now=now, roots=roots) is None:
        return None
    return reasons[0]


def _verify_direct(leaf_der: bytes, host: str, ca_der: bytes, now: float) -> str | None:
    expectation = ServerExpectation(ca_fingerprint=certificates.fingerprint(ca_der))
    reason = certificates.verify_server((leaf_der, ca_der), expectation, now=now)
    return reason or (None if _names_host(leaf_der, host) else "host_mismatch")


def _names_host(leaf_der: bytes, host: str) -> bool:
    leaf = x509.load_der_x509_certificate(leaf_der)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return host.lower() in (name.lower() for name in names.get_values_for_type(x509.DNSName))


def _subject(host: str) -> verification.Subject:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@lru_cache(maxsize=1)
def system_roots() -> verification.Store | None:
    """The roots that the operating system trusts (`SSL_CERT_FILE` overrides), or None if there are none to read."""
    paths = ssl.get_default_verify_paths()
    override = os.environ.get(paths.openssl_cafile_env)
    for path in (override,) if override else (paths.cafile, paths.openssl_cafile):
        if path is not None and Path(path).is_file():
            return _store(_pem_ders(Path(path).read_bytes()))
    return None


def _pem_ders(pem: bytes) -> list[bytes]:
    """Every certificate in a bundle that may also hold comments; one that cannot be decoded is left out."""
    ders: list[bytes] = []
    for part in pem.split(_PEM_BEGIN)[1:]:
        block, found, _ = part.partition(_PEM_END)
        if found:
            try:
                ders.append(ssl.PEM_cert_to_DER_cert((_PEM_BEGIN + block + _PEM_END).decode("ascii")))
            except (ValueError, UnicodeDecodeError):
                continue
    return ders


def _store(ders: Sequence[bytes]) -> verification.Store | None:
    """A store of those certificates that parse: one odd root of a system must not disable all the others."""
    parsed: list[x509.Certificate] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for der in ders:
            with suppress(ValueError):
                parsed.append(x509.load_der_x509_certificate(der))
    return verification.Store(parsed) if parsed else None
