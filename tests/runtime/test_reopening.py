"""How often a store that does not work is opened again."""

from __future__ import annotations

from runtime.reopening import CALM_S, PAUSE_MAX_S, Reopening
from tests.support.engines import ManualClock


def test_the_first_time_is_at_once_and_the_next_ones_wait_longer_and_longer() -> None:
    clock = ManualClock()
    reopening = Reopening(clock)
    pauses = []
    for _ in range(9):
        pauses.append(reopening.pause_s())
        clock.advance(pauses[-1] + 1)
    assert pauses[:4] == [0.0, 1.0, 2.0, 4.0]
    assert pauses[-1] == PAUSE_MAX_S


def test_a_store_that_has_worked_for_long_is_trusted_anew() -> None:
    clock = ManualClock()
    reopening = Reopening(clock)
    assert (reopening.pause_s(), reopening.pause_s()) == (0.0, 1.0)
    clock.advance(CALM_S)
    assert reopening.pause_s() > 0.0, "the pause itself is no time in which it worked"
    clock.advance(CALM_S + PAUSE_MAX_S)
    assert reopening.pause_s() == 0.0
