"""An operator: the frozen record, its sessions, and pure questions about them.

Lives here: fields and unique keys. Must not live here: hashing or signing (ports), or any plaintext: of passwords the record holds an
Argon2id hash, of refresh tokens a SHA-256.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final

import attrs

from actors.operator_tokens import Claims
from runtime.clock import iso
from runtime.ids import is_uuid
from runtime.secret import Secret
from runtime.store.port import Kind

REFRESH_SECRET_BYTES: Final = 32
REFRESH_FAMILY_BYTES: Final = 16
REFRESH_SECRET_CHARS: Final = 43

assert REFRESH_FAMILY_BYTES < REFRESH_SECRET_BYTES
assert (REFRESH_SECRET_BYTES * 8 + 5) // 6 == REFRESH_SECRET_CHARS


@attrs.frozen
class Session:
    """One sign-in. Times are seconds since the epoch.

    Its refresh secrets follow each other, each good for one use. All begin with the same random bytes, the family: whoever shows a secret
    of the family that is not the current one held this session's secret at some time, however long ago.

    Attributes:
        refresh_digest: SHA-256 (hex) of the current refresh secret.
        family_digest: SHA-256 (hex) of what all its refresh secrets begin with.
    """

    id: str
    refresh_digest: str = attrs.field(repr=False)
    family_digest: str = attrs.field(repr=False)
    created_at: float
    expires_at: float
    last_used_at: float


@attrs.frozen(kw_only=True)
class Operator:
    """One operator. Times are seconds since the epoch.

    Attributes:
        email: canonical (see `canonical_email`), unique on the platform.
        password_hash: Argon2id as a PHC string.
        permissions: canonical names, sorted.
        credentials_version: rises with every change that ends all sessions; access tokens name the one that they were made under.
        sessions: at most `SESSIONS_MAX`.
    """

    id: str
    version: int = 0
    account_id: str
    email: str
    name: str
    password_hash: str = attrs.field(repr=False)
    permissions: tuple[str, ...] = ()
    disabled: bool = False
    credentials_version: int = 1
    sessions: tuple[Session, ...] = ()
    created_at: float
    updated_at: float


KIND = Kind(
    name="operator",
    record=Operator,
    columns={"account_id": "text"},
    project=lambda record: {"account_id": record.account_id},
    unique={"email": "operator_exists"},
    keys=lambda record: {"email": record.email},
)


def session_valid(record: Operator, claims: Claims, wall: float) -> str | None:
    """Why an access token no longer counts, or None."""
    if record.disabled:
        return "operator_disabled"
    if claims.version != record.credentials_version:
        return "credentials_changed"
    session = next((session for session in record.sessions if session.id == claims.session_id), None)
    return None if session is not None and wall < session.expires_at else "session_ended"


def refresh_digest(secret: Secret) -> str:
    """What is stored of a refresh secret."""
    return hashlib.sha256(secret.reveal_bytes()).hexdigest()


def family_digest(secret: Secret) -> str:
    """What is stored of the family of a refresh secret; of a text that is no refresh secret, a digest that belongs to nobody."""
    try:
        octets = base64.b64decode(secret.reveal_bytes() + b"=", altchars=b"-_", validate=True)
    except binascii.Error:
        octets = b""
    return hashlib.sha256(octets[:REFRESH_FAMILY_BYTES]).hexdigest()


def refresh_secret(family: bytes, rest: bytes) -> Secret:
    """The refresh secret made of these random bytes, `REFRESH_SECRET_BYTES` in all."""
    return Secret(base64.urlsafe_b64encode(family + rest).rstrip(b"="))


def next_refresh_secret(former: Secret, rest: bytes) -> Secret:
    """The secret of the same family that follows `former`."""
    octets = base64.urlsafe_b64decode(former.reveal_bytes() + b"=")
    return refresh_secret(octets[:REFRESH_FAMILY_BYTES], rest)


def is_current(session: Session, secret: Secret) -> bool:
    """Whether `secret` is the one that the session's next refresh takes."""
    return hmac.compare_digest(session.refresh_digest, refresh_digest(secret))


def is_of_family(session: Session, secret: Secret) -> bool:
    """Whether `secret` was made for this session, now or in the past."""
    return hmac.compare_digest(session.family_digest, family_digest(secret))


def refresh_token(operator_id: str, session_id: str, secret: Secret) -> Secret:
    """The text that the operator keeps."""
    return Secret(f"{operator_id}.{session_id}.{secret.reveal()}")


def canonical_email(text: str) -> str:
    """The one way in which an email address is stored and looked up."""
    return text.strip().lower()


def parse_refresh_token(text: str) -> tuple[str, str, Secret] | None:
    """Operator id, session id and secret of a refresh token, or None if it has not the shape of one."""
    parts = text.split(".")
    if len(parts) != 3 or not is_uuid(parts[0]) or not is_uuid(parts[1]) or len(parts[2]) != REFRESH_SECRET_CHARS or not text.isascii():
        return None
    return parts[0], parts[1], Secret(parts[2])


def to_json(record: Operator) -> dict[str, Any]:
    """The form of the operator surface."""
    return {
        "id": record.id,
        "email": record.email,
        "name": record.name,
        "permissions": list(record.permissions),
        "disabled": record.disabled,
        "sessions": len(record.sessions),
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }
