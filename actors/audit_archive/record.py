"""What has been shipped of whose audit chain.

Lives here: the record of a shipment, how it is stored and found, its bytes, and when the daily runs are due. Must not live here: what a
run does (the actors).
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from actors.audit_archive.chains import Chain, ChainKind
from actors.audit_archive.lifecycle import State
from actors.limits import DAY_S
from actors.periodic.daily import DailyRuns
from actors.periodic.works import AUDIT_ARCHIVE, AUDIT_PRUNING
from runtime.clock import iso, iso_or_none
from runtime.store.chain import GENESIS
from runtime.store.codec import canonical_json
from runtime.store.port import AuditEntry, Condition, Kind, Query, Row
from runtime.values import as_dict, evolve

SHIPPED_AT: Final = datetime.time(4, 30)
"""When entries are shipped, UTC."""
PRUNED_AT: Final = datetime.time(5, 30)
"""When old entries are pruned, UTC: after what can be shipped has been."""
FORMAT: Final = 1
NAME_DIGEST_CHARS: Final = 12
REFUSED_TOLD_MAX: Final = 100
"""Of so many chains it is told that they could not be pruned; when the archive is away, it is the same of all of them."""
SHIPMENTS_OF_ONE_MOMENT_MAX: Final = 32
"""How many shipments of a chain can be made within one millisecond; each is read back from the archive before the next one begins."""


@attrs.frozen(kw_only=True)
class ShipmentRecord:
    """A part of one audit chain in the archive. Times are seconds since the epoch.

    Attributes:
        chain: id of what the chain tells of; `chain_kind` says what that is (see `chains`).
        number: counts the shipments of the chain from 1 without gap.
        first_sequence, last_sequence: the entries in it, both inclusive; shipments of a chain follow each other without gap.
        previous_hash, head_hash: hash of the entry before the first one, and of the last one.
        previous_sha256: digest of the former shipment of this chain; None for the first.
        ledger_head: the ledger of the store when the entries were chosen, `position:total`; None of shipments of earlier releases.
        sha256: digest of the object that was meant to be written.
        path: where it stands in the archive; never shown to a remote.
    """

    id: str
    version: int = 0
    account_id: str
    chain: str
    chain_kind: ChainKind = "peer"
    number: int
    first_sequence: int
    last_sequence: int
    previous_hash: str
    head_hash: str
    previous_sha256: str | None
    ledger_head: str | None = None
    sha256: str
    path: str
    period_start: float
    period_end: float
    state: State = "pending"
    attempts: int = 1
    error: str | None = None
    created_at: float
    shipped_at: float | None = None

    @property
    def federation_peer_id(self) -> str | None:
        """The peer whose chain it is; None if it is the chain of something else."""
        return self.chain if self.chain_kind == "peer" else None

    @property
    def entry_count(self) -> int:
        """How many entries it holds."""
        return self.last_sequence - self.first_sequence + 1

    def to_json(self) -> dict[str, Any]:
        """The form of the operator surface."""
        return {
            "id": self.id,
            "chain": self.chain,
            "chain_kind": self.chain_kind,
            "federation_peer_id": self.federation_peer_id,
            "number": self.number,
            "first_sequence": self.first_sequence,
            "last_sequence": self.last_sequence,
            "entry_count": self.entry_count,
            "period_start": iso(self.period_start),
            "period_end": iso(self.period_end),
            "head_hash": self.head_hash,
            "sha256": self.sha256,
            "previous_sha256": self.previous_sha256,
            "ledger_head": self.ledger_head,
            "path": self.path,
            "status": self.state,
            "attempts": self.attempts,
            "error": self.error,
            "shipped_at": iso_or_none(self.shipped_at),
        }


@attrs.frozen(kw_only=True)
class Refused:
    """A shipment that was not pruned, because the archive did not give it back as it was shipped (`error`)."""

    shipment_id: str
    chain: str
    chain_kind: ChainKind
    number: int
    error: str


@attrs.frozen(kw_only=True)
class PruningRuns(DailyRuns):
    """The runs of the pruner, and what it was refused when each chain was looked at last (at most `REFUSED_TOLD_MAX`)."""

    refused: tuple[Refused, ...] = ()


def _daily(name: str, record: type[DailyRuns] = DailyRuns) -> Kind:
    return Kind(name=name, record=record, due=lambda record: record.next_run_at, put_off_s=DAY_S, resume=lambda record: True)


ARCHIVE: Final = _daily(AUDIT_ARCHIVE.name)
PRUNING: Final = _daily(AUDIT_PRUNING.name, PruningRuns)


def _of_any_chain(stored: dict[str, Any]) -> dict[str, Any]:
    """Once only the chains of peers were shipped, and named by that."""
    if "federation_peer_id" in stored:
        stored = {**stored, "chain": stored["federation_peer_id"]}
        del stored["federation_peer_id"]
    return stored


SHIPMENT: Final = Kind(
    name="audit_shipment",
    record=ShipmentRecord,
    columns={"account_id": "text", "chain": "text", "state": "text"},
    project=lambda record: {
        "account_id": record.account_id,
        "chain": record.chain,
        "state": record.state,
    },
    unique={"number": "internal_error"},
    keys=lambda record: {"number": f"{record.chain} {record.number}"},
    upcast=_of_any_chain,
)


def latest_shipment(query: Callable[[Query], list[Row]], chain: str, *conditions: Condition) -> ShipmentRecord | None:
    """The shipment of a chain with the highest number of those that meet the conditions."""
    # Ids made within one millisecond are in no order, so the latest few are compared by their numbers.
    rows = query(Query(SHIPMENT.name, ((Condition("chain", "=", chain), *conditions),), limit=SHIPMENTS_OF_ONE_MOMENT_MAX))
    return max((row.record for row in rows), key=lambda record: record.number, default=None)


def shipment(
    id: str,
    account_id: str,
    chain: Chain,
    entries: Sequence[AuditEntry],
    former: ShipmentRecord | None,
    wall: float,
    ledger_head: str | None = None,
) -> tuple[ShipmentRecord, bytes]:
    """A new shipment of `entries`, which follow on `former`, and the bytes of its object."""
    first, last = entries[0], entries[-1]
    record = ShipmentRecord(
        id=id, account_id=account_id, chain=chain.id, chain_kind=chain.kind, number=1 if former is None else former.number + 1,
        first_sequence=first.sequence, last_sequence=last.sequence, previous_hash=first.previous_hash, head_hash=last.hash,
        previous_sha256=None if former is None else former.sha256, ledger_head=ledger_head, sha256="", path="",
        period_start=min(entry.at for entry in entries), period_end=max(entry.at for entry in entries), created_at=wall,
    )  # fmt: skip
    content = object_bytes(record, entries)
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"{account_id}/{chain.id}/{id}-{sha256[:NAME_DIGEST_CHARS]}.jsonl"
    return evolve(record, sha256=sha256, path=path), content


def renamed(path: str, attempt: int) -> str:
    """Another name in the same folder, for the same object: `….jsonl` as `….2.jsonl` for the second attempt."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}.{attempt}.jsonl"


def manifest_of(record: ShipmentRecord) -> dict[str, Any]:
    """The first line of the object of a shipment."""
    about = (
        {"federation_peer_id": record.chain} if record.chain_kind == "peer" else {"chain": record.chain, "chain_kind": record.chain_kind}
    )
    # What an earlier release has chosen and not yet written is written as that release would have.
    ledger = {} if record.ledger_head is None else {"ledger_head": record.ledger_head}
    return {
        "format": FORMAT,
        "shipment": record.id,
        "account_id": record.account_id,
        **about,
        "number": record.number,
        "first_sequence": record.first_sequence,
        "last_sequence": record.last_sequence,
        "previous_hash": record.previous_hash,
        "previous_sha256": record.previous_sha256,
        **ledger,
    }


def object_bytes(record: ShipmentRecord, entries: Sequence[AuditEntry]) -> bytes:
    """JSON lines: the manifest, then the entries in canonical form, so that each hash can be computed from its line."""
    lines = [canonical_json(manifest_of(record)), *(canonical_json(as_dict(entry)) for entry in entries)]
    return b"\n".join(lines) + b"\n"


def follows(record: ShipmentRecord, former: ShipmentRecord | None) -> bool:
    """Whether a shipment begins exactly where the former one of the same chain ends."""
    if former is None:
        return (record.number, record.first_sequence, record.previous_hash, record.previous_sha256) == (1, 1, GENESIS, None)
    after = (former.number + 1, former.last_sequence + 1, former.head_hash, former.sha256)
    return (record.number, record.first_sequence, record.previous_hash, record.previous_sha256) == after
