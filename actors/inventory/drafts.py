"""Drafts of records out of input: attributes as their kind takes them, with references by id or by natural key.

Lives here: reading. Must not live here: whether a target exists (the catalogue knows). The command line reads a file with the very same
functions before it sends anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.door.shapes import INVALID, Spot
from actors.inventory.kind import INVALID_ATTRIBUTE, Reference, ResourceKind
from actors.inventory.registry import REGISTRY
from actors.problems import Problem

_KEY_PLACE_MAX: Final = 0xFFFFFFFF


def read_attributes(kind: ResourceKind, value: Mapping[str, Any], problems: list[Problem], path: str) -> dict[str, Any] | None:
    """All attributes of a record, unset ones left out; None after noting every problem.

    A reference may be an object with the natural key of its target; it stays one, and becomes an id where the target is looked up.
    """
    plain, named = dict(value), {}
    before = len(problems)
    for reference in kind.references:
        found = plain.get(reference.path)
        if _names_a_key(found):
            named[reference.path] = _read_reference(reference, found, problems, f"{path}.{reference.path}")
            plain[reference.path] = _stand_in(found)
    built = kind.builder(plain, problems, path)
    if built is None or len(problems) > before:
        return None
    return {name: named.get(name, attribute) for name, attribute in built.items() if attribute is not None}


def read_changes(kind: ResourceKind, value: Mapping[str, Any], problems: list[Problem], path: str) -> dict[str, Any] | None:
    """Some attributes of a record, null for those to unset; None after noting every problem."""
    out: dict[str, Any] = {}
    before = len(problems)
    for name, attribute in value.items():
        field = kind.fields.get(name)
        here = f"{path}.{name[:64]}"
        if field is None:
            problems.append(Problem(here, "unknown_argument", f"is not an attribute of {kind.kind}", 400))
        elif attribute is None or (isinstance(attribute, str) and not attribute.strip()):
            out[name] = None
            if field.required:
                problems.append(Problem(here, "attribute_required", "cannot be unset"))
        elif _names_a_key(attribute) and any(reference.path == name for reference in kind.references):
            reference = next(reference for reference in kind.references if reference.path == name)
            out[name] = _read_reference(reference, attribute, problems, here)
        else:
            out[name] = field.shape.read(attribute, Spot(here, INVALID_ATTRIBUTE, 422, INVALID_ATTRIBUTE, 422, problems))
    return out if len(problems) == before else None


def _names_a_key(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(element, dict) for element in value))


def _stand_in(value: Any) -> Any:
    """An id, or as many ids, that pass where the real ones will stand."""
    if isinstance(value, dict):
        return _nobody(0)
    return [_nobody(place) if isinstance(element, dict) else element for place, element in enumerate(value)]


def _nobody(place: int) -> str:
    return f"00000000-0000-7000-8000-{place & _KEY_PLACE_MAX:012x}"


def _read_reference(reference: Reference, value: Any, problems: list[Problem], path: str) -> Any:
    if isinstance(value, list):
        return [
            _read_key(reference, element, problems, f"{path}[{place}]") if isinstance(element, dict) else element
            for place, element in enumerate(value)
        ]
    return _read_key(reference, value, problems, path)


def _read_key(reference: Reference, value: dict[str, Any], problems: list[Problem], path: str) -> dict[str, Any] | None:
    target = REGISTRY.kinds[reference.kind]
    if value.keys() != set(target.natural_key) or not target.natural_key:
        words = " and ".join(target.natural_key) or "an id alone"
        problems.append(Problem(path, INVALID_ATTRIBUTE, f"a {target.kind} is named by its id, or by an object with {words}"))
        return None
    spot = Spot(path, INVALID_ATTRIBUTE, 422, INVALID_ATTRIBUTE, 422, problems)
    key = {name: target.fields[name].shape.read(value[name], spot.inside(f".{name}")) for name in target.natural_key}
    return None if INVALID in key.values() else key
