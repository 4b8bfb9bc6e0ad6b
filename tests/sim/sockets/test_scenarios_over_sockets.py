"""Scenario files at socket level: the daemon's own HTTP and TLS pass every shipped one, and a run depends on its seed alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.values import evolve
from sim.scenario.load import load, parse
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.scenario.stage import Stage
from sim.sockets.host import SocketHost
from sim.world import Host

ROOT = Path(__file__).parent.parent.parent.parent
FILES = [file for file in sorted((ROOT / "scenarios").glob("*.toml")) if load(file).world.cost == "small"]
MIXED = """
name = "both levels at once"
description = "Two platforms speak TLS, and both speak to a third one in whole requests."
world = { for = "10m" }
platform = [{ name = "a", level = "sockets" }, { name = "b", level = "sockets" }, { name = "c" }]
at = [
    { t = 1, do = "propose", on = "a", peer = "b" },
    { t = 2, do = "propose", on = "c", peer = "a" },
    { t = 3, do = "propose", on = "b", peer = "c" },
    { t = 10, do = "accept_invitation", on = "b", peer = "a" },
    { t = 11, do = "accept_invitation", on = "a", peer = "c" },
    { t = 12, do = "accept_invitation", on = "c", peer = "b" },
]
expect = [
    { that = "status", on = "a", peer = "b", is = "active" },
    { that = "status", on = "b", peer = "a", is = "active" },
    { that = "status", on = "a", peer = "c", is = "active" },
    { that = "status", on = "c", peer = "a", is = "active" },
    { that = "status", on = "b", peer = "c", is = "active" },
    { that = "status", on = "c", peer = "b", is = "active" },
]
"""


def over_sockets(scenario: Scenario) -> Scenario:
    return evolve(scenario, world=evolve(scenario.world, level="sockets"))


def play(path: Path, seed: int = 1) -> Result:
    return run(over_sockets(load(path)), seed)


SHORT = [file for file in FILES if load(file).cost < 3]
LONG = [file for file in FILES if file not in SHORT]


@pytest.mark.sweep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", LONG, ids=lambda file: file.stem)
def test_a_long_shipped_scenario_passes(file: Path) -> None:
    result = play(file)
    assert result.passed, (result.failures, result.last)


@pytest.mark.parametrize("file", SHORT, ids=lambda file: file.stem)
def test_a_shipped_scenario_passes(file: Path) -> None:
    result = play(file)
    assert result.passed, (result.failures, result.last)


def test_platforms_of_both_levels_meet_in_one_world() -> None:
    scenario = parse(MIXED, "mixed.toml")
    result = run(scenario)
    assert result.passed, (result.failures, result.last)
    stage = Stage(scenario, 1)
    try:
        assert [type(stage.host(name)) for name in "abc"] == [SocketHost, SocketHost, Host]
        stage.run_to(0)
    finally:
        stage.world.close()


def digests(names: tuple[str, ...], seed: int, hash_seed: int) -> list[str]:
    """What another process gets."""
    program = (
        "import sys; from pathlib import Path; from tests.sim.sockets.test_scenarios_over_sockets import play\n"
        f"for name in sys.argv[1:]: print(play(Path(name), {seed}).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    paths = [str(ROOT / f"scenarios/{name}.toml") for name in names]
    command = [sys.executable, "-c", program, *paths]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout.split()


def test_the_same_seed_gives_the_same_digest_in_other_processes() -> None:
    names = ("crossed-accepts", "minter-crashes-in-accept")
    here = [play(ROOT / f"scenarios/{name}.toml", 7).digest for name in names]
    assert digests(names, 7, 1 if os.environ.get("PYTHONHASHSEED") != "1" else 2) == here
    assert play(ROOT / f"scenarios/{names[0]}.toml", 8).digest != here[0]


@pytest.mark.sweep
@pytest.mark.timeout(3600)
def test_the_same_seed_gives_the_same_digest_in_ten_processes() -> None:
    assert len({tuple(digests(("regenerated-after-lost-answer", "never-came-up"), 3, hash_seed)) for hash_seed in range(10)}) == 1
