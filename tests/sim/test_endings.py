"""The end of a run, what must follow what, and what must happen somewhere in a sweep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from actors.peer.heartbeats import Heartbeats
from sim.cli import sim
from sim.clock import Timeline
from sim.scenario.load import load, parse
from sim.scenario.progress import EVENTS_PER_PLATFORM, DeadlockError, Progress
from sim.scenario.run import Result, run
from sim.sweep import Done, Tally
from sim.world import LivelockError

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "scenarios").glob("*.toml"))
SILENCE = (ROOT / "scenarios/degraded-and-recovered.toml").read_text("utf-8")
HAPPY = (ROOT / "scenarios/happy-path.toml").read_text("utf-8")


def play(text: str, seed: int = 1) -> Result:
    return run(parse(text, "test.toml"), seed)


def expecting(text: str, table: str) -> Result:
    return play(text + "\n[[expect]]\n" + re.sub(r", (?=\w+ = )", "\n", table) + "\n")


def told(result: Result) -> list[str]:
    return [failure.text for failure in result.failures]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_shipped_scenario_demands_convergence(file: Path) -> None:
    assert load(file).world.converge


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ('that = "leads_to", on = "a", peer = "b", is = "degraded", then = "active", within = "30m"', None),
        ('that = "leads_to", on = "a", peer = "b", is = "degraded", then = "active", within = "1s"', "and not active within 1 s"),
        ('that = "leads_to", on = "a", peer = "b", is = "suspended", then = "active", within = "1s"', None),
        ('that = "always", on = "a", peer = "b", is = ["active", "degraded"], t = "2m"', None),
        ('that = "always", on = "a", peer = "b", is = "active", t = "2m"', "b on a is degraded between 120 s and"),
        ('that = "always", on = "a", peer = "b", is = "active", t = "2m", within = "1m"', None),
    ],
)
def test_what_follows_and_what_lasts(table: str, complaint: str | None) -> None:
    texts = told(expecting(SILENCE, table))
    assert (texts == []) if complaint is None else (complaint in texts[0]), texts


def test_what_must_happen_sometimes_fails_a_sweep_in_which_it_never_does(tmp_path: Path) -> None:
    hopes = '[[expect]]\nthat = "sometimes"\non = "a"\npeer = "b"\nis = "{}"\n'
    hopes += '[[expect]]\nthat = "sometimes_code"\ncall = "b accepts"\nis = "ok"\n'
    file = tmp_path / "hope.toml"
    for status, code in (("degraded", 1), ("enrolled", 0)):
        file.write_text(f"{HAPPY}\n{hopes.format(status)}")
        outcome = CliRunner().invoke(sim, ["run", str(file), "--seeds", "3", "--jobs", "1"])
        assert outcome.exit_code == code, outcome.output
        assert ("NEVER" in outcome.output) == bool(code)
        assert CliRunner().invoke(sim, ["run", str(file), "--jobs", "1"]).exit_code == 0
    tally = Tally()
    tally.add(Done(run(load(file), 1), 0.1))
    assert tally.never == []
    assert all(tally.reached.values())


def test_the_rest_stays_broken_while_a_core_converges() -> None:
    text = HAPPY.replace("converge = true", 'converge = true\ncore = ["a"]').replace('is = "degraded"', 'is = "revoked"')
    text += '\n[[at]]\nt = "2m"\ndo = "crash"\non = "b"\n'
    # The core of one platform has nobody to find; b is down for good, and a must come to rest without it.
    assert play(text).passed


def test_what_is_left_over_at_the_end_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HAPPY + '\n[[at]]\nt = "2m"\ndo = "heartbeat"\non = "a"\npeer = "b"\n'
    assert play(text).passed
    monkeypatch.setattr(Heartbeats, "_tell_asked", lambda actor, ctx, outcome: None)
    assert [failure.checker for failure in play(text).failures] == ["leaks"]


def test_a_world_in_which_nothing_can_happen_and_somebody_waits_is_dead() -> None:
    timeline = Timeline()
    progress = Progress(timeline, 1)
    progress.check_alive([])
    with pytest.raises(DeadlockError, match="an answer is waited for: b accepts"):
        progress.check_alive(["b accepts"])
    timeline.after(1.0, lambda: None)
    progress.check_alive(["b accepts"])


def test_events_without_end_in_one_second_are_a_livelock() -> None:
    timeline = Timeline()
    progress = Progress(timeline, 1)
    progress.count = EVENTS_PER_PLATFORM
    progress.look()
    progress.count += 1
    with pytest.raises(LivelockError):
        progress.look()
    timeline.run_until(1.0)
    progress.look()
    assert progress.count == 0
