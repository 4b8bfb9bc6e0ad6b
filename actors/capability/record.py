"""One capability: what flows between a peer and this platform, how far it has come, and how it is stored and found.

Lives here: fields, index columns, unique keys, the deadline, the form for operators. Must not live here: a pass (see `pulling`, `pushing`)
or what fits together (see `lifecycle`).

No row, no flow. There is no setting for conflicts: a record has one home, the home wins, and the other side only mirrors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.capability import lifecycle
from actors.capability.lifecycle import LEGS, Block, Direction, Leg, Policy, State
from actors.capability.limits import FAILURES_TOLD, INTERVAL_DEFAULT_S, INTERVAL_MAX_S
from actors.mirror.shelf import CAPABILITY
from runtime.clock import iso, iso_or_none
from runtime.store.port import Condition, Kind, Query


@attrs.frozen
class Cursor:
    """The last record that the other side has acknowledged (a push), or that is kept here (a pull), by its stamp at its home and its id."""

    updated_at: float
    id: str


@attrs.frozen(kw_only=True)
class Progress:
    """How far one leg has come. Times are seconds since the epoch.

    Attributes:
        cursor: where the next pass goes on; None before the first record.
        era: what the last full pass was good for (see `running.era_of`); in another era everything must be looked at anew.
        reach: the one record to which the grant of the last full pass was limited, if it was.
        full: whether the next pass, or the one under way, looks at everything.
        full_at: when the last full pass was completed.
        completed_at: when the last pass was completed, full or not.
    """

    cursor: Cursor | None = None
    era: str = ""
    reach: str | None = None
    full: bool = True
    full_at: float | None = None
    completed_at: float | None = None


@attrs.frozen(kw_only=True)
class CapabilityRecord:
    """One capability. Times are seconds since the epoch.

    Attributes:
        filter: as the operator wrote it; read anew for each pass.
        acknowledge_residency: the crossing of a boundary is meant.
        crossed: whether the last pass was known to cross a boundary.
        place_unknown: whether it was not known at the last pass where one side keeps data.
        declared: whether the peer has been seen to declare the kind.
        blocked: why nothing can flow for now, through no failure of a pass.
        last_error: code of the last failed pass, until one is completed.
        next_at: when a pass is due, or a step of it to be taken again; None where nothing happens by itself.
        going: whether it is being taken away.
        withdrawal_id: of one that goes, the event by which the peer still has to hear that we bring it no more; None once it has.
        withdraw_until: when that is given up.
    """

    id: str
    version: int = 0
    account_id: str
    federation_peer_id: str
    resource_kind: str
    direction: Direction
    policy: Policy
    filter: Mapping[str, Any] = attrs.field(factory=dict)
    interval_seconds: int = INTERVAL_DEFAULT_S
    acknowledge_residency: bool = False
    crossed: bool = False
    place_unknown: bool = False
    declared: bool = False
    pull: Progress = attrs.field(factory=Progress)
    push: Progress = attrs.field(factory=Progress)
    blocked: Block | None = None
    last_synced_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    consecutive_failures: int = 0
    next_at: float | None = None
    ended_at: float | None = None
    going: bool = False
    withdrawal_id: str | None = None
    withdraw_until: float | None = None
    created_by: str | None = None
    created_at: float
    updated_at: float

    @property
    def legs(self) -> tuple[Leg, ...]:
        """What it moves."""
        return LEGS[self.direction]

    @property
    def by_itself(self) -> bool:
        """Whether passes happen without being asked for."""
        return self.policy != "manual" and bool(self.legs)

    @property
    def open(self) -> bool:
        """Whether anything may flow; a peer that was revoked stays so."""
        return self.ended_at is None and not self.going

    def progress(self, leg: Leg) -> Progress:
        """How far a leg has come."""
        return self.pull if leg == "pull" else self.push


def feed(account_id: str, kind: str) -> str:
    """The value of the column by which those are found that follow the account's changes of a kind."""
    return f"{account_id} {kind}"


def _project(record: CapabilityRecord) -> dict[str, Any]:
    follows = record.open and lifecycle.follows_changes(record.direction, record.policy)
    return {
        "account_id": record.account_id,
        "federation_peer_id": record.federation_peer_id,
        "open_peer_id": record.federation_peer_id if record.open else None,
        "shown_peer_id": None if record.going else record.federation_peer_id,
        "feed": feed(record.account_id, record.resource_kind) if follows else None,
    }


def moved(record: CapabilityRecord) -> str:
    """What a capability moves, as the unique keys name it."""
    return f"{record.federation_peer_id} {record.resource_kind}"


def _keys(record: CapabilityRecord) -> dict[str, str | None]:
    """Two capabilities must not move the same records the same way, whatever they are called."""
    same = moved(record)
    legs = record.legs if record.open else ()
    return {
        "pull": same if "pull" in legs else None,
        "push": same if "push" in legs else None,
        "direction": f"{same} {record.direction}" if record.open else None,
    }


KIND: Final = Kind(
    name=CAPABILITY,
    record=CapabilityRecord,
    columns={
        "account_id": "text", "federation_peer_id": "text", "open_peer_id": "text", "shown_peer_id": "text", "feed": "text",
    },
    project=_project,
    unique=dict.fromkeys(("pull", "push", "direction"), "capability_exists"),
    keys=_keys,
    due=lambda record: record.next_at,
    put_off_s=INTERVAL_MAX_S,
)  # fmt: skip


@attrs.frozen(kw_only=True)
class PushedRecord:
    """A record of ours that a peer has acknowledged and mirrors, so that it can be told when the record is to be mirrored no more.

    Its id is made of the capability's and the record's.
    """

    id: str
    version: int = 1
    capability_id: str
    resource_id: str


PUSHED: Final = Kind(
    name="pushed_record",
    record=PushedRecord,
    columns={"capability_id": "text"},
    project=lambda record: {"capability_id": record.capability_id},
)


def pushed_id(capability_id: str, resource_id: str) -> str:
    """The id of the note that a record was pushed."""
    return f"{capability_id}-{resource_id}"


def shown_of(peer_id: str, *, after_id: str | None = None, limit: int | None = None) -> Query:
    """The query for the capabilities of a peer, newest first."""
    return Query(KIND.name, ((Condition("shown_peer_id", "=", peer_id),),), newest_first=True, after_id=after_id, limit=limit)


def followers(account_id: str, kind: str) -> Query:
    """The query for the capabilities that follow the account's changes of a kind."""
    return Query(KIND.name, ((Condition("feed", "=", feed(account_id, kind)),),))


def state(record: CapabilityRecord, *, running: bool = False) -> State:
    """How a capability fares."""
    if not record.open:
        return "ended"
    if running:
        return "syncing"
    if record.blocked is not None:
        return record.blocked
    if record.consecutive_failures >= FAILURES_TOLD:
        return "failing"
    return "retrying" if record.consecutive_failures else "idle"


def to_json(record: CapabilityRecord, wall: float) -> dict[str, Any]:
    """The form of the operator surface."""
    legs = record.legs
    late_s = wall - record.last_synced_at if record.last_synced_at is not None else None
    return {
        "id": record.id,
        "federation_peer_id": record.federation_peer_id,
        "resource_kind": record.resource_kind,
        "direction": record.direction,
        "policy": record.policy,
        "filter": dict(record.filter),
        "interval_seconds": record.interval_seconds,
        "acknowledge_residency": record.acknowledge_residency,
        "state": state(record),
        "sync_cursor": {leg: _cursor_json(record.progress(leg)) for leg in legs},
        "last_synced_at": iso_or_none(record.last_synced_at),
        "stale_seconds": round(late_s, 3) if late_s is not None else None,
        "last_error": record.last_error,
        "last_error_at": iso_or_none(record.last_error_at),
        "consecutive_failures": record.consecutive_failures,
        "next_sync_at": iso_or_none(record.next_at),
        "ended_at": iso_or_none(record.ended_at),
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "version": record.version,
    }


def _cursor_json(progress: Progress) -> dict[str, Any] | None:
    cursor = progress.cursor
    return None if cursor is None else {"updated_at": iso(cursor.updated_at), "id": cursor.id}
