"""Sweeps: many scenarios under many seeds, in this process or in several, as a stream of values.

Lives here: which runs there are, who runs them, and what they add up to. Must not live here: how anything is shown (see `commands.run`), or
what a run is (see `scenario.run`). A run depends on its scenario and its seed alone, so only the order of the stream depends on `jobs`.
"""

from __future__ import annotations

import gc
import itertools
import logging
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final

import attrs

from runtime.clock import SystemClock
from sim.scenario.failures import Failure
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.workers import Workers

Case = tuple[Scenario, int]
"""A scenario and the seed to run it under."""

LAST_LINES: Final = 20

_CLOCK: Final = SystemClock()


@attrs.frozen
class Done:
    """One run of a sweep. `elapsed_s` is how long it took here, in real seconds."""

    result: Result
    elapsed_s: float


@attrs.define
class Tally:
    """What the runs of a sweep add up to.

    Attributes:
        virtual_s: time that passed in all worlds together.
        events: what happened in them (see `World.events_count`).
        busy_s: real time that the runs took, all processes together.
        faults: how often each kind of fault was injected.
        by_scenario: path to (runs, failed ones, real seconds).
        reached: what must happen in some run, and in how many it did.
    """

    runs: int = 0
    failed: int = 0
    virtual_s: float = 0.0
    events: int = 0
    busy_s: float = 0.0
    faults: Counter[str] = attrs.field(factory=Counter)
    by_scenario: dict[str, tuple[int, int, float]] = attrs.field(factory=dict)
    reached: Counter[str] = attrs.field(factory=Counter)

    @property
    def never(self) -> list[str]:
        """What should have happened in some run and never did."""
        return sorted(hope for hope, count in self.reached.items() if not count)

    def add(self, done: Done) -> None:
        """Count one more run."""
        result = done.result
        self.runs += 1
        self.failed += not result.passed
        self.virtual_s += result.virtual_s
        self.events += result.events
        self.busy_s += done.elapsed_s
        self.faults.update(result.faults)
        self.reached.update(result.reached)
        runs, failed, busy_s = self.by_scenario.get(result.path, (0, 0, 0.0))
        self.by_scenario[result.path] = (runs + 1, failed + (not result.passed), busy_s + done.elapsed_s)


def cases(scenarios: Sequence[Scenario], count: int | None, first: int | None = None) -> Iterator[Case]:
    """Each scenario under `count` seeds (None: without end), in turns, so that an early end has seen something of each.

    Args:
        first: the first seed; each scenario's own if None.
    """
    for number in itertools.count() if count is None else range(count):
        for scenario in scenarios:
            yield scenario, (scenario.world.seed if first is None else first) + number


def spread(costs: Sequence[float], total: int, at_least: int = 3) -> list[int]:
    """How many of `total` runs each scenario gets, so that each takes about the same time in all and none goes without.

    Args:
        costs: of one run of each, in any unit; more than 0.
    """
    given = [at_least] * len(costs)
    left = max(0, total - sum(given))
    weights = [1.0 / cost for cost in costs]
    shares = [left * weight / sum(weights) for weight in weights]
    given = [base + int(share) for base, share in zip(given, shares, strict=True)]
    # What rounding left goes to those whose share was cut most.
    order = sorted(range(len(costs)), key=lambda index: (int(shares[index]) - shares[index], index))
    for index in order[: max(0, total - sum(given))]:
        given[index] += 1
    return given


def sweep(cases: Iterable[Case], *, jobs: int = 1, for_s: float | None = None) -> Generator[Done, None, None]:
    """Run the cases, yielding each as it comes: in their order with one job, as they end with several.

    Close the iterator to end early: what has not begun is dropped and worker processes are stopped.

    Args:
        cases: may be endless; taken only as they are needed.
        jobs: how many processes; 1 is this one.
        for_s: begin no run after that many real seconds.
    """
    end = None if for_s is None else _CLOCK.now() + for_s
    open_cases = itertools.takewhile(lambda _: end is None or _CLOCK.now() < end, cases)
    if jobs == 1:
        yield from map(_run_and_clear, open_cases)
        return
    with closing(Workers(jobs, _run_and_clear, _lost, quiet)) as workers:
        yield from workers.map(open_cases)


def quiet() -> None:
    """Let this process log nothing by itself: what platforms would log is in the trace, and a fault that a scenario plants is no news."""
    logging.getLogger().addHandler(logging.NullHandler())


def run_one(case: Case) -> Done:
    """Run one case. Whatever the simulator itself raises is a failed run, not the end of the sweep."""
    scenario, seed = case
    started = _CLOCK.now()
    try:
        result = run(scenario, seed)
    except Exception as error:
        result = _broken(case, "exception", f"{type(error).__name__}: {error}", traceback.format_exc().splitlines())
    return Done(result, _CLOCK.now() - started)


def _run_and_clear(case: Case) -> Done:
    """As `run_one`; then the world of the run is cleared away in one pass, because it is full of circles."""
    done = run_one(case)
    gc.collect(0)
    return done


def _lost(case: Case, exit_code: int | None) -> Done:
    return Done(_broken(case, "process", f"the process that ran it ended with {exit_code}", []), 0.0)


def _broken(case: Case, checker: str, text: str, lines: list[str]) -> Result:
    scenario, seed = case
    return Result(scenario.name, scenario.path, seed, "", 0, (Failure(checker, 0.0, text),), tuple(lines[-LAST_LINES:]))
