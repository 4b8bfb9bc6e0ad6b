"""Many seeds over the shipped scenarios, so many of each that all take about the same time.

Lives here: how many runs each file gets, and the rows. What a run costs is measured, by the first run of each; those that are called large
get a few runs each and come last.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.lives import STEPS, UNREACHABLE
from sim.scenario.load import load
from sim.scenario.schema import Scenario
from sim.sweep import Case, Done, spread, sweep
from tests.sweeps.program import ROOT
from tests.sweeps.progress import Progress

SEEDS_MIN = 3
"""Runs that each file gets, whatever they cost."""

COST_FLOOR_S = 0.01
"""A run that takes no longer is as cheap as any."""

PLAN = "plan"


def scenarios() -> list[Scenario]:
    """The shipped ones."""
    return [load(file) for file in sorted((ROOT / "scenarios").glob("*.toml"))]


def key(case: Case) -> str:
    """What a run is called in the rows."""
    return f"{Path(case[0].path).name} {case[1]}"


def corpus(progress: Progress, *, runs: int, jobs: int, for_s: float | None) -> Iterator[Done]:
    """Make the runs that are not made yet; each as it ends."""
    known = scenarios()
    small = [each for each in known if each.world.cost == "small"]
    yield from _made(progress, [(each, each.world.seed) for each in small], jobs, for_s)
    if any(key((each, each.world.seed)) not in progress.rows for each in small):
        return
    if PLAN not in progress.rows or progress.rows[PLAN]["runs"] != runs:
        progress.add(PLAN, runs=runs, counts=_plan(progress, known, runs))
    yield from _made(progress, list(_planned(known, progress.rows[PLAN]["counts"])), jobs, for_s)


def _plan(progress: Progress, known: list[Scenario], runs: int) -> dict[str, int]:
    """File to how many runs it gets."""
    counts = {Path(each.path).name: SEEDS_MIN for each in known}
    small = [each for each in known if each.world.cost == "small"]
    costs = [max(COST_FLOOR_S, progress.rows[key((each, each.world.seed))]["seconds"]) for each in small]
    large = SEEDS_MIN * (len(known) - len(small))
    counts |= {Path(each.path).name: count for each, count in zip(small, spread(costs, max(0, runs - large), SEEDS_MIN), strict=True)}
    return counts


def _planned(known: list[Scenario], counts: dict[str, int]) -> Iterator[Case]:
    """Round by round; the large ones after all others."""
    for large in (False, True):
        chosen = [each for each in known if (each.world.cost == "large") == large]
        for number in range(max((counts[Path(each.path).name] for each in chosen), default=0)):
            yield from ((each, each.world.seed + number) for each in chosen if number < counts[Path(each.path).name])


def _made(progress: Progress, cases: list[Case], jobs: int, for_s: float | None) -> Iterator[Done]:
    left = [case for case in cases if key(case) not in progress.rows]
    for done in sweep(left, jobs=jobs, for_s=for_s):
        result = done.result
        failures = [{"checker": each.checker, "at_s": round(each.at, 3), "text": each.text} for each in result.failures]
        progress.add(
            f"{Path(result.path).name} {result.seed}", seconds=round(done.elapsed_s, 4), virtual_s=round(result.virtual_s, 1),
            events=result.events, faults=dict(result.faults), reached=dict(result.reached), failures=failures, steps=list(result.steps),
        )  # fmt: skip
        yield done


def report(progress: Progress, runs: int) -> dict[str, Any]:
    """What all rows come to."""
    plan = progress.rows.get(PLAN, {"counts": {}})["counts"]
    rows = [row for name, row in progress.rows.items() if name != PLAN]
    files: dict[str, dict[str, Any]] = {}
    faults: dict[str, int] = {}
    reached: dict[str, int] = {}
    for row in rows:
        name = row["key"].partition(" ")[0]
        one = files.setdefault(name, {"runs": 0, "planned": plan.get(name, SEEDS_MIN), "failed": 0, "seconds": 0.0})
        one["runs"] += 1
        one["failed"] += bool(row["failures"])
        one["seconds"] = round(one["seconds"] + row["seconds"], 3)
        for fault, count in row["faults"].items():
            faults[fault] = faults.get(fault, 0) + count
        for hope, held in row["reached"].items():
            reached[hope] = reached.get(hope, 0) + held
    taken = {step for row in rows for step in row["steps"]}
    planned = sum(plan.values()) if plan else max(runs, len(rows))
    return {
        "runs": len(rows),
        "planned": planned,
        "finished": bool(plan) and len(rows) >= planned,
        "failed": sum(bool(row["failures"]) for row in rows),
        "busy_s": round(sum(row["seconds"] for row in rows), 1),
        "virtual_s": round(sum(row["virtual_s"] for row in rows), 1),
        "events": sum(row["events"] for row in rows),
        "violations": [{"run": row["key"], "failures": row["failures"]} for row in rows if row["failures"]],
        "never": sorted(hope for hope, count in reached.items() if not count),
        "steps_never_taken": [step for step in STEPS if step not in taken and step not in UNREACHABLE],
        "faults": dict(sorted(faults.items())),
        "scenarios": dict(sorted(files.items())),
    }
