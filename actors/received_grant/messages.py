"""What may be said to a held grant, and what it answers."""

from __future__ import annotations

import attrs

from actors.idempotency.record import Mark
from actors.received_grant.record import GrantFacts
from runtime.actor import CallResult
from runtime.secret import Secret
from runtime.values import Value


class Receive(Value, frozen=True, kw_only=True):
    """An operator brings a bearer. It is kept once the issuer has said that it is good.

    Answer: the record, or a fault (`grant_token_malformed`, `grant_already_held`, `received_grants_full`, `remote_rejected`, …).
    """

    account_id: str
    peer_id: str
    bearer: Secret
    by: str | None
    mark: Mark | None = None


class Deliver(Value, frozen=True, kw_only=True):
    """The issuer itself brings a bearer over its connection. One that is held already is replaced: it was rotated. Answer: as above."""

    account_id: str
    peer_id: str
    facts: GrantFacts
    bearer: Secret


class Forget(Value, frozen=True, kw_only=True):
    """Destroy the bearer. Answer: the record that was, `not_found` or `version_conflict`."""

    by: str | None
    expected_version: int | None = None
    mark: Mark | None = None


class Call(Value, frozen=True):
    """Read from the issuer with this bearer. `path` is below `/api/v1/system`, with its query string.

    Answer: the `RemoteReply`, whatever its status, or a fault.
    """

    path: str


@attrs.frozen
class NoteRefusal:
    """Another actor has presented this sealed bearer, and the issuer has said that it is good no more. No answer."""

    sealed_bearer: bytes | None = attrs.field(repr=False)
    code: str


class Announced(Value, frozen=True, kw_only=True):
    """The issuer says that it has given us a grant, whose bearer comes by another way. No answer."""

    account_id: str
    peer_id: str
    facts: GrantFacts


class IssuerTold(Value, frozen=True):
    """The issuer says that the grant has changed: `revoked`, `expired`, `narrowed`, `rotated`, or a word that we do not know. No answer.

    `for_good`: no other bearer follows, so this one is destroyed at once.
    """

    change: str
    for_good: bool = False


class BearerSealed(CallResult, frozen=True):
    """The vault has sealed the bearer."""


class Checked(CallResult, frozen=True):
    """The issuer has said what it knows of the grant."""


class Replied(CallResult, frozen=True):
    """The issuer has answered a call."""


class LookedAgain(CallResult, frozen=True):
    """The issuer has said what is left of the grant; the tag is the sealed bearer that was presented."""
