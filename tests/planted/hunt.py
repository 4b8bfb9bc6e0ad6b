"""The hunt for planted faults: a bounded sweep over the shipped scenarios.

Lives here: how a plant is looked for, and what is told of it. Must not live here: a fault, or a judgement: whatever fails a run counts, if
the same run passes without the plant.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from runtime.crash import Crash
from sim.mishaps import PlantedError
from sim.scenario.failures import Failure
from sim.scenario.load import load
from sim.scenario.run import run
from sim.scenario.schema import Scenario
from sim.scenario.stage import Stage
from sim.scenario.write import read_document
from sim.shrink import Shrunk, shrink
from tests.planted.registry import PLANTS, SCENARIOS, Plant

SEEDS_MAX = 10
"""Seeds for each file, before the plant counts as not found."""


@attrs.frozen
class Caught:
    """Where a plant was found.

    Attributes:
        runs: how many runs it took, over all files.
        seed: the seed of the run that failed, in `file`.
        checker: who noticed first, with what.
        crash: what crashed in that run, and should not have, if anything did: the plant is broken then, and nothing was found.
    """

    plant: str
    fault: str
    runs: int
    file: str
    seed: int
    checker: str
    text: str
    crash: str | None = None


@functools.cache
def loaded(file: Path) -> Scenario:
    return load(file)


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    """The plant, as long as the context lasts; what platforms log meanwhile is no news."""
    with pytest.MonkeyPatch.context() as patch:
        logging.disable(logging.CRITICAL)
        plant.apply(patch)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def hunt(plant: Plant, seeds: int = SEEDS_MAX) -> Caught | None:
    """Run the scenarios, the likely ones first and then the cheap ones, seed by seed, until one fails."""
    runs = 0
    for seed in range(1, seeds + 1):
        for file in plant.files:
            runs += 1
            seen = noticed(plant, file, seed)
            if seen is not None and run(loaded(file), seed, explain=False).passed:
                failure, crash = seen
                where = plant.name, plant.fault, runs, file.name, seed
                return Caught(*where, failure.checker, failure.text, None if plant.crashes else crash)
    return None


def shrunk(caught: Caught) -> Shrunk:
    """The smallest scenario in which a plant is noticed as it was caught."""
    with planted(PLANTS[caught.plant]):
        return shrink(read_document(SCENARIOS / caught.file), caught.seed, caught.file)


def noticed(plant: Plant, file: Path, seed: int) -> tuple[Failure, str | None] | None:
    """What fails in a run with the plant, and what crashed in it; None if nothing fails.

    A replacement that no longer fits its place (another parameter, another attribute) fails every run, and proves nothing about the
    checkers. So a rule has to notice a plant, not an exception.
    """
    stages: list[Stage] = []
    try:
        with planted(plant):
            result = run(loaded(file), seed, explain=False, staged=stages.append)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return Failure("exception", 0.0, text), text
    if result.passed:
        return None
    first = result.failures[0]
    crashes = [f"{crash.ref} crashed by {type(crash.error).__name__}: {crash.error}" for crash in _crashes(stages)]
    if first.checker == "no_internal_errors":
        crashes.append(first.text)
    return first, crashes[0] if crashes else None


def _crashes(stages: Iterable[Stage]) -> Iterator[Crash]:
    """Those of actors that the scenario did not poison."""
    for stage in stages:
        for host in stage.world.hosts.values():
            yield from (crash for crash in host.engine.crashes if not isinstance(crash.error, PlantedError))
