"""A grant that a peer gave us: its sealed bearer, once it has come, and what the issuer says of it, and how both are stored and found.

Lives here: fields, index columns, the unique key, the deadline, and which of several grants fits a call best. Must not live here: anything
about calls that come in; whether those are served is decided by `actors.grant` over grants of our own, and by nothing in this folder.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs

from actors.limits import RECEIVED_GRANT_KEPT_S, RECEIVED_GRANT_ROWS_MAX, SKEW_MAX_S
from actors.peer.record import PeerRecord
from actors.peer.standing import in_force
from runtime.clock import iso, iso_or_none
from runtime.store.port import Condition, Kind, Query

Source = Literal["operator", "delivery", "notice", "accept"]
State = Literal["announced", "active", "expired", "refused"]
ShownState = State | Literal["ended"]

SOURCES: Final[tuple[Source, ...]] = ("operator", "delivery", "notice", "accept")
STATES: Final[tuple[State, ...]] = ("announced", "active", "expired", "refused")
SHOWN_STATES: Final[tuple[ShownState, ...]] = (*STATES, "ended")
EXPIRED_CODE: Final = "grant_expired"
REVOKED_CODE: Final = "grant_revoked"
ASKED_AGAIN_MIN_S: Final = 60.0
ASKED_AGAIN_MAX_S: Final = 3_600.0


@attrs.frozen(kw_only=True)
class GrantFacts:
    """What the issuer tells of one grant, checked. Times are seconds since the epoch, by the issuer's clock."""

    grant_id: str
    remote_subject: str | None
    resource_kind: str
    resource_id: str | None
    permission_scopes: tuple[str, ...]
    issued_at: float
    expires_at: float
    state: str


@attrs.frozen(kw_only=True)
class ReceivedGrantRecord:
    """One held grant. Times are seconds since the epoch.

    Attributes:
        id: ours (see `row_id`). A remote names `grant_id` as it likes, so that must not be the name of a row here.
        peering_epoch: of the peer when the grant came; under any other it is of no use.
        sealed_bearer: sealed for `GRANT_BEARER_PURPOSE`; opened by the port that sends it, and by nothing else. None while the issuer has
            only told of the grant.
        resource_kind: as the issuer writes it; it may be of a kind that we do not know.
        source: who brought it: an operator, or the issuer, over its connection or with its accept, or nobody yet: the issuer told of it.
        refused_code, refused_at: the issuer's word that this bearer is good no more.
        ask_at: when the issuer is asked again, because its clock, or ours, must have been wrong when it said that the grant is over.
    """

    id: str
    version: int = 0
    account_id: str
    federation_peer_id: str
    peering_epoch: int
    grant_id: str
    sealed_bearer: bytes | None = attrs.field(repr=False)
    remote_subject: str | None = None
    resource_kind: str
    resource_id: str | None = None
    permission_scopes: tuple[str, ...]
    issued_at: float
    expires_at: float
    source: Source
    received_at: float
    received_by: str | None = None
    refused_code: str | None = None
    refused_at: float | None = None
    ask_at: float | None = None
    updated_at: float


def held_key(peer_id: str, grant_id: str) -> str:
    """The unique key: a peer's grant is held once."""
    return f"{peer_id} {grant_id}"


def row_id(peer_id: str, grant_id: str) -> str:
    """Our id of a peer's grant: the same whoever speaks of it first, so that one actor hears all of it in order.

    A UUIDv7 that sorts like the issuer's; the rest is a hash, so that the issuer cannot choose it.
    """
    drawn = hashlib.sha256(held_key(peer_id, grant_id).encode()).hexdigest()
    return f"{grant_id[:13]}-7{drawn[:3]}-{'89ab'[int(drawn[3], 16) % 4]}{drawn[4:7]}-{drawn[7:19]}"


def gone_at(record: ReceivedGrantRecord) -> float:
    """When the row of a grant that has ended is dropped."""
    return record.expires_at + RECEIVED_GRANT_KEPT_S


KIND = Kind(
    name="received_grant",
    record=ReceivedGrantRecord,
    columns={"account_id": "text", "federation_peer_id": "text", "revoked_by_peer_id": "text"},
    project=lambda record: {
        "account_id": record.account_id,
        "federation_peer_id": record.federation_peer_id,
        "revoked_by_peer_id": record.federation_peer_id if record.refused_code == REVOKED_CODE else None,
    },
    unique={"held": "grant_already_held"},
    keys=lambda record: {"held": held_key(record.federation_peer_id, record.grant_id)},
    due=lambda record: min(record.ask_at or math.inf, gone_at(record)),
    put_off_s=ASKED_AGAIN_MAX_S,
    has_dates=True,
)


def of_peer(peer_id: str, limit: int = RECEIVED_GRANT_ROWS_MAX) -> Query:
    """The query for everything that we hold of a peer, and what it has told of."""
    return Query(KIND.name, ((Condition("federation_peer_id", "=", peer_id),),), limit=limit)


def state(record: ReceivedGrantRecord, wall: float) -> State:
    """What we know of a held grant. Only its issuer knows whether it has been revoked since the last call."""
    if record.refused_code is not None:
        return "expired" if record.refused_code == EXPIRED_CODE else "refused"
    if wall >= record.expires_at:
        return "expired"
    return "active" if record.sealed_bearer is not None else "announced"


def shown_state(record: ReceivedGrantRecord, peer: PeerRecord | None, wall: float) -> ShownState:
    """What operators are told of it: `ended` once the peering under which it came is over, though the row stays while work may end."""
    return state(record, wall) if peer is not None and record.peering_epoch == peer.peering_epoch else "ended"


def asked_again_at(record: ReceivedGrantRecord, wall: float) -> float | None:
    """When to ask an issuer again that has called a grant expired whose end lies ahead; None if there is nothing to be asked.

    An issuer whose clock was ahead says so of every grant, and is right again once the clock is. The longer ago, the seldomer it is asked.
    """
    if record.refused_code != EXPIRED_CODE or record.refused_at is None or record.sealed_bearer is None:
        return None
    if wall + SKEW_MAX_S >= record.expires_at:
        return None
    return wall + min(max(wall - record.refused_at, ASKED_AGAIN_MIN_S), ASKED_AGAIN_MAX_S)


def usable(record: ReceivedGrantRecord, peer: PeerRecord | None, wall: float) -> bool:
    """Whether it makes sense to present this bearer now.

    Clocks may differ by `SKEW_MAX_S`, and the issuer's decides: a bearer that seems just expired is still tried.
    """
    good = record.sealed_bearer is not None and record.refused_code is None and wall < record.expires_at + SKEW_MAX_S
    return good and in_force(peer, record.peering_epoch, wall)


def fitting(
    held: Iterable[ReceivedGrantRecord], peer: PeerRecord | None, kind: str, resource_id: str | None, scope: str, wall: float
) -> list[ReceivedGrantRecord]:
    """The held grants that could serve a call, best first.

    A grant for the one resource goes before one for its whole kind, since it shows the issuer no more than is needed; for a list it is the
    other way round. Among equals the one that lasts longest goes first.

    Args:
        kind: canonical name; None of its aliases.
        resource_id: None for a list, to which a grant for one resource shows that one.
    """
    found = [
        record
        for record in held
        if usable(record, peer, wall)
        and record.resource_kind == kind
        and scope in record.permission_scopes
        and (resource_id is None or record.resource_id in (None, resource_id))
    ]
    wants_one = resource_id is not None
    return sorted(found, key=lambda record: ((record.resource_id is None) == wants_one, -record.expires_at, record.id))


def to_json(record: ReceivedGrantRecord, peer: PeerRecord | None, wall: float) -> dict[str, Any]:
    """The form of the operator surface: never the bearer, neither open nor sealed."""
    return {
        "id": record.id,
        "federation_peer_id": record.federation_peer_id,
        "grant_id": record.grant_id,
        "remote_subject": record.remote_subject,
        "resource_kind": record.resource_kind,
        "resource_id": record.resource_id,
        "permission_scopes": list(record.permission_scopes),
        "issued_at": iso(record.issued_at),
        "expires_at": iso(record.expires_at),
        "state": shown_state(record, peer, wall),
        "usable": usable(record, peer, wall),
        "source": record.source,
        "received_at": iso(record.received_at),
        "received_by": record.received_by,
        "refused_code": record.refused_code,
        "refused_at": iso_or_none(record.refused_at),
        "version": record.version,
    }
