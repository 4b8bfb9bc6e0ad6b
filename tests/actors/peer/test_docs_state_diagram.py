"""The state diagram in the documentation is the one that the table of transitions makes."""

from __future__ import annotations

from pathlib import Path

from actors.peer.lifecycle import diagram

PAGE = Path(__file__).parents[3] / "docs/protocol.md"
MARK = "<!-- state-diagram -->"


def test_the_page_shows_the_table() -> None:
    before, block, after = PAGE.read_text("utf-8").split(MARK)
    assert block == f"\n```mermaid\n{diagram()}```\n", "copy the output of actors.peer.lifecycle.diagram() between the markers"
    assert before.strip()
    assert after.strip()
