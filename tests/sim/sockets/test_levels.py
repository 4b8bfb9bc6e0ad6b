"""Both levels tell the same story, and the comparison notices when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from actors.ports import RemoteRequest
from sim.cli import sim
from sim.levels import compare, statuses, tolerance_of
from sim.remote import SimulatedRemote
from sim.scenario.history import Change, History
from sim.scenario.load import load, parse

ROOT = Path(__file__).parent.parent.parent.parent
FILES = sorted((ROOT / "scenarios").glob("*.toml"))
HAPPY = ROOT / "scenarios/happy-path.toml"


def told(*changes: tuple[float, str]) -> History:
    """What a row went through; each status by what usually moves it."""
    by = {"proposed": "registered", "active": "heartbeat_succeeded", "degraded": "contact_lost"}
    return History(10_000.0, [Change(at, "a", "b", status, by[status]) for at, status in changes])


@pytest.mark.parametrize(
    ("frames", "sockets", "found"),
    [
        (told((1, "proposed"), (10, "active")), told((2, "proposed"), (11, "active")), []),
        # A heartbeat later is chance, and two are not.
        (told((1, "proposed"), (10, "active")), told((1, "proposed"), (80, "active")), []),
        (told((1, "proposed"), (10, "active")), told((1, "proposed"), (160, "active")), [10]),
        # What an operator does at once is done at once at both levels.
        (told((1, "proposed")), told((9, "proposed")), [1]),
        # Silence is looked for every minute.
        (told((1, "active"), (500, "degraded")), told((1, "active"), (561, "degraded")), []),
        (told((1, "active"), (500, "degraded")), told((1, "active"), (600, "degraded")), [500]),
        (told((1, "active"), (500, "degraded"), (700, "active")), told((1, "active")), [500]),
        (told((1, "active")), told((1, "active"), (500, "degraded")), [500]),
        (told((1, "active"), (9_990, "degraded")), told((1, "active")), []),
        (told((1, "active")), told(), [1]),
    ],
)
def test_a_status_must_be_near_its_moment_at_the_other_level(frames: History, sockets: History, found: list[float]) -> None:
    assert [difference.at for difference in statuses(frames, sockets, tolerance_of(load(HAPPY)))] == found


@pytest.mark.parametrize("name", ["degraded-and-recovered", "lost-accept-answer", "token-used-twice", "rotation-of-a-parent"])
def test_shipped_scenarios_tell_one_story(name: str) -> None:
    assert compare(load(ROOT / f"scenarios/{name}.toml"), 2).differences == ()


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_scenario_tells_one_story_under_many_seeds(file: Path) -> None:
    scenario = load(file)
    assert {seed: found for seed in range(100, 110) if (found := compare(scenario, seed).differences)} == {}


def test_a_frame_level_that_is_too_kind_or_too_harsh_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    request = SimulatedRemote.request

    def without_heartbeats(self: SimulatedRemote, asked: RemoteRequest, done: Any) -> None:
        if not asked.path.endswith("/heartbeat"):
            request(self, asked, done)

    monkeypatch.setattr(SimulatedRemote, "request", without_heartbeats)
    found = compare(load(HAPPY), 1).differences
    assert {difference.about for difference in found} >= {"verdict", "status"}


def test_what_a_race_decides_is_chance_and_the_seed_that_shows_it_is_named() -> None:
    found = [compare(load(ROOT / "scenarios/service-last-seat.toml"), seed) for seed in range(1, 4)]
    assert all(each.differences == () for each in found)
    assert any(each.chance is not None for each in found)


def test_the_command_says_whether_the_levels_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = CliRunner().invoke(sim, ["compare", str(HAPPY), "--seeds", "2"])
    assert agreed.exit_code == 0, agreed.output
    assert agreed.stdout.count("agree ") == 2
    monkeypatch.setattr(SimulatedRemote, "request", lambda self, asked, done: None)
    differed = CliRunner().invoke(sim, ["compare", str(HAPPY), "--json"])
    assert differed.exit_code == 1
    assert json.loads(differed.stdout)["agree"] is False


SLOW_PORTS = """
name = "slow keys"
description = "Whoever accepts or is accepted needs several keys and signatures, one after the other."
world = { for = "2m" }
platform = [{ name = "a" }, { name = "b" }]
at = [
    { t = 0, do = "propose", on = "a", peer = "b" },
    { t = 1, do = "slow_ports", on = "a", by = "1s" },
    { t = 1, do = "slow_ports", on = "b", by = "3s" },
    { t = 10, do = "accept_invitation", on = "b", peer = "a" },
]
"""


def test_slow_ports_take_as_long_at_both_levels() -> None:
    found = compare(parse(SLOW_PORTS, "slow.toml"), 1)
    assert found.differences == ()
    when = [
        {(change.on, change.status): change.at for change in result.history.changes if change.status == "accepted"}
        for result in (found.frames, found.sockets)
    ]
    # b seals the token, a issues and seals, b issues.
    assert when[0]["a", "accepted"] == pytest.approx(15.0, abs=0.2)
    assert when[0]["b", "accepted"] == pytest.approx(18.0, abs=0.2)
    assert when[1] == pytest.approx(when[0], abs=0.1)
