"""What a record kind means to a store: its checked columns and keys, and whether a row satisfies a query. Pure.

Every side of the store port asks here, so that they agree on types, on nulls and on what is refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from runtime.store.port import Column, Condition, Kind, Query, Scalar

RESERVED_COLUMNS = frozenset({"id", "version", "record", "evidence", "due_at", "resume"})
"""Columns that every table has besides the declared ones."""

RESERVED_PREFIXES = ("store_", "sqlite_", "key_")
"""Kinds and columns may not begin like the store's own tables and key columns."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check_kinds(kinds: Sequence[Kind]) -> dict[str, Kind]:
    """The kinds by name.

    Raises:
        ValueError: a name is malformed, reserved or used twice.
    """
    return dict(_kinds_by_name(tuple(kinds)))


@lru_cache(maxsize=64)
def _kinds_by_name(kinds: tuple[Kind, ...]) -> dict[str, Kind]:
    # A simulated world opens the same kinds over and over.
    by_name = {kind.name: kind for kind in kinds}
    if len(by_name) != len(kinds):
        raise ValueError("two record kinds share a name")
    for kind in kinds:
        _check_name(kind.name, "record kind")
        for column in (*kind.columns, *kind.evidence_columns):
            _check_name(column, f"column of {kind.name}")
        if clash := kind.columns.keys() & kind.evidence_columns.keys():
            raise ValueError(f"{kind.name} declares {sorted(clash)} for the record and for its evidence")
        for column in (*kind.unindexed, *(column for index in kind.indexes for column in index)):
            if column not in kind.columns:
                raise ValueError(f"{kind.name} has no column {column!r} to index")
        for key in kind.unique:
            _check_name(key, f"unique key of {kind.name}", reserved=())
    return by_name


def _check_name(name: str, what: str, reserved: tuple[str, ...] = RESERVED_PREFIXES) -> None:
    if _NAME.fullmatch(name) is None or name.startswith(reserved) or name in RESERVED_COLUMNS:
        raise ValueError(f"{name!r} cannot name a {what}")


def record_columns(kind: Kind, record: Any) -> dict[str, Scalar]:
    """Values of the declared columns of `record`; what `project` leaves out is None.

    Raises:
        ValueError: `project` gave an undeclared column, or a value of the wrong type.
    """
    return _checked(kind, kind.columns, kind.project(record))


def evidence_columns(kind: Kind, evidence: Any) -> dict[str, Scalar]:
    """Values of the evidence columns; all None while there is no evidence.

    Raises:
        ValueError: as `record_columns`.
    """
    return _checked(kind, kind.evidence_columns, {} if evidence is None else kind.project_evidence(evidence))


def unique_keys(kind: Kind, record: Any) -> dict[str, str | None]:
    """Values of the unique keys in the order of their declaration; what `keys` leaves out is None.

    Raises:
        ValueError: `keys` gave an undeclared key, or a value that is not text.
    """
    given = kind.keys(record)
    if undeclared := given.keys() - kind.unique.keys():
        raise ValueError(f"{kind.name} does not declare the unique keys {sorted(undeclared)}")
    for key, value in given.items():
        if value is not None and not isinstance(value, str):
            raise ValueError(f"unique key {key} of {kind.name} must be text")
    return {key: given.get(key) for key in kind.unique}


def _checked(kind: Kind, declared: Mapping[str, Column], given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    if undeclared := given.keys() - declared.keys():
        raise ValueError(f"{kind.name} does not declare the columns {sorted(undeclared)}")
    for name, value in given.items():
        if not _fits(declared[name], value) or (declared[name] == "integer" and isinstance(value, float)):
            raise ValueError(f"column {name} of {kind.name} must be {declared[name]}, got {type(value).__name__}")
    return {name: given.get(name) for name in declared}


def _fits(column: Column, value: Scalar) -> bool:
    return value is None or isinstance(value, str if column == "text" else int | float)


def check_query(kind: Kind, query: Query) -> None:
    """Refuse a query that the declaration of its kind does not allow.

    Raises:
        ValueError: an undeclared column, an unknown operator, a value of the wrong type, or a negative limit.
    """
    _check_order(kind, query)
    if query.limit is not None and query.limit < 0:
        raise ValueError("the limit of a query cannot be negative")
    for conjunction in query.any_of:
        for condition in conjunction:
            _check_condition(kind, condition)


def _check_order(kind: Kind, query: Query) -> None:
    if query.order_by is None:
        if query.after_value is not None:
            raise ValueError("only a query that is ordered by a column continues behind a value")
        return
    column = kind.columns.get(query.order_by)
    if column is None:
        raise ValueError(f"{kind.name} has no column {query.order_by!r} to order by")
    if (query.after_value is None) != (query.after_id is None):
        raise ValueError("a query continues behind a value and an id, or from the start")
    if not _fits(column, query.after_value):
        raise ValueError(f"column {query.order_by} of {kind.name} holds {column}; the value to continue behind does not")


def _check_condition(kind: Kind, condition: Condition) -> None:
    column: Column | None = "text" if condition.column == "id" else kind.columns.get(condition.column)
    column = column or kind.evidence_columns.get(condition.column)
    if column is None:
        raise ValueError(f"{kind.name} has no indexed column {condition.column!r}")
    if condition.operator in ("null", "not null"):
        return
    if condition.operator != "in" and condition.operator not in _COMPARE:
        raise ValueError(f"unknown operator {condition.operator!r}")
    if isinstance(condition.value, tuple) != (condition.operator == "in"):
        raise ValueError("the operator `in`, and no other, takes a tuple")
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if not all(_fits(column, value) for value in values):
        raise ValueError(f"column {condition.column} of {kind.name} holds {column}; the condition does not")


def satisfies(columns: Mapping[str, Scalar], query: Query) -> bool:
    """Whether a row with these `columns` (its `id` among them) belongs to the answer of `query`."""
    return not query.any_of or any(all(_holds(columns[c.column], c) for c in conjunction) for conjunction in query.any_of)


def _holds(value: Scalar, condition: Condition) -> bool:
    if condition.operator == "null":
        return value is None
    if value is None:
        return False
    if condition.operator == "not null":
        return True
    if isinstance(condition.value, tuple):
        return value in condition.value
    return condition.value is not None and _COMPARE[condition.operator](value, condition.value)
