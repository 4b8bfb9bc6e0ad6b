"""What holds for every test: property tests draw the same examples each time, and no verdict depends on how fast the machine is.

`pytest --hypothesis-profile=default` draws new examples. A test that fails shows what the daemons said that ran in it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.daemons import logs_since

settings.register_profile("same-examples", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same-examples")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"log of daemon {name}", said) for name, said in logs_since(call.start)]
    return report
