"""Rows of chains: one for each chain at the platform that drives it, one for each hop at the platform that carries it out.

Lives here: records, how they are found, their form for operators. Must not live here: which step is allowed (`lifecycle`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from actors.migration.record import HOP_KIND
from actors.migration.steps import Header, Operation
from actors.migration_chain.lifecycle import HopStatus, Status
from actors.migration_chain.limits import HOURLY_S
from actors.migration_chain.word import HopWord
from runtime.clock import iso, iso_or_none
from runtime.store.port import Kind

CHAIN_KIND: Final = "migration_chain"

UNPROVEN: Final = "hop_unproven"
"""Error of a chain whose holder says that a hop is done, and does not prove it."""


@attrs.frozen(kw_only=True)
class MigrationChainRecord:
    """A chain at the platform that drives it, which is its position 0. Times are seconds since the epoch.

    Attributes:
        root_resource_id: of the resource as it was at home; `root_now` is what the present holder calls it (a copy has an id of its own).
        hop_peer_ids: the destinations, in order.
        current_hop_index: how many hops are done, and so which hop comes next. The resource lives at that position.
        automatic: the next hop follows by itself; otherwise each waits for an operator's word.
        asked: the present hop has been asked for, and has not ended as far as is known.
        begun: the holder may have begun the present hop, so that only its own word says where the resource is.
        holder_certain: whether the resource is known to be at its present position; if not, it may have gone one further.
        attempt: of the present hop; every hop and every retry has a higher one.
        cancelling: an operator wants no further hop.
        word: what the holder last said about the present hop.
        error: code of the last refusal or failure; `refused_by_peer_id` is the holder that said so, None if this platform did.
        tries: failures in passing, one after the other.
        destination_anchors: CA certificates of the platform to which the present hop leads, when it was asked for: its receipt must be
            signed under one of them or of those that we trust now.
        progress_at: when anything last came nearer to its end.
        stalled: nothing has for `STALLED_AFTER_S`.
    """

    id: str
    version: int = 0
    account_id: str
    operation: Operation
    root_resource_kind: str
    root_resource_id: str
    root_now: str
    hop_peer_ids: tuple[str, ...]
    acknowledge_residency: bool = False
    status: Status = "planned"
    current_hop_index: int = 0
    automatic: bool = False
    asked: bool = False
    begun: bool = False
    holder_certain: bool = True
    attempt: int = 1
    cancelling: bool = False
    destination_anchors: tuple[str, ...] = ()
    word: HopWord | None = None
    tries: int = 0
    error: str | None = None
    refused_by_peer_id: str | None = None
    stalled: bool = False
    audit_log: tuple[Mapping[str, Any], ...] = ()
    created_by: str | None
    created_at: float
    updated_at: float
    progress_at: float
    ended_at: float | None = None
    next_attempt_at: float | None = None

    @property
    def total_hops(self) -> int:
        """How many destinations there are."""
        return len(self.hop_peer_ids)

    @property
    def holder_peer_id(self) -> str | None:
        """Where the resource lives, as far as is known; None for here."""
        return self.position(self.current_hop_index)

    @property
    def next_peer_id(self) -> str | None:
        """Where the present hop leads; None after the last."""
        return self.hop_peer_ids[self.current_hop_index] if self.current_hop_index < self.total_hops else None

    def position(self, number: int) -> str | None:
        """The platform at a position of the chain; None for this one."""
        return None if number == 0 else self.hop_peer_ids[number - 1]

    @property
    def header(self) -> Header:
        """What the present hop is about."""
        return Header(operation=self.operation, root_resource_kind=self.root_resource_kind, root_resource_id=self.root_now)


CHAIN: Final = Kind(
    name=CHAIN_KIND,
    record=MigrationChainRecord,
    columns={"account_id": "text", "status": "text", "stalled": "integer"},
    project=lambda record: {"account_id": record.account_id, "status": record.status, "stalled": int(record.stalled)},
    due=lambda record: record.next_attempt_at,
    put_off_s=HOURLY_S,
    resume=lambda record: record.asked and record.status == "in_flight",
)


@attrs.frozen(kw_only=True)
class ChainHopRecord:
    """One hop at the platform that carries it out. Times are seconds since the epoch.

    Attributes:
        asker_peer_id: who drives the chain; None if this platform does.
        asker_epoch, grant_id: the peering and the grant under which it was asked for; both are looked at again before anything moves.
        destination_peer_id: one of our own peers.
        approval_id: the request that our operators decide about.
        migration_id: ours, by which the resource moves.
        approved_by: the operator in whose name the migration runs.
        tries, failed_attempt: failures of the migration in passing, and the last attempt that was counted.
        retry_at: when it is tried again.
        withdrawing: the asker does not want it any more, and our migration is being given up.
        next_root_id: what the resource is called at the destination.
    """

    id: str
    version: int = 0
    account_id: str
    chain_id: str
    number: int
    attempt: int
    asker_peer_id: str | None
    asker_epoch: int = 0
    grant_id: str | None = None
    operation: Operation
    root_resource_kind: str
    root_resource_id: str
    destination_peer_id: str
    acknowledge_residency: bool = False
    status: HopStatus
    approval_id: str | None = None
    approval_expires_at: float | None = None
    approved_by: str | None = None
    migration_id: str | None = None
    tries: int = 0
    failed_attempt: int = 0
    retry_at: float | None = None
    withdrawing: bool = False
    error: str | None = None
    next_root_id: str | None = None
    created_at: float
    updated_at: float
    look_at: float | None = None

    @property
    def header(self) -> Header:
        """What it is about."""
        return Header(operation=self.operation, root_resource_kind=self.root_resource_kind, root_resource_id=self.root_resource_id)


HOP: Final = Kind(
    name=HOP_KIND,
    record=ChainHopRecord,
    columns={"account_id": "text", "chain_id": "text", "status": "text", "waiting_asker_id": "text"},
    project=lambda record: {
        "account_id": record.account_id,
        "chain_id": record.chain_id,
        "status": record.status,
        "waiting_asker_id": record.asker_peer_id if record.status == "awaiting_approval" else None,
    },
    due=lambda record: record.look_at,
    put_off_s=HOURLY_S,
    resume=lambda record: record.look_at is not None,
)


def hop_id(asker: str, chain_id: str, number: int) -> str:
    """The id of a hop's row: within what one asker calls its chains, so that nobody names another's. `asker` is a peer, or the account."""
    return f"{asker}-{chain_id}-{number}"


Place = tuple[str | None, str | None]
"""Instance and URL of a platform, as far as they are known."""


def shown(record: MigrationChainRecord, places: Callable[[str | None], Place], *, whole: bool = True) -> dict[str, Any]:
    """The form of the operator surface.

    Args:
        places: the platform behind a peer of ours; of None, our own.
    """
    or_peer = record.next_peer_id if not record.holder_certain else None
    instance_id, url = places(record.holder_peer_id)
    out: dict[str, Any] = {
        "id": record.id,
        "operation": record.operation,
        "root_resource_kind": record.root_resource_kind,
        "root_resource_id": record.root_resource_id,
        "root_now": record.root_now,
        "hop_peer_ids": list(record.hop_peer_ids),
        "hop_urls": [places(peer_id)[1] or "" for peer_id in record.hop_peer_ids],
        "status": record.status,
        "current_hop_index": record.current_hop_index,
        "total_hops": record.total_hops,
        "automatic": record.automatic,
        "cancelling": record.cancelling,
        "stalled": record.stalled,
        "holder": {
            "position": record.current_hop_index,
            "peer_id": record.holder_peer_id,
            "instance_id": instance_id,
            "url": url,
            "certain": record.holder_certain,
            "or_peer_id": or_peer,
        },
        "waits_for": waits_for(record),
        "error": record.error,
        "refused_by_peer_id": record.refused_by_peer_id,
        "created_by": record.created_by,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "next_attempt_at": iso_or_none(record.next_attempt_at),
        "ended_at": iso_or_none(record.ended_at),
        "version": record.version,
    }
    if whole:
        out["hop"] = record.word.to_json() if record.word is not None else None
        out["audit_log"] = [dict(entry) for entry in record.audit_log]
    return out


def waits_for(record: MigrationChainRecord) -> str:
    """What must happen next, in words for an operator."""
    if record.status == "planned":
        return "an operator, who lets it run or advances it by one hop"
    if record.status == "failed":
        return "an operator, who tries again or gives it up"
    if record.status != "in_flight":
        return "nothing"
    if not record.asked:
        return "the next hop" if record.automatic else "an operator, who advances it by one hop"
    if record.tries:
        return f"another try ({record.error or 'the holder could not be asked'})"
    return record.word.waits_for if record.word is not None else "the holder's answer"
