"""The table of consents, whole: every state by every trigger."""

from __future__ import annotations

import itertools

from actors.hub.lifecycle import STATES, TRANSITIONS, TRIGGERS, transition


def test_every_pair_leads_where_the_table_says_or_nowhere() -> None:
    assert {pair for pair in itertools.product(STATES, TRIGGERS) if transition(*pair) is None} == {
        ("never", "withdraw"),
        ("withdrawn", "withdraw"),
    }
    assert set(TRANSITIONS.values()) == {"permitted", "withdrawn"}


def test_nothing_that_was_decided_is_ever_undecided_again() -> None:
    assert "never" not in TRANSITIONS.values()


def test_only_a_permission_permits() -> None:
    assert all((trigger == "permit") is (target == "permitted") for (_, trigger), target in TRANSITIONS.items())
