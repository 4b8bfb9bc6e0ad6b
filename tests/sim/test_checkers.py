"""The registry of safety checkers: what is promised, who holds it, and that nothing of it is left to nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sim.checkers
from sim.checkers.registry import CHECKERS, ELSEWHERE, INVARIANTS, touched_by

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
