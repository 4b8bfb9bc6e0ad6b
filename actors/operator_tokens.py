"""Operators' access tokens: what a signed token must say to be believed.

Lives here: pure verification of a compact JWT (RFC 7519) and the claims that come out. Must not live here: signing (the `SignToken` port),
or whether the session and the operator behind the claims still stand: the door asks their records.

PyJWT checks the signature alone. Its checks of time read the system's clock, so times are compared here with the `now` of the caller.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import jwt
from jwt.types import Options

from actors.limits import (
    ACCESS_TOKEN_CHARS_MAX,
    ACCESS_TOKEN_PERMISSIONS_MAX,
    ACCESS_TOKENS_REMEMBERED,
    CLOCK_STEP_MAX_S,
    NAME_CHARS_MAX,
)
from runtime.values import Value

_TEXT_CHARS_MAX: Final = 2_048
_HEADER_NAMES: Final = frozenset({"alg", "typ", "kid"})
_SIGNATURE_ONLY: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class Claims(Value, frozen=True):
    """What a verified access token says.

    Attributes:
        operator_id: `sub`, the operator.
        account_id: `account`, the account that the operator acts for.
        permissions: granted permissions, by name.
        session_id: `sid`, the session that the token belongs to.
        token_id: `jti`, unique per token.
        issued_at, expires_at: seconds since the epoch.
        version: `ver`, the credential version of the operator when the token was made; raising the operator's ends older tokens.
    """

    operator_id: str
    account_id: str
    permissions: frozenset[str]
    session_id: str
    token_id: str
    issued_at: float
    expires_at: float
    version: int


def verify_access_token(token: str, public_key_pem: bytes, *, now: float, issuer: str, audience: str) -> Claims | str:
    """The claims of `token` if this instance signed it for this use and it is in force at `now`, else a reason.

    Args:
        token: compact JWT as it came.
        public_key_pem: the Ed25519 key of the instance's tokens.
        now: wall time of this host, seconds since the epoch.
        issuer, audience: the exact `iss` and `aud` expected.

    Returns:
        `Claims`, or one of `token_too_large`, `token_malformed`, `token_algorithm`, `token_signature`, `token_claims`, `token_issuer`,
        `token_audience`, `token_expired`, `token_not_yet_valid`.
    """
    if len(token) > ACCESS_TOKEN_CHARS_MAX:
        return "token_too_large"
    signed = _signed(token, public_key_pem)
    if isinstance(signed, str):
        return signed
    payload, claims = signed
    if claims is None:
        return "token_claims"
    if payload["iss"] != issuer:
        return "token_issuer"
    if payload["aud"] != audience:
        return "token_audience"
    return _outside_time(claims, payload, now) or claims


Signed = tuple[dict[str, Any], Claims | None]
"""What a token says, and the claims in it; None if they are not those of an access token."""

_SIGNED: Final[dict[bytes, Signed]] = {}
"""Digest of a key and a token to what the key has signed. It holds good signatures only, so that nobody else can fill it."""


def _signed(token: str, public_key_pem: bytes) -> Signed | str:
    """What the token says, if the key has signed it: found out once, because that can never change."""
    digest = hashlib.sha256(public_key_pem + b"\0" + token.encode("utf-8", "surrogatepass")).digest()
    known = _SIGNED.get(digest)
    if known is not None:
        return known
    payload = _verified_payload(token, public_key_pem)
    if isinstance(payload, str):
        return payload
    if len(_SIGNED) >= ACCESS_TOKENS_REMEMBERED:
        _SIGNED.clear()
    signed = _SIGNED[digest] = payload, _claims(payload)
    return signed


def _verified_payload(token: str, public_key_pem: bytes) -> dict[str, Any] | str:
    if not _is_canonical(token.rpartition(".")[2]):
        return "token_malformed"
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != "EdDSA":
            return "token_algorithm"
        if not header.keys() <= _HEADER_NAMES or header.get("typ", "JWT") != "JWT":
            return "token_malformed"
        payload: dict[str, Any] = jwt.decode(token, public_key_pem, algorithms=["EdDSA"], options=_SIGNATURE_ONLY)
    except jwt.InvalidSignatureError:
        return "token_signature"
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return "token_malformed"
    return payload


def _is_canonical(signature: str) -> bool:
    """Whether the signature is written in the one way that base64url has for it, so that a token has no second spelling."""
    try:
        octets = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == signature


def _claims(payload: Mapping[str, Any]) -> Claims | None:
    texts = [payload.get(name) for name in ("iss", "aud", "sub", "account", "sid", "jti")]
    if not all(isinstance(text, str) and 0 < len(text) <= _TEXT_CHARS_MAX for text in texts):
        return None
    permissions, version = payload.get("permissions"), payload.get("ver")
    if not isinstance(permissions, list) or len(permissions) > ACCESS_TOKEN_PERMISSIONS_MAX:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= 2 * NAME_CHARS_MAX for name in permissions):
        return None
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        return None
    if not (_is_instant(payload.get("iat")) and _is_instant(payload.get("exp")) and _is_instant(payload.get("nbf", 0))):
        return None
    return Claims(
        operator_id=payload["sub"],
        account_id=payload["account"],
        permissions=frozenset(permissions),
        session_id=payload["sid"],
        token_id=payload["jti"],
        issued_at=float(payload["iat"]),
        expires_at=float(payload["exp"]),
        version=version,
    )


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53 and math.isfinite(value)


def _outside_time(claims: Claims, payload: Mapping[str, Any], now: float) -> str | None:
    """Signer and verifier are one host, so the only tolerance is for its own clock being stepped back a little."""
    if now >= claims.expires_at:
        return "token_expired"
    begins = max(claims.issued_at, float(payload.get("nbf", 0)))
    return "token_not_yet_valid" if begins > now + CLOCK_STEP_MAX_S else None
