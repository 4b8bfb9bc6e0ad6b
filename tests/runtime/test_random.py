"""The production side of the door to chance: draws are never given twice, also between threads, and reach their whole range."""

from __future__ import annotations

import threading

import pytest

from runtime.random import WORDS_AT_ONCE, SystemRandomness


def test_draws_reach_their_whole_range_and_nothing_beyond() -> None:
    chance = SystemRandomness().stream("any")
    for bits in (1, 2, 12, 62, 64, 65, 200):
        drawn = [chance.getrandbits(bits) for _ in range(400)]
        assert all(0 <= value < 1 << bits for value in drawn)
        assert {value >> (bits - 1) for value in drawn} == {0, 1}
    assert all(0.0 <= chance.random() < 1.0 for _ in range(1_000))
    assert {chance.randrange(5) for _ in range(400)} == set(range(5))
    assert chance.getrandbits(0) == 0
    with pytest.raises(ValueError, match="non-negative"):
        chance.getrandbits(-1)


def test_streams_share_entropy_and_draw_nothing_twice() -> None:
    randomness = SystemRandomness()
    drawn = [randomness.stream(name).getrandbits(64) for _ in range(3 * WORDS_AT_ONCE) for name in ("a", "b")]
    assert len(set(drawn)) == len(drawn)


def test_threads_draw_nothing_twice() -> None:
    chance = SystemRandomness().stream("any")
    drawn: list[list[int]] = [[] for _ in range(4)]
    start = threading.Barrier(4)

    def draw(mine: list[int]) -> None:
        start.wait()
        mine.extend([chance.getrandbits(64) for _ in range(5_000)])

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({value for mine in drawn for value in mine}) == 20_000
