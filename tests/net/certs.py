"""Small certificate authorities for the tests of this folder."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors.certificates import fingerprint, instance_uri, pin
from net.tls import ListenerLeaf, PrivateKey

NOW = 1_800_000_000.0
DAY_S = 86_400.0


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem_of(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@attrs.frozen
class Leaf:
    """A certificate with its key; `chain_pem` ends with the root."""

    certificate: x509.Certificate
    key_pem: bytes
    chain_pem: bytes

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def for_listener(self) -> ListenerLeaf:
        return ListenerLeaf(self.chain_pem, self.key_pem)


class Authority:
    """A root that signs leaves; Ed25519 unless told otherwise. `now`: seconds since the epoch, by which all dates are set."""

    def __init__(self, name: str = "test root", *, p256: bool = False, now: float = NOW) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1()) if p256 else ed25519.Ed25519PrivateKey.generate()
        self._hash = hashes.SHA256() if p256 else None
        start = datetime.fromtimestamp(now, UTC) - timedelta(days=400)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(name))
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=3_650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(self._key, self._hash)
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.der)

    @property
    def pin(self) -> str:
        return pin(self.der)

    def server(
        self, instance_id: str | None = None, *, p256: bool = False, hosts: tuple[str, ...] = ("127.0.0.1", "localhost"), days: float = 90.0
    ) -> Leaf:
        names = [_host(host) for host in hosts]
        if instance_id is not None:
            names.append(x509.UniformResourceIdentifier(instance_uri(instance_id)))
        return self._issue("server", names, ExtendedKeyUsageOID.SERVER_AUTH, p256=p256, days=days)

    def client(self, instance_id: str, *, name: str = "fed:1", days: float = 90.0) -> Leaf:
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(instance_uri(instance_id))]
        return self._issue(name, names, ExtendedKeyUsageOID.CLIENT_AUTH, p256=False, days=days)

    def _issue(self, name: str, names: list[x509.GeneralName], usage: x509.ObjectIdentifier, *, p256: bool, days: float) -> Leaf:
        key: PrivateKey = ec.generate_private_key(ec.SECP256R1()) if p256 else ed25519.Ed25519PrivateKey.generate()
        end = datetime.fromtimestamp(self._now, UTC) + timedelta(days=days)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(datetime.fromtimestamp(self._now, UTC), end) - timedelta(days=10))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, self._hash)
        )
        return Leaf(certificate, pem_of(key), certificate.public_bytes(Encoding.PEM) + self.pem.encode())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
