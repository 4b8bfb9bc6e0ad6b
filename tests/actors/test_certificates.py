"""The profile of certificates: the table of client certificates, servers, bundles, signing requests, and the text around them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from actors import certificates
from actors.limits import BUNDLE_BYTES_MAX, CSR_CHARS_MAX, SKEW_MAX_S
from actors.ports import ServerExpectation
from tests.support.certificates import (
    ACCEPTED,
    CASES,
    DAY_S,
    INSTANCE_ID,
    NOW,
    OTHER_INSTANCE_ID,
    REFUSED,
    Ca,
    Case,
    PeerPki,
    ed25519_key,
    intermediate,
    judge,
    key_usage,
    make_ca,
    name,
    p256_key,
    rsa_key,
    stranger,
    uri,
)

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH

# Hostile serial numbers make the parser warn before our own check refuses them.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


# --- The table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_client_certificate_gets_its_verdict(case: Case) -> None:
    pki = PeerPki.make()
    chain, _ = case.build(pki)
    assert judge(pki, chain, case.anchors(pki)) == (None if case.code is None else (case.code, case.reason))


def test_an_empty_chain_is_no_chain() -> None:
    assert certificates.check_chain_presented([], ()) == "chain_empty"


def test_the_table_is_sound() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(REFUSED) >= 30
    assert all(case.code is None and case.reason is None for case in ACCEPTED)
    assert {case.reason for case in REFUSED if case.reason is not None} <= certificates.REASONS.keys()


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [(-SKEW_MAX_S - 1, "not_yet_valid"), (-SKEW_MAX_S, None), (DAY_S + SKEW_MAX_S, None), (DAY_S + SKEW_MAX_S + 1, "expired")],
)
def test_dates_are_widened_by_exactly_the_skew(offset_s: float, reason: str | None) -> None:
    leaf = parsed(PeerPki.make().leaf(not_before=NOW, not_after=NOW + DAY_S))
    assert certificates.check_profile(leaf, now=NOW + offset_s) == reason


def test_a_leaf_tells_what_it_holds() -> None:
    pki = PeerPki.make()
    der = pki.leaf(serial=0x1234)
    leaf = parsed(der)
    assert (leaf.common_name, leaf.uri_sans, leaf.san_count) == (pki.common_name, (certificates.instance_uri(INSTANCE_ID),), 1)
    assert (leaf.serial, leaf.not_before, leaf.not_after) == ("1234", NOW - 300, NOW + 90 * DAY_S)
    assert leaf.fingerprint == certificates.fingerprint(der)


def test_any_of_several_allowed_instances_is_taken() -> None:
    leaf = parsed(PeerPki.make().leaf())
    assert certificates.check_instance_san(leaf, {OTHER_INSTANCE_ID, INSTANCE_ID}) is None
    assert certificates.check_instance_san(leaf, ()) == "instance_mismatch"


@given(st.binary(max_size=600))
def test_no_bytes_make_parsing_raise(junk: bytes) -> None:
    assert certificates.parse_leaf(junk) in certificates.REASONS
    assert certificates.parse_anchor(junk) in certificates.REASONS


LEAF_DER = PeerPki.make().leaf()


@given(st.integers(0, 8 * len(LEAF_DER) - 1))
def test_no_flipped_bit_is_believed(bit: int) -> None:
    pki = PeerPki.make()
    damaged = bytearray(LEAF_DER)
    damaged[bit // 8] ^= 1 << bit % 8
    assert judge(pki, [bytes(damaged)], [pki.ca.der]) is not None


# --- Fingerprints, pins, text ---------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_pin_and_fingerprint_name_the_same_bytes(der: bytes) -> None:
    digest = hashlib.sha256(der).digest()
    assert certificates.fingerprint(der) == "sha256:" + digest.hex()
    assert base64.urlsafe_b64decode(certificates.pin(der) + "==") == digest[:16]
    assert len(certificates.pin(der)) == 22
    assert certificates.pin_of_fingerprint(certificates.fingerprint(der)) == certificates.pin(der)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "sha1:" + "a" * 64, "sha256:" + "a" * 65, "sha256:" + "a" * 64 + "\n"]
)
def test_what_is_no_fingerprint_has_no_pin(text: str) -> None:
    assert certificates.pin_of_fingerprint(text) is None


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=4), st.sampled_from(["", "\n", " \r\n\n"]))
def test_pem_round_trip(blocks: list[bytes], between: str) -> None:
    text = between + between.join(certificates.der_to_pem(block) for block in blocks)
    assert certificates.pem_blocks(text) == tuple(blocks)


@given(st.text(max_size=200))
def test_no_text_makes_pem_raise(text: str) -> None:
    assert isinstance(certificates.pem_blocks(text), str | tuple)
    assert isinstance(certificates.check_csr(text), str)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pem: "# my CA\n" + pem, "pem_malformed"),
        (lambda pem: pem + "x", "pem_malformed"),
        (lambda pem: pem.replace("-----END CERTIFICATE-----", ""), "pem_malformed"),
        (lambda pem: pem.replace("CERTIFICATE", "PRIVATE KEY"), "pem_wrong_label"),
        (lambda pem: pem.replace("END CERTIFICATE", "END X509 CRL"), "pem_malformed"),
        (lambda pem: pem.replace("M", "*", 1), "pem_malformed"),
        (lambda pem: pem + pem, "pem_malformed"),
        (lambda pem: "", "pem_malformed"),
    ],
    ids=["comment before", "text behind", "no end", "private key", "other end", "not base64", "two blocks", "nothing"],
)
def test_only_one_clean_block_is_one_certificate(change: object, reason: str) -> None:
    assert callable(change)
    assert certificates.pem_to_der(change(certificates.der_to_pem(LEAF_DER))) == reason


def test_one_clean_block_is_one_certificate() -> None:
    pem = x509.load_der_x509_certificate(LEAF_DER).public_bytes(Encoding.PEM).decode()
    assert certificates.pem_to_der(pem) == LEAF_DER
    assert certificates.pem_to_der(pem.replace("\n", "\r\n")) == LEAF_DER
    assert certificates.der_to_pem(LEAF_DER) == pem


# --- Bundles --------------------------------------------------------------------------------------------------------


def bundle(*cas: Ca) -> str:
    return "".join(ca.pem for ca in cas)


def cas(count: int) -> list[Ca]:
    return [make_ca(f"number {number}") for number in range(count)]


def test_a_bundle_gives_its_anchors_in_order() -> None:
    eight = cas(8)
    anchors = certificates.parse_bundle(bundle(*eight), own_fingerprints={stranger(PeerPki.make()).fingerprint}, now=NOW)
    assert not isinstance(anchors, str)
    assert [anchor.fingerprint for anchor in anchors] == [ca.fingerprint for ca in eight]
    assert (anchors[0].pem, anchors[0].subject) == (eight[0].pem, "CN=CA number 0")
    assert (anchors[0].not_before, anchors[0].not_after) == (NOW - DAY_S, NOW + 3650 * DAY_S)


OURS = make_ca("ours")


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "bundle_empty"),
        (" \n", "bundle_empty"),
        (bundle(*cas(9)), "bundle_too_many"),
        (bundle(make_ca("a"), make_ca("a")), "bundle_duplicate"),
        (bundle(make_ca("a"), OURS), certificates.ANCHOR_IS_OURS),
        (bundle(make_ca("a")) + " " * BUNDLE_BYTES_MAX, "too_large"),
        (bundle(make_ca("a")) + certificates.der_to_pem(LEAF_DER), "anchor_not_ca"),
        (certificates.der_to_pem(b"junk"), "der_malformed"),
        (bundle(make_ca("a", not_after=NOW - SKEW_MAX_S - 1)), "anchor_expired"),
        (bundle(make_ca("a", not_before=NOW + SKEW_MAX_S + 1)), "anchor_not_yet_valid"),
        (bundle(make_ca("a", usage=key_usage("crl_sign"))), "anchor_cannot_sign"),
        (bundle(make_ca("a", constraints=None)), "anchor_not_ca"),
        (bundle(make_ca("a", key=rsa_key(1024))), "anchor_key_weak"),
        (
            ed25519_key("a").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() + bundle(make_ca("a")),
            "pem_wrong_label",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "bundle",
)
def test_a_bad_bundle_is_refused_whole(pem: str, reason: str) -> None:
    assert certificates.parse_bundle(pem, own_fingerprints={OURS.fingerprint}, now=NOW) == reason
    assert reason in certificates.REASONS


def test_an_anchor_that_ended_within_the_skew_is_taken() -> None:
    anchors = certificates.parse_bundle(bundle(make_ca("a", not_after=NOW - SKEW_MAX_S)), own_fingerprints=(), now=NOW)
    assert not isinstance(anchors, str)


def test_an_intermediate_is_an_anchor_of_its_own() -> None:
    pki = PeerPki.make()
    anchors = certificates.parse_bundle(bundle(intermediate(pki)), own_fingerprints=(), now=NOW)
    assert not isinstance(anchors, str)
    assert certificates.check_issued_by(parsed(pki.leaf(issuer=intermediate(pki))), anchors, now=NOW) is None
    assert certificates.check_issued_by(parsed(pki.leaf()), anchors, now=NOW) == "issuer_unknown"


def test_one_unreadable_stored_anchor_spoils_the_load() -> None:
    assert certificates.load_anchors([OURS.pem, "junk"]) == "pem_malformed"
    assert certificates.load_anchors([certificates.der_to_pem(b"junk")]) == "der_malformed"
    loaded = certificates.load_anchors([OURS.pem + make_ca("a").pem, make_ca("b").pem])
    assert not isinstance(loaded, str)
    assert len(loaded) == 3


# --- Signing requests -----------------------------------------------------------------------------------------------


def request(key: object = None, *, text: str = "anything") -> x509.CertificateSigningRequest:
    signer = key if key is not None else ed25519_key("request")
    digest = None if key is None else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder(subject_name=name(text)).sign(signer, digest)  # type: ignore[arg-type]


def request_pem(key: object = None) -> str:
    return request(key).public_bytes(Encoding.PEM).decode()


def csr_pem(der: bytes) -> str:
    return certificates.der_to_pem(der).replace("CERTIFICATE", "CERTIFICATE REQUEST")


def test_a_sound_signing_request_passes() -> None:
    assert certificates.check_csr(request_pem()) is None


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (lambda: request_pem(p256_key("request")), "key_not_ed25519"),
        (lambda: request_pem(rsa_key(2048)), "key_not_ed25519"),
        (lambda: csr_pem(request().public_bytes(Encoding.DER)[:-1] + b"\0"), "csr_signature_invalid"),
        (lambda: csr_pem(request().public_bytes(Encoding.DER).replace(b"anything", b"anytning")), "csr_signature_invalid"),
        (lambda: csr_pem(b"\x30\x00"), "csr_malformed"),
        (lambda: csr_pem(request().public_bytes(Encoding.DER) + b"\0"), "csr_malformed"),
        (lambda: request_pem() * 2, "pem_malformed"),
        (lambda: "", "pem_malformed"),
        (lambda: certificates.der_to_pem(LEAF_DER), "pem_wrong_label"),
        (lambda: request_pem() + " " * CSR_CHARS_MAX, "too_large"),
    ],
    ids=["P-256", "RSA", "damaged signature", "changed name", "empty", "octets behind", "two", "nothing", "certificate", "too large"],
)
def test_an_unsound_signing_request_is_refused(pem: object, reason: str) -> None:
    assert callable(pem)
    assert certificates.check_csr(pem()) == reason
    assert reason in certificates.REASONS


# --- Servers --------------------------------------------------------------------------------------------------------

PKI = PeerPki.make()
DNS = x509.DNSName("a.example")


def server(**changes: object) -> bytes:
    """A server leaf as a listener shows it: DNS name and instance URI, P-256, serverAuth."""
    right: dict[str, object] = {"sans": (DNS, PKI.san), "purposes": (SERVER,), "key": p256_key("server"), "common_names": ()}
    return PKI.leaf(**(right | changes))  # type: ignore[arg-type]


ANCHORED = ServerExpectation(anchors_pem=(PKI.ca.pem,), instance_id=INSTANCE_ID)
BY_FINGERPRINT = ServerExpectation(ca_fingerprint=PKI.ca.fingerprint)
BY_PIN = ServerExpectation(ca_pin=certificates.pin(PKI.ca.der))
EXPECTATIONS = pytest.mark.parametrize("expectation", [ANCHORED, BY_FINGERPRINT, BY_PIN], ids=["anchors", "fingerprint", "pin"])


@EXPECTATIONS
@pytest.mark.parametrize("key", [p256_key("server"), ed25519_key("server"), rsa_key(2048)], ids=["P-256", "Ed25519", "RSA-2048"])
def test_the_right_server_is_believed(expectation: ServerExpectation, key: object) -> None:
    assert certificates.verify_server([server(key=key), PKI.ca.der], expectation, now=NOW) is None


def test_with_anchors_the_root_need_not_be_presented() -> None:
    assert certificates.verify_server([server()], ANCHORED, now=NOW) is None


@EXPECTATIONS
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"not_before": NOW - DAY_S, "not_after": NOW - SKEW_MAX_S - 1}, "expired"),
        ({"not_before": NOW + SKEW_MAX_S + 1}, "not_yet_valid"),
        ({"purposes": (CLIENT,)}, "eku_wrong"),
        ({"purposes": ()}, "eku_missing"),
        ({"constraints": x509.BasicConstraints(ca=True, path_length=None)}, "is_ca"),
        ({"usage": None}, "key_usage_missing"),
        ({"key": rsa_key(1024)}, "key_weak"),
        ({"issuer": stranger(PKI)}, "issuer_unknown"),
        ({"issuer": make_ca("namesake", common_name="CA peer")}, "signature_invalid"),
        ({"issuer": intermediate(PKI)}, "issuer_unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "leaf",
)
def test_an_unsound_server_is_refused(expectation: ServerExpectation, changes: dict[str, object], reason: str) -> None:
    chain = [server(**changes), intermediate(PKI).der, stranger(PKI).der, PKI.ca.der]
    assert certificates.verify_server(chain, expectation, now=NOW) == reason


@pytest.mark.parametrize(
    ("sans", "reason"),
    [
        ((DNS,), "san_missing"),
        ((DNS, uri("powernode://instance/" + OTHER_INSTANCE_ID)), "instance_mismatch"),
        ((PKI.san, uri("powernode://instance/" + OTHER_INSTANCE_ID)), "san_repeated"),
        ((uri("powernode://instance/*"),), "instance_mismatch"),
        ((uri("powernode://instance/" + INSTANCE_ID.upper()),), "instance_mismatch"),
        ((x509.DNSName("powernode://instance/" + INSTANCE_ID),), "san_missing"),
    ],
)
def test_with_anchors_the_server_must_name_its_one_instance(sans: object, reason: str) -> None:
    assert certificates.verify_server([server(sans=sans)], ANCHORED, now=NOW) == reason
    named = ServerExpectation(ca_fingerprint=PKI.ca.fingerprint, instance_id=INSTANCE_ID)
    assert certificates.verify_server([server(sans=sans), PKI.ca.der], named, now=NOW) == reason


@pytest.mark.parametrize("expectation", [BY_FINGERPRINT, BY_PIN], ids=["fingerprint", "pin"])
def test_a_pinned_ca_must_be_presented_behind_the_leaf(expectation: ServerExpectation) -> None:
    assert certificates.verify_server([server()], expectation, now=NOW) == "pinned_ca_absent"
    assert certificates.verify_server([server(), stranger(PKI).der], expectation, now=NOW) == "pinned_ca_absent"
    assert certificates.verify_server([PKI.ca.der], expectation, now=NOW) == "pinned_ca_absent"
    assert certificates.verify_server([PKI.ca.der, PKI.ca.der], expectation, now=NOW) == "is_ca"


@pytest.mark.parametrize(
    ("ca", "reason"),
    [
        (make_ca("a", usage=key_usage("digital_signature")), "anchor_cannot_sign"),
        (make_ca("a", constraints=None), "anchor_not_ca"),
        (make_ca("a", not_after=NOW - SKEW_MAX_S - 1), "anchor_expired"),
        (make_ca("a", extra=((x509.ExtendedKeyUsage([CLIENT]), False),)), "anchor_purpose"),
    ],
)
def test_a_pinned_ca_must_be_a_proper_ca(ca: Ca, reason: str) -> None:
    chain = [server(issuer=ca), ca.der]
    assert certificates.verify_server(chain, ServerExpectation(ca_fingerprint=ca.fingerprint), now=NOW) == reason
    assert certificates.verify_server(chain, ServerExpectation(anchors_pem=(ca.pem,), instance_id=INSTANCE_ID), now=NOW) == reason


def test_the_first_expectation_decides_and_nothing_falls_back() -> None:
    other = stranger(PKI)
    chain = [server(), PKI.ca.der]
    right_pin = certificates.pin(PKI.ca.der)
    wrong_anchor = ServerExpectation((other.pem,), INSTANCE_ID, PKI.ca.fingerprint, right_pin)
    assert certificates.verify_server(chain, wrong_anchor, now=NOW) == "issuer_unknown"
    wrong_fingerprint = ServerExpectation(ca_fingerprint=other.fingerprint, ca_pin=right_pin)
    assert certificates.verify_server(chain, wrong_fingerprint, now=NOW) == "pinned_ca_absent"


@pytest.mark.parametrize(
    ("expectation", "reason"),
    [
        (ServerExpectation(), "expectation_missing"),
        (ServerExpectation(instance_id=INSTANCE_ID), "expectation_missing"),
        (ServerExpectation(anchors_pem=(PKI.ca.pem,)), "expectation_malformed"),
        (ServerExpectation(anchors_pem=("junk",), instance_id=INSTANCE_ID, ca_pin=BY_PIN.ca_pin), "expectation_malformed"),
        (ServerExpectation(anchors_pem=("",), instance_id=INSTANCE_ID), "no_anchor"),
        (ServerExpectation(ca_fingerprint=""), "pinned_ca_absent"),
        (ServerExpectation(ca_pin="ä"), "expectation_malformed"),
    ],
)
def test_an_expectation_that_proves_nothing_is_refused(expectation: ServerExpectation, reason: str) -> None:
    assert certificates.verify_server([server(), PKI.ca.der], expectation, now=NOW) == reason
    assert reason in certificates.REASONS


def test_empty_and_overlong_server_chains_are_refused() -> None:
    assert certificates.verify_server([], ANCHORED, now=NOW) == "chain_empty"
    assert certificates.verify_server([server()] + [PKI.ca.der] * 8, ANCHORED, now=NOW) == "chain_too_long"
    assert certificates.verify_server([b"junk"], ANCHORED, now=NOW) == "der_malformed"
    assert (
        certificates.verify_server([server(), b"junk"], ServerExpectation(ca_fingerprint=certificates.fingerprint(b"junk")), now=NOW)
        == "der_malformed"
    )


def parsed(der: bytes) -> certificates.Leaf:
    leaf = certificates.parse_leaf(der)
    assert isinstance(leaf, certificates.Leaf), leaf
    return leaf
