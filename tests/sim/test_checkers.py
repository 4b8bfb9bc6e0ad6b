"""The registry of safety checkers: what is promised, who holds it, and that nothing of it is left to nobody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import sim.checkers
from sim.checkers.registry import CHECKERS, ELSEWHERE, INVARIANTS, touched_by
from sim.scenario.failures import Failure
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.scenario.write import to_toml

ROOT = Path(__file__).parent.parent.parent
JUDGED = re.compile(
    r"^(?:from|import) (actors\.(?:peer|door(?!\.call)|certificates|governance|operator)|net|runtime\.(?!store\.port))", re.MULTILINE
)


def anchors_of(page: Path) -> set[str]:
    """The places of a page that a link may name."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_has_a_meaning_something_that_touches_it_and_a_place_where_its_rule_is_written(name: str) -> None:
    cls = CHECKERS[name]
    assert cls.meaning.endswith(".")
    assert touched_by(cls)
    page, _, anchor = cls.source.partition("#")
    assert not anchor or anchor in anchors_of(ROOT / page), cls.source


def test_every_invariant_is_held_by_a_checker_or_it_is_said_why_not() -> None:
    held = {label for cls in CHECKERS.values() for label in cls.holds}
    assert held | ELSEWHERE.keys() == INVARIANTS.keys()
    assert not held & ELSEWHERE.keys()


def test_checkers_call_none_of_the_code_that_they_judge() -> None:
    folder = Path(sim.checkers.__file__).parent
    assert {file.name: found for file in sorted(folder.glob("*.py")) if (found := JUDGED.findall(file.read_text("utf-8")))} == {}


# --- what the search by chance has found -----------------------------------------------------------------------------------


def held(seed: int, for_: str, *steps: dict[str, Any]) -> tuple[Failure, ...]:
    world = {"seed": seed, "for": for_}
    document = {"name": "x", "description": "x", "world": world, "platform": [{"name": "a"}, {"name": "b"}], "at": list(steps)}
    return run(parse(to_toml(document), "x.toml")).failures


PEERED: tuple[dict[str, Any], ...] = (
    {"t": 0, "do": "propose", "on": "a", "peer": "b"},
    {"t": 1, "do": "accept_invitation", "on": "b", "peer": "a"},
)


def test_a_clock_that_is_put_back_takes_back_no_evidence() -> None:
    steps: tuple[dict[str, Any], ...] = (
        {"t": 2, "do": "suspend", "on": "a", "peer": "b"},
        {"t": 2, "do": "clock_step", "on": "a", "by": "-3s"},
        {"t": 3, "do": "peer_event", "on": "b", "peer": "a", "kind": "peer.compromise_disclosed"},
        {"t": 3.01, "do": "resume", "on": "a", "peer": "b"},
    )
    assert held(379048, "5s", *PEERED, *steps) == ()


def test_a_platform_that_has_stopped_over_its_disk_shows_the_silence_that_it_causes() -> None:
    steps: tuple[dict[str, Any], ...] = ({"t": 2, "do": "disk_full", "on": "a"}, {"t": 408, "do": "look", "on": "a", "peer": "b"})
    assert held(54604, "409s", *PEERED, *steps) == ()
