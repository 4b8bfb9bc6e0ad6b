"""What we hold can open nothing here: the code that judges calls does not know of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
JUDGES = sorted([*ROOT.glob("actors/grant/*.py"), *ROOT.glob("actors/door/grants/*.py"), ROOT / "actors/door/resources/federation.py"])


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    found = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return found | {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("path", JUDGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_judge_of_incoming_calls_knows_nothing_of_received_grants(path: Path) -> None:
    assert not [name for name in imported(path) if "received_grant" in name]


def test_the_judges_are_found() -> None:
    assert len(JUDGES) > 10
