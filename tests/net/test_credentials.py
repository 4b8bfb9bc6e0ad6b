"""Password hashes and the key of access tokens."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.ports import HashPassword, SignToken, VerifyPassword
from net import credentials as module
from net.credentials import PASSWORD_BYTES_MAX, Credentials, CredentialsError, HashCost, new_token_key
from net.vault import MASTER_KEY_BYTES, Vault
from runtime.random import SeededRandomness
from runtime.secret import Secret
from tests.net.served import PATIENCE_S

CHEAP = HashCost(memory_kib=64, passes=1, lanes=1)
DEARER = HashCost(memory_kib=128, passes=2, lanes=2)


def vault(seed: int = 7) -> Vault:
    randomness = SeededRandomness(seed)
    return Vault(randomness.token_bytes(MASTER_KEY_BYTES), randomness)


def credentials(cost: HashCost = CHEAP) -> Credentials:
    randomness = SeededRandomness(1)
    return Credentials(new_token_key(randomness), randomness, cost)


def opened(path: Path, seed: int = 1, sealing: Vault | None = None) -> Credentials:
    return Credentials.open_or_create(path, vault=sealing or vault(), randomness=SeededRandomness(seed), cost=CHEAP)


@settings(max_examples=25)
@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_only_the_password_itself_matches(password: str, other: str) -> None:
    here = credentials()
    phc = here.hash_password(HashPassword(Secret(password)))
    assert here.handle(VerifyPassword(Secret(password), phc)) is True
    assert here.handle(VerifyPassword(Secret(other), phc)) is (password == other)


def test_the_default_cost_is_the_second_option_of_the_standard() -> None:
    phc = credentials(HashCost()).handle(HashPassword(Secret("correct horse")))
    assert isinstance(phc, str)
    assert phc.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_each_hash_has_its_own_salt() -> None:
    here = credentials()
    assert len({here.hash_password(HashPassword(Secret("x"))) for _ in range(20)}) == 20


def test_hashes_in_several_threads_all_end() -> None:
    here = credentials(HashCost(memory_kib=65_536, passes=1, lanes=4))
    # Threads that hang must not keep the test process from ending.
    threads = [threading.Thread(target=here.hash_password, args=(HashPassword(Secret("x")),), daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)


def test_hashes_of_another_cost_still_verify() -> None:
    phc = credentials(CHEAP).hash_password(HashPassword(Secret("x")))
    assert credentials(DEARER).verify_password(VerifyPassword(Secret("x"), phc)) is True


@pytest.mark.parametrize(
    "phc",
    [
        None,
        "",
        "x",
        "$argon2id$v=19$m=64,t=1,p=1$short$short",
        "$argon2id$v=19$m=64,t=1,p=1$" + "A" * 25 + "$" + "A" * 43,
        "$argon2i$v=19$m=64,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=9999999,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=64,t=99,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=64,t=0,p=0$" + "A" * 22 + "$" + "A" * 43,
    ],
)
def test_without_a_usable_hash_the_same_work_is_done_and_the_answer_is_no(phc: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    here = credentials()
    verified: list[str] = []
    genuine = module.Argon2id.verify_phc_encoded

    class Counting:
        @staticmethod
        def verify_phc_encoded(password: bytes, text: str) -> None:
            verified.append(text)
            genuine(password, text)

    monkeypatch.setattr(module, "Argon2id", Counting)
    assert here.verify_password(VerifyPassword(Secret("x"), phc)) is False
    assert [text for text in verified if text.startswith("$argon2id$v=19$m=64,t=1,p=1$")], "nobody's hash was not computed"


def test_passwords_have_bounds() -> None:
    here = credentials()
    longest = Secret("x" * PASSWORD_BYTES_MAX)
    assert here.verify_password(VerifyPassword(longest, here.hash_password(HashPassword(longest)))) is True
    too_long = Secret("x" * (PASSWORD_BYTES_MAX + 1))
    assert here.verify_password(VerifyPassword(too_long, here.hash_password(HashPassword(longest)))) is False
    for bad in (too_long, Secret("")):
        with pytest.raises(ValueError, match="bytes"):
            here.hash_password(HashPassword(bad))


def test_a_token_is_signed_with_the_key_that_the_door_knows() -> None:
    here = credentials()
    token = here.handle(SignToken({"sub": "operator", "iss": "me"}))
    assert isinstance(token, Secret)
    assert jwt.decode(token.reveal(), here.public_key_pem, algorithms=["EdDSA"]) == {"sub": "operator", "iss": "me"}
    assert jwt.get_unverified_header(token.reveal()) == {"alg": "EdDSA", "typ": "JWT", "kid": here.key_id}


def test_the_token_key_is_made_once_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "tokens.key"
    first, second = opened(path, seed=1), opened(path, seed=2)
    assert first.public_key_pem == second.public_key_pem
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["tokens.key"]
    assert new_token_key(SeededRandomness(1)).private_bytes_raw() not in path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"junk", bytes(100)])
def test_a_damaged_token_key_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match="does not open"):
        opened(path)
    assert path.read_bytes() == content


def test_a_token_key_under_another_master_key_or_open_to_others_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tokens.key"
    opened(path)
    with pytest.raises(CredentialsError, match="another master key"):
        opened(path, sealing=vault(8))
    path.chmod(0o640)
    with pytest.raises(CredentialsError, match="chmod 600"):
        opened(path)


def test_nothing_secret_shows() -> None:
    here = credentials()
    assert repr(here) == f"Credentials(key_id={here.key_id})"
