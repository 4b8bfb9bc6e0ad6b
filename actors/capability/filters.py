"""The filter language of capabilities: which records of a kind flow.

    {attribute: value | [values, any of] | {"gte": ..., "lte": ..., "prefix": ...}}

All attributes must hold. Lives here: strict reading and matching, pure. Must not live here: where records come from.

Anything that is not understood is refused. A filter is never read as one that lets everything pass: only the empty object does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from actors.capability.limits import FILTER_ATTRIBUTES_MAX, FILTER_VALUES_MAX, PREFIX_CHARS_MAX
from actors.door.shapes import INVALID, Choice, Identifier, Instant, Integer, Number, Spot, Text
from actors.inventory.kind import ResourceKind
from actors.problems import Problem
from runtime.values import Value

FILTER_INVALID: Final = "filter_invalid"
_BOUNDS: Final = ("gte", "lte", "prefix")
_ORDERED: Final = (Text, Integer, Number, Identifier, Instant, Choice)


class Criterion(Value, frozen=True):
    """What one attribute must be; what is None is not asked. `any_of` and the bounds exclude each other."""

    attribute: str
    any_of: tuple[Any, ...] | None = None
    gte: Any = None
    lte: Any = None
    prefix: str | None = None


Filter = tuple[Criterion, ...]


def read(kind: ResourceKind, value: object, problems: list[Problem], path: str = "filter") -> Filter | None:
    """The filter in a JSON value, or None after noting every problem (`filter_invalid`)."""
    before = len(problems)
    if not isinstance(value, Mapping):
        problems.append(Problem(path, FILTER_INVALID, "must be an object of attributes"))
        return None
    if len(value) > FILTER_ATTRIBUTES_MAX:
        problems.append(Problem(path, FILTER_INVALID, f"takes at most {FILTER_ATTRIBUTES_MAX} attributes"))
        return None
    found = []
    for name, wanted in value.items():
        if name not in kind.filters:
            usable = ", ".join(kind.filters) or "nothing"
            problems.append(Problem(f"{path}.{name[:64]}", FILTER_INVALID, f"{kind.kind} is filtered by {usable}"))
            continue
        found.append(_criterion(kind, name, wanted, Spot(f"{path}.{name}", FILTER_INVALID, 422, FILTER_INVALID, 422, problems)))
    return None if len(problems) > before else tuple(each for each in found if each is not None)


def _criterion(kind: ResourceKind, name: str, wanted: Any, spot: Spot) -> Criterion | None:
    shape = kind.fields[name].shape
    if isinstance(wanted, Mapping):
        return _bounds(kind, name, wanted, spot)
    if isinstance(wanted, list):
        if not 0 < len(wanted) <= FILTER_VALUES_MAX:
            spot.bad_value(f"takes from 1 to {FILTER_VALUES_MAX} values")
            return None
        values = [shape.read(each, spot.inside(f"[{place}]")) for place, each in enumerate(wanted)]
    else:
        values = [shape.read(wanted, spot)]
    return None if INVALID in values else Criterion(name, any_of=tuple(_comparable(kind, name, each) for each in values))


def _bounds(kind: ResourceKind, name: str, wanted: Mapping[str, Any], spot: Spot) -> Criterion | None:
    shape = kind.fields[name].shape
    if not wanted or any(word not in _BOUNDS for word in wanted):
        spot.bad_value("takes one or more of " + ", ".join(_BOUNDS))
        return None
    if not isinstance(shape, _ORDERED) or ("prefix" in wanted and not isinstance(shape, Text)):
        spot.bad_value("has values that cannot be compared so")
        return None
    found: dict[str, Any] = {}
    for word, value in wanted.items():
        if word != "prefix":
            read_value = shape.read(value, spot.inside(f".{word}"))
        elif isinstance(value, str) and 0 < len(value) <= PREFIX_CHARS_MAX:
            read_value = value
        else:
            read_value = spot.inside(".prefix").bad_value(f"must be the beginning of a value, of at most {PREFIX_CHARS_MAX} characters")
        found[word] = read_value if read_value is INVALID else _comparable(kind, name, read_value)
    return None if INVALID in found.values() else Criterion(name, **found)


def matches(kind: ResourceKind, found: Filter, attributes: Mapping[str, Any]) -> bool:
    """Whether a record flows. One without an attribute that is asked for never does."""
    return all(_holds(each, _comparable(kind, each.attribute, attributes.get(each.attribute))) for each in found)


def _holds(criterion: Criterion, value: Any) -> bool:
    if value is None:
        return False
    if criterion.any_of is not None:
        return value in criterion.any_of
    if criterion.prefix is not None and not (isinstance(value, str) and value.startswith(criterion.prefix)):
        return False
    bounds = [bound for bound in (criterion.gte, criterion.lte) if bound is not None]
    if any(isinstance(bound, str) != isinstance(value, str) for bound in bounds):
        return False
    return (criterion.gte is None or value >= criterion.gte) and (criterion.lte is None or value <= criterion.lte)


def _comparable(kind: ResourceKind, name: str, value: Any) -> Any:
    """Text in Unicode normal form C, and without regard to case where the kind's names have none; as lists of resources compare."""
    if not isinstance(value, str):
        return value
    return unicodedata.normalize("NFC", value.casefold() if kind.key_ignores_case and name in kind.natural_key else value)
