"""What may be said to a catalogue, and what it answers.

Lives here: frozen messages. Attributes were read by the builder of their kind at the door; references may still name their target by
its natural key. Must not live here: behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from actors.idempotency.record import Mark
from actors.problems import Problem
from actors.resource.record import ResourceRecord
from runtime.values import Value

Change = Literal["created", "updated", "unchanged"]


class Draft(Value, frozen=True, kw_only=True):
    """One record as somebody wants it to be.

    Attributes:
        path: where it stood in the input, for problems.
        kind: canonical name.
        id: the id it must have; None takes that of the record with the same natural key, or a new one.
        attributes: all of them; what is absent is unset. A reference is an id, or an object with the natural key of its target.
    """

    path: str
    kind: str
    id: str | None = None
    attributes: Mapping[str, Any]


class Write(Value, frozen=True, kw_only=True):
    """Create or replace several records in one transaction. Answer: `Written`, or a fault that tells every problem.

    Attributes:
        new_only: a record that is there already is a problem (`resource_exists`).
        dry_run: nothing is written; problems come as part of the answer.
    """

    account_id: str
    by: str | None
    drafts: tuple[Draft, ...]
    new_only: bool = False
    dry_run: bool = False
    mark: Mark | None = None


class Written(Value, frozen=True):
    """What became of each draft, in their order.

    Attributes:
        changes: id and change for each draft; empty if there are problems.
        records: the records as they are now.
        problems: with `dry_run`, everything that would refuse the write.
    """

    changes: tuple[tuple[str, Change], ...]
    records: tuple[ResourceRecord, ...] = ()
    problems: tuple[Problem, ...] = ()


class Update(Value, frozen=True, kw_only=True):
    """Change some attributes of one record; null unsets one. Answer: the record, or a fault."""

    account_id: str
    by: str | None
    kind: str
    id: str
    changes: Mapping[str, Any]
    expected_version: int | None = None
    mark: Mark | None = None


class Delete(Value, frozen=True, kw_only=True):
    """Delete one record and all that it owns. Answer: `Deleted`, or a fault."""

    account_id: str
    by: str | None
    kind: str
    id: str
    expected_version: int | None = None
    mark: Mark | None = None


class Deleted(Value, frozen=True):
    """The tombstones, the record's own first."""

    records: tuple[ResourceRecord, ...]


class Forget(Value, frozen=True):
    """End a tombstone whose time has come."""

    id: str
