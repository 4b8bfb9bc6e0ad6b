"""The storage port: what the engine needs from a store, and the values that cross it.

Lives here: the `Store` protocol, the declaration of a record kind, writes, results, queries. Must not live here: SQL or files.
One suite, `tests/contract/test_store.py`, runs against every side of this port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs

from runtime.values import Value

Column = Literal["text", "integer", "real"]
Scalar = str | int | float | None


def _nothing(_: Any) -> Any:
    return None


def _no_columns(_: Any) -> dict[str, Any]:
    return {}


@attrs.frozen(eq=False)
class Kind:
    """How records of one kind are stored and found. A declaration is equal to itself only.

    Attributes:
        name: table name and actor kind, snake_case.
        record: attrs class with at least `id: str` and `version: int`; encoded as JSON by msgspec.
        columns: indexed columns, name to type; `project(record)` gives their values.
        unindexed: columns without an index of their own, because an entry of `indexes` serves them.
        indexes: further indexes, each over several columns and the id behind them, for pages in another order than that of ids.
        unique: unique keys, key name to the domain code that a violation maps to; `keys(record)` gives their values
            (None means that the record does not take part).
        due: wall time (seconds since the epoch) at which the actor must be woken, or None; pure.
        put_off_s: the longest time by which looks of this kind are put off; None where every deadline is a date of its own. A record whose
            deadline is further away is told of it after a start, and when the wall clock was put back: a clock that was ahead may have
            set it, which its actor finds out by `runtime.deadlines.has_come`.
        has_dates: with `put_off_s`: that other deadlines of these records are dates of their own. Then a start, at which there may be
            many of them, is no reason to look; a clock that is put back is.
        resume: whether the actor must be woken after a start of the process; pure.
        evidence: attrs class of the small mutable value flushed beside the record, or None.
        evidence_columns: indexed columns computed from the evidence by `project_evidence`.
        upcast: turns a stored JSON object of an older shape into today's before structuring.
    """

    name: str
    record: type
    columns: Mapping[str, Column] = attrs.field(factory=dict)
    project: Callable[[Any], dict[str, Scalar]] = _no_columns
    unindexed: frozenset[str] = frozenset()
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: Mapping[str, str] = attrs.field(factory=dict)
    keys: Callable[[Any], dict[str, str | None]] = _no_columns
    due: Callable[[Any], float | None] = _nothing
    put_off_s: float | None = None
    has_dates: bool = False
    resume: Callable[[Any], bool] = _nothing
    evidence: type | None = None
    evidence_columns: Mapping[str, Column] = attrs.field(factory=dict)
    project_evidence: Callable[[Any], dict[str, Scalar]] = _no_columns
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None


class Row(Value, frozen=True):
    """A committed record with its evidence (None while there is none)."""

    record: Any
    evidence: Any = None


class Put(Value, frozen=True):
    """Write `record`. `expected_version` None inserts (the id must be new); a number updates and must equal the stored version."""

    kind: str
    record: Any
    expected_version: int | None = None


class Delete(Value, frozen=True):
    """Remove the row `id`; removing an absent row is no error."""

    kind: str
    id: str


class PutEvidence(Value, frozen=True):
    """Replace the evidence of an existing row; no version is raised, an absent row is ignored."""

    kind: str
    id: str
    evidence: Any


class AuditDraft(Value, frozen=True):
    """An audit entry without its number: the writer assigns sequence, previous hash and hash.

    `chain` is the id of the peer that the entry belongs to; `payload` is JSON-ready and holds no secret.
    """

    chain: str
    action: str
    at: float
    actor_kind: str
    actor_id: str | None
    payload: Mapping[str, Any]


class AuditEntry(Value, frozen=True):
    """A numbered audit entry. `sequence` starts at 1 per chain without gaps; hashes are lower-case hex SHA-256."""

    chain: str
    sequence: int
    action: str
    at: float
    actor_kind: str
    actor_id: str | None
    payload: Mapping[str, Any]
    previous_hash: str
    hash: str


class LedgerEntry(Value, frozen=True):
    """A line of the ledger, which has every audit entry of every chain in the order in which they were written.

    Attributes:
        position: from 1 without gaps.
        hash: that of the audit entry.
        total: hash over this line and all before it.
    """

    position: int
    chain: str
    sequence: int
    hash: str
    total: str

    @property
    def head(self) -> str:
        """The ledger up to and with this line in one word, to be kept elsewhere: `position:total`."""
        return f"{self.position}:{self.total}"


class Prune(Value, frozen=True):
    """Remove the entries of `chain` up to and with number `sequence`, whose hash must be `hash`; an anchor of what they were remains.

    The last entry of a chain always stays. `held_by` is the id of what holds the last of them from now on, `at` the wall time, seconds.
    """

    chain: str
    sequence: int
    hash: str
    held_by: str
    at: float


class Pruned(Value, frozen=True):
    """What remains of entries that were removed: the last one's number and hash, and who holds it. It is written once.

    Attributes:
        ledger_head: the ledger when they were removed, `position:total`; it still has a line for each of them.
    """

    chain: str
    sequence: int
    hash: str
    ledger_head: str
    held_by: str
    at: float


class EventDraft(Value, frozen=True):
    """An event without its number: the writer assigns the cursor."""

    kind: str
    severity: Literal["low", "medium", "high", "critical"]
    at: float
    account_id: str | None
    payload: Mapping[str, Any]


class Event(Value, frozen=True):
    """A numbered event; `cursor` rises by one with each committed event of the store."""

    cursor: int
    kind: str
    severity: str
    at: float
    account_id: str | None
    payload: Mapping[str, Any]


Write = Put | Delete | PutEvidence | AuditDraft | EventDraft | Prune


class Unit(Value, frozen=True):
    """The writes of one turn: all of them or none."""

    writes: tuple[Write, ...]


class Committed(Value, frozen=True):
    """The unit is durable; its events and audit entries as numbered, in order."""

    events: tuple[Event, ...] = ()
    entries: tuple[AuditEntry, ...] = ()


class Refused(Value, frozen=True):
    """This unit alone was rolled back.

    Attributes:
        reason: `unique` (`key` names the violated key, `code` its domain code), `version` (the row moved), `constraint`.
    """

    reason: Literal["unique", "version", "constraint"]
    kind: str = ""
    key: str = ""
    code: str = ""


class Unknown(Value, frozen=True):
    """The outcome of the whole batch is not known (I/O error at commit): stop, reopen, reload."""

    error: str


UnitResult = Committed | Refused
BatchResult = tuple[UnitResult, ...] | Unknown

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "null", "not null"]


class Condition(Value, frozen=True):
    """`column operator value` over an indexed column or `id` (for `in`, value is a tuple; for the null tests it is ignored).

    As in SQL, a null column satisfies no comparison, not even `!=`; ask for it with `null`. Text orders by code point.
    """

    column: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...] = None


class Query(Value, frozen=True):
    """Rows of `kind` for which any of the conjunctions in `any_of` holds (no conjunction: all rows), ordered by id.

    Attributes:
        newest_first: descending ids (ids are time-ordered).
        after_id: continue behind this id, exclusive.
        limit: most rows to return; None for all.
        order_by: a column to order by, then by id, instead of the id alone; rows whose column is null are left out.
        after_value: with `order_by` and `after_id`: continue behind this value and id, exclusive.
    """

    kind: str
    any_of: tuple[tuple[Condition, ...], ...] = ()
    newest_first: bool = True
    after_id: str | None = None
    limit: int | None = None
    order_by: str | None = None
    after_value: Scalar = None


class StoreError(Exception):
    """The store cannot serve: it is closed, unreadable, newer than this program, or its outcome is unknown."""


class Store(Protocol):
    """Durable rows, one audit log and one event log.

    Reads are synchronous and see committed state only. `commit` never blocks: it gathers, and calls `done` exactly once, in the
    engine's own thread, with one result per unit in order. A unit is durable before `done` is called. Nothing above this port
    may assume one process or one file.
    """

    def load(self, kind: str, id: str) -> Row | None:
        """The committed row, or None."""
        ...

    def lookup(self, kind: str, key: str, value: str) -> str | None:
        """The id of the row whose unique key `key` has this value, or None. A hit and a miss do the same work."""
        ...

    def query(self, query: Query) -> list[Row]:
        """Committed rows, ordered as the query says, all of one moment."""
        ...

    def query_ids(self, query: Query) -> list[str]:
        """The ids of what `query` finds, in its order; no record is read for it."""
        ...

    def count(self, query: Query) -> int:
        """How many rows match; `limit`, the order and the place to continue from are ignored."""
        ...

    def due(self) -> Iterable[tuple[str, str, float]]:
        """Every (kind, id, wall time) with a deadline."""
        ...

    def resumable(self) -> Iterable[tuple[str, str]]:
        """Every (kind, id) that asked to be woken after a start."""
        ...

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a cursor greater than `after`, ascending."""
        ...

    def last_cursor(self) -> int:
        """The highest cursor ever assigned, 0 if none."""
        ...

    def audit(self, chain: str, after_sequence: int, limit: int) -> list[AuditEntry]:
        """Entries of one chain with a greater sequence, ascending; those that were pruned are not among them."""
        ...

    def audit_head(self, chain: str) -> AuditEntry | None:
        """The last entry of one chain, or None if it has none."""
        ...

    def audit_pruned(self, chain: str) -> Pruned | None:
        """Up to where one chain was pruned, or None if it is there from its beginning."""
        ...

    def ledger_head(self) -> LedgerEntry | None:
        """The last line of the ledger, or None if nothing has been written to any chain."""
        ...

    def commit(self, units: Sequence[Unit], done: Callable[[BatchResult], None]) -> None:
        """Commit a batch in one transaction with one savepoint per unit; `done` gets one result per unit, or `Unknown`."""
        ...

    def meta_get(self, key: str) -> str | None:
        """A small fact about this installation (such as `instance_id`), or None."""
        ...

    def meta_set(self, key: str, value: str) -> None:
        """Write a small fact and return once it is durable. It blocks: for start and stop, never during a turn.

        Raises:
            StoreError: it could not be written.
        """
        ...

    def bump_epoch(self) -> int:
        """Raise the fact `boot_epoch` (0 at first) by one, durably, and return it. It blocks like `meta_set`."""
        ...

    def writable(self) -> bool:
        """Whether a write would be accepted now (used by readiness)."""
        ...

    def close(self) -> None:
        """Finish what was handed over and close. No further call is allowed."""
        ...
