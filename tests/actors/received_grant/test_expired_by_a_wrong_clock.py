"""An issuer whose clock was ahead has called its grants expired: once the clock is right they are good again, and nobody forgets any."""

from __future__ import annotations

from typing import Any

import pytest

from actors.limits import SKEW_MAX_S
from actors.received_grant.record import KIND, asked_again_at
from runtime.store.port import Query
from runtime.values import evolve
from tests.support.grants import PEERS, Peers, peers

DAY_S = 86_400.0
MINUTE_S = 60.0


@pytest.fixture
def two() -> Peers:
    return peers()


def shown(two: Peers) -> dict[str, Any]:
    (row,) = two.ask("GET", f"{PEERS}/{two.a_at_b}/received_grants", at=two.b).data
    found: dict[str, Any] = row
    return found


def check(two: Peers) -> dict[str, Any]:
    found: dict[str, Any] = two.ask("POST", f"{PEERS}/{two.a_at_b}/received_grants/{shown(two)['id']}/check", {}, at=two.b).data
    return found


def called_expired(two: Peers) -> str:
    """A grant that its issuer calls expired, by a clock that is forty days ahead."""
    grant_id = two.hold()
    two.a.clock.offset_s += 40 * DAY_S
    assert check(two)["remote_code"] == "grant_expired"
    assert (shown(two)["state"], shown(two)["usable"]) == ("expired", False)
    return grant_id


def test_a_grant_is_good_again_once_the_clock_of_its_issuer_is_right(two: Peers) -> None:
    called_expired(two)
    two.a.clock.offset_s -= 40 * DAY_S
    two.world.run_for(2 * MINUTE_S)
    assert (shown(two)["state"], shown(two)["usable"], shown(two)["refused_code"]) == ("active", True, None)
    assert check(two)["served"] is True


def test_it_is_asked_more_and_more_seldom(two: Peers) -> None:
    called_expired(two)
    before = shown(two)["version"]
    two.world.run_for(DAY_S)
    # Each time is noted in the row: after 1, 1, 2, 4 minutes and so on, then each hour.
    assert 24 <= shown(two)["version"] - before <= 32
    assert shown(two)["state"] == "expired"
    two.a.clock.offset_s -= 40 * DAY_S
    two.world.run_for(62 * MINUTE_S)
    assert shown(two)["state"] == "active"


def test_what_was_revoked_meanwhile_does_not_come_back(two: Peers) -> None:
    grant_id = called_expired(two)
    two.a.clock.offset_s -= 40 * DAY_S
    assert two.revoke(grant_id).status == 200
    two.world.run_for(5 * MINUTE_S)
    assert shown(two)["usable"] is False


def test_what_has_ended_by_both_clocks_is_not_asked_about(two: Peers) -> None:
    called_expired(two)
    record = two.b.store.query(Query(KIND.name))[0].record
    wall = record.refused_at
    assert asked_again_at(record, wall) == wall + 60.0
    assert asked_again_at(record, record.expires_at - SKEW_MAX_S) is None
    assert asked_again_at(evolve(record, refused_code="grant_revoked"), wall) is None
    assert asked_again_at(evolve(record, sealed_bearer=None), wall) is None
