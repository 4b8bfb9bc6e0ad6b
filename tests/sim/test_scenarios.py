"""Scenario files: every shipped one passes, a run depends on its seed alone, and every safety checker notices what it is there for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.scenario.load import parse
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.scenario.write import to_toml
from sim.testing import scenario
from tests.support.planted import HAPPY, PLANTED, PROPOSED_TWICE, send_no_heartbeats

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "scenarios").glob("*.toml"))
SILENCE = (ROOT / "scenarios/degraded-and-recovered.toml").read_text("utf-8")


def play(text: str, seed: int = 1) -> Result:
    return run(parse(text, "test.toml"), seed)


def checkers(result: Result) -> set[str]:
    return {failure.checker for failure in result.failures}


def small(each: Scenario) -> bool:
    return each.world.cost == "small"


def test_there_are_scenarios() -> None:
    assert len(FILES) >= 25


@scenario("scenarios/*.toml", seeds=1, where=small)
def test_a_shipped_scenario_passes(result: Result) -> None:
    assert result.turns


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@scenario("scenarios/*.toml", seeds=range(100, 150), where=small)
def test_a_shipped_scenario_passes_under_many_seeds() -> None:
    """The decorator has judged it."""


@pytest.mark.sweep
@pytest.mark.timeout(7200)
@scenario("scenarios/*.toml", seeds=3, where=lambda each: not small(each))
def test_a_large_scenario_passes() -> None:
    """The decorator has judged it."""


def test_the_same_seed_gives_the_same_digest_in_another_process() -> None:
    names = ("crossed-accepts", "minter-crashes-in-accept", "slow-disk")
    program = (
        "import sys; from pathlib import Path; from sim.scenario.load import load; from sim.scenario.run import run\n"
        "for name in sys.argv[1:]: print(run(load(Path(name)), 7).digest)"
    )
    paths = [str(ROOT / f"scenarios/{name}.toml") for name in names]
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    other = subprocess.run(
        [sys.executable, "-c", program, *paths], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=500
    )
    here = [run(parse(Path(path).read_text("utf-8"), path), 7).digest for path in paths]
    assert other.stdout.split() == here
    assert run(parse(Path(paths[0]).read_text("utf-8"), paths[0]), 8).digest != here[0]


def test_chance_decides_whether_a_killed_commit_is_kept() -> None:
    text = (ROOT / "scenarios/minter-crashes-in-accept.toml").read_text("utf-8")
    expectation = '[[expect]]\nthat = "status"\non = "a"\npeer = "b"\nis = "accepted"\nt = "12.5s"\n'
    outcomes = {play(f"{text}\n{expectation}", seed).passed for seed in range(1, 12)}
    assert outcomes == {True, False}


# --- planted faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checker", PLANTED)
def test_a_safety_checker_notices_the_fault_that_it_is_there_for(checker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = PLANTED[checker]
    assert play(text).passed
    plant(monkeypatch)
    result = play(text)
    assert checkers(result) == {checker}
    assert result.last


def test_platforms_that_do_not_find_each_other_again_fail_to_converge(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = HAPPY.replace('name = "a"\n', 'name = "a"\nrequire_identity_disclosure = true\n', 1)
    result = play(closed)
    assert checkers(result) == {"convergence", "eventually"}
    assert "b on a is accepted and a on b is" in next(each.text for each in result.failures if each.checker == "convergence")
    send_no_heartbeats(monkeypatch)
    assert checkers(play(HAPPY)) == {"heartbeats_flow"}


@pytest.mark.parametrize(
    ("expectation", "text"),
    [
        ('that = "status", on = "a", peer = "b", is = "active", t = "59s"', "b on a is proposed and not active at 59 s"),
        (
            'that = "eventually", on = "b", peer = "a", is = "degraded", t = "30s", within = "1m"',
            "a on b never is degraded from 30 s to 90 s, only proposed, accepted, enrolled, active",
        ),
        ('that = "never", on = "a", peer = "b", is = "enrolled"', "b on a becomes enrolled at 60.1"),
        ('that = "code", call = "b accepts", is = "no_answer"', "'b accepts' was answered ok and not no_answer"),
    ],
)
def test_an_expectation_that_does_not_hold_says_what_was_instead(expectation: str, text: str) -> None:
    table = "[[expect]]\n" + re.sub(r", (?=\w+ = )", "\n", expectation)
    result = play(f"{HAPPY}\n{table}\n")
    failure = result.failures[0]
    assert failure.checker == expectation.split('"')[1]
    line = HAPPY.count("\n") + 2
    assert failure.text.startswith(f"test.toml:{line}: {text}")


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ('{ t = 0, do = "accept", on = "a", peer = "b" }', "the operator of b has handed no token to the operator of a yet"),
        ('{ t = 0, do = "cancel", on = "b", peer = "a" }', "b has no row for a yet"),
        ('{ t = 0, do = "wait", on = "a", peer = "b", is = "active", within = 5 }', "b on a was not active within 5 s, but None"),
    ],
)
def test_a_step_that_cannot_happen_fails_the_run(step: str, text: str) -> None:
    result = play(PROPOSED_TWICE.replace("at = [", f"at = [\n    {step},"))
    assert checkers(result) == {"step"}
    assert text in result.failures[0].text


def test_an_operator_whose_session_has_ended_signs_in_again() -> None:
    late = PROPOSED_TWICE.replace('"1m"', '"2h"').replace("t = 1,", 't = "1h",')
    assert play(late).passed


def test_a_call_to_a_platform_that_has_died_waits_for_nobody() -> None:
    steps = [{"t": 0, "do": "propose", "on": "a", "peer": "b"}, {"t": 0.1, "do": "crash", "on": "a"}]
    asked = [*steps, {"t": 0.2, "do": "propose", "on": "a", "peer": "b"}, {"t": 0.3, "do": "restart", "on": "a"}]
    platforms = [{"name": "a", "fsync": 1}, {"name": "b"}]
    assert play(to_toml({"name": "x", "description": "x", "world": {"for": "1m"}, "platform": platforms, "at": asked})).failures == ()


def test_the_row_of_a_peer_is_the_one_that_lives_whatever_its_clock_said() -> None:
    steps: list[dict[str, Any]] = [
        {"t": 0, "do": "propose", "on": "a", "peer": "b"},
        {"t": 1, "do": "cancel", "on": "a", "peer": "b"},
        {"t": 2, "do": "clock_step", "on": "a", "by": -300},
        {"t": 3, "do": "propose", "on": "a", "peer": "b"},
        {"t": 4, "do": "regenerate", "on": "a", "peer": "b", "name": "again"},
    ]
    world = {"for": "1m"}
    expect = [{"that": "code", "call": "again", "is": "ok"}, {"that": "status", "on": "a", "peer": "b", "is": "proposed"}]
    platforms = [{"name": "a"}, {"name": "b"}]
    document = {"name": "x", "description": "x", "world": world, "platform": platforms, "at": steps, "expect": expect}
    assert play(to_toml(document)).failures == ()


def test_a_call_to_a_platform_that_is_paused_is_no_deadlock() -> None:
    steps = [{"t": 0, "do": "pause", "on": "a"}, {"t": 1, "do": "propose", "on": "a", "peer": "b"}]
    platforms = [{"name": "a"}, {"name": "b"}]
    assert play(to_toml({"name": "x", "description": "x", "world": {"for": "1h"}, "platform": platforms, "at": steps})).failures == ()
