"""Pairing of two platforms, end to end through actors and doors."""

from __future__ import annotations

from tests.support.federation import pair


def test_pairing_ends_active_on_both_sides_with_every_status_audited() -> None:
    two = pair()
    outcome = two.accept()
    two.network.advance(2.0)
    print(outcome, two.network.passed)
    assert two.statuses == ("active", "active")
    assert two.a.steps(two.at_a.peer_id) == ["proposed", "accepted", "enrolled", "active"]
    assert two.b.steps(two.at_b.peer_id) == ["proposed", "accepted", "enrolled", "active"]
