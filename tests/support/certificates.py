"""A peer's public-key infrastructure for tests, and the table of client certificates that must be accepted or refused.

The same table runs against the pure checks and, over real TLS, against the daemon. Keys come from labels, so that every run makes the
same certificates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from actors import certificates

Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Presented = tuple[list[bytes], Key]

NOW = 1_800_000_000.0
DAY_S = 86_400.0
INSTANCE_ID = "0190c0de-0000-7000-8000-0000000000aa"
OTHER_INSTANCE_ID = "0190c0de-0000-7000-8000-0000000000bb"
COMMON_NAME = "fed:0190c0de-1111-7000-8000-000000000001"

_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
_ED25519_ALGORITHM = bytes.fromhex("300506032b6570")


def ed25519_key(label: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


def p256_key(label: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(label.encode()).digest()[:31], "big") + 1, ec.SECP256R1())


@lru_cache(maxsize=4)
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def name(*common_names: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, text) for text in common_names]
    return x509.Name(attributes or [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "nobody")])


def instant(wall: float) -> datetime:
    return datetime.fromtimestamp(int(wall), UTC)


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def key_usage(*names: str) -> x509.KeyUsage:
    known = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    known += ["key_cert_sign", "crl_sign"]
    return x509.KeyUsage(**{each: each in names for each in known}, encipher_only=False, decipher_only=False)


def raw_extension(oid: x509.ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(oid, value)


CA_USAGE = key_usage("key_cert_sign", "crl_sign")
LEAF_USAGE = key_usage("digital_signature")
CA_CONSTRAINTS = x509.BasicConstraints(ca=True, path_length=None)
LEAF_CONSTRAINTS = x509.BasicConstraints(ca=False, path_length=None)
UNKNOWN_OID = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")
UNKNOWN_CRITICAL = (raw_extension(UNKNOWN_OID, b"\x05\x00"), True)
NAME_CONSTRAINTS = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)


Digest = hashes.SHA224 | hashes.SHA256


def _digest_of(key: Key) -> Digest | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


@attrs.frozen
class Ca:
    """A certificate authority of a test."""

    key: Key = attrs.field(repr=False)
    certificate: x509.Certificate = attrs.field(eq=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        return certificates.fingerprint(self.der)


def make_ca(
    label: str,
    *,
    now: float = NOW,
    key: Key | None = None,
    common_name: str | None = None,
    issuer: Ca | None = None,
    constraints: x509.BasicConstraints | None = CA_CONSTRAINTS,
    usage: x509.KeyUsage | None = CA_USAGE,
    not_before: float | None = None,
    not_after: float | None = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Ca:
    """A CA named after `label`, self-signed unless `issuer` is given."""
    own_key = key if key is not None else ed25519_key(f"ca {label}")
    subject = name(common_name if common_name is not None else f"CA {label}")
    signer = issuer.key if issuer is not None else own_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(own_key.public_key())
        .serial_number(_serial(f"ca {label}"))
        .not_valid_before(instant(not_before if not_before is not None else now - DAY_S))
        .not_valid_after(instant(not_after if not_after is not None else now + 3650 * DAY_S))
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own_key.public_key()), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return Ca(own_key, builder.sign(signer, _digest_of(signer)))


@attrs.frozen
class PeerPki:
    """What one peer owns, and what the platform under test expects of it.

    Attributes:
        ca: the peer's own CA; the platform under test holds its certificate as the only anchor of that peer.
        common_name: the subject that the platform under test assigned.
        instance_id: the instance bound at accept.
        now: wall time of the platform under test, seconds since the epoch.
    """

    ca: Ca
    common_name: str = COMMON_NAME
    instance_id: str = INSTANCE_ID
    now: float = NOW

    @classmethod
    def make(cls, label: str = "peer", *, common_name: str = COMMON_NAME, instance_id: str = INSTANCE_ID, now: float = NOW) -> PeerPki:
        return cls(make_ca(label, now=now), common_name, instance_id, now)

    @property
    def key(self) -> ed25519.Ed25519PrivateKey:
        """The key of the peer's client certificates."""
        return ed25519_key(f"client {self.common_name}")

    @property
    def ca_name(self) -> str:
        return str(self.ca.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    @property
    def san(self) -> x509.GeneralName:
        return uri(certificates.instance_uri(self.instance_id))

    def leaf(
        self,
        *,
        issuer: Ca | None = None,
        key: Key | None = None,
        common_names: Sequence[str] | None = None,
        sans: Iterable[x509.GeneralName] | None = None,
        san_extension: x509.ExtensionType | None = None,
        constraints: x509.ExtensionType | None = LEAF_CONSTRAINTS,
        usage: x509.KeyUsage | None = LEAF_USAGE,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        not_before: float | None = None,
        not_after: float | None = None,
        serial: int | None = None,
        digest: Digest | None = None,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """The DER of a client certificate that is right in every respect that is not named."""
        by = issuer if issuer is not None else self.ca
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(*(common_names if common_names is not None else (self.common_name,))))
            .issuer_name(by.certificate.subject)
            .public_key((key if key is not None else self.key).public_key())
            .serial_number(serial if serial is not None else _serial(f"leaf {self.common_name}"))
            .not_valid_before(instant(not_before if not_before is not None else self.now - 300))
            .not_valid_after(instant(not_after if not_after is not None else self.now + 90 * DAY_S))
        )
        if constraints is not None:
            builder = builder.add_extension(constraints, critical=True)
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
        named = list(sans) if sans is not None else [self.san]
        if san_extension is not None or named:
            builder = builder.add_extension(san_extension or x509.SubjectAlternativeName(named), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(by.key, digest if digest is not None else _digest_of(by.key))
        return certificate.public_bytes(Encoding.DER)


def _serial(label: str) -> int:
    # Sixteen octets that begin with 0x40, so that a test can find and change them.
    return 0x40 << 120 | int.from_bytes(hashlib.sha256(label.encode()).digest()[:15], "big")


# --- Damage that no honest signer makes -----------------------------------------------------------------------------


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _assemble(tbs: bytes, signature: bytes, *, unused_bits: int = 0) -> bytes:
    return _tlv(0x30, tbs + _ED25519_ALGORITHM + _tlv(0x03, bytes([unused_bits]) + signature))


def resigned(der: bytes, ca: Ca, old: bytes, new: bytes) -> bytes:
    """`der` with `old` replaced by `new` (equally long) in its signed part, and signed again by `ca`."""
    tbs = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    assert len(old) == len(new)
    assert tbs.count(old) == 1, "the edit must be unambiguous"
    assert isinstance(ca.key, ed25519.Ed25519PrivateKey)
    edited = tbs.replace(old, new)
    return _assemble(edited, ca.key.sign(edited))


def version_1(pki: PeerPki) -> bytes:
    """A certificate of the first version: no version field, no extensions."""
    certificate = x509.load_der_x509_certificate(pki.leaf())
    fields = certificate.tbs_certificate_bytes[4:].removeprefix(bytes.fromhex("a003020102"))
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    tbs = _tlv(0x30, fields[: fields.index(key) + len(key)])
    assert isinstance(pki.ca.key, ed25519.Ed25519PrivateKey)
    return _assemble(tbs, pki.ca.key.sign(tbs))


def with_signature(der: bytes, change: Callable[[bytes], bytes]) -> bytes:
    certificate = x509.load_der_x509_certificate(der)
    return _assemble(certificate.tbs_certificate_bytes, change(certificate.signature))


def with_unused_signature_bit(pki: PeerPki) -> bytes:
    """A certificate whose signature claims one bit less, which its octets allow if the last bit is zero; try serials until it is."""
    for attempt in range(64):
        certificate = x509.load_der_x509_certificate(pki.leaf(serial=_serial(f"unused bit {attempt}")))
        if certificate.signature[-1] & 1 == 0:
            return _assemble(certificate.tbs_certificate_bytes, certificate.signature, unused_bits=1)
    raise AssertionError("no suitable signature in 64 attempts")


def _plus_group_order(signature: bytes) -> bytes:
    scalar = int.from_bytes(signature[32:], "little") + _ED25519_ORDER
    return signature[:32] + scalar.to_bytes(32, "little")


def _flipped(signature: bytes) -> bytes:
    return bytes([signature[0] ^ 1]) + signature[1:]


# --- The table ------------------------------------------------------------------------------------------------------


def own_anchor(pki: PeerPki) -> tuple[bytes, ...]:
    return (pki.ca.der,)


@attrs.frozen
class Case:
    """One client certificate, as presented, and what must come of it.

    Attributes:
        name: says what is special about it.
        build: gives the chain as presented (DER, leaf first; empty for none) and the leaf's key.
        code: code of the door's 401, or None if it is accepted.
        reason: what `details.reason` says; None if the code alone says it all.
        anchors: the anchors in force for the peer; anything but `own_anchor` needs a store prepared by hand.
        over_tls: an OpenSSL client can be made to present it.
    """

    name: str
    build: Callable[[PeerPki], Presented]
    code: str | None
    reason: str | None = None
    anchors: Callable[[PeerPki], tuple[bytes, ...]] = own_anchor
    over_tls: bool = True

    @property
    def end_to_end(self) -> bool:
        """Whether the case can run against a daemon that knows the peer only by its own CA."""
        return self.over_tls and self.anchors is own_anchor


def _only(**changes: object) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([pki.leaf(**changes)], pki.key)  # type: ignore[arg-type]


def _with(*behind: Callable[[PeerPki], Ca], issuer: Callable[[PeerPki], Ca] | None = None) -> Callable[[PeerPki], Presented]:
    """A leaf (by the peer's own CA, or by `issuer`) with CA certificates presented behind it."""
    return lambda pki: ([pki.leaf(issuer=issuer and issuer(pki)), *(make(pki).der for make in behind)], pki.key)


def _own_ca(pki: PeerPki) -> Ca:
    return pki.ca


def _named(change: Callable[[str], str]) -> Callable[[PeerPki], Presented]:
    """The common name assigned, changed."""
    return lambda pki: ([pki.leaf(common_names=(change(pki.common_name),))], pki.key)


def _own_uri(change: Callable[[str], str]) -> Callable[[PeerPki], Presented]:
    """The instance URI, changed, as the only alternative name."""
    return lambda pki: ([pki.leaf(sans=(uri(change(certificates.instance_uri(pki.instance_id))),))], pki.key)


def _own_uri_and(*others: x509.GeneralName) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([pki.leaf(sans=(pki.san, *others))], pki.key)


def _resigned(old: Callable[[PeerPki], bytes], new: bytes) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([resigned(pki.leaf(), pki.ca, old(pki), new)], pki.key)


def _signature(change: Callable[[bytes], bytes]) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([with_signature(pki.leaf(), change)], pki.key)


def _sans(*texts: x509.GeneralName) -> Callable[[PeerPki], Presented]:
    return _only(sans=texts)


def _issued_by(make: Callable[[PeerPki], Ca]) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([pki.leaf(issuer=make(pki))], pki.key)


def _keyed(key: Callable[[], Key]) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([pki.leaf(key=key())], key())


def _bytes_of(make: Callable[[PeerPki], bytes]) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([make(pki)], pki.key)


def stranger(pki: PeerPki) -> Ca:
    """Another platform's CA."""
    return make_ca("stranger", now=pki.now)


def namesake(pki: PeerPki) -> Ca:
    """Another key under the name of the peer's CA, key identifier copied."""
    return make_ca("namesake", now=pki.now, common_name=pki.ca_name)


def intermediate(pki: PeerPki) -> Ca:
    return make_ca("intermediate", now=pki.now, issuer=pki.ca)


def _altered_anchor(reason: str | None, label: str, **changes: object) -> Case:
    """The peer's CA itself is unsound: both the leaf's issuer and the only anchor."""

    def build_ca(pki: PeerPki) -> Ca:
        moved = {key: pki.now + float(value) if key.startswith("not_") else value for key, value in changes.items()}  # type: ignore[arg-type]
        return make_ca(label, now=pki.now, **moved)  # type: ignore[arg-type]

    code = None if reason is None else "client_certificate_invalid"
    return Case(label, _issued_by(build_ca), code, reason, lambda pki: (build_ca(pki).der,))


def _renewed(pki: PeerPki) -> tuple[bytes, ...]:
    old = make_ca("old", now=pki.now, key=pki.ca.key, common_name=pki.ca_name, not_after=pki.now - DAY_S, not_before=pki.now - 9 * DAY_S)
    return (old.der, pki.ca.der)


def _victim_behind(pki: PeerPki) -> Presented:
    return [pki.leaf(issuer=stranger(pki)), pki.leaf()], pki.key


def _self_signed(pki: PeerPki, issuer_name: str) -> bytes:
    return pki.leaf(issuer=make_ca("self", now=pki.now, key=pki.key, common_name=issuer_name))


def _dated(not_before_s: float, not_after_s: float) -> Callable[[PeerPki], Presented]:
    return lambda pki: ([pki.leaf(not_before=pki.now + not_before_s, not_after=pki.now + not_after_s)], pki.key)


def _serial_octets(pki: PeerPki) -> bytes:
    return b"\x02\x10" + _serial(f"leaf {pki.common_name}").to_bytes(16, "big")


def _weak_ca(pki: PeerPki) -> Ca:
    return make_ca("rsa-1024", now=pki.now, key=rsa_key(1024))


def _p256_ca(pki: PeerPki) -> Ca:
    return make_ca("p256", now=pki.now, key=p256_key("ca"))


def _reversed_dates(pki: PeerPki) -> bytes:
    # No builder makes such a thing, so the two dates of a good certificate are exchanged and it is signed again.
    der = pki.leaf()
    leaf = x509.load_der_x509_certificate(der)
    dates = (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    first, second = (b"\x17\x0d" + date.strftime("%y%m%d%H%M%SZ").encode() for date in dates)
    return resigned(der, pki.ca, first + second, second + first)


_INVALID = "client_certificate_invalid"
_SAN = "instance_san_invalid"
_ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_PREFIX = "powernode://instance/"

ACCEPTED: tuple[Case, ...] = (
    Case("plain", _only(), None),
    Case("own anchor presented behind the leaf", _with(_own_ca), None),
    Case("expired within the skew", _dated(-90 * DAY_S, -599), None),
    Case("not yet valid within the skew", _dated(599, DAY_S), None),
    Case("clientAuth beside serverAuth", _only(purposes=(_SERVER, _CLIENT)), None),
    Case("contentCommitment beside digitalSignature", _only(usage=key_usage("digital_signature", "content_commitment")), None),
    Case("unknown extension that is not critical", _only(extra=((raw_extension(UNKNOWN_OID, b"\x05\x00"), False),)), None),
    Case("second of two anchors", _only(), None, anchors=lambda pki: (stranger(pki).der, pki.ca.der)),
    Case("renewed anchor under the same key beside the ended one", _only(), None, anchors=_renewed),
    Case("renewed anchor before the ended one", _only(), None, anchors=lambda pki: _renewed(pki)[::-1]),
    Case("anchor over P-256", _issued_by(_p256_ca), None, anchors=lambda pki: (_p256_ca(pki).der,)),
    _altered_anchor(None, "anchor with path length 0", constraints=x509.BasicConstraints(ca=True, path_length=0)),
    _altered_anchor(None, "anchor ended within the skew", not_before=-9 * DAY_S, not_after=-599),
    _altered_anchor(None, "anchor for clientAuth and serverAuth", extra=((x509.ExtendedKeyUsage([_CLIENT, _SERVER]), False),)),
)

REFUSED: tuple[Case, ...] = (
    Case("no certificate", lambda pki: ([], pki.key), "client_certificate_required", "chain_empty"),
    # Who issued it.
    Case("other CA of the same name", _issued_by(namesake), _INVALID, "signature_invalid"),
    Case("other platform's CA", _issued_by(stranger), _INVALID, "issuer_unknown"),
    Case("other platform's CA presented too", _with(stranger, issuer=stranger), _INVALID, "foreign_certificate"),
    Case("own CA beside another peer's anchor", _only(), _INVALID, "issuer_unknown", lambda pki: (stranger(pki).der,)),
    Case("no anchor in force", _only(), _INVALID, "no_anchor", lambda pki: ()),
    Case("intermediate between, presented", _with(intermediate, issuer=intermediate), _INVALID, "foreign_certificate"),
    Case("intermediate between, absent", _issued_by(intermediate), _INVALID, "issuer_unknown"),
    Case("genuine leaf as filler behind a forged one", _victim_behind, _INVALID, "foreign_certificate"),
    Case("foreign CA as filler behind a genuine leaf", _with(stranger), _INVALID, "foreign_certificate"),
    Case("own anchor presented twice", _with(_own_ca, _own_ca), _INVALID, "foreign_certificate"),
    Case("leaf presented twice", lambda pki: ([pki.leaf(), pki.leaf()], pki.key), _INVALID, "foreign_certificate"),
    Case("self-signed", _bytes_of(lambda pki: _self_signed(pki, pki.common_name)), _INVALID, "issuer_unknown"),
    Case("self-signed under the anchor's name", _bytes_of(lambda pki: _self_signed(pki, pki.ca_name)), _INVALID, "signature_invalid"),
    # Dates.
    Case("expired", _dated(-90 * DAY_S, -601), _INVALID, "expired"),
    Case("not yet valid", _dated(601, DAY_S), _INVALID, "not_yet_valid"),
    Case("dates reversed", _bytes_of(_reversed_dates), _INVALID, "dates_reversed"),
    # Profile.
    Case("CA as leaf", lambda pki: ([pki.ca.der], pki.ca.key), _INVALID, "is_ca"),
    Case("leaf with CA:TRUE", _only(constraints=x509.BasicConstraints(ca=True, path_length=0)), _INVALID, "is_ca"),
    Case("no basic constraints", _only(constraints=None), _INVALID, "basic_constraints_missing"),
    Case(
        "CA:FALSE with a path length",
        _only(constraints=raw_extension(ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("3003020100"))),
        _INVALID,
        "extensions_malformed",
    ),
    Case(
        "CA:FALSE written out",
        _only(constraints=raw_extension(ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("3003010100"))),
        _INVALID,
        "extensions_malformed",
    ),
    Case("no key usage", _only(usage=None), _INVALID, "key_usage_missing"),
    Case("key usage without digitalSignature", _only(usage=key_usage("content_commitment")), _INVALID, "key_usage_wrong"),
    Case("key usage with keyCertSign", _only(usage=key_usage("digital_signature", "key_cert_sign")), _INVALID, "key_usage_wrong"),
    Case("key usage with cRLSign", _only(usage=key_usage("digital_signature", "crl_sign")), _INVALID, "key_usage_wrong"),
    Case("key usage with keyEncipherment", _only(usage=key_usage("digital_signature", "key_encipherment")), _INVALID, "key_usage_wrong"),
    Case("key usage with dataEncipherment", _only(usage=key_usage("digital_signature", "data_encipherment")), _INVALID, "key_usage_wrong"),
    Case("key usage with keyAgreement", _only(usage=key_usage("digital_signature", "key_agreement")), _INVALID, "key_usage_wrong"),
    Case("no extended key usage", _only(purposes=()), _INVALID, "eku_missing"),
    Case("serverAuth only", _only(purposes=(_SERVER,)), _INVALID, "eku_wrong"),
    Case("any purpose", _only(purposes=(_ANY,)), _INVALID, "eku_any"),
    Case("any purpose beside clientAuth", _only(purposes=(_CLIENT, _ANY)), _INVALID, "eku_any"),
    Case("RSA key", _keyed(lambda: rsa_key(2048)), _INVALID, "key_not_ed25519"),
    Case("P-256 key", _keyed(lambda: p256_key("client")), _INVALID, "key_not_ed25519"),
    Case("unknown critical extension", _only(extra=(UNKNOWN_CRITICAL,)), _INVALID, "unknown_critical_extension"),
    Case("critical name constraints in the leaf", _only(extra=((NAME_CONSTRAINTS, True),)), _INVALID, "unknown_critical_extension"),
    Case("name constraints in the leaf", _only(extra=((NAME_CONSTRAINTS, False),)), _INVALID, "extensions_malformed"),
    # Subject.
    Case("common name of nobody", _only(common_names=("fed:0190c0de-9999-7000-8000-000000000009",)), "unknown_peer_subject"),
    Case("common name in other case", _named(str.upper), "unknown_peer_subject"),
    Case("common name with a trailing NUL", _named(lambda text: text + "\0"), "unknown_peer_subject"),
    Case("no common name", _only(common_names=()), _INVALID, "common_name_missing"),
    Case("two common names", lambda pki: ([pki.leaf(common_names=(pki.common_name, "fed:x"))], pki.key), _INVALID, "common_name_repeated"),
    # Encoding.
    Case("signature with one bit flipped", _signature(_flipped), _INVALID, "signature_invalid"),
    Case("signature plus the group order", _signature(_plus_group_order), _INVALID, "signature_invalid"),
    Case("signature with an unused bit", _bytes_of(with_unused_signature_bit), _INVALID, "der_not_canonical"),
    Case(
        "serial changed after signing",
        _bytes_of(lambda pki: pki.leaf().replace(_serial_octets(pki)[:3], b"\x02\x10\x41")),
        _INVALID,
        "signature_invalid",
    ),
    Case("octets behind the end", _bytes_of(lambda pki: pki.leaf() + b"\0"), _INVALID, "der_malformed", over_tls=False),
    Case("indefinite length", _bytes_of(lambda pki: b"\x30\x80" + pki.leaf()[4:] + b"\0\0"), _INVALID, "der_malformed", over_tls=False),
    Case("version 1", _bytes_of(version_1), _INVALID, "version_not_3"),
    Case("version 2", _resigned(lambda pki: bytes.fromhex("a003020102"), bytes.fromhex("a003020101")), _INVALID, "version_not_3"),
    Case(
        "negative serial",
        _resigned(lambda pki: _serial_octets(pki)[:3], b"\x02\x10\xc0"),
        _INVALID,
        "serial_invalid",
    ),
    Case(
        "extension twice",
        _resigned(lambda pki: bytes.fromhex("0603551d25"), bytes.fromhex("0603551d0f")),
        _INVALID,
        "extensions_malformed",
    ),
    Case("larger than allowed", _only(extra=((raw_extension(UNKNOWN_OID, bytes(8192)), False),)), _INVALID, "too_large"),
    # Instance name.
    Case("no alternative name", _sans(), _SAN, "san_missing"),
    Case(
        "empty alternative names",
        _only(san_extension=raw_extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x00")),
        _SAN,
        "san_missing",
    ),
    Case("other instance", _sans(uri(_PREFIX + OTHER_INSTANCE_ID)), _SAN, "instance_mismatch"),
    Case("own instance and another", _own_uri_and(uri(_PREFIX + OTHER_INSTANCE_ID)), _SAN, "san_not_single"),
    Case("own instance twice", lambda pki: ([pki.leaf(sans=(pki.san, pki.san))], pki.key), _SAN, "san_not_single"),
    Case("own instance beside a DNS name", _own_uri_and(x509.DNSName("a.example")), _SAN, "san_not_single"),
    Case("DNS name only", _sans(x509.DNSName("a.example")), _SAN, "san_not_uri"),
    Case("instance URI as a DNS name", lambda pki: ([pki.leaf(sans=(x509.DNSName(pki.san.value),))], pki.key), _SAN, "san_not_uri"),
    Case("e-mail address only", _sans(x509.RFC822Name("a@a.example")), _SAN, "san_not_uri"),
    Case("wildcard URI", _sans(uri(_PREFIX + "*")), _SAN, "san_not_instance"),
    Case("upper-case UUID", _own_uri(lambda text: _PREFIX + text.removeprefix(_PREFIX).upper()), _SAN, "san_not_instance"),
    Case("UUID without hyphens", _own_uri(lambda text: text.replace("-", "")), _SAN, "san_not_instance"),
    Case("upper-case scheme", _own_uri(lambda text: text.replace("powernode", "POWERNODE")), _SAN, "san_not_instance"),
    Case("other scheme", _own_uri(lambda text: text.replace("powernode", "spiffe")), _SAN, "san_not_instance"),
    Case("path behind the UUID", _own_uri(lambda text: text + "/x"), _SAN, "san_not_instance"),
    Case("line feed behind the UUID", _own_uri(lambda text: text + "\n"), _SAN, "san_not_instance"),
    Case("percent-encoded UUID", _own_uri(lambda text: text.replace("-", "%2d")), _SAN, "san_not_instance"),
    # The anchor itself.
    _altered_anchor("anchor_expired", "anchor expired", not_before=-9 * DAY_S, not_after=-601),
    _altered_anchor("anchor_not_yet_valid", "anchor not yet valid", not_before=601, not_after=9 * DAY_S),
    _altered_anchor("anchor_cannot_sign", "anchor without keyCertSign", usage=key_usage("digital_signature", "crl_sign")),
    _altered_anchor("anchor_cannot_sign", "anchor without key usage", usage=None),
    _altered_anchor("anchor_not_ca", "anchor with CA:FALSE", constraints=LEAF_CONSTRAINTS),
    _altered_anchor("anchor_not_ca", "anchor without basic constraints", constraints=None),
    _altered_anchor("anchor_constrained", "anchor with name constraints", extra=((NAME_CONSTRAINTS, True),)),
    _altered_anchor("anchor_constrained", "anchor with name constraints that are not critical", extra=((NAME_CONSTRAINTS, False),)),
    _altered_anchor("anchor_constrained", "anchor with an unknown critical extension", extra=(UNKNOWN_CRITICAL,)),
    _altered_anchor("anchor_purpose", "anchor for servers only", extra=((x509.ExtendedKeyUsage([_SERVER]), False),)),
    Case("anchor over RSA-1024", _issued_by(_weak_ca), _INVALID, "anchor_key_weak", lambda pki: (_weak_ca(pki).der,)),
    Case(
        "signed with SHA-224",
        lambda pki: ([pki.leaf(issuer=_p256_ca(pki), digest=hashes.SHA224())], pki.key),
        _INVALID,
        "signature_weak",
        lambda pki: (_p256_ca(pki).der,),
    ),
)

CASES: tuple[Case, ...] = ACCEPTED + REFUSED


def judge(pki: PeerPki, chain: Sequence[bytes], anchors: Sequence[bytes]) -> tuple[str, str | None] | None:
    """The verdict of the pure checks in the door's order: None, or (code, reason)."""
    if not chain:
        return "client_certificate_required", "chain_empty"
    leaf = certificates.parse_leaf(chain[0])
    if isinstance(leaf, str):
        return _INVALID, leaf
    reason = certificates.check_profile(leaf, now=pki.now)
    if reason is not None:
        return _INVALID, reason
    if leaf.common_name != pki.common_name:
        return "unknown_peer_subject", None
    parsed = certificates.load_anchors([certificates.der_to_pem(der) for der in anchors])
    assert not isinstance(parsed, str), parsed
    reason = certificates.check_chain_presented(chain, parsed) or certificates.check_issued_by(leaf, parsed, now=pki.now)
    if reason is not None:
        return _INVALID, reason
    reason = certificates.check_instance_san(leaf, {pki.instance_id})
    return None if reason is None else (_SAN, reason)
