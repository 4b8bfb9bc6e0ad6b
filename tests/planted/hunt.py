"""The hunt for planted faults: a bounded sweep over the shipped scenarios.

Lives here: how a plant is looked for, and what is told of it. Must not live here: a fault, or a judgement: whatever fails a run counts, if
the same run passes without the plant.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from sim.scenario.load import load
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
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
    """

    plant: str
    fault: str
    runs: int
    file: str
    seed: int
    checker: str
    text: str


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
            with planted(plant):
                result = _run(file, seed)
            if result is not None and not result.passed and run(loaded(file), seed, explain=False).passed:
                first = result.failures[0]
                return Caught(plant.name, plant.fault, runs, file.name, seed, first.checker, first.text)
    return None


def shrunk(caught: Caught) -> Shrunk:
    """The smallest scenario in which a plant is noticed as it was caught."""
    with planted(PLANTS[caught.plant]):
        return shrink(read_document(SCENARIOS / caught.file), caught.seed, caught.file)


def _run(file: Path, seed: int) -> Result | None:
    return run(loaded(file), seed, explain=False)
