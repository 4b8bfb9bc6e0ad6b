"""The search for scenarios that fail: documents are made and changed by chance, and those that touch something new are changed further.

Lives here: which document is tried next, and what becomes of its outcome. Must not live here: how documents are made (see `generate`), what
counts as new (see `coverage`), or where it is kept (see `corpus`).

With one job an exploration depends on its seed, its corpus and its count of runs alone; with several, also on which of them ends first.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Final

import attrs

from api.durations import parse_duration
from runtime.clock import SystemClock
from runtime.random import SeededRandomness
from sim.corpus import Corpus
from sim.coverage import Touched
from sim.draws import Stream, often
from sim.generate import FOR_MAX_S, document, in_time, mutated
from sim.reduction import members, tables, with_tables, with_world
from sim.scenario.failures import Failure
from sim.scenario.load import ScenarioError, parse
from sim.scenario.run import run
from sim.scenario.write import Document, to_toml
from sim.shrink import NotFailingError, shrink
from sim.sweep import quiet
from sim.trace.tracer import Tracer
from sim.workers import Workers

PLATFORMS_MAX: Final = 6
SHRINK_RUNS_MAX: Final = 100
FRESH_PERCENT: Final = 20
"""So many documents are made from nothing; the others are changes of what has shown itself interesting."""

RECENT: Final = 20
PATH: Final = "explored.toml"
_CLOCK: Final = SystemClock()


@attrs.frozen
class Tried:
    """The outcome of one document.

    Attributes:
        rejected: why it is no scenario, if it is none.
        features: what the run touched.
        impossible: how many of its steps could not happen at their time.
        virtual_s: time that passed in the world.
    """

    document: Document
    rejected: str | None = None
    features: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    impossible: int = 0
    virtual_s: float = 0.0


def try_one(document: Document) -> Tried:
    """Run a document. Whatever the simulator itself raises is a failure like any other."""
    try:
        scenario = parse(to_toml(document), PATH)
    except ScenarioError as error:
        return Tried(document, "; ".join(f"{problem.key}: {problem.text}" for problem in error.problems))
    touched = Touched()
    try:
        result = run(scenario, tracer=Tracer(touched), explain=False)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} (in {last.name})"
        return Tried(document, None, tuple(touched.features), (Failure("exception", 0.0, text),))
    features = (*touched.features, *(f"fault {name}" for name in result.faults), *(f"life {step}" for step in result.steps))
    return Tried(document, None, features, result.failures, result.impossible, result.virtual_s)


def _lost(document: Document, exit_code: int | None) -> Tried:
    return Tried(document, failures=(Failure("process", 0.0, f"the process that ran it ended with {exit_code}"),))


@attrs.frozen
class Found:
    """One outcome that was taken into the corpus.

    Attributes:
        new: what it touched first.
        failed: the failure, if it was not known, and whether it was known already otherwise.
        file: where the smallest document with that failure stands.
    """

    tried: Tried
    new: tuple[str, ...] = ()
    failed: Failure | None = None
    file: str | None = None


class Explorer:
    """One exploration.

    Args:
        corpus: what is known; it grows.
        shipped: documents to begin with.
        seed: decides everything that chance does.
    """

    def __init__(self, corpus: Corpus, shipped: Sequence[Document], seed: int) -> None:
        self.corpus = corpus
        self._shipped = [_without_promises(each) for each in shipped if _affordable(each)]
        self._randomness = SeededRandomness(f"{seed}/explore")
        self._first = corpus.counts.made

    def explore(self, *, runs: int | None = None, for_s: float | None = None, jobs: int = 1) -> Generator[Found, None, None]:
        """Try documents until there were `runs`, or `for_s` real seconds have passed; what came of each. Close it to end early."""
        pieces = self._documents(runs, None if for_s is None else _CLOCK.now() + for_s)
        if jobs == 1:
            yield from (self._take(try_one(piece)) for piece in pieces)
            return
        with closing(Workers(jobs, try_one, _lost, quiet)) as workers:
            yield from (self._take(tried) for tried in workers.map(pieces))

    def _documents(self, runs: int | None, end: float | None) -> Iterator[Document]:
        number = 0
        while (runs is None or number < runs) and (end is None or _CLOCK.now() < end):
            yield self._next(self._first + number)
            number += 1

    def _next(self, number: int) -> Document:
        """What is shipped comes first, then chance decides; each number has a stream of its own."""
        if number < len(self._shipped):
            return self._shipped[number]
        draw = Stream(self._randomness.stream(str(number)))
        known = [*self._shipped, *self.corpus.documents]
        if not known or often(draw, FRESH_PERCENT):
            return document(draw)
        base = draw.among(known[-RECENT:] if often(draw, 50) else known)
        return mutated(draw, base, draw.among(known))

    def _take(self, tried: Tried) -> Found:
        counts = self.corpus.counts
        counts.made += 1
        if tried.rejected is not None:
            counts.rejected += 1
            return Found(tried)
        counts.runs += 1
        counts.steps += len(tables(tried.document, "at"))
        counts.impossible += tried.impossible
        new = self.corpus.touch(tried.features)
        if tried.failures:
            return self._failed(tried, new)
        if new:
            self.corpus.add(tried.document, new)
        return Found(tried, tuple(new))

    def _failed(self, tried: Tried, new: Sequence[str]) -> Found:
        """A failing document is not changed further: what comes after a failure proves nothing, and it would be found again and again."""
        failure = tried.failures[0]
        known = self.corpus.failures.get(failure.identity)
        if known is not None:
            return Found(tried, tuple(new), failure, str(known))
        text = to_toml(tried.document, comment=f"Fails by {failure.checker}: {failure.text}")
        if failure.checker not in ("exception", "process"):
            try:
                text = shrink(tried.document, tried.document["world"].get("seed", 1), PATH, runs_max=SHRINK_RUNS_MAX).text
            except NotFailingError:
                text = f"# It did not fail when it was run again in another process: see `powernode sim audit`.\n{text}"
        return Found(tried, tuple(new), failure, str(self.corpus.fail(failure, text)))


def _affordable(document: Document) -> bool:
    return (
        sum(len(members(row)) for row in tables(document, "platform")) <= PLATFORMS_MAX
        and parse_duration(document["world"]["for"]) <= FOR_MAX_S
    )


def _without_promises(document: Document) -> Document:
    """What a file expects holds for that file only."""
    changed = with_world(with_tables(document, "expect", ()), converge=None, skip_impossible=True)
    return in_time({**changed, "name": f"{document['name']}, explored", "description": "Changed by chance."})
