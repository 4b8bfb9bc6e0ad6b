"""The store in memory: the simulator's side of the store port, with the faults of a disk.

Records are kept as the frozen objects that were handed over; nothing is encoded unless `strict` asks for it. A restart is
`crash()`: it gives the store that the next process would open. Must not live here: scheduling (it is injected) or SQL.
"""

from __future__ import annotations

import heapq
import logging
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.random import Randomness
from runtime.store.chain import GENESIS, link, total
from runtime.store.codec import Codec, encode_json
from runtime.store.port import (
    AuditDraft,
    AuditEntry,
    BatchResult,
    Committed,
    Delete,
    Event,
    EventDraft,
    Kind,
    LedgerEntry,
    Prune,
    Pruned,
    Put,
    PutEvidence,
    Query,
    Refused,
    Row,
    Scalar,
    StoreError,
    Unit,
    UnitResult,
    Unknown,
)
from runtime.store.projection import check_kinds, check_query, evidence_columns, record_columns, satisfies, unique_keys

Schedule = Callable[[float, Callable[[], None]], None]
"""Run a callback after a delay in seconds (of virtual time)."""

Observe = Callable[[Unit, Sequence[tuple[str, str, Row | None]], Committed], None]
"""Told of each unit that has become durable, with the rows as they were before each of its writes."""

_log = logging.getLogger(__name__)


@attrs.define
class Disk:
    """The faults of one disk; they outlive a crash of the process.

    Attributes:
        fsync_s: how long a commit takes, seconds; needs a scheduler.
        full: commits fail, and nothing of them is left behind.
        failures_ahead: how many of the next commits end with an unknown outcome.
    """

    fsync_s: float = 0.0
    full: bool = False
    failures_ahead: int = 0


_COMMITTED: Final = Committed()
"""The outcome of a unit without events and audit entries."""

_NEVER: Final[tuple[Any, dict[str, Scalar]]] = (None, {})
"""What is known of a row that no query has looked at."""


class _RefusalError(Exception):
    """Ends one unit; carries the answer."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


class _Table:
    """The rows of one kind, their ids in order, and who holds which unique key."""

    def __init__(self, kind: Kind, strict: bool) -> None:
        self.kind = kind
        self.rows: dict[str, Row] = {}
        self.ids: list[str] = []
        self.holders: dict[str, dict[str, str]] = {key: {} for key in kind.unique}
        self._projected: dict[str, tuple[Any, dict[str, Scalar]]] = {}
        self._codec = Codec(kind.record) if strict else None
        self._evidence_codec = Codec(kind.evidence) if strict and kind.evidence is not None else None

    def copy(self) -> _Table:
        """The same rows, to be changed apart from these."""
        other = _Table.__new__(_Table)
        other.kind, other._codec, other._evidence_codec = self.kind, self._codec, self._evidence_codec
        other.rows, other.ids = dict(self.rows), list(self.ids)
        other._projected = {}
        other.holders = {key: dict(held) for key, held in self.holders.items()}
        return other

    def check_record(self, record: Any) -> None:
        """Refuse, when strict, what a database would refuse or give back changed."""
        if self._codec is None:
            return
        record_columns(self.kind, record)
        self._codec.encode(record)

    def check_evidence(self, evidence: Any) -> None:
        if self.kind.evidence is None:
            raise ValueError(f"{self.kind.name} has no evidence")
        if self._evidence_codec is None:
            return
        evidence_columns(self.kind, evidence)
        self._evidence_codec.encode(evidence)

    def violated(self, record: Any) -> str | None:
        """The first declared key that another row holds already."""
        for key, value in unique_keys(self.kind, record).items():
            if value is not None and self.holders[key].get(value, record.id) != record.id:
                return key
        return None

    def replace(self, id: str, row: Row | None) -> None:
        """Make `row` the row of `id` (None: no row); keys and order follow."""
        former = self.rows.get(id)
        if former is not None and row is not None and row.record is former.record:
            # Only the evidence is new, and no key or order depends on it.
            self.rows[id] = row
            return
        if self.holders and former is not None:
            for key, value in unique_keys(self.kind, former.record).items():
                if value is not None:
                    del self.holders[key][value]
        if row is None:
            if former is not None:
                del self.rows[id]
                self._projected.pop(id, None)
                del self.ids[bisect_left(self.ids, id)]
            return
        if former is None:
            insort(self.ids, id)
        self.rows[id] = row
        if self.holders:
            for key, value in unique_keys(self.kind, row.record).items():
                if value is not None:
                    self.holders[key][value] = id

    def matching(self, query: Query, ids: Sequence[str]) -> Iterator[Row]:
        of_evidence = any(c.column in self.kind.evidence_columns for conjunction in query.any_of for c in conjunction)
        for id in ids:
            row = self.rows[id]
            if not query.any_of or satisfies(self._columns(id, row, of_evidence), query):
                yield row

    def _columns(self, id: str, row: Row, of_evidence: bool) -> Mapping[str, Scalar]:
        """What a query compares. A record is projected once, however often it is asked for; its evidence changes too often for that."""
        record, columns = self._projected.get(id, _NEVER)
        if record is not row.record:
            columns = {"id": id, **record_columns(self.kind, row.record)}
            self._projected[id] = (row.record, columns)
        return {**columns, **evidence_columns(self.kind, row.evidence)} if of_evidence else columns


class _Tables(dict[str, _Table]):
    """The tables of a disk by kind, each made when it is first asked for: few worlds have rows of every kind."""

    def __init__(self, kinds: Mapping[str, Kind], strict: bool) -> None:
        super().__init__()
        self.kinds = kinds
        self._strict = strict

    def __missing__(self, name: str) -> _Table:
        table = self[name] = _Table(self.kinds[name], self._strict)
        return table

    def copy(self) -> _Tables:
        """The same rows, to be changed apart from these."""
        other = _Tables(self.kinds, self._strict)
        other.update((name, table.copy()) for name, table in self.items() if table.ids)
        return other


class _State:
    """What is on the disk: tables, both logs, facts. Changes are undone by replaying `_former` backwards."""

    def __init__(self, kinds: Sequence[Kind], strict: bool) -> None:
        self.tables = _Tables(check_kinds(kinds), strict)
        self.events: list[Event] = []
        self.chains: dict[str, list[AuditEntry]] = {}
        self.ledger: LedgerEntry | None = None
        self.pruned: dict[str, Pruned] = {}
        self.meta: dict[str, str] = {}
        self._strict = strict
        self._former: list[tuple[str, str, Row | None]] = []

    def copy(self) -> _State:
        """The same content, to be changed apart from this one."""
        other = _State.__new__(_State)
        other._strict = self._strict
        other.tables = self.tables.copy()
        other.events, other.meta = list(self.events), dict(self.meta)
        other.ledger, other.pruned = self.ledger, dict(self.pruned)
        other.chains = {chain: list(entries) for chain, entries in self.chains.items()}
        other._former = []
        return other

    def apply(self, unit: Unit) -> UnitResult:
        """All writes of the unit, or none and the reason."""
        self._former = []
        events: list[Event] = []
        entries: list[AuditEntry] = []
        prunings: list[Pruned] = []
        ledger = self.ledger
        try:
            for write in unit.writes:
                if type(write) is PutEvidence:
                    self._put_evidence(write)
                elif isinstance(write, Put):
                    self._put(write)
                elif isinstance(write, AuditDraft):
                    entries.append(self._append_entry(write))
                elif isinstance(write, EventDraft):
                    events.append(self._append_event(write))
                elif isinstance(write, Prune):
                    prunings.append(self._check_prune(write))
                elif isinstance(write, Delete):
                    self._replace(self.tables[write.kind], write.id, None)
        except _RefusalError as refusal:
            self._undo(events, entries, ledger)
            return refusal.refused
        except Exception as error:
            _log.exception("a unit was refused: %s", type(error).__name__)
            self._undo(events, entries, ledger)
            return Refused("constraint", next((str(w.kind) for w in unit.writes if isinstance(w, Put | Delete | PutEvidence)), ""))
        # Nothing can refuse the unit any more, so that no pruned entry need be brought back.
        for pruned in prunings:
            self._prune(pruned)
        return Committed(tuple(events), tuple(entries)) if events or entries else _COMMITTED

    def former(self) -> Sequence[tuple[str, str, Row | None]]:
        """The rows as they were before each write of the last unit: kind, id, row."""
        return self._former

    def _undo(self, events: list[Event], entries: list[AuditEntry], ledger: LedgerEntry | None) -> None:
        self.ledger = ledger
        for kind, id, row in reversed(self._former):
            self.tables[kind].replace(id, row)
        if events:
            del self.events[-len(events) :]
        for entry in reversed(entries):
            self.chains[entry.chain].pop()

    def _replace(self, table: _Table, id: str, row: Row | None) -> None:
        self._former.append((table.kind.name, id, table.rows.get(id)))
        table.replace(id, row)

    def _put(self, write: Put) -> None:
        table, record = self.tables[write.kind], write.record
        table.check_record(record)
        former = table.rows.get(record.id)
        if (None if former is None else former.record.version) != write.expected_version:
            raise _RefusalError(Refused("version", write.kind))
        if table.holders and (key := table.violated(record)) is not None:
            raise _RefusalError(Refused("unique", write.kind, key, table.kind.unique[key]))
        self._replace(table, record.id, Row(record, None if former is None else former.evidence))

    def _put_evidence(self, write: PutEvidence) -> None:
        table = self.tables[write.kind]
        table.check_evidence(write.evidence)
        if (former := table.rows.get(write.id)) is not None:
            # No key and no order depends on evidence.
            self._former.append((write.kind, write.id, former))
            table.rows[write.id] = Row(former.record, write.evidence)

    def _append_entry(self, draft: AuditDraft) -> AuditEntry:
        chain = self.chains.setdefault(draft.chain, [])
        entry = link(draft, chain[-1].sequence + 1, chain[-1].hash) if chain else link(draft, 1, GENESIS)
        chain.append(entry)
        position, former = (0, GENESIS) if self.ledger is None else (self.ledger.position, self.ledger.total)
        self.ledger = LedgerEntry(
            position + 1, entry.chain, entry.sequence, entry.hash, total(former, entry.chain, entry.sequence, entry.hash)
        )
        return entry

    def _check_prune(self, write: Prune) -> Pruned:
        entries = self.chains.get(write.chain, [])
        index = write.sequence - entries[0].sequence if entries else -1
        if self.ledger is None or not 0 <= index < len(entries) - 1 or entries[index].hash != write.hash:
            raise _RefusalError(Refused("constraint"))
        return Pruned(write.chain, write.sequence, write.hash, self.ledger.head, write.held_by, float(write.at))

    def _prune(self, pruned: Pruned) -> None:
        entries = self.chains[pruned.chain]
        self.chains[pruned.chain] = [entry for entry in entries if entry.sequence > pruned.sequence]
        self.pruned[pruned.chain] = pruned

    def _append_event(self, draft: EventDraft) -> Event:
        if self._strict:
            encode_json(draft.payload)
        event = Event(len(self.events) + 1, draft.kind, draft.severity, float(draft.at), draft.account_id, draft.payload)
        self.events.append(event)
        return event


def _ordered(table: _Table, query: Query, column: str) -> list[Row]:
    """A page in the order of a column; the rows that match are sorted each time, as there is no index here."""
    project = table.kind.project
    keyed = [
        ((value, row.record.id), row) for row in table.matching(query, table.ids) if (value := project(row.record).get(column)) is not None
    ]
    if query.after_id is not None:
        behind: Any = (query.after_value, query.after_id)
        keyed = [entry for entry in keyed if (entry[0] < behind if query.newest_first else entry[0] > behind)]
    pick = heapq.nlargest if query.newest_first else heapq.nsmallest
    limit = len(keyed) if query.limit is None else query.limit
    return [row for _, row in pick(limit, keyed, key=lambda entry: entry[0])]


class MemoryStore:
    """The `Store` port in memory.

    Args:
        kinds: the record kinds, as for the real store.
        chance: decides, at a crash, how much of what was not acknowledged had reached the disk. Without it nothing had.
        schedule: lets a commit take `disk.fsync_s`; without it a commit is done at once, or waits for `flush()` if `hold`.
        strict: encode and decode every record, as a database would, and refuse what does not survive; slower.
        observe: told of every unit at the moment when it becomes durable, before anybody else.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        *,
        chance: Randomness | None = None,
        schedule: Schedule | None = None,
        hold: bool = False,
        strict: bool = False,
        disk: Disk | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.disk = Disk() if disk is None else disk
        self.hold = hold
        self._kinds = tuple(kinds)
        self._chance = chance
        self._schedule = schedule
        self._strict = strict
        self._observe = observe
        self._state = _State(kinds, strict)
        self._waiting: deque[tuple[tuple[Unit, ...], Callable[[BatchResult], None]]] = deque()
        self._busy = False
        self._failure: str | None = None
        self._closed = False

    # Faults

    def fail_next_commit(self, count: int = 1) -> None:
        """The next `count` commits end as `Unknown`; whether one reached the disk shows only after `crash()`."""
        self.disk.failures_ahead = count

    def crash(self) -> MemoryStore:
        """The store that a restarted process opens; this one is dead, and its callbacks never come.

        All that was acknowledged is there. Of the batches handed over and not acknowledged a prefix is, each whole or not at all.
        """
        heir = MemoryStore(
            self._kinds, chance=self._chance, schedule=self._schedule, hold=self.hold, strict=self._strict, disk=self.disk,
            observe=self._observe,
        )  # fmt: skip
        heir._state = self._state
        if self._waiting and self._chance is not None and not self.disk.full:
            for units, _ in list(self._waiting)[: self._chance.stream("store.torn_tail").randint(0, len(self._waiting))]:
                for unit in units:
                    heir._apply(unit)
        self._state = _State(self._kinds, self._strict)
        self._waiting.clear()
        self._closed = True
        return heir

    def flush(self) -> None:
        """Finish every commit that waits, those included that their callbacks hand over."""
        while self._can_finish():
            self._finish_oldest()

    def image(self) -> MemoryStore:
        """A store of the same content and without faults, that lives apart from this one from now on."""
        other = MemoryStore(self._kinds, strict=self._strict)
        other._state = self._state.copy()
        return other

    def write_image(self, image: MemoryStore) -> None:
        """Let the disk hold what an image of another store holds, as when a backup is put back. Nothing may be under way."""
        assert not self._waiting
        self._state = image._state.copy()

    # Reads

    def load(self, kind: str, id: str) -> Row | None:
        return self._table(kind).rows.get(id)

    def lookup(self, kind: str, key: str, value: str) -> str | None:
        holders = self._table(kind).holders.get(key)
        if holders is None:
            raise ValueError(f"{kind} has no unique key {key!r}")
        return holders.get(value)

    def query(self, query: Query) -> list[Row]:
        table = self._table(query.kind)
        check_query(table.kind, query)
        if query.order_by is not None:
            return _ordered(table, query, query.order_by)
        ids = table.ids
        if query.after_id is not None:
            ids = ids[: bisect_left(ids, query.after_id)] if query.newest_first else ids[bisect_right(ids, query.after_id) :]
        found: list[Row] = []
        for row in table.matching(query, ids[::-1] if query.newest_first else ids):
            if query.limit is not None and len(found) >= query.limit:
                break
            found.append(row)
        return found

    def query_ids(self, query: Query) -> list[str]:
        return [row.record.id for row in self.query(query)]

    def count(self, query: Query) -> int:
        table = self._table(query.kind)
        check_query(table.kind, query)
        return sum(1 for _ in table.matching(query, table.ids))

    def due(self) -> list[tuple[str, str, float]]:
        rows = ((table, id, table.kind.due(table.rows[id].record)) for table in self._filled() for id in table.ids)
        return [(table.kind.name, id, float(at)) for table, id, at in rows if at is not None]

    def resumable(self) -> list[tuple[str, str]]:
        return [(table.kind.name, id) for table in self._filled() for id in table.ids if table.kind.resume(table.rows[id].record)]

    def events(self, after: int, limit: int) -> list[Event]:
        self._check_open()
        start = max(after, 0)
        return self._state.events[start : start + max(limit, 0)]

    def last_cursor(self) -> int:
        self._check_open()
        return len(self._state.events)

    def audit(self, chain: str, after_sequence: int, limit: int) -> list[AuditEntry]:
        self._check_open()
        pruned = self._state.pruned.get(chain)
        start = max(after_sequence - (0 if pruned is None else pruned.sequence), 0)
        return self._state.chains.get(chain, [])[start : start + max(limit, 0)]

    def audit_head(self, chain: str) -> AuditEntry | None:
        self._check_open()
        entries = self._state.chains.get(chain)
        return entries[-1] if entries else None

    def audit_pruned(self, chain: str) -> Pruned | None:
        self._check_open()
        return self._state.pruned.get(chain)

    def ledger_head(self) -> LedgerEntry | None:
        self._check_open()
        return self._state.ledger

    def meta_get(self, key: str) -> str | None:
        self._check_open()
        return self._state.meta.get(key)

    def _filled(self) -> list[_Table]:
        """The tables that have rows, in the order in which their kinds were declared."""
        self._check_open()
        tables = self._state.tables
        return [tables[name] for name in tables.kinds if name in tables]

    def _table(self, kind: str) -> _Table:
        self._check_open()
        try:
            return self._state.tables[kind]
        except KeyError:
            raise ValueError(f"unknown record kind {kind!r}") from None

    # Writes

    def commit(self, units: Sequence[Unit], done: Callable[[BatchResult], None]) -> None:
        self._check_open()
        if self._failure is not None:
            done(Unknown(f"not attempted after an earlier failure: {self._failure}"))
            return
        self._waiting.append((tuple(units), done))
        if self._busy or self.hold:
            return
        if self._schedule is None:
            self._drain()
        else:
            self._start_fsync(self._schedule)

    def meta_set(self, key: str, value: str) -> None:
        self._check_open()
        if self.disk.full or self._failure is not None:
            raise StoreError(f"cannot write: {self._failure or 'the disk is full'}")
        self._state.meta[key] = value

    def bump_epoch(self) -> int:
        epoch = int(self.meta_get("boot_epoch") or 0) + 1
        self.meta_set("boot_epoch", str(epoch))
        return epoch

    def writable(self) -> bool:
        return not self._closed and self._failure is None and not self.disk.full

    def close(self) -> None:
        if not self._closed:
            self.flush()
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    def _can_finish(self) -> bool:
        return bool(self._waiting) and not self._closed and self._failure is None

    def _drain(self) -> None:
        """Finish what waits; what a callback hands over meanwhile waits its turn here instead of nesting."""
        self._busy = True
        try:
            self.flush()
        finally:
            self._busy = False

    def _start_fsync(self, schedule: Schedule) -> None:
        """One commit at a time, as one writer thread would."""

        def finish() -> None:
            self._busy = False
            if self._can_finish():
                self._finish_oldest()
            if self._waiting and not self._busy and self._can_finish():
                self._start_fsync(schedule)

        self._busy = True
        schedule(self.disk.fsync_s, finish)

    def _finish_oldest(self) -> None:
        """Commit the oldest waiting batch and call back. A failed one stays in the queue: a crash decides its fate."""
        units, done = self._waiting[0]
        if self.disk.full or self.disk.failures_ahead > 0:
            self._fail("the disk is full" if self.disk.full else "I/O error at commit")
            return
        self._waiting.popleft()
        done(tuple([self._apply(unit) for unit in units]))

    def _apply(self, unit: Unit) -> UnitResult:
        result = self._state.apply(unit)
        if self._observe is not None and type(result) is Committed:
            self._observe(unit, self._state.former(), result)
        return result

    def _fail(self, error: str) -> None:
        """Every waiting batch is told once that its outcome is unknown; only the first had been begun."""
        self.disk.failures_ahead = max(self.disk.failures_ahead - 1, 0)
        self._failure = error
        told = [done for _, done in self._waiting]
        begun = self._waiting[0]
        self._waiting.clear()
        if not self.disk.full:
            self._waiting.append(begun)
        for done in told:
            if not self._closed:
                done(Unknown(error))
