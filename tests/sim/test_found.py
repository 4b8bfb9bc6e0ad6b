"""What explorations have found and no platform has done wrong: documents under which a checker or an action complained without cause.

What a platform did wrong stands among the shipped scenarios instead, where it can be read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.load import load
from sim.scenario.run import run

FOUND = sorted((Path(__file__).parent / "found").glob("*.toml"))


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)
def test_nobody_complains(file: Path) -> None:
    result = run(load(file))
    assert result.passed, (result.failures, result.last)
