"""The query string of a list of resources: strictly read, every problem told at once.

Lives here: parameters to a `PageRequest`. Must not live here: who may read, or the page itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from actors.door.shapes import INVALID, Boolean, Instant, Spot, refuse
from actors.inventory.kind import ResourceKind
from actors.limits import PAGE_DEFAULT, PAGE_MAX
from actors.problems import Problem
from actors.resource.limits import FIELDS_MAX, FILTER_VALUES_MAX, FILTERS_MAX
from actors.resource.pages import Filter, Operator, Sort
from runtime.values import Value

CURSOR_CHARS_MAX: Final = 1_024
_SINGLE: Final = frozenset({"limit", "cursor", "sort", "fields", "updated_since", "include_deleted"})
_FILTER: Final = re.compile(r"filter\[([a-z_]{1,64})\](?:\[([a-z]{1,8})\])?", re.ASCII)
_OPERATORS: Final[Mapping[str, Operator]] = {"gte": "gte", "lte": "lte", "in": "in"}
_LIMIT: Final = re.compile(r"[0-9]{1,6}", re.ASCII)


class ListParameters(Value, frozen=True, kw_only=True):
    """What a list was asked for, beside what the grant and the path say. `cursor` is still sealed."""

    limit: int = PAGE_DEFAULT
    cursor: str | None = None
    sort: Sort = "updated_at"
    filters: tuple[Filter, ...] = ()
    fields: frozenset[str] | None = None
    updated_since: float | None = None
    include_deleted: bool = False

    @property
    def shown(self) -> str:
        """One text for all that a cursor is bound to: the same list has the same, on any host."""
        filters = sorted((each.attribute, each.operator, tuple(map(repr, each.values))) for each in self.filters)
        return repr((self.sort, filters, self.updated_since, self.include_deleted))


def read(kind: ResourceKind, query: Mapping[str, str]) -> ListParameters:
    """The parameters of a list of this kind.

    Raises:
        FaultError: `limit_out_of_range`, `unknown_sort`, `unknown_field`, `unknown_filter`, `filter_invalid` (422), `cursor_invalid`,
            `invalid_parameter` (400); all problems stand in `details.problems`.
    """
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    _read_single(kind, query, problems, found)
    found["filters"] = tuple(_filters(kind, query, problems))
    for name in query:
        if name not in _SINGLE and _FILTER.fullmatch(name) is None:
            code, status = ("unknown_filter", 422) if name.startswith("filter") else ("invalid_parameter", 400)
            problems.append(Problem(name[:64], code, "is not a parameter of this list", status))
    if found.get("include_deleted") and found.get("sort") == "natural":
        problems.append(Problem("sort", "unknown_sort", "a list with deleted records is ordered by updated_at only"))
    if problems:
        refuse(problems)
    return ListParameters(**found)


def _read_single(kind: ResourceKind, query: Mapping[str, str], problems: list[Problem], found: dict[str, Any]) -> None:
    limit = query.get("limit")
    if limit is not None:
        if _LIMIT.fullmatch(limit) and 1 <= int(limit) <= PAGE_MAX:
            found["limit"] = int(limit)
        else:
            problems.append(Problem("limit", "limit_out_of_range", f"must be from 1 to {PAGE_MAX}"))
    cursor = query.get("cursor")
    if cursor is not None:
        if 0 < len(cursor) <= CURSOR_CHARS_MAX:
            found["cursor"] = cursor
        else:
            problems.append(Problem("cursor", "cursor_invalid", "is not a cursor; take meta.next_cursor of the former page", 400))
    sort = query.get("sort")
    if sort is not None:
        names = {"updated_at": "updated_at", **dict.fromkeys(kind.natural_key[-1:], "natural")}
        if sort in names:
            found["sort"] = names[sort]
        else:
            problems.append(Problem("sort", "unknown_sort", "must be " + " or ".join(names)))
    found |= _typed(query, problems)
    fields = query.get("fields")
    if fields is not None:
        asked = fields.split(",", FIELDS_MAX)
        unknown = [name for name in asked if name not in kind.fields]
        if unknown:
            problems.append(Problem("fields", "unknown_field", f"{kind.kind} exports " + ", ".join(kind.fields)))
        found["fields"] = frozenset(asked)


def _typed(query: Mapping[str, str], problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    for name, shape in (("updated_since", Instant()), ("include_deleted", Boolean())):
        text = query.get(name)
        if text is not None:
            value = shape.read_text(text, Spot(name, "invalid_parameter", 400, "invalid_parameter", 400, problems))
            if value is not INVALID:
                yield name, value


def _filters(kind: ResourceKind, query: Mapping[str, str], problems: list[Problem]) -> Iterator[Filter]:
    asked = [(name, match) for name in query if (match := _FILTER.fullmatch(name))]
    if len(asked) > FILTERS_MAX:
        problems.append(Problem("filter", "unknown_filter", f"at most {FILTERS_MAX} filters are taken"))
        return
    for name, match in asked:
        attribute, word = match.group(1), match.group(2)
        if attribute not in kind.filters or (word is not None and word not in _OPERATORS):
            names = ", ".join(kind.filters) or "nothing"
            problems.append(Problem(name, "unknown_filter", f"{kind.kind} is filtered by {names}, each also with [gte], [lte] or [in]"))
            continue
        values = query[name].split(",", FILTER_VALUES_MAX) if word == "in" else [query[name]]
        if len(values) > FILTER_VALUES_MAX:
            problems.append(Problem(name, "filter_invalid", f"takes at most {FILTER_VALUES_MAX} values"))
            continue
        spot = Spot(name, "filter_invalid", 422, "filter_invalid", 422, problems)
        read = tuple(kind.fields[attribute].shape.read_text(value, spot) for value in values)
        if INVALID not in read:
            yield Filter(attribute, _OPERATORS[word] if word is not None else "eq", read)
