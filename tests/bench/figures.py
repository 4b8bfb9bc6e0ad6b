"""What a figure is, and how two sides of one are compared on a noisy machine.

Lives here: the vocabulary of the benchmarks. A figure is a ratio of two things measured in the same run, or a size in bytes, so that
it means the same on a slow and on a fast machine.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from typing import Literal

import attrs

from runtime.clock import SystemClock

_CLOCK = SystemClock()


@attrs.frozen
class Figure:
    """One claim about speed or size.

    Attributes:
        name: what is measured, for people.
        target: what it must reach, for people, for example `>= 8`.
        unit: of the value: `x` for a ratio, `bytes`.
        measure: returns one dict of values; the figure itself is the value named `figure`, the others explain it.
        limit, better: the target for programs.
    """

    name: str
    target: str
    unit: str
    measure: Callable[[], dict[str, float]]
    limit: float
    better: Literal["higher", "lower"] = "higher"

    def met(self, value: float) -> bool:
        return value >= self.limit if self.better == "higher" else value <= self.limit


def ratio(ours: Callable[[], float], theirs: Callable[[], float], rounds: int = 7) -> dict[str, float]:
    """The median of the ratios of two rates, measured in turns so that both meet the same disturbances.

    Args:
        ours, theirs: each does its work once and returns operations per second.
    """
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        gc.collect()
        one = first()
        gc.collect()
        two = second()
        pairs.append((one, two) if number % 2 == 0 else (two, one))
    return {
        "figure": statistics.median(mine / other for mine, other in pairs),
        "ours_per_s": statistics.median(mine for mine, _ in pairs),
        "theirs_per_s": statistics.median(other for _, other in pairs),
    }


def rate(count: int, work: Callable[[], None]) -> float:
    """Operations per second of `work`, which does `count` of them."""
    started = _CLOCK.now()
    work()
    return count / (_CLOCK.now() - started)
