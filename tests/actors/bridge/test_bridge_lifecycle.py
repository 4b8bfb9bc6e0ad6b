"""The table of a bridge's life, and what the peer's state makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bridge.lifecycle import CARRYING, STATES, TRIGGERS, allowed, effective, transition
from actors.peer.lifecycle import STATUSES

STEPS = {
    "proposed": {"activate": "active", "revoke": "revoked"},
    "active": {"suspend": "suspended", "revoke": "revoked"},
    "suspended": {"resume": "active", "revoke": "revoked"},
    "revoked": {},
}


@pytest.mark.parametrize("state", STATES)
def test_the_table_has_these_steps_and_no_other(state: str) -> None:
    assert {trigger: transition(state, trigger) for trigger in TRIGGERS if transition(state, trigger)} == STEPS[state]  # type: ignore[arg-type]
    assert set(allowed(state)) == set(STEPS[state].values())  # type: ignore[arg-type]


@given(st.sampled_from(STATES), st.integers(0, 2), st.sampled_from([*STATUSES, None]), st.integers(0, 2))
def test_a_bridge_is_open_only_under_a_live_peer_of_its_own_epoch(state, epoch, status, peer_epoch) -> None:  # type: ignore[no-untyped-def]
    amounts_to = effective(state, epoch, status, peer_epoch)
    assert (amounts_to == "active") == (state == "active" and epoch == peer_epoch and status in CARRYING)
    if status in (None, "revoked") or epoch != peer_epoch:
        assert amounts_to == "revoked"
    # A peer's pause never makes more of a bridge than its operators decided, and leaves other states as they are.
    assert amounts_to in (state, "revoked") or (state, amounts_to) == ("active", "suspended")
