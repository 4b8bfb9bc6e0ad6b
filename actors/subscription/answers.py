"""What a provider answers, read strictly: every value is hostile until it has passed through here.

Lives here: the shapes of a seat, of a look at one and of a catalogue page, and what a refusal means. Must not live here: what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from actors import limits
from actors.door.shapes import Boolean, Choice, Field, FreeObject, Identifier, Instant, Integer, ListOf, Object, Shape, Text, read_value
from actors.inventory.words import MARKDOWN, NAME, PORT, SLUG
from actors.offering import backend
from actors.offering.lifecycle import PROTOCOLS, SCOPES, STATES
from actors.peer.remote_answers import remote_code
from actors.ports import RemoteReply
from actors.subscription.record import Backend
from runtime.errors import Fault, FaultError, RemoteFault
from runtime.secret import Secret
from runtime.values import Value

CATALOGUE_PAGE_MAX: Final = 200
_CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
DEFINITE: Final = frozenset({404, 409, 410, 422})
"""Statuses by which a provider says no; any other refusal may pass, but for those of `DEFINITE_CODES`."""
DEFINITE_CODES: Final = frozenset({"residency_refused"})

_HOST: Final = Text(chars_min=1, chars_max=backend.HOST_CHARS_MAX, convert=backend.backend_host)
_BEARER: Final = Text(chars_min=1, chars_max=128, pattern=r"fg-[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}")
_TLS: Final = Object(
    (
        Field("server_name", _HOST, required=True),
        Field("anchor_fingerprint", Text(chars_max=71, pattern="sha256:[0-9a-f]{64}"), required=True),
        Field("anchor_pem", Text(chars_min=1, chars_max=limits.CERTIFICATE_BYTES_MAX, lines=True), required=True),
    ),
    unknown="ignore",
)
_SEAT: Final = Object(
    (
        Field("grant_id", Identifier(), required=True),
        Field("bearer_token", _BEARER, required=True),
        Field("backend_host", _HOST, required=True),
        Field("backend_port", PORT, required=True),
        Field("protocol", Choice(PROTOCOLS), required=True),
        Field("permission_scopes", ListOf(Choice(SCOPES), 2, 1, distinct=True), required=True),
        Field("expires_at", Instant(), required=True),
        Field("service_offering_id", Identifier(), required=True),
        Field("backend_tls", _TLS, nullable=True),
    ),
    unknown="ignore",
)
_LOOK: Final = Object(
    (Field("expires_at", Instant(), required=True), Field("access_ends_at", Instant(), nullable=True)),
    unknown="ignore",
)
_ENTRY: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("slug", SLUG, required=True),
        Field("name", NAME, required=True),
        Field("description_markdown", MARKDOWN, nullable=True, default=None),
        Field("subscription_terms_markdown", MARKDOWN, nullable=True, default=None),
        Field("protocol", Choice(PROTOCOLS), required=True),
        Field("port", PORT, required=True),
        Field("capacity_metadata", FreeObject(), default={}),
        Field("latency_metadata", FreeObject(), default={}),
        Field("default_grant_ttl_days", Integer(1, 3_650), required=True),
        Field("default_grant_scopes", ListOf(Choice(SCOPES), 2, 1), required=True),
        Field("residency_sensitive", Boolean(), nullable=True, default=None),
        Field("status", Choice(STATES), required=True),
        Field("accepting_new_subscriptions", Boolean(), required=True),
        Field("deprecated_at", Text(chars_max=40), nullable=True, default=None),
        Field("updated_at", Text(chars_max=40), nullable=True, default=None),
    ),
    unknown="ignore",
)


class Seat(Value, frozen=True, kw_only=True):
    """A checked answer that gives a seat."""

    grant_id: str
    bearer: Secret
    backend: Backend
    permission_scopes: tuple[str, ...]
    expires_at: float
    offering_id: str


class Page(Value, frozen=True):
    """A checked page of a catalogue, and the cursor of the next one."""

    entries: tuple[Mapping[str, Any], ...]
    following: str | None


def unusable(what: str) -> RemoteFault:
    """The refusal of an answer that cannot be used."""
    return RemoteFault("remote_rejected", f"the peer's answer cannot be used: {what}", 502, {"field": what})


def refusal(reply: RemoteReply) -> Fault | None:
    """What a provider's refusal means for our operator, or None if it was none."""
    if 200 <= reply.status < 300:
        return None
    code = remote_code(reply)
    details = {"remote_status": reply.status, "remote_code": code}
    if 400 <= reply.status < 500:
        return RemoteFault("remote_rejected", f"the peer refused ({code or reply.status})", 502, details)
    return RemoteFault("remote_error", f"the peer failed with HTTP status {reply.status}", 502, details)


def is_definite(reply: RemoteReply) -> bool:
    """Whether a refusal stands until somebody changes something, so that asking again is of no use."""
    return reply.status in DEFINITE or remote_code(reply) in DEFINITE_CODES


def seat(reply: RemoteReply, allowed: tuple[str, ...], former: Backend | None) -> Seat | Fault:
    """The seat in an answer, or why it cannot be used.

    A TLS backend without a proof, or with another anchor than named, is refused; so is a host by which our proxy would call our own
    machine, and another protocol than that of the former term, for which nothing has been prepared.

    Args:
        allowed: networks that the operator trusts.
        former: the backend before a renewal.
    """
    found = _read(_SEAT, reply.body.get("data"))
    if isinstance(found, Fault):
        return found
    tls = found.get("backend_tls")
    if (tls is None) == (found["protocol"] in backend.TLS_PROTOCOLS):
        return unusable("backend_tls")
    if tls is not None and backend.fingerprint(tls["anchor_pem"]) != tls["anchor_fingerprint"]:
        return unusable("backend_tls.anchor_fingerprint")
    if backend.misleading(found["backend_host"], allowed) is not None:
        return unusable("backend_host")
    if former is not None and found["protocol"] != former.protocol:
        return unusable("protocol")
    if found["bearer_token"].partition(".")[0] != f"fg-{found['grant_id']}":
        return unusable("bearer_token")
    return Seat(
        grant_id=found["grant_id"],
        bearer=Secret(found["bearer_token"]),
        backend=Backend(
            host=found["backend_host"],
            port=found["backend_port"],
            protocol=found["protocol"],
            server_name=tls["server_name"] if tls is not None else None,
            anchor_pem=tls["anchor_pem"] if tls is not None else None,
        ),
        permission_scopes=tuple(found["permission_scopes"]),
        expires_at=found["expires_at"],
        offering_id=found["service_offering_id"],
    )


def look(reply: RemoteReply) -> Mapping[str, Any] | Fault:
    """Until when a seat lives: `expires_at` and `access_ends_at`."""
    found: Mapping[str, Any] | Fault = _read(_LOOK, reply.body.get("data"))
    return found


def page(reply: RemoteReply) -> Page | Fault:
    """A page of a catalogue, or why it cannot be used."""
    meta = reply.body.get("meta")
    following = meta.get("next_cursor") if isinstance(meta, dict) else None
    if not isinstance(following, str) or _CURSOR.fullmatch(following) is None:
        following = None
    wrapped = Object((Field("data", ListOf(_ENTRY, CATALOGUE_PAGE_MAX), required=True),), unknown="ignore")
    found = _read(wrapped, {"data": reply.body.get("data")})
    return found if isinstance(found, Fault) else Page(tuple(found["data"]), following)


def _read(shape: Shape, value: object) -> Any:
    if not isinstance(value, dict):
        return unusable("data")
    try:
        return read_value(shape, value)  # type: ignore[arg-type]
    except FaultError as error:
        return unusable(str(error.fault.details.get("field") or error.fault.details.get("problems", [{}])[0].get("field", "data")))
