"""A long sweep goes on where it was stopped, gives cheap files most of the seeds, and tells of every violation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.sweeps.corpus
from runtime.values import evolve
from sim.scenario.failures import Failure
from sim.scenario.load import load
from sim.scenario.run import Result
from sim.sweep import Case, Done
from tests.sweeps import corpus, determinism
from tests.sweeps.__main__ import main
from tests.sweeps.program import ROOT, Program, program
from tests.sweeps.progress import Progress

HERE = Program("digest", "commit")
COSTS = {"happy-path": 0.02, "eight-platforms": 0.5, "thousand-peers": 60.0}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which runs were made, in order; none really is. The second seed of the happy path fails."""
    played: list[str] = []

    def sweep(cases: list[Case], *, jobs: int, for_s: float | None) -> Iterator[Done]:
        for scenario, seed in cases:
            stem = Path(scenario.path).stem
            played.append(f"{stem} {seed}")
            bad = (Failure("leaks", 1.0, "a: something is left"),) if played[-1] == "happy-path 2" else ()
            yield Done(Result(scenario.name, scenario.path, seed, "", 1, bad, (), faults={"crash": 1}, reached={"it": False}), COSTS[stem])

    monkeypatch.setattr(tests.sweeps.corpus, "sweep", sweep)
    monkeypatch.setattr(tests.sweeps.corpus, "scenarios", lambda: [load(ROOT / f"scenarios/{name}.toml") for name in COSTS])
    return played


def test_cheap_files_get_most_seeds_and_large_ones_three_at_the_end(tmp_path: Path, played: list[str]) -> None:
    with Progress(tmp_path, "corpus", HERE) as progress:
        list(corpus.corpus(progress, runs=100, jobs=1, for_s=None))
        told = corpus.report(progress, 100)
    counts = {Path(name).stem: each["runs"] for name, each in told["scenarios"].items()}
    assert counts == {"happy-path": 91, "eight-platforms": 6, "thousand-peers": 3}
    assert [each.partition(" ")[0] for each in played[-3:]] == ["thousand-peers"] * 3
    assert (told["runs"], told["planned"], told["finished"], told["failed"]) == (100, 100, True, 1)
    assert told["violations"][0]["run"] == "happy-path.toml 2"
    assert told["never"] == ["it"]
    assert told["faults"] == {"crash": 100}


def test_a_stopped_sweep_goes_on_and_repeats_nothing(tmp_path: Path, played: list[str]) -> None:
    with Progress(tmp_path, "corpus", HERE) as progress:
        stream = corpus.corpus(progress, runs=100, jobs=1, for_s=None)
        for _ in range(40):
            next(stream)
    with progress.path.open("a") as file:
        file.write('{"key": "happy-path.toml 99", "sec')
    with Progress(tmp_path, "corpus", HERE) as progress:
        assert len(list(corpus.corpus(progress, runs=100, jobs=1, for_s=None))) == 60
        assert corpus.report(progress, 100)["finished"]
    assert len(set(played)) == len(played) == 100
    with Progress(tmp_path, "corpus", evolve(HERE, digest="other")) as progress:
        assert progress.rows == {}


def test_the_digest_stands_for_the_program() -> None:
    assert program() == program()
    assert len(program().digest) == 16


def test_digests_of_one_seed_are_compared_over_hash_seeds_and_drivers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["determinism", "--seeds", "2", "--folder", str(tmp_path), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seeds"], told["runs"], told["failed"], told["finished"]) == (2, 8, 0, True)


def test_a_digest_that_differs_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "digests", lambda chunk, level: {piece: {"1/step": "x", "2/step": "y"} for piece in chunk})
    assert main(["determinism", "--seeds", "3", "--folder", str(tmp_path)]) == 1
