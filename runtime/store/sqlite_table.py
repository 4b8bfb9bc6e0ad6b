"""One record kind as SQL: its table's columns, its statements, and the translation of queries.

Lives here: text of statements and the values bound to them. Must not live here: connections, transactions or migrations.
"""

from __future__ import annotations

from typing import Any

from runtime.store.codec import Codec, CodecError
from runtime.store.port import Condition, Kind, Query, Row, Scalar, StoreError
from runtime.store.projection import check_query, evidence_columns, record_columns, unique_keys

SqlValue = str | int | float | bytes | None


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def key_column(key: str) -> str:
    """The column that holds a unique key."""
    return f"key_{key}"


class Table:
    """The statements and codecs of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name = quoted(kind.name)
        self.codec = Codec(kind.record, kind.upcast)
        self.evidence_codec = None if kind.evidence is None else Codec(kind.evidence)
        written = ["version", "record", "due_at", "resume", *kind.columns, *(key_column(key) for key in kind.unique)]
        names = [quoted(name) for name in ("id", *written)]
        self.insert = f"insert into {self.name} ({', '.join(names)}) values ({', '.join('?' * len(names))})"
        self.update = f"update {self.name} set {', '.join(f'{quoted(name)} = ?' for name in written)} where id = ? and version = ?"
        self.delete = f"delete from {self.name} where id = ?"
        evidence = ["evidence", *kind.evidence_columns]
        self.put_evidence = f"update {self.name} set {', '.join(f'{quoted(name)} = ?' for name in evidence)} where id = ?"
        self.load = f"select id, record, evidence from {self.name} where id = ?"
        self.exists = f"select 1 from {self.name} where id = ?"
        self.lookups = {key: f"select id from {self.name} where {quoted(key_column(key))} = ?" for key in kind.unique}
        self.due = f"select id, due_at from {self.name} where due_at is not null"
        self.resumable = f"select id from {self.name} where resume = 1"

    def values(self, record: Any) -> list[SqlValue]:
        """What `insert` (behind the id) and `update` (before id and version) bind.

        Raises:
            ValueError: the record cannot be stored as declared.
        """
        kind = self.kind
        due_at = kind.due(record)
        return [
            record.version,
            self.codec.encode(record),
            None if due_at is None else float(due_at),
            1 if kind.resume(record) else 0,
            *record_columns(kind, record).values(),
            *unique_keys(kind, record).values(),
        ]

    def evidence_values(self, evidence: Any) -> list[SqlValue]:
        """What `put_evidence` binds before the id.

        Raises:
            ValueError: the kind has no evidence, or it cannot be stored as declared.
        """
        if self.evidence_codec is None:
            raise ValueError(f"{self.kind.name} has no evidence")
        return [self.evidence_codec.encode(evidence), *evidence_columns(self.kind, evidence).values()]

    def row(self, id: str, record: bytes, evidence: bytes | None) -> Row:
        """The row as a value.

        Raises:
            StoreError: the stored bytes are not what this program writes.
        """
        try:
            found = None if evidence is None or self.evidence_codec is None else self.evidence_codec.decode(evidence)
            return Row(self.codec.decode(record), found)
        except CodecError as error:
            raise StoreError(f"{self.kind.name} {id} is unreadable: {error}") from error

    def select(self, query: Query, what: str = "id, record, evidence") -> tuple[str, list[Scalar]]:
        """The statement and bindings that read `what` of the rows of `query`.

        Raises:
            ValueError: the query is not one that the kind allows.
        """
        check_query(self.kind, query)
        where, bound = _where(query)
        direction, beyond = ("desc", "<") if query.newest_first else ("asc", ">")
        order = f"id {direction}"
        if query.order_by is not None:
            column = quoted(query.order_by)
            order = f"{column} {direction}, {order}"
            where = f"({where}) and {column} is not null"
            if query.after_id is not None:
                where += f" and ({column}, id) {beyond} (?, ?)"
                bound += [query.after_value, query.after_id]
        elif query.after_id is not None:
            where = f"({where}) and id {beyond} ?"
            bound.append(query.after_id)
        bound.append(-1 if query.limit is None else query.limit)
        return f"select {what} from {self.name} where {where} order by {order} limit ?", bound

    def count(self, query: Query) -> tuple[str, list[Scalar]]:
        """The statement and bindings that count what matches.

        Raises:
            ValueError: the query is not one that the kind allows.
        """
        check_query(self.kind, query)
        where, bound = _where(query)
        return f"select count(*) from {self.name} where {where}", bound


def _where(query: Query) -> tuple[str, list[Scalar]]:
    bound: list[Scalar] = []
    alternatives = [" and ".join(_condition(c, bound) for c in conjunction) or "1" for conjunction in query.any_of]
    return " or ".join(f"({text})" for text in alternatives) or "1", bound


def _condition(condition: Condition, bound: list[Scalar]) -> str:
    column = quoted(condition.column)
    if condition.operator == "null":
        return f"{column} is null"
    if condition.operator == "not null":
        return f"{column} is not null"
    if isinstance(condition.value, tuple):
        bound.extend(condition.value)
        return f"{column} in ({', '.join('?' * len(condition.value))})"
    bound.append(condition.value)
    return f"{column} {condition.operator} ?"
