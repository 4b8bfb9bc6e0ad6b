"""Frozen values with some fields changed, quickly.

Lives here: what `attrs.evolve` does, for the places that run for every message. Must not live here: anything that mutates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import attrs

_Value = TypeVar("_Value")


@lru_cache(maxsize=1_024)
def _reader(cls: type) -> tuple[tuple[str, ...], Callable[[Any], Any]]:
    """The names that the class is made with, and what reads all of them at once from an instance."""
    fields = [field for field in attrs.fields(cls) if field.init]
    names = [field.name for field in fields]
    # With a single name `attrgetter` gives the bare value; the class itself, asked for a second time, makes it a tuple always.
    return tuple(field.alias or field.name for field in fields), attrgetter(*names, "__class__")


def evolve(value: _Value, **changes: Any) -> _Value:
    """A copy of a value of an attrs class with some fields changed, as `attrs.evolve`.

    Raises:
        TypeError: the class has no such field.
    """
    cls: Any = type(value)
    names, read = _reader(cls)
    fields = dict(zip(names, read(value), strict=False))
    fields.update(changes)
    made: _Value = cls(**fields)
    return made


def updated(value: _Value, **changes: Any) -> _Value:
    """As `evolve`, but the same object if nothing differs, so that `is` tells whether something has changed."""
    for name, new in changes.items():
        if getattr(value, name) != new:
            return evolve(value, **changes)
    return value
