"""What explorations have found: documents under which a checker complained, an action broke, or a platform did wrong.

Where a platform did wrong, another test says what. A run stands for what it once showed only as long as chance falls as it did then.
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
