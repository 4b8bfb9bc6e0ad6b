"""Access tokens: one that is believed, and each way in which one is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from actors import operator_tokens
from actors.limits import ACCESS_TOKEN_CHARS_MAX, ACCESS_TOKEN_PERMISSIONS_MAX, CLOCK_STEP_MAX_S
from actors.operator_tokens import Claims, verify_access_token
from tests.support.certificates import NOW, ed25519_key

KEY = ed25519_key("tokens")
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CLAIMS: dict[str, Any] = {
    "iss": "https://a.example",
    "aud": "operator-api",
    "sub": "operator-1",
    "account": "account-1",
    "permissions": ["system.peers.read", "system.peers.update"],
    "sid": "session-1",
    "jti": "token-1",
    "iat": NOW,
    "exp": NOW + 900,
    "ver": 3,
}


def signed(
    changes: dict[str, Any] | None = None, *, key: object = KEY, algorithm: str = "EdDSA", headers: dict[str, Any] | None = None
) -> str:
    return jwt.encode(CLAIMS | (changes or {}), key, algorithm=algorithm, headers=headers)  # type: ignore[arg-type]


def verdict(token: str, *, now: float = NOW, issuer: str = "https://a.example", audience: str = "operator-api") -> Claims | str:
    return verify_access_token(token, PUBLIC, now=now, issuer=issuer, audience=audience)


def test_a_sound_token_gives_its_claims() -> None:
    assert verdict(signed()) == Claims(
        operator_id="operator-1",
        account_id="account-1",
        permissions=frozenset({"system.peers.read", "system.peers.update"}),
        session_id="session-1",
        token_id="token-1",
        issued_at=NOW,
        expires_at=NOW + 900,
        version=3,
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW - CLOCK_STEP_MAX_S - 1, "token_not_yet_valid"),
        (NOW - CLOCK_STEP_MAX_S, None),
        (NOW + 899.9, None),
        (NOW + 900, "token_expired"),
    ],
)
def test_time_is_the_caller_s(now: float, expected: str | None) -> None:
    found = verdict(signed(), now=now)
    assert found == expected if expected is not None else isinstance(found, Claims)


def test_a_token_that_begins_later_is_refused_until_then() -> None:
    token = signed({"nbf": NOW + 300})
    assert verdict(token) == "token_not_yet_valid"
    assert isinstance(verdict(token, now=NOW + 300), Claims)


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_claim_must_be_there(claim: str) -> None:
    token = jwt.encode({name: value for name, value in CLAIMS.items() if name != claim}, KEY, algorithm="EdDSA")
    assert verdict(token) == "token_claims"


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": ""},
        {"sub": "x" * 3000},
        {"sub": 5},
        {"aud": ["operator-api"]},
        {"permissions": "all"},
        {"permissions": [5]},
        {"permissions": [""]},
        {"permissions": ["p"] * (ACCESS_TOKEN_PERMISSIONS_MAX + 1)},
        {"ver": True},
        {"ver": -1},
        {"ver": "3"},
        {"exp": str(NOW + 900)},
        {"exp": True},
        {"exp": None},
        {"exp": 2**60},
        {"iat": -1},
        {"nbf": "0"},
    ],
    ids=str,
)
def test_claims_of_the_wrong_shape_are_refused(changes: dict[str, Any]) -> None:
    assert verdict(signed(changes)) == "token_claims"


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e400"])
def test_numbers_that_are_none_are_refused(literal: str) -> None:
    body = json.dumps(CLAIMS).replace(str(NOW + 900), literal).encode()
    token = jwt.api_jws.encode(body, KEY, algorithm="EdDSA")
    assert verdict(token) in {"token_claims", "token_malformed"}


def test_a_token_for_somebody_else_is_refused() -> None:
    assert verdict(signed(), issuer="https://b.example") == "token_issuer"
    assert verdict(signed(), audience="federation") == "token_audience"


def test_only_our_key_and_algorithm_count() -> None:
    assert verdict(signed(key=ed25519_key("stranger"))) == "token_signature"
    assert verdict(signed(key=b"x" * 64, algorithm="HS512")) == "token_algorithm"
    assert verdict(jwt.encode(CLAIMS, None, algorithm="none")) == "token_algorithm"
    header, payload, signature = signed().split(".")
    confused = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    assert verdict(f"{confused}.{payload}.{signature}") == "token_algorithm"
    assert verdict(f"{header}.{payload}.") == "token_signature"


@pytest.mark.parametrize("headers", [{"crit": ["exp"]}, {"jwk": {}}, {"b64": False}, {"typ": "dpop+jwt"}], ids=str)
def test_unknown_headers_are_refused(headers: dict[str, Any]) -> None:
    assert verdict(signed(headers=headers)) == "token_malformed"


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "ä.b.c", "é" * 100, signed()[:-1] + "*", signed() + "."])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert isinstance(verdict(token), str)


def test_an_overlong_token_is_refused_unread() -> None:
    assert verdict("x" * (ACCESS_TOKEN_CHARS_MAX + 1)) == "token_too_large"
    assert verdict(signed({"extra": "x" * ACCESS_TOKEN_CHARS_MAX})) == "token_too_large"


def test_a_token_has_one_spelling() -> None:
    token = signed()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    respelled = token[:-1] + alphabet[last ^ 1]
    decoded = [base64.urlsafe_b64decode(text.rpartition(".")[2] + "==") for text in (token, respelled)]
    assert decoded[0] == decoded[1], "the last bits of the last character mean nothing"
    assert verdict(respelled) == "token_malformed"
    assert verdict(token + "=") == "token_malformed"


@given(st.text(max_size=100))
def test_no_text_makes_verification_raise(text: str) -> None:
    assert isinstance(verdict(text), str)


@given(st.data())
def test_no_changed_character_is_believed(data: st.DataObject) -> None:
    token = signed()
    index = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = token[:index] + character + token[index + 1 :]
    if changed != token:
        assert isinstance(verdict(changed), str)


def test_a_remembered_signature_counts_for_its_own_token_and_key_alone() -> None:
    operator_tokens._SIGNED.clear()
    token = signed()
    for _ in range(2):
        assert isinstance(verdict(token), Claims)
    assert len(operator_tokens._SIGNED) == 1
    body, _, signature = token.rpartition(".")
    assert isinstance(verdict(f"{body}.{'A' * len(signature)}"), str)
    assert verdict(signed(key=ed25519_key("others"))) == "token_signature"
    other = ed25519_key("others").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert verify_access_token(token, other, now=NOW, issuer="https://a.example", audience="operator-api") == "token_signature"
    assert len(operator_tokens._SIGNED) == 1
    assert verdict(token, now=NOW + 900) == "token_expired"
