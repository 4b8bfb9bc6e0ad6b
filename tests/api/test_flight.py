"""The flight recorder's file: written whole or not at all, and never waited for longer than its limit."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from api.flight import FLIGHT_NAME, FlightFile
from api.limits import FLIGHT_WRITE_S
from runtime.random import SeededRandomness
from sim.world import World


def flight(folder: Path) -> FlightFile:
    host = World("flight").platform("a").sign_in()
    return FlightFile(folder / FLIGHT_NAME, host.engine, SeededRandomness("flight"))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = flight(tmp_path)
    trio.run(file.write)
    assert json.loads(file.path.read_bytes())
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FLIGHT_NAME]


def test_a_disk_that_hangs_is_waited_for_no_longer_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file, hangs = flight(tmp_path), threading.Event()
    written = threading.Event()
    put = file._put

    def stuck(data: bytes) -> None:
        hangs.wait()
        put(data)
        written.set()

    monkeypatch.setattr(file, "_put", stuck)

    async def scene() -> None:
        began = trio.current_time()
        await file.write()
        assert trio.current_time() - began == pytest.approx(FLIGHT_WRITE_S)
        # One that hangs is enough.
        await file.write()
        assert trio.current_time() - began == pytest.approx(FLIGHT_WRITE_S)

    trio.run(scene, clock=MockClock(autojump_threshold=0))
    assert [text.partition(":")[0] for text in said(caplog)] == ["the flight recorder is not written"] * 2
    assert not file.path.exists()
    hangs.set()
    assert written.wait(10.0)
    monkeypatch.undo()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_disk_that_fails_costs_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: OSError
) -> None:
    file = flight(tmp_path)

    def failing(data: bytes) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(file, "_put", failing)
        trio.run(file.write)
    assert said(caplog) == [f"the flight recorder is not written: {error.strerror}"]
    trio.run(file.write)
    assert file.path.exists()
