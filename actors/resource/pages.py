"""Pages of the catalogue: which records a list shows, in which order, and from where the next page goes on.

Lives here: the request of a page as a value, and its reading. Must not live here: query strings, cursors as text (the door), or who may
read.

The order is that of `(updated_at, id)`, or of the natural key and the id. A page is read by one statement, so all of it is of one moment.
A record that changes between two pages moves to the end of the first order: it is seen again in its new state, and no other is missed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from actors.inventory.kind import ResourceKind
from actors.resource.limits import ROWS_EXAMINED_MAX
from actors.resource.record import KIND, OWNED_VIA, ResourceRecord, natural_key, scope, unique_name
from runtime.store.port import Condition, Query, Row, Store
from runtime.values import Value

Sort = Literal["updated_at", "natural"]
Operator = Literal["eq", "gte", "lte", "in"]


class Filter(Value, frozen=True):
    """A condition on one attribute. `values` holds one value, or several for `in`; they have the type of the attribute."""

    attribute: str
    operator: Operator
    values: tuple[Any, ...]

    def passes(self, kind: ResourceKind, attributes: Mapping[str, Any]) -> bool:
        """Whether a record with these attributes is meant; one without the attribute never is."""
        value = self._comparable(kind, attributes.get(self.attribute))
        if value is None:
            return False
        wanted = [self._comparable(kind, each) for each in self.values]
        if self.operator == "gte":
            return bool(value >= wanted[0])
        if self.operator == "lte":
            return bool(value <= wanted[0])
        return value in wanted

    def _comparable(self, kind: ResourceKind, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        folds = kind.key_ignores_case and self.attribute in kind.natural_key
        return unicodedata.normalize("NFC", value.casefold() if folds else value)


class Place(Value, frozen=True):
    """Behind which row the next page begins: the value of its order, and its id."""

    value: float | str
    id: str


class PageRequest(Value, frozen=True, kw_only=True):
    """One page.

    Attributes:
        only_id: the list contains at most this record.
        updated_since: seconds since the epoch, inclusive.
        include_deleted: tombstones too; a filter lets every tombstone pass, as what it was is gone.
    """

    account_id: str
    kind: ResourceKind
    limit: int
    sort: Sort = "updated_at"
    filters: tuple[Filter, ...] = ()
    updated_since: float | None = None
    include_deleted: bool = False
    only_id: str | None = None
    after: Place | None = None

    def shows(self, record: ResourceRecord) -> bool:
        """Whether the record belongs into the list."""
        if (record.account_id, record.kind) != (self.account_id, self.kind.kind):
            return False
        if self.updated_since is not None and record.updated_at < self.updated_since:
            return False
        if not record.lives:
            return self.include_deleted
        return all(each.passes(self.kind, record.attributes) for each in self.filters)

    def place_of(self, record: ResourceRecord) -> Place:
        """Where the record stands in the order."""
        return Place(record.updated_at if self.sort == "updated_at" else natural_key(record) or "", record.id)


class Page(Value, frozen=True):
    """The records of one page.

    Attributes:
        examined: the last row that the page looked at, if any; a page that is cut by a filter ends behind it.
        complete: whether nothing is left behind `examined`.
    """

    records: tuple[ResourceRecord, ...]
    examined: ResourceRecord | None
    complete: bool


def read(store: Store, request: PageRequest) -> Page:
    """Read one page. At most `ROWS_EXAMINED_MAX` rows are looked at, so a page may be shorter than its limit though more follows."""
    single = _single(store, request)
    if single is not None:
        return _one(single[0], request)
    selective = bool(request.filters) or request.updated_since is not None
    rows_max = ROWS_EXAMINED_MAX if request.filters else request.limit
    rows = store.query(_query(request, rows_max + 1, selective))
    records: list[ResourceRecord] = []
    examined: ResourceRecord | None = None
    for row in rows[:rows_max]:
        if len(records) == request.limit:
            return Page(tuple(records), examined, False)
        examined = row.record
        if request.shows(row.record):
            records.append(row.record)
    return Page(tuple(records), examined, len(rows) <= rows_max)


def _one(row: Row | None, request: PageRequest) -> Page:
    record: ResourceRecord | None = row.record if row is not None else None
    if record is None or not request.shows(record) or not _behind(request.place_of(record), request.after):
        return Page((), None, True)
    return Page((record,), record, True)


def _behind(place: Place, after: Place | None) -> bool:
    if after is None:
        return True
    here: Any = (place.value, place.id)
    return bool(here > (after.value, after.id))


def _single(store: Store, request: PageRequest) -> tuple[Row | None] | None:
    """The row that alone can be in the list, where the request names it by id or by its whole natural key; None where it does not."""
    if request.only_id is not None:
        return (store.load(KIND.name, request.only_id),)
    equal = {each.attribute: each.values[0] for each in request.filters if each.operator == "eq"}
    if request.include_deleted or not request.kind.natural_key or not equal.keys() >= set(request.kind.natural_key):
        return None
    key = request.kind.natural_key_of(equal)
    assert key is not None
    found = store.lookup(KIND.name, "natural", unique_name(request.account_id, request.kind.kind, key))
    return (store.load(KIND.name, found) if found is not None else None,)


def _query(request: PageRequest, rows_max: int, selective: bool) -> Query:
    within = scope(request.account_id, request.kind.kind)
    conditions = [Condition("scope" if request.include_deleted else "live_scope", "=", within)]
    owner = next((each for each in request.filters if each.operator == "eq" and each.attribute == OWNED_VIA.get(request.kind.kind)), None)
    if owner is not None and not request.include_deleted and request.sort == "updated_at":
        # One owner has few records: its index alone is asked, and what else is wanted is checked row by row.
        conditions = [Condition("owner_id", "=", owner.values[0])]
    if selective and request.updated_since is not None and request.sort == "updated_at":
        conditions.append(Condition("updated_at", ">=", request.updated_since))
    after = request.after
    return Query(
        KIND.name,
        (tuple(conditions),),
        newest_first=False,
        after_id=after.id if after is not None else None,
        after_value=after.value if after is not None else None,
        limit=rows_max,
        order_by="updated_at" if request.sort == "updated_at" else "natural",
    )
