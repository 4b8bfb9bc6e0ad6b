"""The certificate authority: its store, the root, and the leaves that it signs."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from actors import certificates
from actors.limits import DAY_S, NOT_BEFORE_BACKDATE_S
from actors.ports import (
    OUTBOUND_KEY_PURPOSE,
    IssuedIdentity,
    IssueIdentity,
    MadeRequest,
    MakeRequest,
    ServerExpectation,
    SignedCertificate,
    SignRequest,
)
from net.authority import FIRST_ROOT_BACKDATE_S, ROOT_LIFETIME_S, STORE_NAME, Authority, AuthorityError
from net.vault import MASTER_KEY_BYTES, Vault, VaultError
from runtime.errors import Fault
from runtime.random import SeededRandomness
from runtime.secret import Secret
from tests.support.certificates import COMMON_NAME, INSTANCE_ID, NOW, OTHER_INSTANCE_ID


@attrs.define
class SetClock:
    """A clock that stands where it is put."""

    at: float = NOW

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


class BrokenVault(Vault):
    """A vault whose master key has gone."""

    def seal(self, plaintext: Secret | bytes, purpose: str) -> bytes:
        raise VaultError("vault_unavailable", "the master key is gone")


def vault(seed: int = 7, kind: type[Vault] = Vault) -> Vault:
    randomness = SeededRandomness(seed)
    return kind(randomness.token_bytes(MASTER_KEY_BYTES), randomness)


def opened(
    directory: Path, *, seed: int = 1, clock: SetClock | None = None, sealing: Vault | None = None, owner: str = INSTANCE_ID
) -> Authority:
    randomness = SeededRandomness(seed)
    return Authority.open_or_create(
        directory, instance_id=owner, clock=clock or SetClock(), randomness=randomness, vault=sealing if sealing is not None else vault()
    )


def root_of(authority: Authority) -> certificates.Anchor:
    anchors = certificates.load_anchors([authority.ca_bundle_pem])
    assert not isinstance(anchors, str)
    return anchors[0]


def leaf_of(pem: str) -> certificates.Leaf:
    der = certificates.pem_to_der(pem)
    assert isinstance(der, bytes)
    leaf = certificates.parse_leaf(der)
    assert isinstance(leaf, certificates.Leaf), leaf
    return leaf


def issued(authority: Authority, lifetime_s: float = 90 * DAY_S) -> IssuedIdentity:
    answer = authority.handle(IssueIdentity(COMMON_NAME, INSTANCE_ID, lifetime_s))
    assert isinstance(answer, IssuedIdentity), answer
    return answer


# --- The store ------------------------------------------------------------------------------------------------------


def test_two_opens_give_the_same_root(tmp_path: Path) -> None:
    first = opened(tmp_path / "ca", seed=1)
    second = opened(tmp_path / "ca", seed=2, clock=SetClock(NOW + DAY_S))
    assert (first.ca_bundle_pem, first.ca_fingerprint, first.ca_pin) == (second.ca_bundle_pem, second.ca_fingerprint, second.ca_pin)
    assert certificates.check_issued_by(leaf_of(issued(second).certificate_pem), [root_of(first)], now=NOW + DAY_S) is None


def test_the_store_is_one_private_file_without_a_plain_key(tmp_path: Path) -> None:
    opened(tmp_path / "ca")
    assert os.listdir(tmp_path / "ca") == [STORE_NAME]
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "ca" / STORE_NAME).stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in (tmp_path / "ca" / STORE_NAME).read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"version": 1}', b"[" * 60_000, b" " * 70_000],
    ids=["empty", "cut", "list", "null", "not text", "no fields", "few fields", "deep", "large"],
)
def test_a_damaged_store_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / STORE_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(AuthorityError):
        opened(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("sealed_key", "AAAA"),
        ("sealed_key", "*"),
        ("sealed_key", 5),
        ("certificate_pem", "junk"),
        ("certificate_pem", None),
        ("instance_id", OTHER_INSTANCE_ID),
    ],
)
def test_each_damaged_field_is_an_error_and_nothing_is_replaced(tmp_path: Path, field: str, value: object) -> None:
    opened(tmp_path)
    path = tmp_path / STORE_NAME
    damaged = json.dumps(json.loads(path.read_bytes()) | {field: value})
    path.write_text(damaged)
    with pytest.raises(AuthorityError):
        opened(tmp_path)
    assert path.read_text() == damaged


def test_a_certificate_of_another_key_is_an_error(tmp_path: Path) -> None:
    opened(tmp_path / "a", seed=1)
    opened(tmp_path / "b", seed=2)
    mixed = json.loads((tmp_path / "a" / STORE_NAME).read_bytes())
    mixed["certificate_pem"] = json.loads((tmp_path / "b" / STORE_NAME).read_bytes())["certificate_pem"]
    (tmp_path / "a" / STORE_NAME).write_text(json.dumps(mixed))
    with pytest.raises(AuthorityError, match="damaged"):
        opened(tmp_path / "a")


def test_another_master_key_is_an_error(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(AuthorityError, match="another master key"):
        opened(tmp_path, sealing=vault(8))


def test_the_store_of_another_instance_is_an_error(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(AuthorityError, match="another instance"):
        opened(tmp_path, owner=OTHER_INSTANCE_ID)


def test_a_store_open_to_others_is_refused_with_advice(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / STORE_NAME).chmod(0o644)
    with pytest.raises(AuthorityError, match="chmod 600"):
        opened(tmp_path)


def test_a_store_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / STORE_NAME).mkdir()
    with pytest.raises(AuthorityError):
        opened(tmp_path)


def test_a_link_to_a_vanished_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / STORE_NAME).symlink_to(tmp_path / "not mounted")
    with pytest.raises(AuthorityError, match="link to nothing"):
        opened(tmp_path)
    assert not (tmp_path / "not mounted").exists()


def test_a_crash_while_making_the_store_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(AuthorityError, match="No space left"):
        opened(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_rival_that_was_quicker_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the store between our look and our write."""
    genuine, rivals = os.link, []

    def late(source: Path, target: Path, **options: bool) -> None:
        monkeypatch.setattr(os, "link", genuine)
        other = tmp_path / "other"
        rivals.append(opened(other, seed=2))
        genuine(other / STORE_NAME, target)
        genuine(source, target, **options)

    monkeypatch.setattr(os, "link", late)
    assert opened(tmp_path / "ca", seed=1).ca_fingerprint == rivals[0].ca_fingerprint


# --- The root -------------------------------------------------------------------------------------------------------


def test_the_root_names_its_instance_and_signs_leaves_only(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    root = root_of(authority)
    assert INSTANCE_ID in root.subject
    assert (root.fingerprint, certificates.pin_of_fingerprint(root.fingerprint)) == (authority.ca_fingerprint, authority.ca_pin)
    assert isinstance(root.certificate.public_key(), ed25519.Ed25519PublicKey)
    constraints = root.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    usage = root.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert root.not_before == NOW - FIRST_ROOT_BACKDATE_S
    assert root.not_after - NOW > 10 * 365.25 * DAY_S
    root.certificate.verify_directly_issued_by(root.certificate)
    assert certificates.parse_bundle(authority.ca_bundle_pem, own_fingerprints=(), now=NOW) == (root,)


def test_an_instance_id_that_is_no_uuid_is_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="UUID"):
        opened(tmp_path, owner="me")


# --- Leaves ---------------------------------------------------------------------------------------------------------


def test_an_identity_has_the_profile_and_a_sealed_key_that_fits(tmp_path: Path) -> None:
    sealing = vault()
    authority = opened(tmp_path, sealing=sealing)
    identity = issued(authority)
    leaf = leaf_of(identity.certificate_pem)
    assert certificates.check_profile(leaf, now=NOW) is None
    assert certificates.check_issued_by(leaf, [root_of(authority)], now=NOW) is None
    assert certificates.check_instance_san(leaf, {INSTANCE_ID}) is None
    assert (leaf.common_name, leaf.serial, leaf.not_before, leaf.not_after) == (
        COMMON_NAME,
        identity.serial,
        identity.not_before,
        identity.not_after,
    )
    assert (identity.not_before, identity.not_after) == (NOW - 300, NOW + 90 * DAY_S)
    key = load_pem_private_key(sealing.open(identity.sealed_key, OUTBOUND_KEY_PURPOSE).reveal_bytes(), None)
    assert key.public_key() == leaf.certificate.public_key()
    own_key_id = leaf.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own_key_id == x509.SubjectKeyIdentifier.from_public_key(leaf.certificate.public_key())
    issuer_key_id = leaf.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer_key_id == root_of(authority).certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_every_identity_has_its_own_key_and_a_serial_of_at_most_127_bits(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    made = [issued(authority) for _ in range(64)]
    assert len({each.serial for each in made}) == 64
    assert len({leaf_of(each.certificate_pem).certificate.public_key().public_bytes_raw() for each in made}) == 64  # type: ignore[union-attr]
    lengths = [int(each.serial, 16).bit_length() for each in made]
    assert 120 < max(lengths) <= 127


def test_a_leaf_never_outlives_the_root(tmp_path: Path) -> None:
    clock = SetClock()
    authority = opened(tmp_path, clock=clock)
    root = root_of(authority)
    assert issued(authority, lifetime_s=100 * 365 * DAY_S).not_after == root.not_after
    clock.at = root.not_after - DAY_S
    assert issued(authority).not_after == root.not_after
    for pem, _ in authority.listener_leaves(["a.example"], [], 90 * DAY_S):
        leaf = x509.load_pem_x509_certificates(pem)[0]
        assert leaf.not_valid_after_utc.timestamp() == root.not_after


def test_a_leaf_never_begins_before_the_root(tmp_path: Path) -> None:
    clock = SetClock()
    authority = opened(tmp_path, clock=clock)
    clock.at = NOW - FIRST_ROOT_BACKDATE_S
    assert issued(authority).not_before == root_of(authority).not_before


@pytest.mark.parametrize("ahead_s", [3_600.0, 14 * 3_600.0])
def test_a_root_that_a_clock_ahead_has_made_signs_at_once_when_the_clock_is_put_right(tmp_path: Path, ahead_s: float) -> None:
    clock = SetClock()
    authority = opened(tmp_path, clock=clock)
    clock.at = NOW - ahead_s
    made = issued(authority)
    assert made.not_before <= clock.at - NOT_BEFORE_BACKDATE_S
    assert certificates.outside_dates(root_of(authority), clock.at, skew_s=0.0) is None


@pytest.mark.parametrize("offset_s", [ROOT_LIFETIME_S + 1, -100 * DAY_S])
def test_outside_the_dates_of_the_root_nothing_is_signed(tmp_path: Path, offset_s: float) -> None:
    clock = SetClock()
    authority = opened(tmp_path, clock=clock)
    made = authority.handle(MakeRequest("anything", INSTANCE_ID))
    assert isinstance(made, MadeRequest)
    clock.at = NOW + offset_s
    requests = IssueIdentity(COMMON_NAME, INSTANCE_ID, DAY_S), SignRequest(made.csr_pem, COMMON_NAME, INSTANCE_ID, DAY_S)
    for request in requests:
        answer = authority.handle(request)
        assert isinstance(answer, Fault)
        assert (answer.code, answer.status) == ("ca_unavailable", 503)
    with pytest.raises(AuthorityError):
        authority.listener_leaves(["a.example"], [], DAY_S)


def test_without_a_vault_no_identity_is_made(tmp_path: Path) -> None:
    opened(tmp_path)
    authority = opened(tmp_path, sealing=vault(kind=BrokenVault))
    for request in (IssueIdentity(COMMON_NAME, INSTANCE_ID, DAY_S), MakeRequest(COMMON_NAME, INSTANCE_ID)):
        answer = authority.handle(request)
        assert isinstance(answer, Fault)
        assert answer.code == "ca_unavailable"


def test_a_store_is_not_made_without_a_vault(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="master key is gone"):
        opened(tmp_path, sealing=vault(kind=BrokenVault))
    assert os.listdir(tmp_path) == []


# --- Signing requests -----------------------------------------------------------------------------------------------


def test_a_child_s_request_is_signed_under_names_that_the_signer_assigns(tmp_path: Path) -> None:
    sealing = vault()
    child, parent = opened(tmp_path / "child", seed=1, sealing=sealing), opened(tmp_path / "parent", seed=2, owner=OTHER_INSTANCE_ID)
    made = child.handle(MakeRequest("fed:what-i-want", OTHER_INSTANCE_ID))
    assert isinstance(made, MadeRequest)
    assert certificates.check_csr(made.csr_pem) is None
    signed = parent.handle(SignRequest(made.csr_pem, COMMON_NAME, INSTANCE_ID, DAY_S))
    assert isinstance(signed, SignedCertificate)
    leaf = leaf_of(signed.certificate_pem)
    assert (leaf.common_name, leaf.serial, leaf.not_after) == (COMMON_NAME, signed.serial, NOW + DAY_S)
    assert certificates.check_instance_san(leaf, {INSTANCE_ID}) is None
    assert certificates.check_profile(leaf, now=NOW) is None
    chain = certificates.load_anchors([signed.ca_chain_pem])
    assert not isinstance(chain, str)
    assert certificates.check_issued_by(leaf, chain, now=NOW) is None
    key = load_pem_private_key(sealing.open(made.sealed_key, OUTBOUND_KEY_PURPOSE).reveal_bytes(), None)
    assert key.public_key() == leaf.certificate.public_key()


def test_a_request_names_our_instance(tmp_path: Path) -> None:
    made = opened(tmp_path).handle(MakeRequest(COMMON_NAME, INSTANCE_ID))
    assert isinstance(made, MadeRequest)
    request = x509.load_pem_x509_csr(made.csr_pem.encode())
    assert request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == COMMON_NAME
    san = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in san] == [certificates.instance_uri(INSTANCE_ID)]


def test_an_unsound_request_is_refused_even_here(tmp_path: Path) -> None:
    answer = opened(tmp_path).handle(SignRequest("junk", COMMON_NAME, INSTANCE_ID, DAY_S))
    assert isinstance(answer, Fault)
    assert (answer.code, answer.status, answer.details) == ("invalid_csr", 422, {"reason": "pem_malformed"})


# --- The listener ---------------------------------------------------------------------------------------------------


def test_the_listener_gets_a_browser_leaf_and_a_peer_leaf_under_one_root(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    leaves = authority.listener_leaves(["a.example"], ["192.0.2.1", "2001:db8::1"], 90 * DAY_S)
    keys = []
    for chain_pem, key_pem in leaves:
        chain = [certificate.public_bytes(Encoding.DER) for certificate in x509.load_pem_x509_certificates(chain_pem)]
        key = load_pem_private_key(key_pem, None)
        leaf = x509.load_der_x509_certificate(chain[0])
        assert certificates.fingerprint(chain[1]) == authority.ca_fingerprint
        assert key.public_key() == leaf.public_key()
        assert leaf.subject != leaf.issuer
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert san.get_values_for_type(x509.DNSName) == ["a.example"]
        assert [str(address) for address in san.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]
        for expectation in (
            ServerExpectation(anchors_pem=(authority.ca_bundle_pem,), instance_id=INSTANCE_ID),
            ServerExpectation(ca_fingerprint=authority.ca_fingerprint),
            ServerExpectation(ca_pin=authority.ca_pin),
        ):
            assert certificates.verify_server(chain, expectation, now=NOW) is None
        keys.append(key)
    assert isinstance(keys[0], ec.EllipticCurvePrivateKey)
    assert isinstance(keys[0].curve, ec.SECP256R1)
    assert isinstance(keys[1], ed25519.Ed25519PrivateKey)


def test_a_client_certificate_of_our_ca_cannot_pose_as_our_listener(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    der = certificates.pem_to_der(issued(authority).certificate_pem)
    root = certificates.pem_to_der(authority.ca_bundle_pem)
    assert isinstance(der, bytes)
    assert isinstance(root, bytes)
    assert certificates.verify_server([der, root], ServerExpectation(ca_pin=authority.ca_pin), now=NOW) == "eku_wrong"


def test_a_seed_makes_the_same_authority_again(tmp_path: Path) -> None:
    assert opened(tmp_path / "a", seed=5).ca_bundle_pem == opened(tmp_path / "b", seed=5).ca_bundle_pem
    assert opened(tmp_path / "c", seed=6).ca_bundle_pem != opened(tmp_path / "a", seed=5).ca_bundle_pem
