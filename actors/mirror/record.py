"""One mirror, the shelf of one peer's mirrors, and how both are stored and found.

Lives here: fields, index columns, unique keys, the deadline, and how old a mirror is. Must not live here: a way to change what a mirror
says. Nothing of this platform writes into a mirror but what its home tells; a mirror is never a home.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from actors.mirror.limits import CONTACT_INTERVAL_S, MIRRORS_KEPT_S, MISSED_INTERVALS_MAX
from runtime.store.port import Condition, Kind, Query, Scalar

Source = Literal["pull", "push"]
SOURCES: Final[tuple[Source, ...]] = ("pull", "push")


@attrs.frozen(order=True)
class Moment:
    """When a home was in a state, comparable with other moments of the same home.

    Attributes:
        epoch: the start of the home that told it. A home that went back to a backup starts anew, so that its present counts more than a
            future that it has lost.
        updated_at: the home's stamp of its write, seconds since the epoch.
    """

    epoch: int
    updated_at: float


@attrs.frozen(kw_only=True)
class MirrorRecord:
    """One mirror. Times are seconds since the epoch, of this platform's clock unless told otherwise.

    Attributes:
        id: ours; a home names its records as it likes, so that must not be the name of a row here.
        origin_peer_id, origin_id: whose record it is, and its id there.
        kind: canonical name of the kind; `attributes` holds what its declaration exports.
        etag: the home's tag of this state.
        moment: the home's time of this state.
        observed_at: when this state was last told to us one by one; whole passes confirm it later still (see `confirmed_at`).
        source: whether we ask for it or the home brings it.
        capability_id: what asks for it, of a pulled one.
        grant_id: our grant under which the home brought it, of a pushed one.
        gone_at: since when the home has withdrawn it; such a row is shown to nobody and holds no attributes.
    """

    id: str
    version: int = 0
    account_id: str
    origin_peer_id: str
    origin_id: str
    kind: str
    attributes: Mapping[str, Any]
    etag: str
    moment: Moment
    observed_at: float
    first_observed_at: float
    source: Source
    capability_id: str | None = None
    grant_id: str | None = None
    gone_at: float | None = None


def origin_key(peer_id: str, origin_id: str) -> str:
    """The unique key: one record of one home is mirrored once."""
    return f"{peer_id} {origin_id}"


def shelf_of_kind(peer_id: str, kind: str) -> str:
    """The value of the column by which a peer's mirrors of one kind are found."""
    return f"{peer_id} {kind}"


def _project(record: MirrorRecord) -> dict[str, Scalar]:
    shown = record.gone_at is None
    return {
        "account_id": record.account_id if shown else None,
        "origin_peer_id": record.origin_peer_id,
        "origin_id": record.origin_id,
        "kind": record.kind,
        "peer_kind": shelf_of_kind(record.origin_peer_id, record.kind) if shown else None,
        "gone_peer_id": None if shown else record.origin_peer_id,
    }


KIND: Final = Kind(
    name="mirror",
    record=MirrorRecord,
    columns={
        "account_id": "text", "origin_peer_id": "text", "origin_id": "text", "kind": "text", "peer_kind": "text", "gone_peer_id": "text",
    },
    project=_project,
    unique={"origin": "internal_error"},
    keys=lambda record: {"origin": origin_key(record.origin_peer_id, record.origin_id)},
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Shelf:
    """All mirrors of one peer; its id is the peer's. Its actor is the only writer of them.

    Attributes:
        count: how many rows there are, those of withdrawn records among them.
        ended_at: when the peering ended; mirrors are dropped a while later.
        next_at: when to drop what is over by then.
        renounced: capabilities that are gone and whose mirrors are still to be dropped.
    """

    id: str
    version: int = 0
    account_id: str
    peering_epoch: int
    count: int = 0
    ended_at: float | None = None
    next_at: float | None = None
    renounced: tuple[str, ...] = ()


SHELF: Final = Kind(
    name="mirror_shelf",
    record=Shelf,
    columns={"account_id": "text", "open_peer_id": "text"},
    project=lambda record: {"account_id": record.account_id, "open_peer_id": record.id if record.ended_at is None else None},
    due=lambda record: record.next_at,
)


def drop_at(ended_at: float) -> float:
    """When the mirrors of a peering that has ended are dropped."""
    return ended_at + MIRRORS_KEPT_S


def of_kind(peer_id: str, kind: str, *, after_id: str | None = None, limit: int | None = None) -> Query:
    """The query for a peer's mirrors of one kind, by their ids."""
    here = Condition("peer_kind", "=", shelf_of_kind(peer_id, kind))
    return Query(KIND.name, ((here,),), newest_first=False, after_id=after_id, limit=limit)


def gone_of(peer_id: str, limit: int) -> Query:
    """The query for what remains of records that a peer has withdrawn, the earliest first."""
    return Query(KIND.name, ((Condition("gone_peer_id", "=", peer_id),),), newest_first=False, limit=limit)


def of_peer(peer_id: str, limit: int) -> Query:
    """The query for a peer's mirrors."""
    return Query(KIND.name, ((Condition("origin_peer_id", "=", peer_id),),), newest_first=False, limit=limit)


def of_origin(origin_id: str, limit: int) -> Query:
    """The query for the mirrors of one record, whichever peer is said to be its home."""
    return Query(KIND.name, ((Condition("origin_id", "=", origin_id),),), newest_first=False, limit=limit)


@attrs.frozen(kw_only=True)
class Upkeep:
    """What keeps a mirror fresh, as far as it is known now.

    Attributes:
        confirmed_at: when everything that this brings was last seen to be as it is; None if never.
        interval_s: how often that is meant to happen.
        in_force: whether it still may happen: the peering is in force, the capability is there, the grant has not ended.
    """

    confirmed_at: float | None
    interval_s: float = CONTACT_INTERVAL_S
    in_force: bool


def confirmed_at(record: MirrorRecord, upkeep: Upkeep) -> float:
    """When the mirror was last known to be its home's present."""
    return max(record.observed_at, upkeep.confirmed_at or 0.0)


def is_stale(record: MirrorRecord, upkeep: Upkeep, wall: float) -> bool:
    """Whether the mirror may long have been overtaken by its home."""
    return not upkeep.in_force or wall - confirmed_at(record, upkeep) > MISSED_INTERVALS_MAX * upkeep.interval_s
