"""Shrinking: from a scenario that fails under a seed to the smallest one that still fails the same way.

Lives here: the order of reductions, the comparison of failures, the count of runs. Must not live here: how a document is made smaller (see
`reduction`).

Two failures are the same if their identities are (see `failures`). Platforms, faults,
steps and keys go first, then time, then the schedule: turns are taken in order of arrival but for as few deviations as the failure needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from api.cli.text import counted
from api.durations import parse_duration
from sim import reduction
from sim.reduction import ddmin
from sim.scenario.actions.registry import FAULTS
from sim.scenario.failures import Failure
from sim.scenario.load import ScenarioError, parse
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.scenario.write import Document, duration, to_toml
from sim.schedule import Drawn, Recorded, Tape

RUNS_MAX: Final = 300
GAP_S: Final = 1.0
HALVINGS_MAX: Final = 3
AFTER_S: Final = 1.0
"""How long the world goes on after the failure."""


class NotFailingError(Exception):
    """The scenario does not fail in the way that is to be kept."""


class _BudgetError(Exception):
    """No more runs."""


@attrs.frozen
class Shrunk:
    """What came of it.

    Attributes:
        document: the smallest failing document; its seed is in `[world]`.
        failure: how it fails.
        text: the file, with a header that says so.
        runs: how often a world was run.
        steps_before, steps_after: how many steps there were and are, faults among them.
        exhausted: the runs were used up before nothing could be made smaller.
    """

    document: Document
    failure: Failure
    text: str
    runs: int
    steps_before: int
    steps_after: int
    exhausted: bool


def shrink(
    document: Document,
    seed: int,
    path: str,
    *,
    checker: str | None = None,
    runs_max: int = RUNS_MAX,
    progress: Callable[[str], None] = lambda text: None,
) -> Shrunk:
    """The smallest document found that fails as `document` does under `seed`.

    Args:
        path: what the file is called in messages and in the header.
        checker: keep the failure that this checker tells of, if there are several.
        runs_max: stop after that many runs with the smallest one so far.
        progress: gets a line whenever something could be left out.

    Raises:
        NotFailingError: it does not fail, or not by that checker.
    """
    shrinker = _Shrinker(reduction.with_world(document, seed=seed), path, runs_max, progress)
    exhausted = False
    try:
        shrinker.keep(checker)
        shrinker.reduce()
    except _BudgetError:
        exhausted = True
    return shrinker.outcome(document, seed, exhausted)


class _Shrinker:
    """The smallest document so far, and what failures of smaller ones are compared with."""

    def __init__(self, document: Document, path: str, runs_max: int, progress: Callable[[str], None]) -> None:
        self.document = document
        self.path = path
        self.runs = 0
        self.failure: Failure | None = None
        self._runs_max = runs_max
        self._progress = progress
        self._wanted = ""
        self._known: dict[str, Failure | None] = {}

    # --- asking ------------------------------------------------------------------------------------------------------

    def keep(self, checker: str | None) -> None:
        """Run the whole once and remember how it fails."""
        result = self._run(parse(to_toml(self.document), self.path))
        failures = [failure for failure in result.failures if checker in (None, failure.checker)]
        if not failures:
            told = ", ".join(sorted({failure.checker for failure in result.failures}))
            failing = f"{checker} does not fail under this seed; what fails is {told}"
            raise NotFailingError(failing if told else "nothing fails under this seed, so that there is nothing to shrink")
        self.failure, self._wanted = failures[0], failures[0].identity

    def _run(self, scenario: Scenario, schedule: Recorded | Tape | None = None) -> Result:
        if self.runs >= self._runs_max:
            raise _BudgetError
        self.runs += 1
        return run(scenario, schedule=schedule, explain=False)

    def _failure_of(self, document: Document) -> Failure | None:
        """How a candidate fails, if it fails as the whole did. What is no scenario costs no run, and nothing is run twice."""
        text = to_toml(document)
        if text not in self._known:
            try:
                scenario = parse(text, self.path)
            except ScenarioError:
                self._known[text] = None
            else:
                failures = self._run(scenario).failures
                self._known[text] = next((failure for failure in failures if failure.identity == self._wanted), None)
        return self._known[text]

    def takes(self, document: Document, what: str = "") -> bool:
        """Whether a candidate fails the same way; it is the smallest from then on."""
        failure = self._failure_of(document)
        if failure is None:
            return False
        if document != self.document:
            self.document, self.failure = document, failure
            steps, platforms = (len(reduction.tables(document, name)) for name in ("at", "platform"))
            self._progress(f"run {self.runs}: {counted(steps, 'step')}, {counted(platforms, 'platform')}{what and f', {what}'}")
        return True

    # --- reducing ----------------------------------------------------------------------------------------------------

    def reduce(self) -> None:
        """All reductions in turn, until one whole turn changes nothing."""
        self._cut()
        self._whole()
        if self._schedule():
            # What was needed only to make the seed choose these turns is not needed any more.
            self._whole()

    def _whole(self) -> None:
        former: Document | None = None
        while former != self.document:
            former = self.document
            self._platforms()
            self._steps()
            self._others()
            self._keys()
            self._times()

    def _cut(self) -> None:
        """End soon after the failure; expect nothing but what failed; then without faults."""
        assert self.failure is not None
        convergence = None if self.failure.checker != "convergence" else self.document["world"].get("converge")
        self._tables("expect")
        self.takes(reduction.with_world(self.document, converge=convergence))
        self._end()
        self.takes(reduction.without_faults(self.document, FAULTS))

    def _end(self) -> None:
        """Steps after the failure go, and the world ends a little later. Expectations are judged at the end, so that they need it whole."""
        assert self.failure is not None
        end = math.ceil(self.failure.at + AFTER_S)
        if reduction.tables(self.document, "expect") or end >= parse_duration(self.document["world"]["for"]):
            return
        steps = reduction.tables(self.document, "at")
        early = [step for step in steps if parse_duration(step["t"]) <= self.failure.at]
        shorter = reduction.with_world(self.document, **{"for": duration(float(end))})
        self.takes(reduction.with_tables(shorter, "at", early), "shorter")

    def _platforms(self) -> None:
        whole = self.document
        names = [str(row["name"]) for row in reduction.tables(whole, "platform")]

        def fails(kept: Sequence[str]) -> bool:
            return self.takes(reduction.without_platforms(whole, set(names) - set(kept)))

        if len(names) > 1:
            ddmin(names, fails)
        for number, row in enumerate(reduction.tables(self.document, "platform")):
            self._fewer(number, int(row.get("count", 1)))

    def _fewer(self, number: int, count: int) -> None:
        """The least count of a group, if fewer fail whenever more do."""
        fails, least = count, 1
        while least < fails:
            middle = (least + fails) // 2
            if self.takes(reduction.with_count(self.document, number, middle), "fewer of a group"):
                fails = middle
            else:
                least = middle + 1

    def _steps(self) -> None:
        self._tables("at")
        self._end()

    def _others(self) -> None:
        """Links, expectations, and whatever other tables there are."""
        for name in [key for key in self.document if isinstance(self.document[key], list) and key not in ("platform", "at")]:
            self._tables(name)

    def _tables(self, name: str) -> None:
        whole = self.document
        ddmin(reduction.tables(whole, name), lambda kept: self.takes(reduction.with_tables(whole, name, kept)))

    def _keys(self) -> None:
        """Keys that may be missing, as far as the reader of scenarios allows it."""
        whole = self.document
        places = [place for place in reduction.keys(whole) if self._readable(reduction.without_keys(whole, [place]))]

        def fails(kept: Sequence[reduction.Place]) -> bool:
            return self.takes(reduction.without_keys(whole, [place for place in places if place not in kept]))

        ddmin(places, fails)

    def _readable(self, document: Document) -> bool:
        try:
            parse(to_toml(document), self.path)
        except ScenarioError:
            return False
        return True

    def _times(self) -> None:
        """Bring steps together; where that loses the failure, halve what lies between them a few times."""
        whole, gaps = self.document, reduction.gaps(self.document)

        def shortened(kept: Iterable[int]) -> Document:
            return reduction.with_gaps(whole, [gap if number in kept else min(gap, GAP_S) for number, gap in enumerate(gaps)])

        for number in ddmin([number for number, gap in enumerate(gaps) if gap > GAP_S], lambda kept: self.takes(shortened(kept), "sooner")):
            self._halve(number)
        self._end()

    def _halve(self, number: int) -> None:
        for _ in range(HALVINGS_MAX):
            gaps = reduction.gaps(self.document)
            if number >= len(gaps):
                return
            gaps[number] = float(round(gaps[number] / 2))
            if gaps[number] < GAP_S or not self.takes(reduction.with_gaps(self.document, gaps), "sooner"):
                return

    def _schedule(self) -> bool:
        """If the failure hangs on the order of turns, find the few that it hangs on; else leave the seed to it. Whether it does."""
        given = self.document["world"].get("schedule")
        if given is None and self._failure_of(reduction.with_world(self.document, schedule=[])) is not None:
            return False
        if given is None:
            scenario = parse(to_toml(self.document), self.path)
            recorded = Recorded(Drawn(scenario.world.seed))
            self._run(scenario, recorded)
            given = [str(each) for each in recorded.deviations]
        whole = self.document
        if not self.takes(reduction.with_world(whole, schedule=given), "a schedule"):
            return False
        ddmin(given, lambda kept: self.takes(reduction.with_world(whole, schedule=list(kept)), f"{len(kept)} turns out of order"))
        return True

    # --- the outcome -------------------------------------------------------------------------------------------------

    def outcome(self, original: Document, seed: int, exhausted: bool) -> Shrunk:
        assert self.failure is not None
        counts = [len(reduction.tables(each, "at")) for each in (original, self.document)]
        document = {
            **self.document,
            "name": f"{original['name']}, shrunk",
            "description": f"Fails by {self.failure.checker}: {self.failure.sentence}",
        }
        comment = (
            f"Fails by {self.failure.checker} at {self.failure.at:.3f} s under seed {seed}:\n  {self.failure.sentence}\n"
            f"Shrunk from {Path(self.path).name} in {counted(self.runs, 'run')}, from {counted(counts[0], 'step')} to {counts[1]}.\n"
            f"Replay it with: powernode sim replay FILE --seed {seed}"
        )
        return Shrunk(document, self.failure, to_toml(document, comment=comment), self.runs, counts[0], counts[1], exhausted)
