"""What tests of scenarios are made of: the decorator, the strategy, and machines that drive live actors and leave what they did."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from sim.draws import Stream
from sim.generate import generatable, mutated
from sim.scenario.actions.registry import ACTIONS, ANSWERED, FAULTS
from sim.scenario.load import load, parse
from sim.scenario.run import Result, _digest, run
from sim.scenario.write import read_document, to_toml
from sim.testing import FederationMachine, Generated, scenario, scenarios
from tests.support.planted import PLANTED, send_no_heartbeats

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "scenarios").glob("*.toml"))
HAPPY = "scenarios/happy-path.toml"
QUICK = settings(
    deadline=None, max_examples=40, derandomize=True, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
"""The same few examples every time: what new ones would find is for `sim explore` to find, and it shrinks faster."""


# --- the decorator --------------------------------------------------------------------------------------------------


@scenario(HAPPY, seeds=2)
def test_the_body_gets_the_result_and_fixtures(result: Result, tmp_path: Path) -> None:
    assert result.passed
    assert result.seed in (1, 2)
    assert tmp_path.exists()


@scenario("scenarios/c*.toml", seeds=[7, 9], where=lambda scenario: len(scenario.platforms) == 2)
def test_files_and_seeds_may_be_chosen(result: Result) -> None:
    assert result.seed in (7, 9)


def test_a_broken_promise_fails_the_test_and_tells_how_to_replay_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @scenario(HAPPY, seeds=[3])
    def body() -> None:
        raise AssertionError("is not reached")

    send_no_heartbeats(monkeypatch)
    with pytest.raises(pytest.fail.Exception) as failed:
        body(played=(load(ROOT / HAPPY), 3))
    text = str(failed.value)
    assert text.startswith("heartbeats_flow at ")
    assert "\nlast:\n" in text
    assert text.endswith("happy-path.toml --seed 3")


@scenario(ROOT / HAPPY, seeds=1)
def test_a_file_may_be_named_from_the_root(result: Result) -> None:
    assert Path(result.path) in (ROOT / HAPPY, Path(HAPPY))


@scenario(str(ROOT / "scenarios" / "happy-*.toml"), seeds=[7])
def test_and_so_may_a_pattern(result: Result) -> None:
    assert result.seed == 7


def test_a_file_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(FileNotFoundError, match=r"/nowhere/x\.toml does not stand there"):
        scenario("/nowhere/x.toml")(lambda: None)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml stands neither in"):
        scenario("scenarios/nowhere.toml")(lambda: None)


# --- the strategy ---------------------------------------------------------------------------------------------------


@QUICK
@given(scenarios())
def test_generated_scenarios_are_valid_and_can_be_run(generated: Generated) -> None:
    assert generated.scenario.world.skip_impossible
    assert run(generated.scenario, explain=False).digest


@pytest.mark.sweep
@settings(QUICK, max_examples=1000, derandomize=False)
@given(scenarios())
def test_generated_scenarios_break_no_promise(generated: Generated) -> None:
    generated.holds("generated")


@QUICK
@given(scenarios(), st.randoms(use_true_random=False))
def test_a_shipped_scenario_that_is_changed_again_and_again_stays_a_scenario(generated: Generated, chance: Random) -> None:
    document = read_document(chance.choice(FILES))
    for _ in range(4):
        document = mutated(Stream(chance), document, generated.document)
        assert parse(to_toml(document), "x.toml")


def test_every_action_with_keys_that_are_known_is_generated() -> None:
    assert {"propose", "accept", "crash", "restart", "partition", "loss", "clock_step"} <= generatable().keys()
    assert generatable().keys() <= ACTIONS.keys() - {"wait"}
    assert generatable().keys() & FAULTS
    assert generatable().keys() & ANSWERED


def test_the_minimal_failing_document_is_written_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, _ = PLANTED["secrecy"]
    plant(monkeypatch)

    @settings(QUICK, max_examples=100)
    @given(scenarios())
    def find(generated: Generated) -> None:
        generated.holds("found", folder=tmp_path)

    with pytest.raises(AssertionError, match=r"secrecy at .* \(seed \d+\)[\s\S]*replay: powernode sim replay .*found\.toml --seed"):
        find()
    text = (tmp_path / "found.toml").read_text("utf-8")
    assert text.startswith("# Fails by secrecy at ")
    assert 1 <= len(tomllib.loads(text)["at"]) <= 3
    assert {failure.checker for failure in run(load(tmp_path / "found.toml")).failures} == {"secrecy"}


# --- machines -------------------------------------------------------------------------------------------------------


class Pair(FederationMachine):
    """A peering that is proposed, accepted and disturbed, as a program."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = [self.ask("propose", on="a", peer="b"), self.ask("propose", on="b", peer="a"), self.ask("accept", on="b", peer="a")]
        self.perform("crash", on="a")
        self.advance(3.5)
        self.answers.append("impossible" if not self.perform("crash", on="a") else "possible")
        self.perform("restart", on="a")
        self.advance(30)

    @rule()
    def wait(self) -> None:
        self.advance(1)


def test_what_a_machine_does_is_a_scenario_that_does_the_same() -> None:
    machine = Pair()
    assert machine.answers == ["ok", "ok", "ok", "impossible"]
    assert machine.stage.status("a", "b") == machine.stage.status("b", "a") == "active"
    document = machine.document
    document["world"]["for"] = machine.stage.now
    result = run(parse(to_toml(document), "x.toml"))
    assert result.passed
    assert result.digest == _digest(machine.stage)


def test_a_machine_that_fails_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Proposing(FederationMachine):
        folder = tmp_path

        @rule(what=st.sampled_from([("propose", "a", "b"), ("accept_invitation", "b", "a")]))
        def act(self, what: tuple[str, str, str]) -> None:
            self.ask(what[0], on=what[1], peer=what[2])

    PLANTED["single_use"][0](monkeypatch)
    with pytest.raises(AssertionError, match=r"single_use at "):
        run_state_machine_as_test(Proposing, settings=settings(QUICK, print_blob=False))
    document: dict[str, Any] = read_document(tmp_path / "Proposing.toml")
    assert {step["do"] for step in document["at"]} == {"propose", "accept_invitation"}
    assert {failure.checker for failure in run(load(tmp_path / "Proposing.toml")).failures} == {"single_use"}
