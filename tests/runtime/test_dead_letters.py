"""Dead letters: bounded, counted, and without content."""

from __future__ import annotations

import attrs
import pytest

from runtime.dead_letters import DeadLetter, DeadLetters


@attrs.frozen
class Accept:
    token: str


def test_only_the_name_of_the_type_and_the_ids_are_kept() -> None:
    letters = DeadLetters()
    letter = letters.put(Accept("hunter2"), "peer/7", "no_target", 12.0, operation="op-1")
    assert letter == DeadLetter("Accept", "peer/7", "no_target", 12.0, "op-1")
    assert "hunter2" not in repr(letters.recent())


def test_the_ring_drops_the_oldest_and_the_counters_remember() -> None:
    letters = DeadLetters(capacity=3)
    for number in range(5):
        letters.put(Accept(""), f"peer/{number}", "late" if number else "poison", float(number))
    assert [letter.target for letter in letters.recent()] == ["peer/4", "peer/3", "peer/2"]
    assert [letter.target for letter in letters.recent(1)] == ["peer/4"]
    assert letters.total == 5
    assert (letters.counts()["late"], letters.counts()["poison"], letters.counts()["stale"]) == (4, 1, 0)


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        DeadLetters(0)
