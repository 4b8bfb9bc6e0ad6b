"""Reads of a SQLite store: for the store itself, and for whoever only looks.

Lives here: the read half of the store port, and `look`, which opens a file that may belong to a running platform, or may have been
tampered with, and changes nothing in it. Must not live here: writes (`sqlite`), the shape of the file (`sqlite_schema`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtime.store.codec import decode_json
from runtime.store.port import AuditEntry, Event, Kind, LedgerEntry, Pruned, Query, Row, StoreError
from runtime.store.projection import check_kinds
from runtime.store.sqlite_schema import is_current
from runtime.store.sqlite_table import Table

_ENTRY = "select chain, sequence, action, at, actor_kind, actor_id, payload, previous_hash, hash from store_audit where chain = ?"
_AUDIT = f"{_ENTRY} and sequence > ? order by sequence limit ?"
_LEDGER = "select position, chain, sequence, hash, total from store_audit_ledger"
_PRUNED = "select chain, sequence, hash, ledger_head, held_by, at from store_audit_pruned where chain = ?"
_AUDIT_HEAD = f"{_ENTRY} order by sequence desc limit 1"


class SqliteReader:
    """Rows, events and audit entries of one SQLite file."""

    def __init__(self, path: Path, tables: dict[str, Table], reader: sqlite3.Connection) -> None:
        """Use `look`, or `SqliteStore.open`."""
        self._path = path
        self._tables = tables
        self._reader = reader
        self._closed = False

    def load(self, kind: str, id: str) -> Row | None:
        table = self._table(kind)
        found = self._fetch(table.load, (id,))
        return table.row(*found[0]) if found else None

    def lookup(self, kind: str, key: str, value: str) -> str | None:
        statement = self._table(kind).lookups.get(key)
        if statement is None:
            raise ValueError(f"{kind} has no unique key {key!r}")
        found = self._fetch(statement, (value,))
        return found[0][0] if found else None

    def query(self, query: Query) -> list[Row]:
        table = self._table(query.kind)
        row = table.row
        return [row(*found) for found in self._fetch(*table.select(query))]

    def query_ids(self, query: Query) -> list[str]:
        return [id for (id,) in self._fetch(*self._table(query.kind).select(query, "id"))]

    def count(self, query: Query) -> int:
        return int(self._fetch(*self._table(query.kind).count(query))[0][0])

    def due(self) -> list[tuple[str, str, float]]:
        return [(name, id, at) for name, table in self._tables.items() for id, at in self._fetch(table.due)]

    def resumable(self) -> list[tuple[str, str]]:
        return [(name, id) for name, table in self._tables.items() for (id,) in self._fetch(table.resumable)]

    def events(self, after: int, limit: int) -> list[Event]:
        statement = "select cursor, kind, severity, at, account_id, payload from store_event where cursor > ? order by cursor limit ?"
        return [_event(*found) for found in self._fetch(statement, (after, max(limit, 0)))]

    def last_cursor(self) -> int:
        return int(self._fetch("select coalesce(max(cursor), 0) from store_event")[0][0])

    def audit(self, chain: str, after_sequence: int, limit: int) -> list[AuditEntry]:
        return [_entry(*found) for found in self._fetch(_AUDIT, (chain, after_sequence, max(limit, 0)))]

    def audit_head(self, chain: str) -> AuditEntry | None:
        found = self._fetch(_AUDIT_HEAD, (chain,))
        return _entry(*found[0]) if found else None

    def audit_pruned(self, chain: str) -> Pruned | None:
        found = self._fetch(f"{_PRUNED} order by sequence desc limit 1", (chain,))
        return Pruned(*found[0]) if found else None

    def prunings(self, chain: str) -> list[Pruned]:
        """Every time that a chain was pruned, the first one first."""
        return [Pruned(*found) for found in self._fetch(f"{_PRUNED} order by sequence", (chain,))]

    def ledger(self, after: int, limit: int) -> list[LedgerEntry]:
        """Lines of the audit ledger behind the position `after`, ascending."""
        return [LedgerEntry(*found) for found in self._fetch(f"{_LEDGER} where position > ? order by position limit ?", (after, limit))]

    def ledger_head(self) -> LedgerEntry | None:
        found = self._fetch(f"{_LEDGER} order by position desc limit 1")
        return LedgerEntry(*found[0]) if found else None

    def ledger_end(self) -> int:
        """The highest position that the ledger has ever had."""
        found = self._fetch("select seq from sqlite_sequence where name = 'store_audit_ledger'")
        return int(found[0][0]) if found else 0

    def ids(self, kind: str) -> list[str]:
        """Every id of a kind, ascending; the rows may be unreadable."""
        return [id for (id,) in self._fetch(f"select id from {self._table(kind).name} order by id")]

    def has(self, kind: str, id: str) -> bool:
        """Whether there is such a row; it may be unreadable."""
        return bool(self._fetch(f"select 1 from {self._table(kind).name} where id = ?", (id,)))

    def chains(self) -> list[str]:
        """Every chain of the audit log."""
        return [chain for (chain,) in self._fetch("select distinct chain from store_audit")]

    def meta_get(self, key: str) -> str | None:
        found = self._fetch("select value from store_meta where key = ?", (key,))
        return found[0][0] if found else None

    def _table(self, kind: str) -> Table:
        table = self._tables.get(kind)
        if table is None:
            raise ValueError(f"unknown record kind {kind!r}")
        return table

    def _fetch(self, statement: str, bound: Sequence[Any] = ()) -> list[Any]:
        """All rows at once: a cursor left open would hold its snapshot and keep the write-ahead log from being cut."""
        self._check_open()
        try:
            return self._reader.execute(statement, bound).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self._path}: {error}") from error

    def close(self) -> None:
        """Close the file. No further call is allowed."""
        self._closed = True
        self._reader.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


def look(path: Path, kinds: Sequence[Kind], domain_version: int = 1) -> SqliteReader:
    """The store at `path`, to be read only, as it is at the first read: nothing is made, changed or brought to another shape.

    Raises:
        StoreError: there is none, it cannot be read, or another release of this program wrote it.
        ValueError: the kinds are declared wrongly.
    """
    tables = {name: Table(kind) for name, kind in check_kinds(kinds).items()}
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.execute("begin")
            if not is_current(connection, list(tables.values()), domain_version):
                raise StoreError(f"{path} was written by an earlier release; a start of this one brings it to today's shape")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return SqliteReader(path, tables, connection)


def _event(cursor: int, kind: str, severity: str, at: float, account_id: str | None, payload: bytes) -> Event:
    return Event(cursor, kind, severity, at, account_id, decode_json(payload))


def _entry(*found: Any) -> AuditEntry:
    chain, sequence, action, at, actor_kind, actor_id, payload, previous_hash, hash = found
    try:
        return AuditEntry(chain, sequence, action, at, actor_kind, actor_id, decode_json(payload), previous_hash, hash)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise StoreError(f"audit entry {sequence} of {chain} is unreadable: {error}") from error
