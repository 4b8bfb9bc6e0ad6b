"""Cursors of resource lists: a place in an order, sealed so that nobody can make or move one.

Lives here: sealing and opening. Must not live here: the key (the door draws it at its start and keeps it in memory only; a cursor
lives for minutes, so losing it with the process costs a caller one fresh start of a list).

A cursor is bound to whom it was given (a grant, or an operator's account), to the list that it belongs to, and to its end. It holds nothing
that its holder was not shown.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final

import msgspec

from actors.resource.limits import CURSOR_VALID_S
from actors.resource.pages import Place
from runtime.errors import FaultError, OperatorFault
from runtime.values import Value

MAC_BYTES: Final = 16


class Bound(Value, frozen=True, kw_only=True):
    """What a cursor is good for: whose it is, and which list."""

    holder: str
    listing: str


class Resumption(Value, frozen=True):
    """Where a list goes on. `watermark`: up to when the pages so far have told every change, in seconds since the epoch, if so."""

    place: Place
    watermark: float | None


class _Sealed(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    holder: str
    listing: str
    value: float | str
    id: str
    watermark: float | None
    expires_at: float


_decoder: Final = msgspec.json.Decoder(_Sealed)


def seal(key: bytes, bound: Bound, resumption: Resumption, wall: float) -> str:
    """The text of a cursor that ends in a quarter of an hour."""
    place = resumption.place
    sealed = _Sealed(_short(bound.holder), _short(bound.listing), place.value, place.id, resumption.watermark, wall + CURSOR_VALID_S)
    body = msgspec.json.encode(sealed)
    return base64.urlsafe_b64encode(_mac(key, body) + body).decode().rstrip("=")


def open_cursor(key: bytes, bound: Bound, text: str, wall: float) -> Resumption:
    """Where the list goes on.

    Raises:
        FaultError: `cursor_invalid` (400) for one that is forged, ended or of another list; `cursor_foreign` (403) for one of another
            holder.
    """
    sealed = _opened(key, text)
    if sealed is None or sealed.expires_at <= wall:
        raise _invalid("is not a cursor of this list any more; begin the list anew")
    if not hmac.compare_digest(sealed.holder, _short(bound.holder)):
        raise FaultError(OperatorFault("cursor_foreign", "this cursor was given to another holder", 403))
    if sealed.listing != _short(bound.listing):
        raise _invalid("belongs to a list with other parameters; repeat those of the first page")
    return Resumption(Place(sealed.value, sealed.id), sealed.watermark)


def _opened(key: bytes, text: str) -> _Sealed | None:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, body)):
        return None
    return _decoder.decode(body)


def _invalid(message: str) -> FaultError:
    problem: dict[str, Any] = {"field": "cursor", "code": "cursor_invalid", "message": message}
    return FaultError(OperatorFault("cursor_invalid", f"cursor: {message}", 400, {"problems": [problem]}))


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"powernode cursor\0" + body, "sha256")[:MAC_BYTES]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
