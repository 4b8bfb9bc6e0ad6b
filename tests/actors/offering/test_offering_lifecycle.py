"""The table of an offering's life, held to its rules by every walk through it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.offering import lifecycle
from actors.offering.lifecycle import STATES, TRIGGERS, Trigger


@given(st.lists(st.sampled_from(TRIGGERS), max_size=12))
def test_no_walk_leaves_retirement_or_returns_to_a_draft(triggers: list[Trigger]) -> None:
    state: lifecycle.State = "draft"
    for trigger in triggers:
        target = lifecycle.transition(state, trigger)
        if target is None:
            continue
        assert target in lifecycle.allowed(state)
        assert target != "draft"
        assert state != "retired"
        state = target


def test_every_state_can_be_reached_and_only_retirement_is_final() -> None:
    reached = {"draft", *lifecycle.TRANSITIONS.values()}
    assert reached == set(STATES)
    assert [state for state in STATES if not lifecycle.allowed(state)] == ["retired"]


def test_notices_come_at_once_a_week_and_a_day_before_the_end() -> None:
    end = 40 * 86_400.0
    assert [lifecycle.next_notice_at(end, sent) for sent in range(4)] == [10 * 86_400.0, 33 * 86_400.0, 39 * 86_400.0, None]
