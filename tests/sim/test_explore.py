"""The search by chance: it finds planted faults, keeps what touched something new, goes on later, and says what it never touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actors.peer.heartbeats import Heartbeats
from runtime.context import Context
from sim.cli import sim
from sim.corpus import Corpus
from sim.coverage import Touched, feature, untouched
from sim.explore import Explorer, try_one
from sim.generate import in_time
from sim.scenario.load import load, parse
from sim.scenario.run import run
from sim.scenario.write import Document, read_document, to_toml
from sim.trace.events import TraceEvent
from sim.trace.tracer import Tracer
from tests.support.planted import PLANTED

ROOT = Path(__file__).parent.parent.parent
HAPPY = read_document(ROOT / "scenarios/happy-path.toml")
INVITATION = read_document(ROOT / "scenarios/invitation.toml")


def explored(folder: Path, runs: int, seed: int = 1, shipped: tuple[Document, ...] = (INVITATION,), jobs: int = 1) -> Corpus:
    corpus = Corpus(folder)
    for _ in Explorer(corpus, shipped, seed).explore(runs=runs, jobs=jobs):
        pass
    corpus.save()
    return corpus


def call(*words: str) -> Result:
    return CliRunner().invoke(sim, ["explore", *words])


def test_a_search_touches_more_than_it_began_with_and_keeps_it(tmp_path: Path) -> None:
    begun = Touched()
    run(parse(to_toml(INVITATION), "x"), tracer=Tracer(begun))
    corpus = explored(tmp_path, 25)
    assert corpus.counts.made == 25
    assert corpus.counts.runs == 25 - corpus.counts.rejected
    assert len(corpus.features) > 1.5 * len(begun.features)
    assert 3 < len(corpus.documents) < 25
    files = sorted(tmp_path.glob("*.toml"))
    assert len(files) == len(corpus.documents)
    assert files[0].read_text("utf-8").startswith("# Touched first:\n# ")
    assert all(load(file).expected == () for file in files)


def test_with_one_job_a_search_is_reproducible_and_can_be_taken_up_again(tmp_path: Path) -> None:
    whole = explored(tmp_path / "whole", 14)
    explored(tmp_path / "parts", 6)
    parts = explored(tmp_path / "parts", 8)
    assert parts.features == whole.features
    assert parts.documents == whole.documents
    assert parts.counts == whole.counts
    assert explored(tmp_path / "other", 14, seed=2).features != whole.features


def test_two_processes_search_as_well(tmp_path: Path) -> None:
    assert explored(tmp_path, 12, jobs=2).counts.made == 12


def test_damaged_files_of_a_corpus_are_passed_over(tmp_path: Path) -> None:
    before = explored(tmp_path, 10)
    (tmp_path / "state.json").write_text("{", encoding="utf-8")
    (tmp_path / "00000-broken.toml").write_text("name = ", encoding="utf-8")
    after = Corpus(tmp_path)
    assert after.documents == before.documents
    assert after.features == {}


@pytest.mark.parametrize("checker", ["secrecy", "single_use", "audit_chain"])
def test_a_planted_fault_is_found_and_left_as_a_small_file(checker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[checker][0](monkeypatch)
    corpus = explored(tmp_path, 40, shipped=())
    found = {identity.split(":")[0]: file for identity, file in corpus.failures.items()}
    assert found.keys() == {checker}
    assert found[checker].parent == tmp_path / "failures"
    assert len(load(found[checker]).steps) <= 4
    assert {failure.checker for failure in run(load(found[checker])).failures} == {checker}
    assert corpus.documents or corpus.counts.runs
    assert [each for each in corpus.documents if not run(parse(to_toml(each), "x")).passed] == []
    assert Corpus(tmp_path).failures == corpus.failures


@pytest.mark.sweep
def test_a_fault_that_needs_luck_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault shows only when a peering that had lost contact finds it again, which takes an accept, a cut, five minutes and its end."""
    contact = Heartbeats._contact

    def planted(actor: Heartbeats, ctx: Context, *rest: Any) -> Any:
        if actor.record.status == "degraded":
            raise RuntimeError("planted")
        return contact(actor, ctx, *rest)

    monkeypatch.setattr(Heartbeats, "_contact", planted)
    corpus = Corpus(tmp_path)
    for found in Explorer(corpus, [HAPPY, INVITATION], 3).explore(runs=2000):
        if found.failed is not None:
            break
    assert [identity.split(":")[0] for identity in corpus.failures] == ["handlers"]
    (file,) = corpus.failures.values()
    assert len(load(file).steps) <= 6


def test_what_was_never_touched_is_told() -> None:
    everything = untouched(())
    assert "peer none > proposed by registered" in everything.transitions
    assert "migration applying > in_doubt" in everything.transitions
    assert "partition" in everything.faults
    assert set(everything.faults) < set(everything.actions)
    assert not any(action.startswith("recorded_") for action in everything.actions)
    left = untouched({"life peer none > proposed by registered", "step partition"})
    assert set(everything.transitions) - set(left.transitions) == {"peer none > proposed by registered"}
    assert set(everything.actions) - set(left.actions) == {"partition"}
    assert set(everything.transitions) - set(untouched(try_one(HAPPY).features).transitions) == {
        "peer none > proposed by registered", "peer proposed > accepted by token_redeemed",
        "peer accepted > enrolled by trust_established", "peer enrolled > active by heartbeat_succeeded",
    }  # fmt: skip


def test_what_is_no_scenario_is_counted_as_rejected() -> None:
    tried = try_one({**HAPPY, "platform": []})
    assert tried.rejected is not None
    assert "platform: at least one [[platform]] is needed" in tried.rejected
    assert tried.features == ()


def test_an_error_of_the_simulator_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    import sim.explore

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(sim.explore, "run", fail)
    (failure,) = try_one(HAPPY).failures
    assert (failure.checker, failure.text) == ("exception", "ZeroDivisionError: planted (in fail)")


def test_the_command_reports_and_ends_with_1_if_something_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--corpus", str(tmp_path / "corpus"), "--folder", str(ROOT / "scenarios"), "--jobs", "1", "--json")
    well = call(*words, "--runs", "6")
    assert well.exit_code == 0, well.output
    told = json.loads(well.stdout)
    assert (told["made"], told["runs"], told["failures"]) == (6, 6, [])
    assert told["touched_new"] == told["touched"] > 20
    assert told["never_seen_transitions"]
    PLANTED["secrecy"][0](monkeypatch)
    ill = call(*words[:-1], "--budget", "2s")
    assert ill.exit_code == 1
    assert "secrecy: " in ill.stderr
    assert "; replay: powernode sim replay " in ill.stdout
    assert "transitions never seen: " in ill.stdout


def test_a_folder_that_is_not_there_is_no_beginning(tmp_path: Path) -> None:
    refused = call("--folder", str(tmp_path / "scenarois"), "--corpus", str(tmp_path / "corpus"), "--runs", "1", "--jobs", "1")
    assert refused.exit_code == 2
    assert "does not exist" in refused.stderr


def test_events_that_differ_in_ids_and_places_touch_the_same() -> None:
    def touched(kind: str, what: str) -> str:
        return feature(TraceEvent(seq=1, cause=None, at=0.0, host="a", kind=kind, who="b", what=what))

    page = "GET /federation_api/resources/NodeModule"
    assert touched("call", f"{page}?limit=7&cursor=m2Cg8xCxIZ9LoEnm") == touched("call", page) != touched("call", f"{page}/x")
    one, other = ("01ba60d3-3800-7e26-b6ef-87ca20b00716", "01ba60d3-3be8-78ad-bde2-acc9465da160")
    assert touched("answer", f"200 /peers/{one}") == touched("answer", f"200 /peers/{other}") != touched("answer", f"404 /peers/{one}")
    assert touched("tcp", "#5 data 864") == touched("tcp", "#12 data 1") != touched("tcp", "#5 reset")
    assert touched("status", "none > proposed by registered") == "status none > proposed by registered"


def test_an_attack_by_whoever_holds_everything_is_none() -> None:
    steps = [
        {"t": 1, "do": "attack_certificate", "on": "a", "claims": "b", "by": by, "flaw": flaw}
        for by, flaw in (("b", "other_subject"), ("c", "no_flaw"), ("c", "other_subject"))
    ]
    assert in_time({**INVITATION, "at": steps})["at"] == steps[2:]


def test_an_operators_word_is_not_drawn_by_chance() -> None:
    word = {"t": 1, "do": "resolve_migration", "on": "a", "keep": True}
    assert not in_time({**INVITATION, "at": [word]}).get("at")
