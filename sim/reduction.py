"""Making a scenario document smaller: delta debugging over lists, and the parts of a document that can be left out or shortened.

Lives here: what a smaller document may look like. Must not live here: whether it still fails (see `shrink`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, TypeVar

from api.durations import parse_duration
from sim.scenario.schema import member_names
from sim.scenario.write import Document, duration

Item = TypeVar("Item")

MOMENT: Final = "t"
"""The key of a step or an expectation that is a moment; `within` and `for` beside it are spans of time."""


def ddmin(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """A part of `items`, in their order, that still fails and of which nothing can be left out alone.

    `items` as a whole must fail. Zeller and Hildebrandt's algorithm over complements; what comes last is left out first, because a
    failure seldom needs what happened after it.
    """
    left = list(items)
    if not left or fails([]):
        return []
    parts = 2
    while len(left) > 1:
        size = -(-len(left) // parts)
        for start in reversed(range(0, len(left), size)):
            rest = left[:start] + left[start + size :]
            if rest and fails(rest):
                left, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(left), parts * 2)
    return left


def tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The tables of an array of tables; empty if there is none."""
    found = document.get(name, [])
    return list(found) if isinstance(found, list) else []


def with_tables(document: Document, name: str, rows: Iterable[Mapping[str, Any]]) -> Document:
    """A copy with other tables under a name."""
    changed = {key: value for key, value in document.items() if key != name}
    kept = [dict(row) for row in rows]
    if kept:
        changed[name] = kept
    return changed


def with_world(document: Document, **changes: Any) -> Document:
    """A copy with other keys in `[world]`; None takes one away."""
    world = {**document.get("world", {}), **changes}
    return {**document, "world": {key: value for key, value in world.items() if value is not None}}


def without_faults(document: Document, faults: Iterable[str]) -> Document:
    """A copy without the steps that do harm."""
    harmful = set(faults)
    return with_tables(document, "at", (step for step in tables(document, "at") if step.get("do") not in harmful))


def members(platform: Mapping[str, Any]) -> list[str]:
    """What the platforms of a table are called."""
    return list(member_names(str(platform["name"]), int(platform.get("count", 1))))


def with_count(document: Document, number: int, count: int) -> Document:
    """A copy with another count of platforms in one table."""
    rows = tables(document, "platform")
    rows[number] = {**rows[number], "count": count}
    return with_tables(document, "platform", rows)


def without_platforms(document: Document, names: Iterable[str]) -> Document:
    """A copy without platforms and whatever names them."""
    rows = tables(document, "platform")
    changed = with_tables(document, "platform", (row for row in rows if row.get("name") not in set(names)))
    gone = {name for row in rows if row.get("name") in set(names) for name in (row.get("name"), *members(row))}
    for name in [key for key in document if key != "platform" and isinstance(document[key], list)]:
        changed = with_tables(changed, name, (row for row in tables(document, name) if not gone & _texts(row)))
    return changed


def _texts(value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, Mapping):
        # What a step is called is not what it acts on.
        return set().union(*(_texts(each) for key, each in value.items() if key not in ("name", "call", "do", "that")))
    return set().union(*(_texts(each) for each in value)) if isinstance(value, list) else set()


Place = tuple[str, int, str]
"""A key: the name of an array of tables, the number of the table in it, and the key."""


def keys(document: Document) -> list[Place]:
    """Every key of a table that might be left out."""
    found = [
        (name, number, key)
        for name in document
        if isinstance(document[name], list)
        for number, row in enumerate(tables(document, name))
        for key in row
        if (name, key) not in {("platform", "name"), ("at", "t"), ("at", "do"), ("expect", "that")}
    ]
    return found + [("world", 0, key) for key in document.get("world", {}) if key not in ("for", "seed", "schedule")]


def without_keys(document: Document, places: Iterable[Place]) -> Document:
    """A copy without these keys."""
    changed = deepcopy(document)
    for name, number, key in places:
        row = changed[name] if isinstance(changed[name], dict) else changed[name][number]
        row.pop(key, None)
    return changed


# --- time -----------------------------------------------------------------------------------------------------------


def moments(document: Document) -> list[float]:
    """The different times of steps, in order."""
    return sorted({parse_duration(step[MOMENT]) for step in tables(document, "at")})


def retimed(document: Document, new: Sequence[float]) -> Document:
    """A copy in which the n-th of its moments is the n-th of `new`; what lies between two moments keeps its distance to the former.

    The end of the world moves by as much as the last step.
    """
    old = moments(document)

    def moved(at: float) -> float:
        number = max((index for index, each in enumerate(old) if each <= at), default=-1)
        return at if number < 0 else new[number] + at - old[number]

    changed = deepcopy(document)
    for name in ("at", "expect"):
        for row in tables(changed, name):
            if MOMENT in row:
                row[MOMENT] = duration(round(moved(parse_duration(row[MOMENT])), 6))
    return with_world(changed, **{"for": duration(round(moved(parse_duration(changed["world"]["for"])), 6))})


def with_gaps(document: Document, gaps: Sequence[float]) -> Document:
    """A copy whose steps are that far apart."""
    at, new = 0.0, []
    for gap in gaps:
        at += gap
        new.append(at)
    return retimed(document, new)


def gaps(document: Document) -> list[float]:
    """How far the moments of its steps are apart; the first from the start."""
    at, found = 0.0, []
    for moment in moments(document):
        found.append(moment - at)
        at = moment
    return found
