"""Acceptance tokens: shape, pin and digest.

Lives here: pure text and digests. Must not live here: lifetimes (bodies at the door and the record bound them), entropy (the caller
passes 32 secret bytes in), storage, the search for the peer that a token belongs to.

A token is `<secret>.<pin>` or the secret alone. The secret is 32 bytes as URL-safe base64 without padding (RFC 4648, section 5),
43 characters. The pin is the first 128 bits of the SHA-256 of the issuer's CA certificate (DER) in the same alphabet,
22 characters; with it the holder knows whom it talks to before anything is sent. An issuer whose listener shows a public
certificate leaves it out. The stored digest covers the whole text, so that a token with another pin is another token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from actors.limits import TOKEN_PIN_CHARS, TOKEN_SECRET_BYTES, TOKEN_SECRET_CHARS
from runtime.secret import Secret
from runtime.values import Value

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# Compared when there is nothing to compare with, so that an unknown row costs the same work as a wrong token.
# It holds no hex digit, so it is no token's digest.
_NO_DIGEST: Final = "-" * 64


class ParsedToken(Value, frozen=True):
    """A token of the right shape; whether it is valid is for its issuer to say.

    Attributes:
        token: the whole text.
        pin: first 128 bits of the SHA-256 of the issuer's CA certificate, 22 characters, or None.
    """

    token: Secret
    pin: str | None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _is_canonical(text: str, chars: int) -> bool:
    """Whether `text` is exactly what encoding some bytes gives: right length, alphabet, and no stray bits in the last character."""
    if len(text) != chars or _ALPHABET.fullmatch(text) is None:
        return False
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return False
    return _encode(raw) == text


def is_pin(text: str) -> bool:
    """Whether `text` has the shape of a pin."""
    return _is_canonical(text, TOKEN_PIN_CHARS)


def mint(secret_bytes: bytes, pin: str | None) -> Secret:
    """The token made of 32 secret bytes and the issuer's pin (None: the secret alone).

    Raises:
        ValueError: not 32 bytes, or not a pin.
    """
    if len(secret_bytes) != TOKEN_SECRET_BYTES:
        raise ValueError(f"a token is made of {TOKEN_SECRET_BYTES} bytes, not {len(secret_bytes)}")
    if pin is None:
        return Secret(_encode(secret_bytes))
    if not is_pin(pin):
        raise ValueError("the pin must be 22 characters of URL-safe base64")
    return Secret(f"{_encode(secret_bytes)}.{pin}")


def parse(token: str) -> ParsedToken | None:
    """The parts of a token, or None if the text has not exactly the shape of one."""
    secret, dot, pin = token.partition(".")
    if not _is_canonical(secret, TOKEN_SECRET_CHARS):
        return None
    if not dot:
        return ParsedToken(Secret(token), None)
    return ParsedToken(Secret(token), pin) if is_pin(pin) else None


def digest(token: Secret | str) -> str:
    """What is stored instead of the token: lower-case hex SHA-256 of its whole text. Any text has one, so hits and misses cost alike."""
    raw = token.reveal_bytes() if isinstance(token, Secret) else token.encode("utf-8", "surrogatepass")
    return hashlib.sha256(raw).hexdigest()


def matches(token: Secret | str, stored_digest: str | None) -> bool:
    """Whether `stored_digest` is the token's, compared in constant time. None (no open token) never matches and costs the same."""
    return hmac.compare_digest(digest(token), stored_digest or _NO_DIGEST)
