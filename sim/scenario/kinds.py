"""The kinds of values that a scenario file may hold, each with its own strict reading.

Lives here: one reading per kind, and the sentence that proposes the nearest known word. Must not live here: which key takes which kind.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from actors.peer.lifecycle import STATUSES
from api.cli.text import clean
from api.durations import parse_duration
from sim.links import Bimodal, Burst, Fixed, Latency, LogNormal, Uniform
from sim.schedule import Deviation, parse_deviation

Names = Literal["platform", "group", "call", "nat"]
"""`group`: a platform, or the common name of several."""


WORDS_SHOWN_MAX: Final = 100
"""Known words that a problem lists where none is near."""

DRIFT_MAX: Final = 10.0
OFFSET_MAX_S: Final = 20.0 * 365 * 86_400
"""A clock that is further off reads years that tokens and certificates do not have."""


@attrs.frozen
class Kind:
    """A kind of value.

    Attributes:
        title: what the documentation calls it.
        read: the value that a TOML value means; raises ValueError with a sentence for the author of the file.
        names: what the value refers to by name, if it does; the name must exist in the same file.
        schema: the JSON schema of a value, for editors; it may allow more than `read`.
    """

    title: str
    read: Callable[[object], Any]
    names: Names | None = None
    schema: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)


Drawn = Sequence[Any] | Callable[[Mapping[str, Any]], Sequence[Any]]
"""Values that chance may choose; or what makes them of the keys before, which it has chosen already."""


def key(kind: Kind, text: str, name: str | None = None, *, drawn: Drawn = ()) -> Mapping[str, Any]:
    """Metadata of an attrs field that stands in a file: its kind, what it means, and its key if that is no Python name.

    Args:
        drawn: what generated scenarios choose from, where the kind alone does not say it.
    """
    return {"kind": kind, "text": text, "key": name, "drawn": drawn}


def keys_of(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """Key in a file to the field that it fills."""
    return {field.metadata["key"] or field.name: field for field in attrs.fields(cls) if "kind" in field.metadata}


def unknown(word: object, known: Iterable[str], what: str) -> str:
    """The sentence about a word that nobody knows, with the nearest one that somebody does."""
    words = sorted(known)
    near = difflib.get_close_matches(str(word), words, 1, 0.5)
    return f"{word!r} is no {what}; " + (f"did you mean {near[0]!r}?" if near else f"known are {_some(words)}")


def _some(words: Sequence[str]) -> str:
    return (
        ", ".join(words[:WORDS_SHOWN_MAX]) + (f" and {len(words) - WORDS_SHOWN_MAX} more" if len(words) > WORDS_SHOWN_MAX else "") or "none"
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    obeyed = next((each for each in value if each not in "\n\t" and clean(each) != each), None)
    if obeyed is not None:
        # It is printed as it is, and a file may come from anybody.
        raise ValueError(f"must hold no {obeyed!r}, which a terminal might obey")
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


def _drift(value: object) -> float:
    number = _number(value)
    if not -1.0 < number <= DRIFT_MAX:
        raise ValueError(f"must be more than -1, at which a clock stands still, and at most {DRIFT_MAX:g}")
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


def _offset(value: object) -> float:
    seconds = _signed_duration(value)
    if abs(seconds) > OFFSET_MAX_S:
        raise ValueError(f"must be at most {OFFSET_MAX_S / 86_400:.0f}d, forwards or back")
    return seconds


def _span(value: object) -> tuple[float, float]:
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError("must be one duration, or the least and the greatest")
        least, greatest = (parse_duration(each) for each in value)
        if least > greatest:
            raise ValueError("must name the lesser duration first")
        return least, greatest
    return (parse_duration(value),) * 2


_CALL: Final = re.compile(r"([a-z]+)\((.*)\)", re.ASCII)


def _share(text: str) -> float:
    """A chance written as a number or in per cent."""
    return _chance(float(text[:-1]) / 100 if text.endswith("%") else float(text))


def _latency(value: object) -> Latency:
    called = _CALL.fullmatch(value.strip()) if isinstance(value, str) else None
    if called is None:
        least, most = _span(value)
        return Fixed(least) if least == most else Uniform(least, most)
    given = [part.strip() for part in called[2].split(",")]
    try:
        if called[1] == "lognormal" and len(given) == 2:
            return LogNormal(parse_duration(given[0]), float(given[1]))
        if called[1] == "bimodal" and len(given) == 3:
            return Bimodal(Fixed(parse_duration(given[0])), Fixed(parse_duration(given[1])), _share(given[2]))
    except ValueError as error:
        raise ValueError(f"{value!r} is no latency: {error}") from None
    raise ValueError(f"{value!r} is no latency; write a duration, two, lognormal(MEDIAN, SIGMA) or bimodal(USUAL, SLOW, SHARE)")


_UNITS: Final = {"bit": 1 / 8, "kbit": 125.0, "Mbit": 125e3, "Gbit": 125e6, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)", re.ASCII)


def _amount(value: object) -> float:
    """Bytes."""
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        number = _number(value)
    elif found[2] not in _UNITS:
        raise ValueError(unknown(found[2], _UNITS, "unit of data"))
    else:
        number = float(found[1]) * _UNITS[found[2]]
    if number <= 0:
        raise ValueError("must be more than nothing")
    return number


def _burst(value: object) -> Burst:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two chances: that a burst begins, and that it ends")
    return Burst(*(_chance(each) for each in value))


def _several(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(set(map(str, value))) != len(value) or not value:
        raise ValueError('must be a list of different platforms, as in ["a", "b"]')
    return tuple(_text(each) for each in value)


def _networks(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('must be a list of networks, as in ["10.0.0.0/8"]')
    try:
        return tuple(str(ipaddress.ip_network(_text(each))) for each in value)
    except ValueError as error:
        raise ValueError(f"must be a list of networks: {error}") from None


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

    return Kind("one of " + ", ".join(f"`{word}`" for word in words), read, schema={"enum": list(words)})


_STRING: Final = {"type": "string", "minLength": 1}
_DURATION: Final = {"type": ["string", "number"]}
_LIST: Final = {"type": "array", "items": _STRING}
_SPAN: Final = {"anyOf": [_DURATION, {"type": "array", "items": _DURATION, "minItems": 2, "maxItems": 2}]}

TEXT: Final = Kind("text", _text, schema=_STRING)
WHOLE: Final = Kind("whole number", _whole, schema={"type": "integer"})
NUMBER: Final = Kind("number", _number, schema={"type": "number"})
CHANCE: Final = Kind("number from 0 to 1", _chance, schema={"type": "number", "minimum": 0, "maximum": 1})
TRUTH: Final = Kind("true or false", _truth, schema={"type": "boolean"})
DURATION: Final = Kind("duration", parse_duration, schema=_DURATION)
DRIFT: Final = Kind("number above -1", _drift, schema={"type": "number", "exclusiveMinimum": -1, "maximum": DRIFT_MAX})
OFFSET: Final = Kind("duration, may be negative", _offset, schema=_DURATION)
SPAN: Final = Kind("duration, or two: least and greatest", _span, schema=_SPAN)
LATENCY: Final = Kind(
    "duration, or two: least and greatest, or `lognormal(MEDIAN, SIGMA)`, or `bimodal(USUAL, SLOW, SHARE)`", _latency, schema=_SPAN
)
RATE: Final = Kind("bytes per second, or text as in `20Mbit`", _amount, schema={"type": ["string", "number"]})
SIZE: Final = Kind("bytes, or text as in `64kB`", _amount, schema={"type": ["string", "number"]})
BURST: Final = Kind("two numbers from 0 to 1", _burst, schema={"type": "array", "items": dict(CHANCE.schema), "minItems": 2, "maxItems": 2})
PLATFORM: Final = Kind("name of a platform", _text, "platform", schema=_STRING)
PLATFORMS: Final = Kind("list of names of platforms", _several, "group", schema={**_LIST, "minItems": 1})
PAIR: Final = Kind("two names of platforms", _pair, "platform", schema={**_LIST, "minItems": 2, "maxItems": 2})
NAT: Final = Kind("name of a NAT", _text, "nat", schema=_STRING)
NETWORKS: Final = Kind("list of networks", _networks, schema=_LIST)
CALL: Final = Kind("name of a step", _text, "call", schema=_STRING)
SCHEDULE: Final = Kind("list of `PLATFORM:DECISION:CHOICE`", _schedule, schema=_LIST)
STATUS: Final = one_of(*STATUSES)


def _statuses(value: object) -> tuple[str, ...]:
    if value == []:
        raise ValueError("must name at least one status")
    return tuple(STATUS.read(each) for each in (value if isinstance(value, list) else [value]))


STATUS_SET: Final = Kind("one status, or a list of them", _statuses)
