"""The shape of the SQLite file: making it, recognising it, carrying it to today's shape.

Two numbers and a digest say what a file is. `user_version` counts the migrations of the store's own tables. The fact
`domain_version` is raised by the domain when its records change in meaning. Each kind's table remembers a digest of the shape it
was written with; when that differs, the table is rebuilt row by row, through the kind's upcast. An older program refuses a file
with a greater number, for it would drop what it does not know.

sqlite-utils is imported only when there is work to do: it costs 0.2 s and 10 MB, and an ordinary start needs none of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from runtime.store.chain import GENESIS, total
from runtime.store.codec import CodecError, canonical_json
from runtime.store.port import Column, StoreError
from runtime.store.sqlite_table import Table, key_column, quoted

if TYPE_CHECKING:
    from sqlite_utils import Database


def _create_logs(db: Database) -> None:
    """Facts, the audit log and the event log. The triggers make both logs gapless and the audit log write-once."""
    db.create_table("store_meta", {"key": str, "value": str}, pk="key", not_null={"value"})
    db.create_table("store_kind", {"name": str, "shape": str}, pk="name", not_null={"shape"})
    audit = {
        "chain": str,
        "sequence": int,
        "action": str,
        "at": float,
        "actor_kind": str,
        "actor_id": str,
        "payload": bytes,
        "previous_hash": str,
        "hash": str,
    }
    db.create_table("store_audit", audit, pk=("chain", "sequence"), not_null=audit.keys() - {"actor_id"})
    event = {"cursor": int, "kind": str, "severity": str, "at": float, "account_id": str, "payload": bytes}
    db.create_table("store_event", event, pk="cursor", not_null=event.keys() - {"account_id"})
    for operation in ("update", "delete"):
        db.execute(
            f"create trigger store_audit_no_{operation} before {operation} on store_audit "
            "begin select raise(abort, 'audit entries are written once'); end"
        )
    db.execute(
        "create trigger store_audit_gapless before insert on store_audit "
        "when new.sequence is not 1 + (select coalesce(max(sequence), 0) from store_audit where chain = new.chain) "
        "begin select raise(abort, 'audit sequences have no gap'); end"
    )
    db.execute(
        "create trigger store_event_gapless before insert on store_event "
        "when new.cursor is not 1 + (select coalesce(max(cursor), 0) from store_event) "
        "begin select raise(abort, 'event cursors have no gap'); end"
    )


def _create_ledger(db: Database) -> None:
    """Every audit entry once more, by its hash and in the order of writing. What was cut off a chain before this cannot be known."""
    # With `autoincrement` SQLite keeps the highest position ever given elsewhere in the file.
    db.execute(
        "create table store_audit_ledger (position integer primary key autoincrement, chain text not null, sequence integer not null, "
        "hash text not null, total text not null)"
    )
    former = GENESIS
    entries = db.conn.execute("select chain, sequence, hash from store_audit order by rowid")
    for position, (chain, sequence, hash) in enumerate(entries, start=1):
        former = total(former, chain, sequence, hash)
        db.conn.execute("insert into store_audit_ledger values (?, ?, ?, ?, ?)", (position, chain, sequence, hash, former))
    for operation in ("update", "delete"):
        db.execute(
            f"create trigger store_audit_ledger_no_{operation} before {operation} on store_audit_ledger "
            "begin select raise(abort, 'the audit ledger is written once'); end"
        )
    db.execute(
        "create trigger store_audit_ledger_gapless before insert on store_audit_ledger "
        "when new.position is not 1 + (select coalesce(max(position), 0) from store_audit_ledger) "
        "begin select raise(abort, 'audit positions have no gap'); end"
    )


def _create_prunings(db: Database) -> None:
    """A row for each time that a chain lost its oldest entries. Without one of these no entry can be removed; the last one stays always."""
    pruned = {"chain": str, "sequence": int, "hash": str, "ledger_head": str, "held_by": str, "at": float}
    db.create_table("store_audit_pruned", pruned, pk=("chain", "sequence"), not_null=pruned.keys())
    for operation in ("update", "delete"):
        db.execute(
            f"create trigger store_audit_pruned_no_{operation} before {operation} on store_audit_pruned "
            "begin select raise(abort, 'prunings are written once'); end"
        )
    db.execute(
        "create trigger store_audit_pruned_as_written before insert on store_audit_pruned "
        "when new.sequence >= (select coalesce(max(sequence), 0) from store_audit where chain = new.chain) or not exists "
        "(select 1 from store_audit where chain = new.chain and sequence = new.sequence and hash = new.hash) "
        "begin select raise(abort, 'what is pruned was written, and is not the end of its chain'); end"
    )
    db.execute("drop trigger store_audit_no_delete")
    db.execute(
        "create trigger store_audit_no_delete before delete on store_audit "
        "when not exists (select 1 from store_audit_pruned where chain = old.chain and sequence >= old.sequence) "
        "begin select raise(abort, 'audit entries are written once'); end"
    )


MIGRATIONS: Sequence[Callable[[Database], None]] = (_create_logs, _create_ledger, _create_prunings)
"""Applied in order, each once. Append; never edit one that has been released."""

SCHEMA_VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, tables: Sequence[Table], domain_version: int) -> None:
    """Bring the file behind `connection` (autocommit mode) to today's shape, in one transaction, or leave it as it was.

    Raises:
        StoreError: the file is newer than this program, holds a row that no longer fits, or is no database of ours.
    """
    shapes = _shapes(tables, domain_version)
    if _is_current(connection, shapes, domain_version):
        return
    import sqlite_utils

    connection.execute("begin immediate")
    try:
        db = sqlite_utils.Database(connection, execute_plugins=False)
        version = connection.execute("pragma user_version").fetchone()[0]
        for migrate in MIGRATIONS[version:]:
            migrate(db)
        stored = dict(connection.execute("select name, shape from store_kind"))
        for table in tables:
            if stored.get(table.kind.name) != shapes[table.kind.name]:
                _rebuild(db, table)
        write = "insert into store_kind (name, shape) values (?, ?) on conflict (name) do update set shape = excluded.shape"
        connection.executemany(write, list(shapes.items()))
        connection.execute("insert or replace into store_meta (key, value) values ('domain_version', ?)", (str(domain_version),))
        connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
        connection.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        raise


def is_current(connection: sqlite3.Connection, tables: Sequence[Table], domain_version: int) -> bool:
    """Whether the file behind `connection` has today's shape already.

    Raises:
        StoreError: the file is newer than this program.
        sqlite3.Error: it is no database of ours.
    """
    return _is_current(connection, _shapes(tables, domain_version), domain_version)


def stored_versions(connection: sqlite3.Connection) -> tuple[int, int]:
    """`(schema version, domain version)` of the file; zeros if it is new."""
    schema = int(connection.execute("pragma user_version").fetchone()[0])
    if schema == 0:
        return 0, 0
    row = connection.execute("select value from store_meta where key = 'domain_version'").fetchone()
    return schema, 0 if row is None else int(row[0])


def _is_current(connection: sqlite3.Connection, shapes: dict[str, str], domain_version: int) -> bool:
    schema, domain = stored_versions(connection)
    for what, found, known in (("schema", schema, SCHEMA_VERSION), ("domain", domain, domain_version)):
        if found > known:
            raise StoreError(
                f"the database has {what} version {found}, but this program knows only up to {known}: "
                "start the newer program again, or restore a backup made before the upgrade"
            )
    if schema < SCHEMA_VERSION or domain < domain_version:
        return False
    stored = dict(connection.execute("select name, shape from store_kind"))
    return all(stored.get(name) == shape for name, shape in shapes.items())


def _shapes(tables: Sequence[Table], domain_version: int) -> dict[str, str]:
    return {table.kind.name: _shape(table, domain_version) for table in tables}


def _shape(table: Table, domain_version: int) -> str:
    kind = table.kind
    description = {
        "domain_version": domain_version,
        "record": table.codec.shape(),
        "evidence": None if table.evidence_codec is None else table.evidence_codec.shape(),
        "columns": dict(kind.columns),
        "evidence_columns": dict(kind.evidence_columns),
        "unique": sorted(kind.unique),
    }
    if kind.indexes or kind.unindexed:
        description |= {"indexes": [list(index) for index in kind.indexes], "unindexed": sorted(kind.unindexed)}
    return hashlib.sha256(canonical_json(description)).hexdigest()


_TYPES: dict[Column, type] = {"text": str, "integer": int, "real": float}


def _rebuild(db: Database, table: Table) -> None:
    """Make the kind's table as declared today; rows of a former one are upcast, projected anew and carried over."""
    kind = table.kind
    former = f"store_former_{kind.name}"
    had_rows = db[kind.name].exists()
    if had_rows:
        db.rename_table(kind.name, former)
    columns: dict[str, type] = {"id": str, "version": int, "record": bytes, "evidence": bytes, "due_at": float, "resume": int}
    columns |= {name: _TYPES[column] for name, column in {**kind.columns, **kind.evidence_columns}.items()}
    columns |= {key_column(key): str for key in kind.unique}
    db.create_table(kind.name, columns, pk="id", not_null={"id", "version", "record", "resume"})
    if had_rows:
        _carry_over(db.conn, table, former)
        db.execute(f"drop table {quoted(former)}")
    _create_indexes(db, table)


def _create_indexes(db: Database, table: Table) -> None:
    """Behind each column stands the id, so that a page of a filtered list needs no sorting."""
    kind, name = table.kind, table.kind.name
    for column in (*kind.columns, *kind.evidence_columns):
        if column not in kind.unindexed:
            db.table(name).create_index([column, "id"], index_name=f"{name}__{column}")
    for index in kind.indexes:
        db.table(name).create_index([*index, "id"], index_name=f"{name}__{'__'.join(index)}__")
    try:
        for key in kind.unique:
            db.table(name).create_index([key_column(key)], index_name=f"{name}__{key_column(key)}", unique=True)
    except sqlite3.IntegrityError as error:
        raise StoreError(f"two rows of {name} share a key that is unique in this program: {error}") from error
    db.execute(f"create index {quoted(name + '__due_at')} on {table.name} (due_at) where due_at is not null")
    db.execute(f"create index {quoted(name + '__resume')} on {table.name} (resume) where resume = 1")


def _carry_over(connection: sqlite3.Connection, table: Table, former: str) -> None:
    for id, record, evidence in _slices(connection, former):
        try:
            connection.execute(table.insert, (id, *table.values(table.codec.migrate(record))))
            if evidence is not None and table.evidence_codec is not None:
                connection.execute(table.put_evidence, (*table.evidence_values(table.evidence_codec.decode(evidence)), id))
        except (CodecError, ValueError) as error:
            raise StoreError(f"{table.kind.name} {id} does not fit this program: {error}") from error


def _slices(connection: sqlite3.Connection, former: str) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Every row in id order, a bounded number in memory at a time."""
    after = ""
    while rows := connection.execute(
        f"select id, record, evidence from {quoted(former)} where id > ? order by id limit 1000", (after,)
    ).fetchall():
        yield from rows
        after = rows[-1][0]
