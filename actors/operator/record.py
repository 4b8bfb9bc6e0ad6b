"""An operator: the frozen record, its sessions, and pure questions about them.

Lives here: fields and unique keys. Must not live here: hashing or signing (ports), or any plaintext: of passwords the record holds an
Argon2id hash, of refresh tokens a SHA-256.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import attrs

from actors.operator_tokens import Claims
from runtime.clock import iso
from runtime.ids import is_uuid
from runtime.secret import Secret
from runtime.store.port import Kind

SESSIONS_MAX: Final = 20
REFRESH_SECRET_CHARS: Final = 43


@attrs.frozen
class Session:
    """One sign-in. `former_digest` is of the refresh secret before the current one: whoever shows that has an old copy."""

    id: str
    refresh_digest: str
    created_at: float
    expires_at: float
    last_used_at: float
    former_digest: str | None = None


@attrs.frozen(kw_only=True)
class Operator:
    """One operator. `credentials_version` rises with every change that ends all sessions."""

    id: str
    version: int = 0
    account_id: str
    email: str
    name: str
    password_hash: str
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


def refresh_token(operator_id: str, session_id: str, secret: str) -> Secret:
    """The text that the operator keeps."""
    return Secret(f"{operator_id}.{session_id}.{secret}")


def parse_refresh_token(text: str) -> tuple[str, str, Secret] | None:
    """Operator id, session id and secret of a refresh token, or None if it has not the shape of one."""
    parts = text.split(".")
    if len(parts) != 3 or not is_uuid(parts[0]) or not is_uuid(parts[1]) or len(parts[2]) != REFRESH_SECRET_CHARS:
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
