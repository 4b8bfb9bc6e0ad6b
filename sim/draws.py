"""Choices by chance: where they come from, and values of every kind that stands in a scenario file.

Lives here: the source of choices, and one maker for each kind of value. Must not live here: documents (see `generate`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from sim.scenario.kinds import (
    BURST,
    CHANCE,
    DRIFT,
    DURATION,
    LATENCY,
    NAT,
    OFFSET,
    PAIR,
    PLATFORM,
    PLATFORMS,
    RATE,
    SIZE,
    SPAN,
    TRUTH,
    WHOLE,
    Kind,
)  # fmt: skip
from sim.scenario.write import duration

Item = TypeVar("Item")

DURATIONS_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0)
"""Evenly spread on a logarithmic scale, so that every order of magnitude is as likely as any other."""

NATS: Final = ("n1", "n2")
"""Names of boxes. A document that has none of this name passes over steps that speak of it."""

POINTLESS: Final = frozenset({"no_flaw", "stolen_root"})
"""Values by which an attack is none: whoever holds all that a peer holds is the peer, and checkers would take him for an attacker."""

_WORDS: Final = re.compile(r"`([^`]+)`")


class Draw(Protocol):
    """Where choices come from."""

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        ...

    def among(self, options: Sequence[Item]) -> Item:
        """One of them; there is at least one."""
        ...

    def several(self, most: int, make: Callable[[Draw], Item]) -> list[Item]:
        """None, or up to `most`."""
        ...


class Stream:
    """Choices from a seeded stream."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def whole(self, low: int, high: int) -> int:
        return self._chance.randint(low, high)

    def among(self, options: Sequence[Item]) -> Item:
        return options[self._chance.randrange(len(options))]

    def several(self, most: int, make: Callable[[Draw], Item]) -> list[Item]:
        return [make(self) for _ in range(self.whole(0, most))]


def often(draw: Draw, percent: int) -> bool:
    """True that often."""
    return draw.whole(1, 100) <= percent


# --- values ----------------------------------------------------------------------------------------------------------


def _duration(draw: Draw, names: Sequence[str]) -> Any:
    return duration(draw.among(DURATIONS_S))


def signed(draw: Draw, names: Sequence[str]) -> Any:
    """A duration that may be negative."""
    seconds = draw.among(DURATIONS_S)
    return f"-{duration(seconds)}" if often(draw, 50) else duration(seconds)


def span(draw: Draw, names: Sequence[str]) -> Any:
    """Two durations, the shorter one first."""
    return [duration(each) for each in sorted((draw.among(DURATIONS_S[:10]), draw.among(DURATIONS_S[:10])))]


def pair(draw: Draw, names: Sequence[str]) -> Any:
    """Two different platforms."""
    one = draw.among(names)
    return [one, draw.among([name for name in names if name != one])]


_VALUES: Final[Sequence[tuple[Kind, Callable[[Draw, Sequence[str]], Any]]]] = (
    (DURATION, _duration),
    (OFFSET, signed),
    (SPAN, span),
    (PAIR, pair),
    (PLATFORMS, lambda draw, names: pair(draw, names)),
    (LATENCY, span),
    (BURST, lambda draw, names: [draw.among((0.01, 0.1, 0.5)), draw.among((0.1, 0.5, 1.0))]),
    (RATE, lambda draw, names: draw.among((1_000, 100_000, 10_000_000))),
    (SIZE, lambda draw, names: draw.among((1_000, 64_000, 1_000_000))),
    (NAT, lambda draw, names: draw.among(NATS)),
    (PLATFORM, lambda draw, names: draw.among(names)),
    (TRUTH, lambda draw, names: draw.among((False, True))),
    (CHANCE, lambda draw, names: draw.among((0.01, 0.1, 0.3, 0.6, 0.9, 1.0))),
    (DRIFT, lambda draw, names: draw.among((0.0, 1e-4, -1e-4, 1e-2, -1e-2))),
    (WHOLE, lambda draw, names: draw.whole(1, 5)),
)


Maker = Callable[[Draw, Sequence[str], Mapping[str, Any]], Any]
"""Gets the names of platforms, and the keys of the same step that were made before."""


def maker(metadata: Mapping[str, Any]) -> Maker | None:
    """What makes values for a key; None if nobody here can."""
    kind, drawn = metadata["kind"], metadata.get("drawn")
    if callable(drawn):
        return lambda draw, names, made: draw.among(drawn(made))
    if drawn:
        return lambda draw, names, made: draw.among(drawn)
    if kind.title.startswith("one of "):
        words = [word for word in _WORDS.findall(kind.title) if word not in POINTLESS]
        return lambda draw, names, made: draw.among(words)
    make = next((make for each, make in _VALUES if each is kind), None)
    return None if make is None else lambda draw, names, made: make(draw, names)
