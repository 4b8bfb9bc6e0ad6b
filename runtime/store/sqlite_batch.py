"""One batch of units as one SQLite transaction, with a savepoint for each unit.

Lives here: the writes, the refusals, the numbering of audit entries and events. Must not live here: threads, queues, reads.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.store.chain import GENESIS, link, total
from runtime.store.codec import encode_json
from runtime.store.port import (
    AuditDraft,
    AuditEntry,
    BatchResult,
    Committed,
    Delete,
    Event,
    EventDraft,
    Prune,
    Put,
    PutEvidence,
    Refused,
    Unit,
    UnitResult,
    Unknown,
)
from runtime.store.projection import unique_keys
from runtime.store.sqlite_table import Table

_log = logging.getLogger(__name__)

_UNITS_OWN_FAULT = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)
"""What SQLite raises for what was asked of it; all else (disk, lock, damage) concerns the whole batch."""


class _RefusalError(Exception):
    """Ends one unit; carries the answer."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


class BatchWriter:
    """Applies batches to one connection (autocommit mode), which nobody else writes through.

    Another process may write to the same file between two batches: heads of chains and the last cursor are read inside each
    transaction, and remembered only until it ends.
    """

    def __init__(self, connection: sqlite3.Connection, tables: Mapping[str, Table]) -> None:
        self._db = connection
        self._tables = tables
        self._heads: dict[str, tuple[int, str]] = {}
        self._cursor: int | None = None
        self._ledger: tuple[int, str] | None = None

    def apply(self, units: Sequence[Unit]) -> BatchResult:
        """Commit the batch and say what became of each unit; `Unknown` if SQLite failed rather than refused, or anything unforeseen did."""
        self._forget_numbers()
        try:
            self._db.execute("begin immediate")
            results = tuple([self._apply_unit(unit) for unit in units])
            self._db.execute("commit")
        except Exception as error:
            # Whoever waits for an outcome must hear of one: a writer thread that ended would leave them waiting for ever.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("rollback")
            return Unknown(f"{type(error).__name__}: {error}")
        return results

    def _apply_unit(self, unit: Unit) -> UnitResult:
        self._db.execute("savepoint unit")
        try:
            result: UnitResult = self._write_all(unit)
        except _RefusalError as refusal:
            result = refusal.refused
        except Exception as error:
            if isinstance(error, sqlite3.DatabaseError | MemoryError) and not isinstance(error, _UNITS_OWN_FAULT):
                raise
            # A unit that cannot be written as declared is a defect of its author; its neighbours in the batch go on.
            _log.exception("a unit was refused: %s", type(error).__name__)
            result = Refused("constraint", _kind_of(unit))
        if isinstance(result, Refused):
            self._db.execute("rollback to unit")
            self._forget_numbers()
        self._db.execute("release unit")
        return result

    def _forget_numbers(self) -> None:
        self._heads.clear()
        self._cursor = None
        self._ledger = None

    def _write_all(self, unit: Unit) -> Committed:
        events: list[Event] = []
        entries: list[AuditEntry] = []
        for write in unit.writes:
            if isinstance(write, EventDraft):
                events.append(self._append_event(write))
            elif isinstance(write, AuditDraft):
                entries.append(self._append_entry(write))
            elif isinstance(write, Prune):
                self._prune(write)
            else:
                self._write_row(write)
        return Committed(tuple(events), tuple(entries))

    def _write_row(self, write: Put | Delete | PutEvidence) -> None:
        table = self._tables[write.kind]
        if isinstance(write, Put):
            self._put(table, write)
        elif isinstance(write, Delete):
            self._db.execute(table.delete, (write.id,))
        else:
            self._db.execute(table.put_evidence, (*table.evidence_values(write.evidence), write.id))

    def _put(self, table: Table, write: Put) -> None:
        record = write.record
        values = table.values(record)
        try:
            if write.expected_version is None:
                self._db.execute(table.insert, (record.id, *values))
                return
            if self._db.execute(table.update, (*values, record.id, write.expected_version)).rowcount == 0:
                raise _RefusalError(Refused("version", write.kind))
        except sqlite3.IntegrityError as error:
            raise _RefusalError(self._explain(table, write)) from error

    def _explain(self, table: Table, write: Put) -> Refused:
        """Which rule a failed insert or update broke: the id before the keys, keys in the order of their declaration."""
        record = write.record
        if write.expected_version is None and self._db.execute(table.exists, (record.id,)).fetchone():
            return Refused("version", write.kind)
        for key, value in unique_keys(table.kind, record).items():
            holder = self._db.execute(table.lookups[key], (value,)).fetchone()
            if holder is not None and holder[0] != record.id:
                return Refused("unique", write.kind, key, table.kind.unique[key])
        return Refused("constraint", write.kind)

    def _append_entry(self, draft: AuditDraft) -> AuditEntry:
        head = self._head(draft.chain)
        entry = link(draft, head[0] + 1, head[1])
        self._db.execute(
            "insert into store_audit (chain, sequence, action, at, actor_kind, actor_id, payload, previous_hash, hash) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.chain,
                entry.sequence,
                entry.action,
                entry.at,
                entry.actor_kind,
                entry.actor_id,
                encode_json(entry.payload),
                entry.previous_hash,
                entry.hash,
            ),
        )
        self._heads[draft.chain] = (entry.sequence, entry.hash)
        self._enter(entry)
        return entry

    def _head(self, chain: str) -> tuple[int, str]:
        """Number and hash of the last entry of a chain."""
        head = self._heads.get(chain)
        if head is None:
            newest = "select sequence, hash from store_audit where chain = ? order by sequence desc limit 1"
            head = self._db.execute(newest, (chain,)).fetchone() or (0, GENESIS)
        return head

    def _ledger_end(self) -> tuple[int, str]:
        if self._ledger is None:
            newest = "select position, total from store_audit_ledger order by position desc limit 1"
            self._ledger = self._db.execute(newest).fetchone() or (0, GENESIS)
        return self._ledger

    def _enter(self, entry: AuditEntry) -> None:
        """The ledger remembers that there was such an entry, so that none can be cut off the end of its chain alone."""
        position, former = self._ledger_end()
        self._ledger = position + 1, total(former, entry.chain, entry.sequence, entry.hash)
        self._db.execute(
            "insert into store_audit_ledger (position, chain, sequence, hash, total) values (?, ?, ?, ?, ?)",
            (position + 1, entry.chain, entry.sequence, entry.hash, self._ledger[1]),
        )

    def _prune(self, write: Prune) -> None:
        head, _ = self._head(write.chain)
        found = self._db.execute("select hash from store_audit where chain = ? and sequence = ?", (write.chain, write.sequence)).fetchone()
        if found != (write.hash,) or write.sequence >= head:
            raise _RefusalError(Refused("constraint"))
        position, whole = self._ledger_end()
        self._db.execute(
            "insert into store_audit_pruned (chain, sequence, hash, ledger_head, held_by, at) values (?, ?, ?, ?, ?, ?)",
            (write.chain, write.sequence, write.hash, f"{position}:{whole}", write.held_by, float(write.at)),
        )
        self._db.execute("delete from store_audit where chain = ? and sequence <= ?", (write.chain, write.sequence))

    def _append_event(self, draft: EventDraft) -> Event:
        if self._cursor is None:
            self._cursor = int(self._db.execute("select coalesce(max(cursor), 0) from store_event").fetchone()[0])
        event = Event(self._cursor + 1, draft.kind, draft.severity, float(draft.at), draft.account_id, draft.payload)
        self._db.execute(
            "insert into store_event (cursor, kind, severity, at, account_id, payload) values (?, ?, ?, ?, ?, ?)",
            (event.cursor, event.kind, event.severity, event.at, event.account_id, encode_json(event.payload)),
        )
        self._cursor = event.cursor
        return event


def _kind_of(unit: Unit) -> str:
    """The kind of the first row written: the actor's own, by which the author finds the defect."""
    rows: list[Any] = [write for write in unit.writes if not isinstance(write, AuditDraft | EventDraft | Prune)]
    return rows[0].kind if rows else ""
