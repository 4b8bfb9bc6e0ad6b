"""What leaves for the archive: every old entry of an audit chain stands there once, in a shipment that was read back.

Lives here: rules about shipments, and about what may be pruned because of them. What an object must hold is written down here a second
time, from its definition.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

from runtime.store.port import Prune, Query
from sim.checkers.audit import FIRST, entry_hash
from sim.checkers.registry import Change, Checker, Commit, checker

SHIPMENT: Final = "audit_shipment"
RUNS: Final = "audit_archive"
VERIFIED: Final = "verified"
RUN_S_MAX: Final = 600.0
"""How long a run may take on a slow disk: what had become old so long before its end, it must have shipped."""

UNDER_WAY_S: Final = 120.0
"""How long after the archive works again a shipment may fail by what was wrong with it before."""

ALL: Final = 1_000_000


def _content(record: Any, entries: Sequence[Any]) -> bytes:
    """The object of a shipment: JSON lines, a manifest and then the entries, with sorted keys and without white space."""
    manifest = {
        "format": 1,
        "shipment": record.id,
        "account_id": record.account_id,
        **(
            {"federation_peer_id": record.chain}
            if record.chain_kind == "peer"
            else {"chain": record.chain, "chain_kind": record.chain_kind}
        ),
        "number": record.number,
        "first_sequence": entries[0].sequence,
        "last_sequence": entries[-1].sequence,
        "previous_hash": entries[0].previous_hash,
        "previous_sha256": record.previous_sha256,
        **({} if record.ledger_head is None else {"ledger_head": record.ledger_head}),
    }
    names = ("chain", "sequence", "action", "at", "actor_kind", "actor_id", "payload", "previous_hash", "hash")
    lines = [manifest, *({name: getattr(entry, name) for name in names} for entry in entries)]
    return b"".join(json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for line in lines)


@checker("shipments", source="docs/operator-guide.md#audit-trail", holds=("P9",))
class Shipments(Checker):
    """Every entry that is old enough when a run ends well is in exactly one shipment, which the archive holds as it was written."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._offsets: dict[str, float] = {}
        self._chains: dict[str, set[str]] = {}
        self._ledgers: dict[str, list[str]] = {}

    def on_replaced(self, host: Any) -> None:
        # The order in which the entries of an image were written is in its ledger only.
        last = host.store.ledger_head()
        self._ledgers[host.name] = [] if last is None else [last.head]

    def on_change(self, commit: Commit) -> None:
        self._chains.setdefault(commit.host.name, set()).update(entry.chain for entry in commit.entries)
        for change in commit.changes:
            if change.kind == SHIPMENT:
                self._shipment(change, commit)
            elif change.kind == RUNS and _ended_well(change):
                self._nothing_left(commit)
        self._written(commit)

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query(SHIPMENT, newest_first=False)):
            if row.record.state == VERIFIED and not self._holds(host, row.record):
                self.complain(host, f"{row.record.id}: the archive does not hold what was verified")

    def _written(self, commit: Commit) -> None:
        """The ledger, a second time: one line for each entry of any chain, in the order of writing, hashed over all lines before it."""
        heads = self._ledgers.setdefault(commit.host.name, [])
        for entry in commit.entries:
            position, former = heads[-1].split(":") if heads else ("0", FIRST)
            line = f"{former} {entry.sequence} {entry.hash} {entry.chain}"
            heads.append(f"{int(position) + 1}:{hashlib.sha256(line.encode()).hexdigest()}")

    def _shipment(self, change: Change, commit: Commit) -> None:
        host, before, after = commit.host, change.before, change.after
        former = None if before is None else before.record
        if after is None:
            self.complain(host, f"{change.id}: a shipment vanishes")
            return
        record = after.record
        if former is not None and (former.state == VERIFIED or _place(former) != _place(record)):
            self.complain(host, f"{record.id}: a shipment changes after it was verified, or holds other entries than before")
        if former is None:
            if record.ledger_head not in self._ledgers.get(host.name, ()):
                self.complain(host, f"{record.id}: a shipment carries no head that the ledger has ever had")
            self._follows(host, record)
            self._all_old(commit, record)
        if record.state == VERIFIED and not self._holds(host, record):
            self.complain(host, f"{record.id}: verified, and the archive does not hold it")
        if record.state == "failed" and host.archive.well_for(self.facts.now) > UNDER_WAY_S:
            self.complain(host, f"{record.id}: a shipment fails ({record.error}), and nothing is wrong with the archive")

    def _follows(self, host: Any, record: Any) -> None:
        """Shipments of a chain follow each other without gap, so that no entry is in two of them or in none."""
        others = [each for each in _shipments(host, record.chain) if each.id != record.id]
        last = max(others, key=lambda each: each.number, default=None)
        expected = (1, 1, FIRST, None) if last is None else (last.number + 1, last.last_sequence + 1, last.head_hash, last.sha256)
        if (record.number, record.first_sequence, record.previous_hash, record.previous_sha256) != expected:
            self.complain(host, f"{record.id}: shipment {record.number} does not follow on the one before")
        if last is not None and last.state != VERIFIED:
            self.complain(host, f"{record.id}: shipment {record.number} is begun before the one before it is verified")

    def _all_old(self, commit: Commit, record: Any) -> None:
        boundary = commit.wall - commit.host.federation.audit_boundary_s
        young = [entry.sequence for entry in self._entries(commit.host, record) if entry.at >= boundary]
        if young:
            self.complain(commit.host, f"{record.id}: entry {young[0]} is shipped before its time")

    def _entries(self, host: Any, record: Any) -> list[Any]:
        count = record.last_sequence - record.first_sequence + 1
        found: list[Any] = host.store.audit(record.chain, record.first_sequence - 1, count)
        return found

    def _holds(self, host: Any, record: Any) -> bool:
        entries, content = self._entries(host, record), host.archive.objects.get(record.path)
        pruned = host.store.audit_pruned(record.chain)
        if pruned is not None and record.last_sequence <= pruned.sequence:
            # What it holds was compared with its entries when it was verified, and its row has not changed since.
            return content is not None and hashlib.sha256(content).hexdigest() == record.sha256
        if content is None or not entries or entries[-1].sequence != record.last_sequence:
            return False
        return bool(content == _content(record, entries) and hashlib.sha256(content).hexdigest() == record.sha256)

    def _nothing_left(self, commit: Commit) -> None:
        host = commit.host
        offset_s = host.clock.offset_s
        if self._offsets.setdefault(host.name, offset_s) != offset_s:
            # The clock was set since the last run, perhaps within this one: what is old now need not have been when it was looked at.
            self._offsets[host.name] = offset_s
            return
        boundary = commit.wall - host.federation.audit_boundary_s - RUN_S_MAX
        for chain in sorted(self._chains.get(host.name, ())):
            shipped = sum(each.last_sequence - each.first_sequence + 1 for each in _shipments(host, chain) if each.state == VERIFIED)
            for entry in host.store.audit(chain, 0, ALL):
                # A young entry holds back what follows it, whatever a clock that was put back has written on that.
                if entry.at >= boundary:
                    break
                if entry.sequence > shipped:
                    self.complain(host, f"{chain}: a run has ended well, and entry {entry.sequence} of the chain is not shipped")
                    break


@checker("pruning", source="docs/operator-guide.md#audit-trail", holds=("P12",))
class Pruning(Checker):
    """Nothing is pruned but whole verified shipments that are old enough and in the archive; chain and archive verify together."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._pruned: dict[tuple[str, str], int] = {}

    def on_replaced(self, host: Any) -> None:
        for key in [key for key in self._pruned if key[0] == host.name]:
            pruned = host.store.audit_pruned(key[1])
            self._pruned[key] = 0 if pruned is None else pruned.sequence

    def on_change(self, commit: Commit) -> None:
        for write in commit.writes:
            if isinstance(write, Prune):
                for text in self._wrong(commit, write):
                    self.complain(commit.host, f"{write.chain}: pruned up to entry {write.sequence}, and {text}")
                self._pruned[commit.host.name, write.chain] = write.sequence

    def _wrong(self, commit: Commit, write: Prune) -> Iterator[str]:
        host = commit.host
        row = host.store.load(SHIPMENT, write.held_by)
        record = None if row is None else row.record
        if record is None or record.state != VERIFIED or (record.chain, record.last_sequence) != (write.chain, write.sequence):
            yield "no verified shipment ends there"
            return
        if record.first_sequence != self._pruned.get((host.name, write.chain), 0) + 1:
            yield "that leaves a gap"
        content = host.archive.objects.get(record.path, b"")
        if hashlib.sha256(content).hexdigest() != record.sha256:
            yield "the archive does not hold it"
            return
        if self._away_for(host) > UNDER_WAY_S:
            yield "nothing could be read from the archive"
        retention_s = host.federation.audit_retention_s
        entries = [json.loads(line) for line in content.splitlines()[1:]]
        if not retention_s or any(entry["at"] >= commit.wall - retention_s for entry in entries):
            yield "it holds entries that are younger than the retention"
        if entries[-1]["hash"] != write.hash or not host.store.audit(write.chain, write.sequence, 1):
            yield "nothing is left that the chain could go on from"

    def _away_for(self, host: Any) -> float:
        return float(self.facts.now - host.archive.begun_at) if host.archive.away else 0.0

    def on_rest(self, host: Any) -> None:
        for (name, chain), pruned in self._pruned.items():
            if name == host.name and pruned and not self._whole(host, chain):
                self.complain(host, f"{chain}: the archive and what is kept are no whole chain together")

    def _whole(self, host: Any, chain: str) -> bool:
        shipped = [each for each in _shipments(host, chain) if each.last_sequence <= self._pruned[host.name, chain]]
        lines = [json.loads(line) for each in shipped for line in host.archive.objects.get(each.path, b"").splitlines()[1:]]
        entries = [*(SimpleNamespace(**line) for line in lines), *host.store.audit(chain, 0, ALL)]
        former = FIRST
        for sequence, entry in enumerate(entries, start=1):
            if (entry.sequence, entry.previous_hash, entry.hash) != (sequence, former, entry_hash(entry)):
                return False
            former = entry.hash
        return True


def _ended_well(change: Change) -> bool:
    if change.before is None or change.after is None:
        return False
    before, after = change.before.record, change.after.record
    return bool(after.runs > before.runs and after.last_error is None)


def _place(record: Any) -> tuple[Any, ...]:
    return record.chain, record.number, record.first_sequence, record.last_sequence, record.sha256


def _shipments(host: Any, chain: str) -> list[Any]:
    found = [row.record for row in host.store.query(Query(SHIPMENT, newest_first=False)) if row.record.chain == chain]
    return sorted(found, key=lambda record: record.number)
