"""Shrinking: what is left of a failing scenario is small, still fails the same way, and no part of it can be left out."""

from __future__ import annotations

import json
import statistics
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import tests.planted.faults  # noqa: F401  # registers the faults
from actors.peer.heartbeats import Heartbeats
from actors.registry import ACTORS
from runtime.actor import Due
from runtime.context import Context
from sim.cli import sim as group
from sim.reduction import ddmin, gaps, moments, with_gaps, without_platforms
from sim.scenario.failures import Failure
from sim.scenario.load import load, parse
from sim.scenario.run import run
from sim.scenario.write import Document, read_document, to_toml
from sim.schedule import Tape
from sim.shrink import NotFailingError, Shrunk, shrink
from tests.planted.hunt import hunt, planted
from tests.planted.hunt import shrunk as smallest
from tests.planted.registry import PLANTS
from tests.support.planted import PLANTED, send_no_heartbeats

ROOT = Path(__file__).parent.parent.parent
HAPPY = read_document(ROOT / "scenarios/happy-path.toml")
NOISE: list[dict[str, Any]] = [
    {"t": "5s", "do": "slow_disk", "on": "c", "fsync": "20ms"},
    {"t": "40s", "do": "crash", "on": "c"},
    {"t": "50s", "do": "restart", "on": "c"},
    {"t": "70s", "do": "clock_step", "on": "b", "by": "2s"},
    {"t": "100s", "do": "partition", "between": ["a", "c"]},
    {"t": "130s", "do": "heal"},
    {"t": "140s", "do": "loss", "between": ["a", "b"], "rate": 0.1},
    {"t": "150s", "do": "heartbeat", "on": "a", "peer": "b"},
    {"t": "0s", "do": "propose", "on": "c", "peer": "d"},
    {"t": "1s", "do": "propose", "on": "d", "peer": "c"},
    {"t": "10s", "do": "accept", "on": "d", "peer": "c"},
]


def noisy(document: Document) -> Document:
    """More platforms, links, settings, faults and time than a failure needs."""
    platforms = [*document["platform"], {"name": "c", "heartbeat_interval": "30s"}, {"name": "d"}]
    links = [{"between": ["a", "b"], "latency": ["1ms", "3ms"]}, {"between": ["c", "d"], "loss": 0.01}]
    world = {**document["world"], "for": "10m"}
    return {**document, "world": world, "platform": platforms, "link": links, "at": [*document["at"], *NOISE]}


def fails_as(shrunk: Shrunk, text: str) -> bool:
    return any(failure.identity == shrunk.failure.identity for failure in run(parse(text, "x.min.toml")).failures)


def assert_smallest(shrunk: Shrunk) -> None:
    """The file fails the same way, and would not without any of its steps."""
    assert fails_as(shrunk, shrunk.text)
    document = tomllib.loads(shrunk.text)
    for number in range(len(document.get("at", []))):
        steps = document["at"][:number] + document["at"][number + 1 :]
        assert not fails_as(shrunk, to_toml({**document, "at": steps})), number


STEPS_NEEDED = {"frozen_for_cause": 4, "one_home": 7, "one_verdict": 6}
"""A migration needs a peering, something to move, leave to move it, a plan and its application. A second start needs a crash."""


@pytest.mark.parametrize("checker", PLANTED)
def test_a_planted_fault_is_shrunk_to_what_it_needs(checker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = PLANTED[checker]
    plant(monkeypatch)
    shrunk = shrink(noisy(tomllib.loads(text)), 3, "x.toml", checker=checker)
    assert shrunk.failure.checker == checker
    assert shrunk.steps_before >= 13
    assert shrunk.steps_after <= STEPS_NEEDED.get(checker, 3)
    assert shrunk.runs <= 60
    assert not shrunk.exhausted
    assert len(shrunk.document["platform"]) == 2
    assert "link" not in shrunk.document
    assert "expect" not in shrunk.document
    assert_smallest(shrunk)


def test_the_median_planted_fault_takes_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for plant, text in PLANTED.values():
        with monkeypatch.context() as patch:
            plant(patch)
            counts.append(shrink(noisy(tomllib.loads(text)), 5, "x.toml").runs)
    assert statistics.median(counts) <= 60


def test_a_failure_of_convergence_keeps_the_demand() -> None:
    closed = {**HAPPY, "platform": [{"name": "a", "require_identity_disclosure": True}, *HAPPY["platform"][1:]]}
    shrunk = shrink(closed, 1, "x.toml", checker="convergence")
    assert shrunk.document["world"]["converge"]
    assert [step["do"] for step in shrunk.document["at"]] == ["propose", "propose", "accept"]
    assert_smallest(shrunk)


def test_an_expectation_that_fails_is_the_only_one_left() -> None:
    wrong = {"that": "status", "on": "a", "peer": "b", "is": "degraded"}
    shrunk = shrink(noisy({**HAPPY, "expect": [*HAPPY["expect"], wrong]}), 1, "x.toml", checker="status")
    assert shrunk.document["expect"] == [wrong]
    assert_smallest(shrunk)


def test_time_that_a_failure_needs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    contact = Heartbeats._contact

    def break_after_a_long_silence(actor: Heartbeats, ctx: Context, *rest: Any, **more: Any) -> Any:
        if actor.record.status == "degraded":
            raise RuntimeError("planted")
        return contact(actor, ctx, *rest, **more)

    monkeypatch.setattr(Heartbeats, "_contact", break_after_a_long_silence)
    document = read_document(ROOT / "scenarios/degraded-and-recovered.toml")
    shrunk = shrink(document, 1, "x.toml")
    assert shrunk.failure.checker == "handlers"
    assert shrunk.failure.at >= 300
    assert [step["do"] for step in shrunk.document["at"]] == ["propose", "accept_invitation", "partition", "heal"]
    assert_smallest(shrunk)


def test_a_failure_that_hangs_on_the_order_of_turns_keeps_the_few_that_it_hangs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tokens expire at one moment; the fault shows only if the last one minted is heard of before the first."""
    seen: WeakKeyDictionary[Any, list[tuple[str, float]]] = WeakKeyDictionary()
    handlers = ACTORS["peer"].handlers
    former = handlers[Due]

    def on_due(actor: Any, message: Due, ctx: Context) -> None:
        before = seen.setdefault(ctx.engine, [])
        if "https://b." in actor.record.remote_instance_url and ("https://d.example.com", ctx.now) in before:
            raise RuntimeError("planted")
        before.append((actor.record.remote_instance_url, ctx.now))
        former(actor, message, ctx)

    monkeypatch.setitem(handlers, Due, on_due)
    proposals = [{"t": number, "do": "propose", "on": "a", "peer": peer, "ttl": f"{300 - number}s"} for number, peer in enumerate("bcd")]
    platforms = [{"name": name} for name in "abcd"]
    document = {"name": "x", "description": "x", "world": {"for": "10m"}, "platform": platforms, "at": [*proposals, *NOISE[3:8]]}
    scenario = parse(to_toml(document), "x.toml")
    seed = next(seed for seed in range(1, 50) if not run(scenario, seed).passed)
    assert run(scenario, seed, schedule=Tape([])).passed
    shrunk = shrink(document, seed, "x.toml")
    assert shrunk.failure.checker == "handlers"
    assert len(shrunk.document["world"]["schedule"]) == 1
    assert len(shrunk.document["at"]) == 2
    assert_smallest(shrunk)
    assert run(parse(shrunk.text, "x"), schedule=Tape([])).passed


def test_of_a_group_only_as_many_are_left_as_the_failure_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED["secrecy"][0](monkeypatch)
    groups = [{"name": "hub"}, {"name": "p", "count": 9}, {"name": "q", "count": 5}]
    steps = [{"t": 0, "do": "propose", "on": "hub", "peer": "p4"}, {"t": 1, "do": "accept_invitation", "on": "p4", "peer": "hub"}]
    document = {"name": "x", "description": "x", "world": {"for": "10m"}, "platform": groups, "at": steps}
    shrunk = shrink(document, 1, "x.toml")
    assert shrunk.document["platform"] == [{"name": "hub"}, {"name": "p", "count": 4}]
    assert_smallest(shrunk)


def test_what_does_not_fail_cannot_be_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFailingError, match="nothing fails under this seed"):
        shrink(HAPPY, 1, "x.toml")
    send_no_heartbeats(monkeypatch)
    with pytest.raises(NotFailingError, match=r"^secrecy does not fail under this seed; what fails is heartbeats_flow$"):
        shrink(HAPPY, 1, "x.toml", checker="secrecy")


def test_after_so_many_runs_the_smallest_one_so_far_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = PLANTED["secrecy"]
    plant(monkeypatch)
    shrunk = shrink(noisy(tomllib.loads(text)), 3, "x.toml", runs_max=6)
    assert shrunk.exhausted
    assert shrunk.runs == 6
    assert shrunk.steps_after < shrunk.steps_before
    assert fails_as(shrunk, shrunk.text)


def test_the_command_writes_a_file_that_loads_fails_and_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = PLANTED["secrecy"]
    plant(monkeypatch)
    file = tmp_path / "found.toml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(group, ["shrink", str(file), "--seed", "4", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    small = tmp_path / "found.min.toml"
    assert told["file"] == str(small)
    assert told["failure"]["checker"] == "secrecy"
    assert "run 2: " in result.stderr
    written = small.read_text("utf-8")
    assert written.startswith("# Fails by secrecy at ")
    assert "# Replay it with: powernode sim replay found.min.toml --seed 4\n" in written
    assert load(small).world.seed == 4
    replayed = CliRunner().invoke(group, ["replay", str(small)])
    assert replayed.exit_code == 1
    assert "secrecy at" in replayed.stdout
    nothing = CliRunner().invoke(
        group, ["shrink", str(ROOT / "scenarios/happy-path.toml"), "--checker", "chain", "--out", str(tmp_path / "x")]
    )
    assert nothing.exit_code == 1
    assert "chain does not fail under this seed; what fails is secrecy" in nothing.stderr
    assert not (tmp_path / "x").exists()


def test_the_command_says_if_nothing_fails() -> None:
    sound = CliRunner().invoke(group, ["shrink", str(ROOT / "scenarios/happy-path.toml")])
    assert sound.exit_code == 1
    assert "nothing fails under this seed" in sound.stderr


def test_a_folder_that_is_not_there_is_told_before_the_work() -> None:
    happy = str(ROOT / "scenarios/happy-path.toml")
    for words in (["shrink", happy, "--out", "/nowhere/x.toml"], ["trace", happy, "--html", "/nowhere/x.html"]):
        refused = CliRunner().invoke(group, words)
        assert refused.exit_code == 2
        assert "there is no folder /nowhere" in refused.stderr


def test_failures_that_differ_in_ids_numbers_and_places_only_are_the_same() -> None:
    one = Failure("chain", 1.0, "a: 0190a0b0-1111-7222-8333-444455556666: the audit chain breaks at entry 12")
    other = Failure("chain", 2.5, "a: 0190ffff-1111-7222-8333-444455556666: the audit chain breaks at entry 3")
    assert one.identity == other.identity
    assert Failure("status", 1, "x.toml:12: b on a is active").identity == Failure("status", 9, "y/z.toml:99: b on a is active").identity
    assert one.identity != Failure("chain", 1.0, one.text.replace("a: 0", "b: 0")).identity
    assert one.identity != Failure("secrecy", 1.0, one.text).identity


# --- reduction -----------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 30), max_size=5), st.integers(0, 31))
def test_ddmin_finds_exactly_what_a_failure_needs(needed: set[int], size: int) -> None:
    items = list(range(max([size, *[each + 1 for each in needed]])))
    asked: list[Sequence[int]] = []

    def fails(kept: Sequence[int]) -> bool:
        asked.append(kept)
        return needed <= set(kept)

    assert ddmin(items, fails) == sorted(needed)
    assert len(asked) <= (len(needed) + 1) * 20 + 40


@given(st.lists(st.integers(0, 30), max_size=25), st.integers(0, 2**32))
def test_ddmin_leaves_nothing_that_can_be_left_out_alone(items: list[int], key: int) -> None:
    def fails(kept: Sequence[int]) -> bool:
        return kept == items or (len(kept) > 2 and hash((tuple(kept), key)) % 3 == 0)

    left = ddmin(items, fails) if items else []
    assert not left or fails(left)
    assert len(left) < 2 or not any(fails(left[:number] + left[number + 1 :]) for number in range(len(left)))


def test_a_platform_goes_with_everything_that_names_it() -> None:
    left = without_platforms(noisy(HAPPY), {"c", "d"})
    assert not any(
        '"c"' in json.dumps(row) or '"d"' in json.dumps(row) for name in ("platform", "link", "at", "expect") for row in left[name]
    )
    assert len(left["at"]) == len(HAPPY["at"]) + 4


def test_moving_steps_moves_what_is_expected_after_them() -> None:
    moved = with_gaps(HAPPY, [0.0, 1.0, *gaps(HAPPY)[2:]])
    assert moments(moved)[:2] == [0.0, 1.0]
    shift = moments(HAPPY)[1] - 1.0
    assert [each.get("t") for each in moved["expect"]] != [each.get("t") for each in HAPPY["expect"]]
    assert parse(to_toml(moved), "x").world.for_s == parse(to_toml(HAPPY), "x").world.for_s - shift
    assert run(parse(to_toml(moved), "x")).passed


# --- faults that were planted by somebody else --------------------------------------------------------------------------


def hunted(name: str) -> Shrunk:
    plant = PLANTS[name]
    found = hunt(plant, seeds=3)
    assert found is not None
    small = smallest(found)
    with planted(plant):
        assert fails_as(small, small.text)
    return small


@pytest.mark.parametrize("name", ["refusals_differ", "status_read_from_memory", "dates_ignored", "operators_left_waiting"])
def test_a_fault_that_was_hunted_is_shrunk(name: str) -> None:
    shrunk = hunted(name)
    assert shrunk.steps_after <= 5
    assert shrunk.runs <= 60


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_all_faults_that_can_be_hunted_are_shrunk_in_few_runs() -> None:
    shrunk = [hunted(name) for name in PLANTS]
    assert statistics.median(each.runs for each in shrunk) <= 60
    assert max(each.steps_after for each in shrunk) <= 20
