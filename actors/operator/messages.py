"""What may be said to an operator actor, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.operator.record import Operator
from runtime.actor import CallResult
from runtime.secret import Secret


@attrs.frozen(kw_only=True)
class CreateOperator:
    """Make the operator. Answer: the record, or a fault (`operator_exists`, `invalid_permission`)."""

    account_id: str
    by: str | None
    email: str
    name: str
    password: Secret
    permissions: tuple[str, ...]


@attrs.frozen(kw_only=True)
class SetPassword:
    """Replace the password; every session ends. Answer: the record, or a fault."""

    by: str | None
    password: Secret
    expected_version: int | None = None


@attrs.frozen(kw_only=True)
class UpdateOperator:
    """Change `permissions` or `disabled`; every session ends. Answer: the record, or a fault."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None


@attrs.frozen
class Login:
    """Sign in. Answer: `SignedIn`, or the one fault for every failure."""

    password: Secret


@attrs.frozen
class Refresh:
    """Exchange a refresh secret for the next one. Answer: `SignedIn`, or a fault."""

    session_id: str
    secret: Secret


@attrs.frozen
class Logout:
    """End one session. Answer: the record, or a fault."""

    session_id: str


@attrs.frozen
class SignedIn:
    """Fresh tokens of one session."""

    record: Operator
    access_token: Secret
    refresh_token: Secret
    expires_in_s: float


@attrs.frozen
class PasswordHashed(CallResult):
    """The new password's hash exists; the tag is (message, reply address)."""


@attrs.frozen
class PasswordVerified(CallResult):
    """Whether the password was right; the tag is the reply address."""


@attrs.frozen
class TokenSigned(CallResult):
    """The access token exists; the tag is (record to save, refresh token, reply address)."""
