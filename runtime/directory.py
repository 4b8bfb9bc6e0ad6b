"""The directory: content to id, and id to committed record, as the door reads them without waking an actor.

Lives here: a bounded read model over the store, brought up to date in the act step before any reply leaves. Must not live here: the
uncommitted, or a decision: whoever finds a record here asks its actor, which checks again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any

from runtime.limits import DIRECTORY_ABSENT_ENTRIES, DIRECTORY_ENTRIES
from runtime.store.port import Kind, Query, Row, Store


class Directory:
    """Looks up rows by unique key, and keeps the most recently used committed rows decoded.

    Keys go to the store each time: a hit and a miss do the same work, so timing tells nothing about what exists. Rows are cached by id.
    That an id has no row is remembered too, apart from the rows, so that strangers who name ids that do not exist push out none of them.
    """

    def __init__(self, store: Store, kinds: dict[str, Kind], limit: int = DIRECTORY_ENTRIES) -> None:
        self._store = store
        self._kinds = kinds
        self._rows: OrderedDict[tuple[str, str], Row] = OrderedDict()
        self._absent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._limit = limit
        self._first = 0
        self._versions: defaultdict[str, int] = defaultdict(lambda: self._first)
        self._answers: dict[Query, tuple[int, tuple[Row, ...]]] = {}

    def find(self, kind: str, key: str, value: str) -> str | None:
        """The id of the row whose unique key has this value, or None."""
        return self._store.lookup(kind, key, value)

    def row(self, kind: str, id: str) -> Row | None:
        """The committed row, or None."""
        key = (kind, id)
        cached = self._rows.get(key)
        if cached is not None:
            self._rows.move_to_end(key)
            return cached
        if key in self._absent:
            return None
        row = self._store.load(kind, id)
        if row is not None:
            self._keep(key, row)
        else:
            self._absent[key] = None
            if len(self._absent) > DIRECTORY_ABSENT_ENTRIES:
                self._absent.popitem(last=False)
        return row

    def version(self, kind: str) -> int:
        """Differs from before if a row of this kind may have changed, so that what was made of such rows can be kept meanwhile."""
        return self._versions[kind]

    def rows(self, query: Query) -> tuple[Row, ...]:
        """Committed rows; the store is asked again once one of the kind may have changed. For queries that never vary."""
        version = self._versions[query.kind]
        kept = self._answers.get(query)
        if kept is None or kept[0] != version:
            kept = self._answers[query] = (version, tuple(self._store.query(query)))
        return kept[1]

    def freshest(self, kind: str, row: Row) -> Row:
        """What is known now of a row that was read from the store, whose evidence may not have been flushed yet."""
        return self._rows.get((kind, row.record.id), row)

    def committed(self, kind: str, id: str, record: Any | None, evidence: Any) -> None:
        """Note what a commit, or fresh evidence, has made true."""
        self._versions[kind] += 1
        if record is None:
            self._rows.pop((kind, id), None)
        else:
            self._keep((kind, id), Row(record, evidence))

    def rewritten(self, kind: str, id: str, record: Any) -> None:
        """Note that another actor has written this row's record; its evidence stays what it was."""
        self._versions[kind] += 1
        self._absent.pop((kind, id), None)
        cached = self._rows.get((kind, id))
        if cached is not None:
            self._keep((kind, id), Row(record, cached.evidence))

    def reopen(self, store: Store) -> None:
        """Go on with a reopened store: what was cached may never have been committed there."""
        self._first = max(self._versions.values(), default=self._first) + 1
        self._versions.clear()
        self._answers.clear()
        self._store = store
        self._rows.clear()
        self._absent.clear()

    def _keep(self, key: tuple[str, str], row: Row) -> None:
        if key in self._rows:
            self._rows[key] = row
            self._rows.move_to_end(key)
            return
        self._absent.pop(key, None)
        self._rows[key] = row
        if len(self._rows) > self._limit:
            self._rows.popitem(last=False)
