"""Looking for garbage: seldom during a run, and afterwards as the process had it, however the run ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from sim.garbage import THRESHOLD
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.scenario.stage import Stage
from tests.support.planted import HAPPY

OWN = (811, 12, 9)


@pytest.fixture
def own_threshold() -> Iterator[None]:
    former = gc.get_threshold()
    gc.set_threshold(*OWN)
    yield
    gc.set_threshold(*former)


@pytest.mark.usefixtures("own_threshold")
def test_a_run_looks_for_garbage_seldom_and_leaves_the_process_as_it_was() -> None:
    seen: list[tuple[int, int, int]] = []
    run(parse(HAPPY, "test.toml"), until=1.0, staged=lambda stage: seen.append(gc.get_threshold()))
    assert seen == [THRESHOLD]
    assert gc.get_threshold() == OWN


@pytest.mark.usefixtures("own_threshold")
def test_a_run_that_breaks_off_leaves_the_process_as_it_was_too() -> None:
    def interrupted(stage: Stage) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(parse(HAPPY, "test.toml"), staged=interrupted)
    assert gc.get_threshold() == OWN
