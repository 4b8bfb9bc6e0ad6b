"""Durations as people write them, both ways.

Lives here: the one grammar (`90s`, `5m`, `1h30m`, `7d`, `200ms`, or a bare number of seconds) that files, the environment and the command
line share. Must not live here: which setting is a duration, or what values make sense for it.
"""

from __future__ import annotations

import math
import re
from typing import Final

UNITS_S: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
GRAMMAR: Final = "a number of seconds, or number and unit as in 90s, 5m, 1h30m, 7d, 200ms"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_TEXT_CHARS_MAX = 64


def parse_duration(value: object) -> float:
    """Seconds meant by `value`: a number that is not negative, or a text of the grammar.

    Raises:
        ValueError: anything else, among it infinities, booleans and negative numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"must be {GRAMMAR}")
    if isinstance(value, str):
        return _parse_text(value.strip())
    if value < 0 or not math.isfinite(value):
        raise ValueError("must not be negative and must be finite")
    return float(value)


def _parse_text(text: str) -> float:
    if len(text) > _TEXT_CHARS_MAX:
        raise ValueError(f"must be {GRAMMAR}")
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write {GRAMMAR}")
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key=list(UNITS_S).index):
        raise ValueError(f"{text!r} names its units out of order or twice; write large units first, as in 1h30m")
    return math.fsum(_scaled(number, unit) for number, unit in parts)


def _scaled(number: str, unit: str) -> float:
    # Dividing keeps 200ms equal to 0.2; multiplying by 0.001 would not.
    return float(number) / 1000 if unit == "ms" else float(number) * UNITS_S[unit]


def format_duration(seconds: float) -> str:
    """`seconds` in the largest unit that holds it exactly; `parse_duration` gives the same number back (to the millisecond)."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    for unit, size_s in UNITS_S.items():
        size_ms = round(size_s * 1000)
        if milliseconds % size_ms == 0:
            return f"{milliseconds // size_ms}{unit}"
    raise AssertionError("every whole number of milliseconds is a multiple of one millisecond")


def approximate(seconds: float) -> str:
    """`seconds` for a reader's eye: the two largest units, the rest dropped, as in `6d 23h` or `42s`."""
    rest = int(max(0.0, seconds))
    shown: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(UNITS_S[unit]))
        if count and len(shown) < 2:
            shown.append(f"{count}{unit}")
        elif shown:
            break
    return " ".join(shown) or "0s"
