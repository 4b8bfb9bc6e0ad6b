"""Frozen values: the base of those that are made for every message, and copies with some fields changed, quickly.

Lives here: `Value`, and what `attrs.evolve` does, for the places that run for every message. Must not live here: anything that mutates.

Most values of the platform are attrs classes. Those that each message makes several of are `Value`s instead, which are made, copied and
compared in C; the choice shows nowhere but here and in what looks into values (`fields_of`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any, TypeVar

import attrs
import msgspec

_replace = msgspec.structs.replace
_Value = TypeVar("_Value")


class Value(msgspec.Struct, frozen=True):
    """Base of a frozen value with named fields. Equal are values of one class whose fields are equal."""


def fields_of(cls: type) -> tuple[str, ...] | None:
    """The names of the fields of a class of values, of either kind; None if it is no such class."""
    if issubclass(cls, Value):
        return cls.__struct_fields__
    return tuple(field.name for field in attrs.fields(cls)) if attrs.has(cls) else None


def as_dict(value: Any) -> dict[str, Any]:
    """The fields of a value of either kind by name; what they hold stays as it is.

    Raises:
        TypeError: it is no such value.
    """
    names = fields_of(type(value))
    if names is None:
        raise TypeError(f"{type(value).__name__} has no fields")
    return {name: getattr(value, name) for name in names}


class _Copying:
    """How the instances of one class are copied: what reads all fields at once, what sets each, and where each name stands.

    Slots are set one by one, without the class's own `__init__`, which for a frozen class costs more than everything else here. `plain`
    says whether that may be: `__init__` does nothing but set them, and there are no others, such as one for a hash that is kept.
    """

    __slots__ = ("names", "places", "plain", "read", "setters")

    def __init__(self, cls: type) -> None:
        fields = [field for field in attrs.fields(cls) if field.init]
        self.names = tuple(field.alias or field.name for field in fields)
        self.places = {name: place for place, name in enumerate(self.names)}
        # With a single name `attrgetter` gives the bare value; the class itself, asked for a second time, makes it a tuple always.
        self.read: Callable[[Any], Any] = attrgetter(*(field.name for field in fields), "__class__")
        slots: list[Any] = [getattr(cls, field.name, None) for field in fields]
        held = {slot for each in cls.__mro__ for slot in each.__dict__.get("__slots__", ())} - {"__weakref__"}
        self.plain = (
            held == {field.name for field in fields}
            and all(isinstance(slot, MemberDescriptorType) for slot in slots)
            and not any(field.validator or field.converter for field in fields)
            and not any(hasattr(cls, name) for name in _MAKING)
        )
        self.setters = tuple(slot.__set__ for slot in slots) if self.plain else ()


_MAKING = ("__attrs_pre_init__", "__attrs_post_init__", "__attrs_init__")
_copying = lru_cache(maxsize=1_024)(_Copying)


def evolve(value: _Value, **changes: Any) -> _Value:
    """A copy of a value with some fields changed, as `attrs.evolve`.

    Raises:
        TypeError: the class has no such field.
    """
    cls: Any = type(value)
    if isinstance(value, Value):
        return _replace(value, **changes)
    copying = _copying(cls)
    places = copying.places
    if not copying.plain or not places.keys() >= changes.keys():
        made: _Value = cls(**{**dict(zip(copying.names, copying.read(value), strict=False)), **changes})
        return made
    values = list(copying.read(value))
    for name, new in changes.items():
        values[places[name]] = new
    copy: _Value = object.__new__(cls)
    for set_slot, each in zip(copying.setters, values, strict=False):
        set_slot(copy, each)
    return copy


def updated(value: _Value, **changes: Any) -> _Value:
    """As `evolve`, but the same object if nothing differs, so that `is` tells whether something has changed."""
    for name, new in changes.items():
        if getattr(value, name) != new:
            return evolve(value, **changes)
    return value
