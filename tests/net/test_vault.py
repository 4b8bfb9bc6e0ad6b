"""The vault: round trips, what must not open, and the file of the master key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ports import Open, Seal
from net.vault import MASTER_KEY_BYTES, Vault, VaultError
from runtime.errors import InternalFault
from runtime.random import SeededRandomness
from runtime.secret import Secret


def vault(seed: int = 1) -> Vault:
    randomness = SeededRandomness(seed)
    return Vault(randomness.token_bytes(MASTER_KEY_BYTES), randomness)


def code_of(opening: Vault, sealed: bytes, purpose: str) -> str:
    with pytest.raises(VaultError) as caught:
        opening.open(sealed, purpose)
    return caught.value.code


@given(st.binary(max_size=300), st.text(max_size=30))
def test_what_was_sealed_opens_for_its_purpose(plaintext: bytes, purpose: str) -> None:
    here = vault()
    assert here.open(here.seal(plaintext, purpose), purpose).reveal_bytes() == plaintext
    assert here.open(here.seal(Secret(plaintext), purpose), purpose) == Secret(plaintext)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_other_purpose_opens_it(purpose: str, other: str) -> None:
    here = vault()
    sealed = here.seal(b"key", purpose)
    if purpose != other:
        assert code_of(here, sealed, other) == "seal_broken"


@given(st.data())
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    here = vault()
    sealed = bytearray(here.seal(data.draw(st.binary(max_size=40)), "purpose"))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    assert code_of(here, bytes(sealed), "purpose") == "seal_broken"


@given(st.integers(0, 60))
def test_no_cut_value_opens(size: int) -> None:
    here = vault()
    sealed = here.seal(b"a secret of some length, so that it can be cut", "purpose")
    assert code_of(here, sealed[:size], "purpose") == "seal_broken"


def test_another_master_key_does_not_open_it() -> None:
    assert code_of(vault(2), vault(1).seal(b"key", "purpose"), "purpose") == "seal_broken"


def test_the_same_plaintext_never_seals_twice_alike() -> None:
    here = vault()
    assert len({here.seal(b"key", "purpose") for _ in range(100)}) == 100


def test_requests_of_the_domain_are_answered_with_values() -> None:
    here = vault()
    sealed = here.handle(Seal(Secret("key"), "purpose"))
    assert isinstance(sealed, bytes)
    assert here.handle(Open(sealed, "purpose")) == Secret("key")
    refused = here.handle(Open(sealed, "other"))
    assert isinstance(refused, InternalFault)
    assert (refused.code, refused.status) == ("seal_broken", 500)


def test_nothing_secret_shows() -> None:
    master_key = b"0123456789abcdef0123456789abcdef"
    here = Vault(master_key, SeededRandomness(1))
    assert master_key.hex() not in repr(here)
    assert master_key.decode() not in repr(here)
    with pytest.raises(VaultError) as caught:
        here.open(here.seal(b"canary", "purpose"), "other")
    assert "canary" not in str(caught.value)


# --- The file -------------------------------------------------------------------------------------------------------


def test_the_master_key_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    first = Vault.open_or_create(path, SeededRandomness(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_bytes()) == MASTER_KEY_BYTES
    second = Vault.open_or_create(path, SeededRandomness(2))
    assert second.open(first.seal(b"key", "purpose"), "purpose").reveal_bytes() == b"key"
    assert os.listdir(path.parent) == ["master.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o620])
def test_a_master_key_open_to_others_is_refused_with_advice(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(bytes(MASTER_KEY_BYTES))
    path.chmod(mode)
    assert f"chmod 600 {path}" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"short", bytes(MASTER_KEY_BYTES + 1), b"00" * MASTER_KEY_BYTES])
def test_a_damaged_master_key_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    assert "exactly 32 bytes" in refusal(path)
    assert path.read_bytes() == content


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    directory, link, pipe = tmp_path / "directory", tmp_path / "link", tmp_path / "pipe"
    directory.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    os.mkfifo(pipe, 0o600)
    assert "directory" in refusal(directory)
    assert "link to nothing" in refusal(link)
    assert not (tmp_path / "nowhere").exists()
    assert "not a regular file" in refusal(pipe)


def test_a_provided_key_is_never_made(tmp_path: Path) -> None:
    path = tmp_path / "credential"
    assert "does not exist" in refusal(path, provided=True)
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a credential made by the service manager belongs to root")
def test_a_provided_key_may_show_the_group_bit_of_an_access_list(tmp_path: Path) -> None:
    path = tmp_path / "credential"
    path.write_bytes(bytes(MASTER_KEY_BYTES))
    path.chmod(0o440)
    assert "chmod 600" in refusal(path)
    Vault.open_or_create(path, SeededRandomness(1), provided=True)
    path.chmod(0o444)
    assert "chmod 600" in refusal(path, provided=True)


def test_an_unwritable_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be" in refusal(tmp_path / "file" / "master.key")


def refusal(path: Path, *, provided: bool = False) -> str:
    with pytest.raises(VaultError) as caught:
        Vault.open_or_create(path, SeededRandomness(1), provided=provided)
    assert caught.value.code == "vault_unavailable"
    assert caught.value.fault().status == 503
    return str(caught.value)
