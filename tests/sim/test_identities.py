"""Remembered identities and disks: a run is the same with and without them, and whoever uses them shares nothing."""

from __future__ import annotations

from pathlib import Path

from actors import certificates
from sim import identities, opening
from sim.identities import POOL, named, person
from sim.opening import opened
from sim.scenario.load import load
from sim.scenario.run import run
from sim.world import World

ROOT = Path(__file__).parent.parent.parent
SCENARIOS = [load(ROOT / f"scenarios/{name}.toml") for name in ("happy-path", "crossed-accepts", "clock-skew")]
PEERS = "/api/v1/system/platform/peers"


def forget() -> None:
    identities.named.cache_clear()
    opening._opened.cache_clear()
    certificates.forget()


def test_a_run_is_the_same_with_an_empty_and_with_a_full_memory() -> None:
    cases = [(scenario, seed) for scenario in SCENARIOS for seed in (1, 2)]
    cold = []
    for scenario, seed in cases:
        forget()
        cold.append(run(scenario, seed).digest)
    warm = [run(scenario, seed).digest for scenario, seed in reversed(cases)]
    assert cold == warm[::-1]


def test_a_name_has_a_few_identities_and_a_seed_picks_one() -> None:
    picked = {person("a", seed).instance_id for seed in range(100)}
    assert len(picked) == POOL
    assert person("a", 1) is person("a", 1)
    assert not picked & {person("b", seed).instance_id for seed in range(100)}
    # Which of two platforms has the smaller id decides some races, so both must occur.
    assert {person("a", seed).instance_id < person("b", seed).instance_id for seed in range(100)} == {True, False}


def test_platforms_that_begin_alike_go_on_apart() -> None:
    worlds = World(1), World(1)
    first, second = (world.platform("a").sign_in() for world in worlds)
    reply = first.call("POST", PEERS, {"remote_instance_url": "https://b.example.com"})
    assert reply is not None
    assert reply.status == 201
    assert len(first.call("GET", PEERS).data) == 1  # type: ignore[union-attr]
    assert second.call("GET", PEERS).data == []  # type: ignore[union-attr]
    assert World(1).platform("a").sign_in().call("GET", PEERS).data == []  # type: ignore[union-attr]


def test_the_operator_of_a_remembered_disk_was_made_and_signed_in_by_the_actors() -> None:
    disk = opened(named("a", 0)).disk
    events = [event.kind for event in disk.events(0, 100)]
    assert events, "the actors tell of what they do"
    host = World(1).platform("a")
    assert host.sign_in().token
    first = host.token
    host.world.run_for(1.0)
    assert host.sign_in().token not in ("", first), "a later sign-in goes through the door"


def test_a_platform_whose_clock_is_wrong_signs_in_by_itself() -> None:
    host = World(1).platform("a")
    host.clock.offset_s = -500.0
    assert host.sign_in().call("GET", PEERS).status == 200  # type: ignore[union-attr]
    assert host.token != opened(host.who).token
