"""How commands end that somebody ends, or that are asked for what would do harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sim.cli import sim as simulator

HAPPY = str(Path(__file__).parent.parent.parent / "scenarios" / "happy-path.toml")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("a nursery", [KeyboardInterrupt()])], ids=["plain", "wrapped"])
@pytest.mark.parametrize("command", ["audit", "compare"])
def test_an_interrupt_is_no_broken_promise(command: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(f"sim.commands.{command}.{command}", interrupted)
    result = CliRunner().invoke(simulator, [command, HAPPY])
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_what_goes_wrong_in_a_nursery_is_no_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any, **more: Any) -> Any:
        raise BaseExceptionGroup("a nursery", [ValueError("wrong")])

    monkeypatch.setattr("sim.commands.audit.audit", broken)
    assert isinstance(CliRunner().invoke(simulator, ["audit", HAPPY]).exception, BaseExceptionGroup)


def test_a_shrunk_scenario_never_takes_the_place_of_the_one_that_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "failing.toml"
    file.write_text(Path(HAPPY).read_text(encoding="utf-8"), encoding="utf-8")
    result = CliRunner().invoke(simulator, ["shrink", str(file), "--out", str(tmp_path / "." / "failing.toml")])
    assert result.exit_code == 2
    assert "would be lost" in result.stderr
