"""Sweeps: the same runs whatever the number of processes, failures that end no sweep, and the command that shows them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import sim.sweep
from sim.cli import sim as sim_command
from sim.scenario.load import load, parse
from sim.scenario.schema import Scenario
from sim.sweep import Case, Tally, cases, run_one, spread, sweep
from sim.workers import Workers

ROOT = Path(__file__).parent.parent.parent
HAPPY = ROOT / "scenarios/happy-path.toml"
CRASH = ROOT / "scenarios/minter-crashes-in-accept.toml"
IMPOSSIBLE = (
    HAPPY.read_text("utf-8")
    + """
[[expect]]
that = "status"
on = "a"
peer = "b"
is = "revoked"
"""
)


def both() -> list[Scenario]:
    return [load(HAPPY), load(CRASH)]


def halve(number: int) -> float:
    if number == 13:
        os._exit(7)
    return number / 2


def lost(number: int, code: int | None) -> tuple[int, int | None]:
    return number, code


def test_the_number_of_processes_changes_no_result() -> None:
    alone = [done.result for done in sweep(cases(both(), 3))]
    together = [done.result for done in sweep(cases(both(), 3), jobs=2)]
    assert [(result.path, result.seed) for result in alone] == [(str(path), seed) for seed in (1, 2, 3) for path in (HAPPY, CRASH)]
    assert sorted(together, key=lambda result: (result.seed, result.path)) == sorted(alone, key=lambda result: (result.seed, result.path))
    assert len({result.digest for result in alone}) == 6


def test_a_tally_adds_up_runs_time_and_faults() -> None:
    tally = Tally()
    for done in sweep(cases(both(), 2)):
        tally.add(done)
    assert (tally.runs, tally.failed) == (4, 0)
    assert tally.virtual_s == pytest.approx(4 * 600.0, abs=100.0)
    assert tally.faults == {"crash": 2}
    assert {path: runs[:2] for path, runs in tally.by_scenario.items()} == {str(HAPPY): (2, 0), str(CRASH): (2, 0)}


def test_what_the_simulator_raises_is_a_failed_run_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    play = sim.sweep.run

    def broken(scenario: Scenario, seed: int) -> object:
        if seed == 2:
            raise KeyError("oops")
        return play(scenario, seed)

    monkeypatch.setattr(sim.sweep, "run", broken)
    results = [done.result for done in sweep(cases([load(HAPPY)], 3))]
    assert [result.passed for result in results] == [True, False, True]
    failure = results[1].failures[0]
    assert (failure.checker, failure.text) == ("exception", "KeyError: 'oops'")
    assert any("raise KeyError" in line for line in results[1].last)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_endless_sweep_takes_cases_as_it_needs_them_and_can_be_closed(jobs: int) -> None:
    taken = 0

    def counted() -> Iterator[Case]:
        nonlocal taken
        for case in cases([load(HAPPY)], None):
            taken += 1
            yield case

    with closing(sweep(counted(), jobs=jobs)) as stream:
        assert len(list(itertools.islice(stream, 3))) == 3
    assert 3 <= taken < 20


def test_no_run_begins_after_its_time() -> None:
    assert list(sweep(cases(both(), None), for_s=0.0)) == []


def test_a_worker_that_dies_loses_one_piece_only() -> None:
    with closing(Workers(2, halve, lost)) as workers:
        outcomes = list(workers.map(range(8, 24)))
    assert (13, 7) in outcomes
    assert sorted(outcome for outcome in outcomes if outcome != (13, 7)) == [number / 2 for number in range(8, 24) if number != 13]


@given(st.lists(st.floats(min_value=0.01, max_value=1000.0), min_size=1, max_size=20), st.integers(0, 2000), st.integers(0, 5))
def test_runs_are_spread_so_that_cheap_scenarios_get_more(costs: list[float], total: int, at_least: int) -> None:
    given = spread(costs, total, at_least)
    assert sum(given) == max(total, at_least * len(costs))
    assert min(given) >= at_least
    for (cost, count), (other_cost, other_count) in itertools.combinations(zip(costs, given, strict=True), 2):
        assert cost == other_cost or (count <= other_count + 1 if cost > other_cost else other_count <= count + 1)


# --- the command ----------------------------------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(sim_command, ["run", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_is_run_whole_and_each_run_shown_as_json_with_a_summary(tmp_path: Path) -> None:
    for path in (HAPPY, CRASH):
        (tmp_path / path.name).write_text(path.read_text("utf-8"))
    code, out, err = command(str(tmp_path), "--seeds", "2", "--jobs", "1", "--json")
    *runs, summary = map(json.loads, out.splitlines())
    assert code == 0
    assert [(Path(run["file"]).name, run["seed"], run["passed"]) for run in runs] == [
        ("happy-path.toml", 1, True), ("minter-crashes-in-accept.toml", 1, True),
        ("happy-path.toml", 2, True), ("minter-crashes-in-accept.toml", 2, True),
    ]  # fmt: skip
    assert (summary["summary"], summary["runs"], summary["failed"], summary["interrupted"]) == (True, 4, 0, False)
    assert summary["faults"] == {"crash": 2}
    assert err.startswith("4 seeds run, 0 failed, 2 faults injected, ")


def test_a_failure_is_shown_with_what_replays_it_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "impossible.toml"
    file.write_text(IMPOSSIBLE)
    code, out, err = command(str(file), "--seed", "7", "--seeds", "5", "--jobs", "1")
    assert code == 1
    assert out.count("FAILED  the runbook") == 5
    assert out.count("  replay: powernode sim replay") == 5
    assert out.count("  last:\n") == 3
    assert f"  replay: powernode sim replay {file} --seed 7\n" in out
    assert "(seed 11)" in out
    assert "5 seeds run, 5 failed" in err


def test_runs_are_weighted_by_cost() -> None:
    code, out, _ = command(str(HAPPY), str(ROOT / "scenarios/clock-skew.toml"), "--runs", "12", "--jobs", "1", "--json")
    runs = json.loads(out.splitlines()[-1])["scenarios"]
    assert code == 0
    assert runs[str(HAPPY)]["runs"] > runs[str(ROOT / "scenarios/clock-skew.toml")]["runs"] >= 3


@pytest.mark.parametrize("arguments", [("--seeds", "2", "--runs", "2"), ("--seeds", "0"), ("--minutes", "0")])
def test_what_makes_no_sense_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert command(str(HAPPY), *arguments)[0] == 2


def test_a_folder_without_scenarios_is_a_usage_error(tmp_path: Path) -> None:
    code, _, err = command(str(tmp_path))
    assert code == 2
    assert "there are no scenario files" in err


def test_an_interrupt_ends_a_sweep_with_what_it_has_found() -> None:
    # Whoever runs in the background has the interrupt ignored, and so would its children.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from sim.cli import sim; sim()"
    arguments = ["run", str(HAPPY), "--minutes", "5", "--jobs", "2", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=300)
    summary = json.loads(out.splitlines()[-1])
    assert first["passed"]
    assert process.returncode == 130
    assert summary["interrupted"]
    assert summary["runs"] >= 1
    assert err.startswith("ended early: ")
    assert "Traceback" not in err


def test_parsed_scenarios_can_be_handed_to_another_process() -> None:
    scenario = parse(HAPPY.read_text("utf-8"), "happy.toml")
    (done,) = sweep([(scenario, 5)] * 1, jobs=2)
    assert done.result == run_one((scenario, 5)).result
