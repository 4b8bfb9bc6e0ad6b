"""Our certificate authority: one Ed25519 root per instance, made once, and the leaves that it signs.

Lives here: the root and its file, federation client certificates, signing requests, signing for children, the listener's leaves. Must not
live here: judging certificates (`actors.certificates`) or deciding who gets one.

Sources: RFC 5280 (profile), RFC 8410 (Ed25519 in X.509). All chance comes from `Randomness`, so a seeded world makes the same root again.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors import certificates
from actors.limits import DAY_S, NOT_BEFORE_BACKDATE_S
from actors.ports import (
    OUTBOUND_KEY_PURPOSE,
    ROOT_KEY_PURPOSE,
    CrossSign,
    IssuedIdentity,
    IssueIdentity,
    MadeRequest,
    MadeRoot,
    MakeRequest,
    MakeRoot,
    RootKey,
    SignedCertificate,
    SignedStatement,
    SignRequest,
    SignStatement,
    signed_bytes,
)
from net.private_files import PrivateFileError, create_private, read_private
from net.vault import Vault, VaultError
from runtime.clock import Clock
from runtime.errors import Fault, InternalFault, RemoteFault
from runtime.ids import is_uuid
from runtime.random import Randomness

ROOT_LIFETIME_S: Final = 15 * 365.25 * DAY_S
FIRST_ROOT_BACKDATE_S: Final = DAY_S
SERIAL_BITS: Final = 127
STATEMENT_LIFETIME_S: Final = DAY_S
STORE_NAME: Final = "authority.json"
_STORE_VERSION: Final = 1
_ROOT_KEY_PURPOSE: Final = "authority-root-key"
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

LeafKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
LeafPublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
Requests = IssueIdentity | MakeRequest | SignRequest | MakeRoot | CrossSign | SignStatement
Results = IssuedIdentity | MadeRequest | SignedCertificate | MadeRoot | SignedStatement | bytes
Signer = tuple[ed25519.Ed25519PrivateKey, x509.Certificate]
REQUESTS: Final = (IssueIdentity, MakeRequest, SignRequest, MakeRoot, CrossSign, SignStatement)
"""Every request of the domain that an authority answers."""


class AuthorityError(Exception):
    """The authority's store cannot be used. It is never replaced: the message says what to restore or repair."""


class Authority:
    """Signs with the root of one instance. Its methods are quick (well below a millisecond) and never block on input or output."""

    def __init__(
        self,
        key: ed25519.Ed25519PrivateKey,
        root: x509.Certificate,
        *,
        instance_id: str,
        clock: Clock,
        randomness: Randomness,
        vault: Vault,
    ) -> None:
        self._key = key
        self._root = root
        self._clock = clock
        self._randomness = randomness
        self._vault = vault
        self.instance_id = instance_id
        der = root.public_bytes(Encoding.DER)
        self.ca_bundle_pem = certificates.der_to_pem(der)
        self.ca_fingerprint = certificates.fingerprint(der)
        self.ca_pin = certificates.pin(der)
        self.not_after = root.not_valid_after_utc.timestamp()

    def __repr__(self) -> str:
        return f"Authority({self.instance_id}, {self.ca_fingerprint})"

    @classmethod
    def open_or_create(cls, directory: Path, *, instance_id: str, clock: Clock, randomness: Randomness, vault: Vault) -> Authority:
        """The authority kept in `directory` (one file, mode 0600, the private key sealed by `vault`); made if there is none yet.

        Key and certificate stand in one file that appears whole or not at all, so there is never one without the other.

        Raises:
            AuthorityError: a store is there but cannot be read, opened or matched to `instance_id`; nothing was changed.
        """
        path = directory / STORE_NAME
        try:
            stored = read_private(path)
            if stored is None:
                create_private(path, _new_store(instance_id, clock.wall(), randomness, vault))
                stored = read_private(path)
        except (PrivateFileError, VaultError) as error:
            raise AuthorityError(str(error)) from error
        if stored is None:
            raise AuthorityError(f"{path} vanished while it was being opened")
        key, root = _open_store(path, stored, instance_id, vault)
        return cls(key, root, instance_id=instance_id, clock=clock, randomness=randomness, vault=vault)

    def handle(self, request: Requests) -> Results | Fault:
        """Answer a request of the domain's port."""
        if isinstance(request, SignStatement):
            return self.sign_statement(request)
        if isinstance(request, IssueIdentity):
            return self.issue_identity(request)
        if isinstance(request, MakeRequest):
            return self.make_request(request)
        if isinstance(request, SignRequest):
            return self.sign_request(request)
        return self.make_root() if isinstance(request, MakeRoot) else self.cross_sign(request)

    def make_root(self) -> MadeRoot | Fault:
        """Another root for this instance, its key sealed; `ca_unavailable` if the vault fails."""
        key, root = new_root(self.instance_id, now=self._clock.wall(), randomness=self._randomness)
        try:
            sealed_key = self._vault.seal(_pkcs8(key), ROOT_KEY_PURPOSE)
        except VaultError as error:
            return _unavailable(error)
        fingerprint = certificates.fingerprint(root.public_bytes(Encoding.DER))
        return MadeRoot(RootKey(_pem(root), sealed_key), fingerprint, root.not_valid_after_utc.timestamp())

    def cross_sign(self, request: CrossSign) -> bytes | Fault:
        """The signature of a root's key over a statement; `ca_unavailable` if the key does not open."""
        try:
            key, _ = self._root_of(request.root)
        except (VaultError, AuthorityError) as error:
            return _unavailable(error)
        return key.sign(request.statement)

    def _root_of(self, root: RootKey | None) -> tuple[ed25519.Ed25519PrivateKey, x509.Certificate]:
        """Key and certificate of the root that signs.

        Raises:
            VaultError, AuthorityError: the key does not open, or is not that of the certificate.
        """
        if root is None:
            return self._key, self._root
        try:
            certificate = x509.load_pem_x509_certificate(root.certificate_pem.encode())
            key = serialization.load_pem_private_key(self._vault.open(root.sealed_key, ROOT_KEY_PURPOSE).reveal_bytes(), None)
        except (ValueError, TypeError) as error:
            raise AuthorityError("a root of the store cannot be read") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityError("the key of a root of the store is another than its certificate names")
        return key, certificate

    def issue_identity(self, request: IssueIdentity) -> IssuedIdentity | Fault:
        """A new key and a client certificate for ourselves; `ca_unavailable` if the root has ended or the vault fails."""
        key = new_ed25519_key(self._randomness)
        try:
            sealed_key = self._vault.seal(_pkcs8(key), OUTBOUND_KEY_PURPOSE)
            signer = self._root_of(request.root)
            certificate = self._client_leaf(signer, key.public_key(), request.common_name, request.instance_id, request.lifetime_s)
        except (VaultError, AuthorityError) as error:
            return _unavailable(error)
        return IssuedIdentity(
            certificate_pem=_pem(certificate),
            sealed_key=sealed_key,
            serial=f"{certificate.serial_number:x}",
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
        )

    def make_request(self, request: MakeRequest) -> MadeRequest | Fault:
        """A new key and a signing request (PKCS #10) that names our instance; `ca_unavailable` if the vault fails."""
        key = new_ed25519_key(self._randomness)
        builder = x509.CertificateSigningRequestBuilder(subject_name=_name(request.common_name))
        builder = builder.add_extension(_instance_san(request.instance_id), critical=False)
        try:
            sealed_key = self._vault.seal(_pkcs8(key), OUTBOUND_KEY_PURPOSE)
        except VaultError as error:
            return _unavailable(error)
        return MadeRequest(builder.sign(key, None).public_bytes(Encoding.PEM).decode(), sealed_key)

    def sign_request(self, request: SignRequest) -> SignedCertificate | Fault:
        """A client certificate over the key of a remote's signing request; every name in it is ours to assign.

        Faults: `ca_unavailable` (503), `invalid_csr` (422) for a request that fails `actors.certificates.check_csr`.
        """
        reason = certificates.check_csr(request.csr_pem)
        if reason is not None:
            return RemoteFault("invalid_csr", certificates.REASONS[reason], 422, {"reason": reason})
        public_key = x509.load_pem_x509_csr(request.csr_pem.encode()).public_key()
        assert isinstance(public_key, ed25519.Ed25519PublicKey)
        try:
            signer = self._root_of(request.root)
            certificate = self._client_leaf(signer, public_key, request.common_name, request.instance_id, request.lifetime_s)
        except (VaultError, AuthorityError) as error:
            return _unavailable(error)
        return SignedCertificate(
            certificate_pem=_pem(certificate),
            ca_chain_pem=_pem(signer[1]),
            serial=f"{certificate.serial_number:x}",
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
        )

    def sign_statement(self, request: SignStatement) -> SignedStatement | Fault:
        """A signature that this instance made, with the certificate that shows it; `ca_unavailable` if the root has ended."""
        key = new_ed25519_key(self._randomness)
        try:
            certificate = self._client_leaf(
                self._root_of(request.root), key.public_key(), f"statement {self.instance_id}", self.instance_id, STATEMENT_LIFETIME_S
            )
        except (VaultError, AuthorityError) as error:
            return _unavailable(error)
        return SignedStatement(key.sign(signed_bytes(request.purpose, request.content)), _pem(certificate))

    def listener_leaves(
        self, dns_names: Sequence[str], ip_addresses: Sequence[str], lifetime_s: float, root: RootKey | None = None
    ) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
        """Server certificates for our own listener: `(chain PEM, key PEM)` over P-256, then over Ed25519.

        Browsers take no Ed25519 server key, peers prefer one; both chains end with the same root, which is included so that a peer that
        knows only a pin can find it. `root` signs; None is the first one.

        Raises:
            AuthorityError: the root has ended, or cannot be read.
            VaultError: its key does not open.
            ValueError: a name is not an ASCII DNS name, or an address is none.
        """
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
        san = x509.SubjectAlternativeName([*names, *_instance_san(self.instance_id)])
        keys: tuple[LeafKey, LeafKey] = (_new_p256_key(self._randomness), new_ed25519_key(self._randomness))
        signer = self._root_of(root)
        name = _listener_name(self.instance_id)
        leaves = [self._leaf(signer, key.public_key(), name, san, ExtendedKeyUsageOID.SERVER_AUTH, lifetime_s) for key in keys]
        first, second = (((_pem(leaf) + _pem(signer[1])).encode(), _pkcs8(key)) for leaf, key in zip(leaves, keys, strict=True))
        return first, second

    def _client_leaf(
        self, signer: Signer, public_key: LeafPublicKey, common_name: str, instance_id: str, lifetime_s: float
    ) -> x509.Certificate:
        return self._leaf(signer, public_key, common_name, _instance_san(instance_id), ExtendedKeyUsageOID.CLIENT_AUTH, lifetime_s)

    def _leaf(
        self,
        signer: Signer,
        public_key: LeafPublicKey,
        common_name: str,
        san: x509.SubjectAlternativeName,
        purpose: x509.ObjectIdentifier,
        lifetime_s: float,
    ) -> x509.Certificate:
        key, root = signer
        now = self._clock.wall()
        # Nobody accepts a leaf outside its root's dates, so it never claims more than they give.
        not_before = max(_instant(now - NOT_BEFORE_BACKDATE_S), root.not_valid_before_utc)
        not_after = min(_instant(now + lifetime_s), root.not_valid_after_utc)
        if not_after.timestamp() <= now or not_before >= not_after:
            raise AuthorityError("the root certificate has ended or this host's clock stands outside its dates")
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(root.subject)
            .public_key(public_key)
            .serial_number(_serial(self._randomness))
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(san, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        return builder.sign(key, None)


def new_ed25519_key(randomness: Randomness) -> ed25519.Ed25519PrivateKey:
    """A new Ed25519 key; any 32 bytes are one (RFC 8032, section 5.1.5)."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(randomness.token_bytes(32))


def new_root(
    instance_id: str, *, now: float, randomness: Randomness, backdate_s: float = NOT_BEFORE_BACKDATE_S
) -> tuple[ed25519.Ed25519PrivateKey, x509.Certificate]:
    """A new root key and its certificate, whose subject names the instance; it may sign leaves only (path length 0).

    Args:
        instance_id: canonical lower-case UUID.
        now: wall time in seconds since the epoch.
        randomness: source of key and serial.
        backdate_s: how long before that its validity begins.
    """
    if not is_uuid(instance_id):
        raise ValueError("an instance id is a canonical lower-case UUID")
    key = new_ed25519_key(randomness)
    name = _name(f"Powernode {instance_id}")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial(randomness))
        .not_valid_before(_instant(now - backdate_s))
        .not_valid_after(_instant(now + ROOT_LIFETIME_S))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, None)


# --- The store ------------------------------------------------------------------------------------------------------


def _new_store(instance_id: str, now: float, randomness: Randomness, vault: Vault) -> bytes:
    # The clock of a machine that was just set up may be ahead, by hours if it keeps local time, until it has asked a time server.
    key, root = new_root(instance_id, now=now, randomness=randomness, backdate_s=FIRST_ROOT_BACKDATE_S)
    sealed_key = vault.seal(_pkcs8(key), _purpose_of(instance_id))
    content = {
        "version": _STORE_VERSION,
        "instance_id": instance_id,
        "certificate_pem": _pem(root),
        "sealed_key": base64.b64encode(sealed_key).decode(),
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _open_store(path: Path, stored: bytes, instance_id: str, vault: Vault) -> tuple[ed25519.Ed25519PrivateKey, x509.Certificate]:
    damaged = f"{path} is damaged; restore it from a backup (a new root would break every peering, so none is made)"
    try:
        content: dict[str, Any] = json.loads(stored)
        version, owner = content["version"], content["instance_id"]
        root = x509.load_pem_x509_certificate(content["certificate_pem"].encode())
        sealed_key = base64.b64decode(content["sealed_key"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise AuthorityError(damaged) from error
    if version != _STORE_VERSION:
        raise AuthorityError(f"{path} has version {version}, this program reads {_STORE_VERSION}; use the program that wrote it")
    if owner != instance_id:
        raise AuthorityError(f"{path} belongs to another instance than this platform's data ({instance_id}); restore both from one backup")
    try:
        plain = vault.open(sealed_key, _purpose_of(instance_id)).reveal_bytes()
        key = serialization.load_pem_private_key(plain, None)
    except VaultError as error:
        raise AuthorityError(f"the private key in {path} does not open: {error}") from error
    except (ValueError, TypeError) as error:
        raise AuthorityError(damaged) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey) or key.public_key() != root.public_key():
        raise AuthorityError(damaged)
    return key, root


def _purpose_of(instance_id: str) -> str:
    return f"{_ROOT_KEY_PURPOSE}:{instance_id}"


# --- Parts of certificates ------------------------------------------------------------------------------------------


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _listener_name(instance_id: str) -> str:
    # Not the root's name: a leaf that is its own issuer by name confuses path builders.
    return f"listener {instance_id}"


def _instance_san(instance_id: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(certificates.instance_uri(instance_id))])


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _serial(randomness: Randomness) -> int:
    # The top bit stays clear so that the DER integer is positive in 16 octets; zero is not a serial number.
    return int.from_bytes(randomness.token_bytes(16), "big") >> (128 - SERIAL_BITS) or 1


def _new_p256_key(randomness: Randomness) -> ec.EllipticCurvePrivateKey:
    # FIPS 186-5, appendix A.2.1: 64 bits more than the order has, so that the remainder shows no bias.
    scalar = int.from_bytes(randomness.token_bytes(40), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _instant(wall: float) -> datetime:
    return datetime.fromtimestamp(int(wall), UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificates.der_to_pem(certificate.public_bytes(Encoding.DER))


def _pkcs8(key: LeafKey) -> bytes:
    return key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _unavailable(error: Exception) -> InternalFault:
    return InternalFault("ca_unavailable", f"the certificate authority cannot sign: {error}", 503, retry_after_s=1.0)
