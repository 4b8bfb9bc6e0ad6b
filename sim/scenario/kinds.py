"""The kinds of values that a scenario file may hold, each with its own strict reading.

Lives here: one reading per kind, and the sentence that proposes the nearest known word. Must not live here: which key takes which kind.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from actors.peer.lifecycle import STATUSES
from api.durations import parse_duration
from sim.schedule import Deviation, parse_deviation

Names = Literal["platform", "call"]


@attrs.frozen
class Kind:
    """A kind of value.

    Attributes:
        title: what the documentation calls it.
        read: the value that a TOML value means; raises ValueError with a sentence for the author of the file.
        names: what the value refers to by name, if it does; the name must exist in the same file.
    """

    title: str
    read: Callable[[object], Any]
    names: Names | None = None


def key(kind: Kind, text: str, name: str | None = None) -> Mapping[str, Any]:
    """Metadata of an attrs field that stands in a file: its kind, what it means, and its key if that is no Python name."""
    return {"kind": kind, "text": text, "key": name}


def keys_of(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """Key in a file to the field that it fills."""
    return {field.metadata["key"] or field.name: field for field in attrs.fields(cls) if "kind" in field.metadata}


def unknown(word: object, known: Iterable[str], what: str) -> str:
    """The sentence about a word that nobody knows, with the nearest one that somebody does."""
    words = sorted(known)
    near = difflib.get_close_matches(str(word), words, 1, 0.5)
    return f"{word!r} is no {what}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(words) or 'none'}")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value.strip()


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a number")
    return float(value)


def _chance(value: object) -> float:
    number = _number(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError("must be between 0 (never) and 1 (always)")
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _signed_duration(value: object) -> float:
    if isinstance(value, str) and value.startswith("-"):
        return -parse_duration(value[1:])
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return -parse_duration(-value)
    return parse_duration(value)


def _span(value: object) -> tuple[float, float]:
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError("must be one duration, or the least and the greatest")
        least, greatest = (parse_duration(each) for each in value)
        if least > greatest:
            raise ValueError("must name the lesser duration first")
        return least, greatest
    return (parse_duration(value),) * 2


def _pair(value: object) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or value[0] == value[1]:
        raise ValueError('must be two different platforms, as in ["a", "b"]')
    return _text(value[0]), _text(value[1])


def _schedule(value: object) -> tuple[Deviation, ...]:
    if not isinstance(value, list):
        raise ValueError('must be a list of deviations, as in ["a:12:1"]; an empty one takes actors in order of arrival')
    return tuple(parse_deviation(_text(each)) for each in value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or len({str(each) for each in value}) < len(value):
        raise ValueError('must be a list of different platforms, as in ["a", "b"]')
    return tuple(_text(each) for each in value)


def one_of(*words: str) -> Kind:
    """A kind of which these are all values."""

    def read(value: object) -> str:
        if value not in words:
            raise ValueError(unknown(value, words, "known value"))
        return str(value)

    return Kind("one of " + ", ".join(f"`{word}`" for word in words), read)


TEXT: Final = Kind("text", _text)
WHOLE: Final = Kind("whole number", _whole)
NUMBER: Final = Kind("number", _number)
CHANCE: Final = Kind("number from 0 to 1", _chance)
TRUTH: Final = Kind("true or false", _truth)
DURATION: Final = Kind("duration", parse_duration)
SIGNED_DURATION: Final = Kind("duration, may be negative", _signed_duration)
SPAN: Final = Kind("duration, or two: least and greatest", _span)
PLATFORM: Final = Kind("name of a platform", _text, "platform")
PAIR: Final = Kind("two names of platforms", _pair, "platform")
PLATFORMS: Final = Kind("names of platforms", _texts, "platform")
CALL: Final = Kind("name of a step", _text, "call")
SCHEDULE: Final = Kind("list of `PLATFORM:DECISION:CHOICE`", _schedule)
STATUS: Final = one_of(*STATUSES)
STATUS_SET: Final = Kind(
    "one status, or a list of them", lambda value: tuple(STATUS.read(each) for each in (value if isinstance(value, list) else [value]))
)
