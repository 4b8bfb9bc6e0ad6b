"""X.509 by our own literal profile: pure functions that accept a certificate or name the reason for refusing it.

Lives here: fingerprints and pins, strict parsing, the profile of a federation client certificate, the one-step chain, bundles, signing
requests, and the proof that a server must give. Must not live here: sockets, private keys, issuing, or public PKI with host match.

Rules of the module:

* A check answers None when it passes, else a reason: a stable snake_case word that is a key of `REASONS`. Nothing raises on hostile input.
* Dates are compared with the `now` that the caller passes (its host's wall time, seconds since the epoch), widened by `SKEW_MAX_S`.
* A chain has one step: the leaf is issued directly by an anchor. Nothing else that was presented is ever consulted, so an identity
  can only come from the leaf, and the trust in it only from an anchor that was configured before.

Who admits a client certificate calls, in this order: `parse_leaf`, `check_profile`, the lookup of `Leaf.common_name`,
`check_chain_presented`, `check_issued_by` (both with the anchors of the peer found, and of nobody else), `check_instance_san`.

Sources: RFC 5280 (profile), RFC 8410 (Ed25519 in X.509), RFC 7468 (textual encodings), RFC 4648 section 5 (URL-safe base64).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from actors.limits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_CERTIFICATES_MAX,
    CERTIFICATE_BYTES_MAX,
    CERTIFICATES_PARSED,
    CERTIFICATES_REMEMBERED,
    CSR_CHARS_MAX,
    RSA_BITS_MAX,
    RSA_BITS_MIN,
    SERVER_CHAIN_MAX,
    SKEW_MAX_S,
)
from actors.ports import ServerExpectation
from runtime.ids import is_uuid

ANCHOR_IS_OURS: Final = "anchor_is_ours"
"""The one reason of `parse_bundle` that is a domain code of its own; every other one means `invalid_ca_bundle`."""

INSTANCE_URI_PREFIX: Final = "powernode://instance/"
_REMEMBERED_BYTES_MAX: Final = 2_048

REASONS: Final[Mapping[str, str]] = {
    # the text around a certificate
    "pem_malformed": "The text is not a clean sequence of PEM blocks.",
    "pem_wrong_label": "A PEM block holds something other than what was asked for.",
    "forwarded_malformed": "The proxy in front has written no single Client-Cert header as RFC 9440 has it.",
    "forwarded_too_large": "The Client-Cert header of the proxy in front is larger than the limit.",
    "too_large": "A certificate or signing request is larger than the limit.",
    # parsing
    "der_malformed": "The certificate cannot be parsed as DER.",
    "der_not_canonical": "The certificate is not in the one encoding that DER allows.",
    "version_not_3": "The certificate is not X.509 version 3.",
    "serial_invalid": "The serial number is not positive or is longer than 20 octets.",
    "dates_reversed": "The certificate ends before it begins.",
    "extensions_malformed": "An extension is malformed or appears twice.",
    "unknown_critical_extension": "A critical extension is not one of those that this profile knows.",
    "common_name_missing": "The subject has no common name.",
    "common_name_repeated": "The subject has more than one common name.",
    "signature_weak": "The certificate is signed with an algorithm that is not accepted.",
    # profile
    "not_yet_valid": "The certificate is not valid yet.",
    "expired": "The certificate has expired.",
    "basic_constraints_missing": "The certificate does not say whether it is a CA.",
    "is_ca": "A CA certificate was presented as a leaf.",
    "key_usage_missing": "The certificate has no key usage.",
    "key_usage_wrong": "The key usage lacks digitalSignature or has one that such a key must not have.",
    "eku_missing": "The certificate has no extended key usage.",
    "eku_any": "The extended key usage names any purpose instead of the one needed.",
    "eku_wrong": "The extended key usage lacks the purpose needed.",
    "key_not_ed25519": "The key is not Ed25519.",
    "key_weak": "The key is of a kind or size that is not accepted.",
    # chain
    "chain_empty": "No certificate was presented.",
    "chain_too_long": "More certificates were presented than the limit allows.",
    "foreign_certificate": "A certificate besides the leaf was presented that is not an anchor of this peer.",
    "no_anchor": "There is no anchor to check against.",
    "issuer_unknown": "The certificate was not issued directly by an anchor of this peer.",
    "signature_invalid": "The certificate names an anchor as its issuer, but the anchor's key did not sign it.",
    "anchor_not_ca": "The issuing certificate is not a CA.",
    "anchor_cannot_sign": "The issuing certificate lacks the key usage keyCertSign.",
    "anchor_expired": "The issuing certificate has expired.",
    "anchor_not_yet_valid": "The issuing certificate is not valid yet.",
    "anchor_key_weak": "The issuing certificate's key is of a kind or size that is not accepted.",
    "anchor_constrained": "The issuing certificate carries constraints that this profile does not evaluate.",
    "anchor_purpose": "The issuing certificate is limited to purposes that exclude the one needed.",
    # instance name
    "san_missing": "The certificate has no subject alternative name.",
    "san_not_single": "The certificate has more than one subject alternative name.",
    "san_not_uri": "The subject alternative name is not a URI.",
    "san_not_instance": "The URI does not have the form powernode://instance/<uuid> in lower case.",
    "san_repeated": "The certificate names more than one instance.",
    "instance_mismatch": "The certificate names another instance.",
    # bundles
    "bundle_empty": "The bundle holds no certificate.",
    "bundle_too_many": "The bundle holds more certificates than the limit allows.",
    "bundle_duplicate": "The bundle holds the same certificate twice.",
    ANCHOR_IS_OURS: "The bundle holds this platform's own CA certificate.",
    # signing requests
    "csr_malformed": "The signing request cannot be parsed.",
    "csr_signature_invalid": "The signing request is not signed by its own key.",
    # servers
    "expectation_missing": "Nothing is known that the server could prove.",
    "expectation_malformed": "The pinned fingerprint or anchors cannot be read.",
    "pinned_ca_absent": "The server did not present the pinned CA certificate.",
}
"""Every reason that a function of this module can give, with a sentence for a person."""

_CRITICAL_IN_LEAF: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
_CONSTRAINING: Final = frozenset(
    {
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
    }
)
_SIGNATURES: Final = frozenset(
    {
        SignatureAlgorithmOID.ED25519,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)
_SERIAL_BITS_MAX: Final = 159  # 20 octets of a positive INTEGER
_PEM_BLOCK: Final = re.compile(r"[ \t\r\n]*-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----[ \t]*(?:\r?\n|\Z)")
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PARSE_ERRORS: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)

_E = TypeVar("_E", bound=x509.ExtensionType)
_R = TypeVar("_R")
_P = ParamSpec("_P")


@attrs.frozen
class Leaf:
    """An end-entity certificate that parsed; nothing about it has been believed yet.

    Attributes:
        common_name: the one CN of the subject; empty only if it was parsed with `name_required=False` and has none.
        uri_sans: the URI entries of the subject alternative name, in order.
        san_count: entries of every type.
        serial: serial number, lower-case hex without leading zeros.
        not_before, not_after: seconds since the epoch.
        fingerprint: `sha256:<64 hex>` of the DER.
        der: the certificate.
    """

    common_name: str
    uri_sans: tuple[str, ...]
    san_count: int
    serial: str
    not_before: float
    not_after: float
    fingerprint: str
    der: bytes = attrs.field(eq=False, repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The parsed certificate. It is not kept: parsed, one weighs ten times as much, and it is seldom looked at twice."""
        return _parsed(self.der)


@attrs.frozen
class Anchor:
    """A CA certificate that may issue leaves. Two anchors are the same if their fingerprints are; names decide nothing.

    Attributes:
        fingerprint: `sha256:<64 hex>` of the DER.
        subject: RFC 4514 text, for display only.
        not_before, not_after: seconds since the epoch.
        der: the certificate.
    """

    fingerprint: str
    subject: str
    not_before: float
    not_after: float
    der: bytes = attrs.field(eq=False, repr=False)

    @property
    def pem(self) -> str:
        """The certificate as one PEM block."""
        return der_to_pem(self.der)

    @property
    def certificate(self) -> x509.Certificate:
        """The parsed certificate. It is not kept: parsed, one weighs ten times as much, and it is seldom looked at twice."""
        return _parsed(self.der)


# --- Names for certificates -----------------------------------------------------------------------------------------


def fingerprint(der: bytes) -> str:
    """`sha256:` and the lower-case hex SHA-256 of `der`."""
    return "sha256:" + hashlib.sha256(der).hexdigest()


def pin(der: bytes) -> str:
    """The first 128 bits of the SHA-256 of `der` as 22 characters of URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()[:16]).rstrip(b"=").decode()


def pin_of_fingerprint(text: str) -> str | None:
    """The pin of the certificate whose fingerprint is `text`, or None if `text` is not a fingerprint."""
    if _FINGERPRINT.fullmatch(text) is None:
        return None
    return base64.urlsafe_b64encode(bytes.fromhex(text[7:])[:16]).rstrip(b"=").decode()


def instance_uri(instance_id: str) -> str:
    """The URI that names an instance in a certificate."""
    return INSTANCE_URI_PREFIX + instance_id


# --- Text -----------------------------------------------------------------------------------------------------------


def pem_blocks(text: str, label: str = "CERTIFICATE") -> tuple[bytes, ...] | str:
    """The DER of each PEM block in `text`, or a reason. Between blocks only white space may stand; another label is refused."""
    blocks: list[bytes] = []
    text = text.strip(" \t\r\n")
    position = 0
    while position < len(text):
        found = _PEM_BLOCK.match(text, position)
        if found is None:
            return "pem_malformed"
        if found[1] != label:
            return "pem_wrong_label"
        try:
            blocks.append(base64.b64decode("".join(found[2].split()), validate=True))
        except (binascii.Error, ValueError):
            return "pem_malformed"
        position = found.end()
    return tuple(blocks)


def pem_to_der(pem: str) -> bytes | str:
    """The DER of the single certificate in `pem`, or a reason."""
    blocks = pem_blocks(pem)
    if isinstance(blocks, str):
        return blocks
    return blocks[0] if len(blocks) == 1 else "pem_malformed"


def der_to_pem(der: bytes) -> str:
    """`der` as one PEM block of a certificate, 64 characters a line, with a final newline (RFC 7468)."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


# --- Parsing --------------------------------------------------------------------------------------------------------


def _remembered(look: Callable[Concatenate[bytes, _P], _R]) -> Callable[Concatenate[bytes, _P], _R]:
    """Remember what `look` makes of a certificate: what one says cannot change, and the same few are met on every connection of a peer.

    Only what is as small as certificates usually are is remembered, so that strangers cannot fill the memory.
    """
    known: Any = lru_cache(maxsize=CERTIFICATES_REMEMBERED)(look)

    @wraps(look)
    def told(der: bytes, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return (known if len(der) <= _REMEMBERED_BYTES_MAX else look)(der, *args, **kwargs)

    _MEMORIES.append(known)
    return told


def forget() -> None:
    """Remember nothing of any certificate, as a process that has just started."""
    for memory in _MEMORIES:
        memory.cache_clear()
    _RELATIONS.clear()


_MEMORIES: Final[list[Any]] = []


@_remembered
def parse_leaf(der: bytes, *, name_required: bool = True) -> Leaf | str:
    """`der` as a leaf, or the reason why it cannot be one.

    Args:
        der: one certificate as it was presented.
        name_required: demand exactly one common name; servers are known by their alternative names and may have none.
    """
    certificate = _load(der)
    if isinstance(certificate, str):
        return certificate
    if any(extension.critical and extension.oid not in _CRITICAL_IN_LEAF for extension in certificate.extensions):
        return "unknown_critical_extension"
    if any(extension.oid in _CONSTRAINING for extension in certificate.extensions):
        return "extensions_malformed"
    names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) > 1:
        return "common_name_repeated"
    if name_required and not (names and names[0]):
        return "common_name_missing"
    sans = _extension(certificate, x509.SubjectAlternativeName)
    return Leaf(
        common_name=names[0] if names else "",
        uri_sans=tuple(sans.get_values_for_type(x509.UniformResourceIdentifier)) if sans is not None else (),
        san_count=len(list(sans)) if sans is not None else 0,
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        fingerprint=fingerprint(der),
        der=der,
    )


@_remembered
def parse_anchor(der: bytes) -> Anchor | str:
    """`der` as an anchor, or a reason. Whether it may issue anything is for `check_issued_by` to say, at the time of use."""
    certificate = _load(der)
    if isinstance(certificate, str):
        return certificate
    return Anchor(
        fingerprint=fingerprint(der),
        subject=certificate.subject.rfc4514_string(),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        der=der,
    )


_parsed = lru_cache(maxsize=CERTIFICATES_PARSED)(x509.load_der_x509_certificate)


def load_anchors(pems: Sequence[str]) -> tuple[Anchor, ...] | str:
    """The anchors in stored PEM texts (each may hold several), or the reason why one cannot be read."""
    anchors: list[Anchor] = []
    for pem in pems:
        blocks = pem_blocks(pem)
        if isinstance(blocks, str):
            return blocks
        for der in blocks:
            anchor = parse_anchor(der)
            if isinstance(anchor, str):
                return anchor
            anchors.append(anchor)
    return tuple(anchors)


def _load(der: bytes) -> x509.Certificate | str:
    """What leaves and anchors have in common: one canonical version 3 certificate, wholly readable, with a sound signature algorithm."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        return "too_large"
    try:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.version is not x509.Version.v3:
            return "version_not_3"
    except x509.InvalidVersion:
        return "version_not_3"
    except _PARSE_ERRORS:
        return "der_malformed"
    # The signature covers only the inner part. Whoever can re-encode the outer part could give one certificate many
    # fingerprints, so the whole must be what we would write, and its signature must end on an octet (no unused bits).
    if certificate.public_bytes(Encoding.DER) != der or not der.endswith(b"\x00" + certificate.signature):
        return "der_not_canonical"
    return _unreadable_or_weak(certificate) or certificate


def _unreadable_or_weak(certificate: x509.Certificate) -> str | None:
    if certificate.serial_number <= 0 or certificate.serial_number.bit_length() > _SERIAL_BITS_MAX:
        return "serial_invalid"
    try:
        list(certificate.extensions)
        list(certificate.subject)
        list(certificate.issuer)
        reversed_dates = certificate.not_valid_before_utc > certificate.not_valid_after_utc
        certificate.public_key()
    except UnsupportedAlgorithm:
        return "key_weak"
    except _PARSE_ERRORS:
        return "extensions_malformed"
    if reversed_dates:
        return "dates_reversed"
    return None if certificate.signature_algorithm_oid in _SIGNATURES else "signature_weak"


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    """The value of the extension of that kind, or None if it is absent (`_load` has proven that all of them parse)."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


# --- The profile of a leaf ------------------------------------------------------------------------------------------


def check_profile(leaf: Leaf, *, now: float, skew_s: float = SKEW_MAX_S) -> str | None:
    """Whether `leaf` has the form of a federation client certificate that is valid at `now`.

    Dates, CA:FALSE, digitalSignature, clientAuth named outright, an Ed25519 key without usages that such a key cannot serve.
    """
    return outside_dates(leaf, now, skew_s) or _no_client(leaf.der)


@_remembered
def _no_client(der: bytes) -> str | None:
    certificate = _parsed(der)
    return (
        _not_an_end_entity(certificate)
        or _lacks_purpose(certificate, ExtendedKeyUsageOID.CLIENT_AUTH)
        or (None if isinstance(certificate.public_key(), ed25519.Ed25519PublicKey) else "key_not_ed25519")
        or _more_than_signing(certificate)
    )


def check_instance_san(leaf: Leaf, allowed_instance_ids: Collection[str]) -> str | None:
    """Whether the only alternative name of `leaf` is the URI of one of the allowed instances.

    The comparison is exact: no case folding, no wildcard, no other type of name beside it.
    """
    if leaf.san_count == 0:
        return "san_missing"
    if leaf.san_count > 1:
        return "san_not_single"
    if not leaf.uri_sans:
        return "san_not_uri"
    uri = leaf.uri_sans[0]
    if not uri.startswith(INSTANCE_URI_PREFIX) or not is_uuid(uri.removeprefix(INSTANCE_URI_PREFIX)):
        return "san_not_instance"
    return None if uri.removeprefix(INSTANCE_URI_PREFIX) in allowed_instance_ids else "instance_mismatch"


def outside_dates(subject: Leaf | Anchor, now: float, skew_s: float = SKEW_MAX_S) -> str | None:
    """Whether `now` lies outside the validity of `subject`: all that time can change about a certificate checked before."""
    if now < subject.not_before - skew_s:
        return "not_yet_valid"
    return "expired" if now > subject.not_after + skew_s else None


def _not_an_end_entity(certificate: x509.Certificate) -> str | None:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None:
        return "basic_constraints_missing"
    if constraints.ca:
        return "is_ca"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None:
        return "key_usage_missing"
    signs_certificates = usage.key_cert_sign or usage.crl_sign
    return "key_usage_wrong" if not usage.digital_signature or signs_certificates else None


def _more_than_signing(certificate: x509.Certificate) -> str | None:
    """RFC 8410, section 5: an Ed25519 key signs; it neither encrypts nor agrees on keys."""
    usage = _extension(certificate, x509.KeyUsage)
    more = usage is not None and (usage.key_encipherment or usage.data_encipherment or usage.key_agreement)
    return "key_usage_wrong" if more else None


def _lacks_purpose(certificate: x509.Certificate, purpose: x509.ObjectIdentifier) -> str | None:
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is None:
        return "eku_missing"
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes:
        return "eku_any"
    return None if purpose in purposes else "eku_wrong"


def _weak_key(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    if isinstance(key, rsa.RSAPublicKey):
        return not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX
    return not isinstance(key, ed25519.Ed25519PublicKey)


# --- The one-step chain ---------------------------------------------------------------------------------------------


def check_chain_presented(chain: Sequence[bytes], anchors: Sequence[Anchor]) -> str | None:
    """Whether a client presented its leaf and nothing else but, at most, anchors of this peer, each once.

    A certificate beside the leaf proves nothing, since anybody can copy one into a chain; it is refused instead of ignored, so
    that no later reader of the chain can take an identity from it.
    """
    if not chain:
        return "chain_empty"
    allowed = {anchor.fingerprint for anchor in anchors}
    for der in chain[1:]:
        name = fingerprint(der)
        if name not in allowed:
            return "foreign_certificate"
        allowed.discard(name)
    return None


def check_issued_by(
    leaf: Leaf,
    anchors: Sequence[Anchor],
    *,
    now: float,
    skew_s: float = SKEW_MAX_S,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> str | None:
    """Whether one of `anchors` issued `leaf` directly and was allowed to.

    Several anchors may carry one name or even one key (a renewed CA): one sound issuer is enough. Otherwise the reason is the flaw of
    the anchor that did sign, else `signature_invalid` if only the name matched, else `issuer_unknown`.
    """
    if not anchors:
        return "no_anchor"
    reason = "issuer_unknown"
    for anchor in anchors:
        stranger = _no_issuer(leaf, anchor)
        if stranger is not None:
            reason = stranger if reason == "issuer_unknown" else reason
            continue
        flaw = anchor_flaw(anchor, now=now, skew_s=skew_s, purpose=purpose)
        if flaw is None:
            return None
        reason = flaw
    return reason


def anchor_flaw(
    anchor: Anchor,
    *,
    now: float,
    skew_s: float = SKEW_MAX_S,
    purpose: x509.ObjectIdentifier | None = None,
) -> str | None:
    """Why `anchor` must not issue leaves (for `purpose`, if one is given) at `now`, or None."""
    no_authority = _no_authority(anchor.der)
    if no_authority is not None:
        return no_authority
    outside = outside_dates(anchor, now, skew_s)
    return _unfit_authority(anchor.der, purpose) if outside is None else f"anchor_{outside}"


@_remembered
def _no_authority(der: bytes) -> str | None:
    constraints = _extension(_parsed(der), x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return "anchor_not_ca"
    usage = _extension(_parsed(der), x509.KeyUsage)
    return "anchor_cannot_sign" if usage is None or not usage.key_cert_sign else None


@_remembered
def _unfit_authority(der: bytes, purpose: x509.ObjectIdentifier | None) -> str | None:
    certificate = _parsed(der)
    if _weak_key(certificate):
        return "anchor_key_weak"
    if any(extension.oid in _CONSTRAINING or _unknown_in_anchor(extension) for extension in certificate.extensions):
        return "anchor_constrained"
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purpose is None or purposes is None or purpose in purposes or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes:
        return None
    return "anchor_purpose"


def _unknown_in_anchor(extension: x509.Extension[x509.ExtensionType]) -> bool:
    return extension.critical and extension.oid not in _CRITICAL_IN_LEAF


_RELATIONS: Final[dict[tuple[str, str], str | None]] = {}
"""Fingerprints of a leaf and of an anchor to why the one does not come from the other, or None."""


def _no_issuer(leaf: Leaf, anchor: Anchor) -> str | None:
    """Why `anchor` did not issue `leaf`, or None: found out once, because a signature is the dearest check of all and can never change."""
    key = (leaf.fingerprint, anchor.fingerprint)
    if key not in _RELATIONS:
        if len(_RELATIONS) >= CERTIFICATES_REMEMBERED:
            _RELATIONS.clear()
        _RELATIONS[key] = _relation(leaf.certificate, anchor.certificate)
    return _RELATIONS[key]


def _relation(leaf: x509.Certificate, anchor: x509.Certificate) -> str | None:
    if anchor.subject != leaf.issuer:
        return "issuer_unknown"
    return None if _signed_by(leaf, anchor) else "signature_invalid"


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_PARSE_ERRORS):
        return False
    return True


# --- What peers hand us ---------------------------------------------------------------------------------------------


def parse_bundle(pem: str, *, own_fingerprints: Collection[str], now: float, skew_s: float = SKEW_MAX_S) -> tuple[Anchor, ...] | str:
    """The anchors of a CA bundle from a peer, or a reason.

    At most `BUNDLE_CERTIFICATES_MAX` certificates in `BUNDLE_BYTES_MAX` of text; each a CA with keyCertSign, in date, and none of
    them ours. `ANCHOR_IS_OURS` is the reason for the last; every other reason means that the bundle is invalid.
    """
    if len(pem) > BUNDLE_BYTES_MAX:  # characters are octets: anything but ASCII is refused below
        return "too_large"
    blocks = pem_blocks(pem)
    if isinstance(blocks, str):
        return blocks
    if not blocks:
        return "bundle_empty"
    if len(blocks) > BUNDLE_CERTIFICATES_MAX:
        return "bundle_too_many"
    anchors: dict[str, Anchor] = {}
    for der in blocks:
        anchor = parse_anchor(der)
        if isinstance(anchor, str):
            return anchor
        if anchor.fingerprint in own_fingerprints:
            return ANCHOR_IS_OURS
        if anchor.fingerprint in anchors:
            return "bundle_duplicate"
        flaw = anchor_flaw(anchor, now=now, skew_s=skew_s)
        if flaw is not None:
            return flaw
        anchors[anchor.fingerprint] = anchor
    return tuple(anchors.values())


def check_csr(pem: str) -> str | None:
    """Whether `pem` is one small signing request (PKCS #10, RFC 2986) for an Ed25519 key, signed by that key.

    The names that it asks for are not looked at: the signer assigns them.
    """
    if len(pem) > CSR_CHARS_MAX:
        return "too_large"
    blocks = pem_blocks(pem, "CERTIFICATE REQUEST")
    if isinstance(blocks, str):
        return blocks
    if len(blocks) != 1:
        return "pem_malformed"
    try:
        request = x509.load_der_x509_csr(blocks[0])
        if not isinstance(request.public_key(), ed25519.Ed25519PublicKey):
            return "key_not_ed25519"
        return None if request.is_signature_valid else "csr_signature_invalid"
    except (InvalidSignature, *_PARSE_ERRORS):
        return "csr_malformed"


# --- Servers --------------------------------------------------------------------------------------------------------


def same_key(certificate_pem: str, csr_pem: str) -> bool:
    """Whether a certificate is for the key that made a signing request; False if either cannot be read."""
    der = pem_to_der(certificate_pem)
    blocks = pem_blocks(csr_pem, "CERTIFICATE REQUEST")
    if isinstance(der, str) or isinstance(blocks, str) or len(blocks) != 1:
        return False
    try:
        held = x509.load_der_x509_certificate(der).public_key()
        asked = x509.load_der_x509_csr(blocks[0]).public_key()
    except _PARSE_ERRORS:
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return held.public_bytes(*form) == asked.public_bytes(*form)


def verify_server(chain: Sequence[bytes], expectation: ServerExpectation, *, now: float, skew_s: float = SKEW_MAX_S) -> str | None:
    """Whether the server that presented `chain` (DER, leaf first) is the one expected; None if it is.

    With `anchors_pem`, one of those anchors must have issued the leaf directly, and the leaf must name exactly the instance
    `instance_id` (beside DNS names and addresses). Else, with `ca_fingerprint` or `ca_pin`, that CA certificate must stand in the chain
    behind the leaf and have issued it directly; an `instance_id` is then checked only if given. The first field that is set decides;
    nothing falls back to a later one. An expectation without any of them belongs to public PKI and is refused here.
    """
    if not chain:
        return "chain_empty"
    if len(chain) > SERVER_CHAIN_MAX:
        return "chain_too_long"
    leaf = parse_leaf(chain[0], name_required=False)
    if isinstance(leaf, str):
        return leaf
    anchors = _expected_anchors(chain, expectation)
    if isinstance(anchors, str):
        return anchors
    return (
        outside_dates(leaf, now, skew_s)
        or _no_server(leaf.der)
        or check_issued_by(leaf, anchors, now=now, skew_s=skew_s, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
        or _names_another_instance(leaf, expectation)
    )


@_remembered
def _no_server(der: bytes) -> str | None:
    certificate = _parsed(der)
    return (
        _not_an_end_entity(certificate)
        or _lacks_purpose(certificate, ExtendedKeyUsageOID.SERVER_AUTH)
        or ("key_weak" if _weak_key(certificate) else None)
    )


def _expected_anchors(chain: Sequence[bytes], expectation: ServerExpectation) -> tuple[Anchor, ...] | str:
    if expectation.anchors_pem:
        anchors = load_anchors(expectation.anchors_pem)
        return "expectation_malformed" if isinstance(anchors, str) else anchors
    wanted, name_of = expectation.ca_fingerprint, fingerprint
    if wanted is None:
        wanted, name_of = expectation.ca_pin, pin
    if wanted is None:
        return "expectation_missing"
    if not wanted.isascii():
        return "expectation_malformed"
    for der in chain[1:]:
        if hmac.compare_digest(name_of(der), wanted):
            anchor = parse_anchor(der)
            return anchor if isinstance(anchor, str) else (anchor,)
    return "pinned_ca_absent"


def _names_another_instance(leaf: Leaf, expectation: ServerExpectation) -> str | None:
    if expectation.instance_id is None:
        return "expectation_malformed" if expectation.anchors_pem else None
    named = [uri for uri in leaf.uri_sans if uri.lower().startswith(INSTANCE_URI_PREFIX)]
    if not named:
        return "san_missing"
    if len(named) > 1:
        return "san_repeated"
    return None if named[0] == instance_uri(expectation.instance_id) else "instance_mismatch"
