"""A daemon of canned answers, and the command line pointed at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.operator_api import OperatorApi, Run, runner


@pytest.fixture
def api() -> OperatorApi:
    return OperatorApi()


@pytest.fixture
def run(api: OperatorApi, tmp_path: Path) -> Run:
    return runner(api, tmp_path / "home")
