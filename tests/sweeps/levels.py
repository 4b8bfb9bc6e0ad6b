"""Every scenario at both levels, under many seeds.

Lives here: which seeds, and the rows. Must not live here: what counts as a difference (see `sim.levels`). The rows also keep how far apart
statuses that do agree came, so that the tolerances can be judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime.clock import SystemClock
from sim.levels import compare, distances
from tests.sweeps.corpus import scenarios
from tests.sweeps.progress import Progress

COST_MAX = 20.0
"""A run over sockets takes five to ten times as long; what costs more hours of a platform's life is left out."""

_CLOCK = SystemClock()


def levels(progress: Progress, *, seeds: int, for_s: float | None) -> Iterator[dict[str, Any]]:
    """Compare what is not compared yet; each row as it is known."""
    end = None if for_s is None else _CLOCK.now() + for_s
    known = [each for each in scenarios() if each.cost <= COST_MAX]
    for number in range(seeds):
        for scenario in known:
            seed = scenario.world.seed + number
            name = f"{Path(scenario.path).name} {seed}"
            if name in progress.rows:
                continue
            if end is not None and _CLOCK.now() >= end:
                return
            found = compare(scenario, seed)
            differences = [{"about": each.about, "at_s": round(each.at, 3), "text": each.text} for each in found.differences]
            apart = [[trigger, round(apart_s, 3)] for trigger, apart_s in distances(found.frames.history, found.sockets.history)]
            progress.add(name, differences=differences, chance=found.chance, apart=apart)
            yield progress.rows[name]


def report(progress: Progress, seeds: int) -> dict[str, Any]:
    """What all rows come to."""
    rows = list(progress.rows.values())
    known = [each for each in scenarios() if each.cost <= COST_MAX]
    apart: dict[str, list[float]] = {}
    for row in rows:
        for trigger, apart_s in row["apart"]:
            apart.setdefault(trigger, []).append(apart_s)
    return {
        "seeds": len(rows),
        "planned": seeds * len(known),
        "finished": len(rows) >= seeds * len(known),
        "failed": sum(bool(row["differences"]) for row in rows),
        "by_chance": [row["key"] for row in rows if row["chance"] is not None],
        "violations": [{"run": row["key"], "differences": row["differences"]} for row in rows if row["differences"]],
        "apart_s": {trigger: _spread(values) for trigger, values in sorted(apart.items())},
    }


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)  # noqa: E731
    return {"count": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": ordered[-1]}
