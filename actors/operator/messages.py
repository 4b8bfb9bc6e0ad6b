"""What may be said to an operator actor, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors.idempotency.record import Mark
from actors.operator.record import Operator, Session
from runtime.actor import CallResult
from runtime.secret import Secret
from runtime.values import Value


class CreateOperator(Value, frozen=True, kw_only=True):
    """Make the operator. Answer: the record, or a fault (`operator_exists`, `invalid_permission`, `invalid_password`)."""

    account_id: str
    by: str | None
    email: str
    name: str
    password: Secret
    permissions: tuple[str, ...]
    mark: Mark | None = None


class SetPassword(Value, frozen=True, kw_only=True):
    """Replace the password; every session ends. Answer: the record, or a fault.

    Operators who manage operators need no old password; the door lets nobody else set the password of another. Whoever only replaces
    their own shows the old one.
    """

    by: str | None
    password: Secret
    old_password: Secret | None = None
    expected_version: int | None = None
    mark: Mark | None = None


class UpdateOperator(Value, frozen=True, kw_only=True):
    """Change `name`, `permissions` or `disabled`. Disabling and fewer permissions end every session. Answer: the record, or a fault."""

    by: str | None
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


class Login(Value, frozen=True):
    """Sign in. Answer: `SignedIn`, or the one fault for every failure."""

    password: Secret


class Refresh(Value, frozen=True):
    """Exchange a refresh secret for the next one; an old one ends the session. Answer: `SignedIn`, or a fault."""

    session_id: str
    secret: Secret


class Logout(Value, frozen=True):
    """End one session. Answer: the record, or a fault."""

    session_id: str


class SignedIn(Value, frozen=True):
    """Fresh tokens of one session."""

    record: Operator
    access_token: Secret
    refresh_token: Secret
    expires_in_s: float


class PasswordHashed(CallResult, frozen=True):
    """The new password's hash exists; the tag is (message, reply address)."""


class OldPasswordVerified(CallResult, frozen=True):
    """Whether the old password was right; the tag is (message, reply address)."""


class LoginVerified(CallResult, frozen=True):
    """Whether the password of a login was right; the tag is the reply address."""


class TokenSigned(CallResult, frozen=True):
    """The access token exists; the tag is a `Draft`."""


@attrs.frozen
class Draft:
    """A session as it will be once its access token is signed.

    Attributes:
        replaces: digest of the refresh secret that is used up by this; None for a new session.
        credentials_version: that of the operator when the drafting began; the draft is void under another.
        address: who waits for the tokens.
    """

    session: Session
    secret: Secret
    replaces: str | None
    credentials_version: int
    address: Any = attrs.field(repr=False)
