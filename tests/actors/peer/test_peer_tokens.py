"""Acceptance tokens: shape, digest, lifetime."""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.certificates import pin_of_fingerprint
from actors.peer import tokens

secrets = st.binary(min_size=32, max_size=32)
pins = st.none() | st.binary(min_size=32, max_size=32).map(lambda raw: pin_of_fingerprint("sha256:" + raw.hex()))
ALPHABET = string.ascii_letters + string.digits + "-_."


@given(secrets, pins)
def test_a_minted_token_parses_to_itself_and_its_pin(raw: bytes, pin: str | None) -> None:
    token = tokens.mint(raw, pin)
    parsed = tokens.parse(token.reveal())
    assert parsed is not None
    assert parsed.token == token
    assert parsed.pin == pin
    assert len(token.reveal()) == (43 if pin is None else 66)
    assert token.reveal()[:43] not in repr(parsed)


@given(secrets, pins, st.data())
def test_a_changed_token_has_another_digest_or_no_shape(raw: bytes, pin: str | None, data: st.DataObject) -> None:
    token = tokens.mint(raw, pin)
    text = token.reveal()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda char: char != text[place]))
    changed = text[:place] + other + text[place + 1 :]
    stored = tokens.digest(token)
    assert tokens.matches(token, stored)
    assert not tokens.matches(changed, stored)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 43 + ".",
        "A" * 43 + "." + "A" * 21,
        "A" * 43 + "." + "A" * 23,
        "A" * 43 + "." + "A" * 22 + ".",
        "A" * 42 + "+",
        "A" * 42 + "=",
        "A" * 42 + "é",
        " " + "A" * 43,
        "A" * 43 + "\n",
        "A" * 42 + "B",  # stray bits behind the last byte
        "A" * 43 + "." + "A" * 21 + "B",
    ],
)
def test_what_is_not_exactly_a_token_is_refused(text: str) -> None:
    assert tokens.parse(text) is None


def test_mint_refuses_what_would_not_parse() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        tokens.mint(b"short", None)
    with pytest.raises(ValueError, match="pin"):
        tokens.mint(bytes(32), "not a pin")


def test_the_digest_covers_the_pin_and_is_plain_sha256() -> None:
    pin = pin_of_fingerprint("sha256:" + "5a" * 32)
    token = tokens.mint(bytes(32), pin)
    assert tokens.digest(token) == hashlib.sha256(token.reveal().encode("ascii")).hexdigest()
    assert tokens.digest(token) != tokens.digest(tokens.mint(bytes(32), None))


def test_nothing_matches_where_no_token_is_open() -> None:
    assert not tokens.matches(tokens.mint(bytes(32), None), None)


def test_any_text_has_a_digest() -> None:
    assert not tokens.matches("\ud800", tokens.digest("a"))
