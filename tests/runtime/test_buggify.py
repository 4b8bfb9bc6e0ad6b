"""Sites of improbable behaviour: silent in production, chosen by the seed in a world."""

from __future__ import annotations

import pytest

import actors.registry  # noqa: F401  # registers the sites of the domain
from runtime.buggify import SITE_FIRES, SITE_ON, SITES, Buggify, never, site
from runtime.random import SeededRandomness
from sim.scenario.load import parse
from sim.scenario.run import run

WORLD = """
name = "four platforms"
description = "They meet while production code takes its rarer turns."
world = { for = "30m", buggify = true, converge = true }
platform = [{ name = "a", fsync = "300ms" }, { name = "b" }, { name = "c" }, { name = "d" }]
at = [
    { t = 0, do = "mesh", of = ["b", "c", "d"], with = "a", within = "2m" },
    { t = 600, do = "partition", between = ["a", "b"] },
    { t = 1200, do = "heal" },
]
expect = [{ that = "status", on = "a", peer = "b", is = "active" }]
"""


def decided(seed: int) -> Buggify:
    return Buggify(SeededRandomness(seed).stream("buggify"))


def test_production_takes_no_improbable_turn() -> None:
    assert not any(never(name) for name in SITES)


def test_a_site_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"there is a site commit\.alone already"):
        site("commit.alone", "again")


def test_sites_are_on_for_whole_runs_and_fire_now_and_then() -> None:
    worlds = [decided(seed) for seed in range(400)]
    share = sum(len(world.on) for world in worlds) / (len(worlds) * len(SITES))
    assert share == pytest.approx(SITE_ON, rel=0.15)
    world = next(world for world in worlds if world.on)
    on, off = sorted(world.on)[0], next(name for name in SITES if name not in world.on)
    assert sum(world(on) for _ in range(4000)) == pytest.approx(4000 * SITE_FIRES, rel=0.15)
    assert not any(world(off) for _ in range(100))
    assert world.fired.keys() == {on}


def test_the_seed_decides() -> None:
    assert [decided(7).on, decided(7).on] == [decided(7).on] * 2
    assert len({decided(seed).on for seed in range(20)}) > 5


def test_every_site_fires_in_some_world_and_nothing_breaks() -> None:
    scenario = parse(WORLD, "x.toml")
    fired: set[str] = set()
    for seed in range(60):
        result = run(scenario, seed)
        assert result.passed, (seed, result.failures)
        fired |= {name.removeprefix("buggify ") for name in result.faults if name.startswith("buggify ")}
        if fired >= SITES.keys() - {"accept.retry_at_once"}:
            break
    assert fired >= SITES.keys() - {"accept.retry_at_once"}
