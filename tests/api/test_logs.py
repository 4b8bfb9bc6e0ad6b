"""Lines of the log: those of the access log are the same on their short way as through a record."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from actors.door import access
from api.logs import Formatter, Lines
from runtime.clock import SystemClock
from runtime.secret import Secret

FACTS = {
    "peer_id": "01ba60d3-3800-7839-9588-5bc4dcab3b5c",
    "subject": 'ö\n"x" \u2028',
    "resource_id": None,
    "count": 3,
    "bearer": Secret("fg-secret"),
}


class Fixed(SystemClock):
    def wall(self) -> float:
        return 1_800_000_000.25


def lines(*, as_json: bool) -> tuple[Lines, io.StringIO]:
    stream = io.StringIO()
    return Lines(stream, Formatter(Fixed(), as_json)), stream


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    level, propagate = access.log.level, access.log.propagate
    access.log.setLevel(logging.INFO)
    access.log.propagate = False
    yield access.log
    access.log.handlers.clear()
    access.log.setLevel(level)
    access.log.propagate = propagate


@pytest.mark.parametrize("as_json", [True, False])
def test_a_line_of_the_access_log_is_the_same_without_a_record(logger: logging.Logger, as_json: bool) -> None:
    handler, stream = lines(as_json=as_json)
    logger.addHandler(handler)
    access.through_logging(FACTS)
    handler.access_line(FACTS)
    written = stream.getvalue()
    first, second = written[: len(written) // 2], written[len(written) // 2 :]
    assert first == second
    assert first.endswith("\n")
    assert "fg-secret" not in first
    assert "served" in first
    if as_json:
        shown = json.loads(first)
        assert (shown["level"], shown["logger"], shown["resource_id"], shown["count"]) == ("info", "powernode.access", None, 3)


def test_a_stream_that_takes_nothing_more_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    handler, stream = lines(as_json=True)
    failed: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "handleError", failed.append)
    stream.close()
    handler.access_line({"peer_id": "p"})
    assert [(record.getMessage(), record.name) for record in failed] == [("served", "powernode.access")]
