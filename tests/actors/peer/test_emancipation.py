"""A managed child that stands on its own: what ends, who is told, and what a parent lacks without the grant of its child."""

from __future__ import annotations

from typing import Any

import pytest

from actors.governance import reading
from actors.grant.record import KIND as GRANT
from actors.limits import OWED_NOTICE_RETRY_MAX_S
from actors.peer.messages import Emancipate, Revoke, Shown, Suspend
from actors.received_grant.record import KIND as RECEIVED
from runtime.errors import Fault
from runtime.store.port import Query
from sim.world import Host, Reply, World
from tests.support.federation import ACCOUNT, OPERATOR, Pair, Platform, pair
from tests.support.grants import PEERS

EVENTS = "/federation_api/peer_events"


@pytest.fixture
def family() -> Pair:
    """B is the managed child of A."""
    joined = pair(role_of_b="child", mode="managed_child")
    joined.connect()
    return joined


def given(family: Pair) -> str:
    """The id of the grant that came with the child's accept."""
    (row,) = family.b.store.query(Query(GRANT.name))
    assert row.record.origin == "managed_child"
    return str(row.record.id)


def found(platform: Platform) -> dict[str, str]:
    """What a scan across the rows of a platform finds, with the peer."""
    rows = platform.store.query(Query("peer"))
    wall = platform.network.clock.wall()
    store, peers = platform.store, [row.record for row in rows]
    findings = reading.scan_across(store.query, store.load, ACCOUNT, peers, platform.settings, wall)
    return {finding.kind: finding.federation_peer_id for finding in findings}


def notices(family: Pair) -> int:
    return sum(passed[:3] == ("b", "a", EVENTS) for passed in family.network.passed)


def emancipate(family: Pair) -> Any:
    return family.b.told(family.at_b.peer_id, Emancipate(OPERATOR, "we manage ourselves"))


def test_the_peering_goes_on_and_both_sides_know(family: Pair) -> None:
    family.network.passed.clear()
    assert isinstance(emancipate(family), Shown)
    family.network.advance(1.0)
    assert family.statuses == ("active", "active")
    # Of the end of the grant, and of the step itself.
    assert notices(family) == 2
    for platform, invited in ((family.a, family.at_a), (family.b, family.at_b)):
        record = platform.record(invited.peer_id)
        assert "emancipated_at" in record.metadata
        assert record.emancipation is None
        assert platform.events().count("federation.peer.emancipated") == 1
        assert [entry.action for entry in platform.chain(invited.peer_id)].count("peer.emancipated") == 1
    refused = emancipate(family)
    assert isinstance(refused, Fault)
    assert (refused.code, refused.status) == ("not_managed_child", 422)
    family.network.advance(2 * OWED_NOTICE_RETRY_MAX_S)
    assert notices(family) == 2


def test_what_the_parent_was_given_ends_on_both_sides(family: Pair) -> None:
    assert found(family.a) == {}
    grant_id = given(family)
    (held,) = (row.record for row in family.a.store.query(Query(RECEIVED.name)))
    assert (held.grant_id, held.refused_code) == (grant_id, None)
    emancipate(family)
    family.network.advance(1.0)
    ended = family.b.store.load(GRANT.name, grant_id)
    assert ended is not None
    assert (ended.record.revocation_reason, ended.record.revocation_immediate) == ("emancipated", True)
    (held,) = (row.record for row in family.a.store.query(Query(RECEIVED.name)))
    assert (held.refused_code, held.sealed_bearer) == ("grant_revoked", None)
    # It is told that the child took it back, and not that something is missing.
    assert found(family.a) == {"peer_grant_revoked": family.at_a.peer_id}


def test_a_parent_that_is_away_is_told_until_it_has_heard_also_after_a_restart(family: Pair) -> None:
    family.network.down.add(family.a.url)
    emancipate(family)
    family.network.advance(60.0)
    family.b.restart()
    family.network.advance(120.0)
    owed = family.b.record(family.at_b.peer_id).emancipation
    assert owed is not None
    assert owed.tries >= 3
    family.network.down.clear()
    family.network.advance(OWED_NOTICE_RETRY_MAX_S + 60.0)
    assert "emancipated_at" in family.a.record(family.at_a.peer_id).metadata
    assert family.b.record(family.at_b.peer_id).emancipation is None


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 4))
def test_a_crash_at_any_commit_leaves_no_grant_in_force(family: Pair, number: int, moment: Any) -> None:
    grant_id = given(family)
    family.b.crash_at = (family.b.commits + number, moment)
    family.b.ask(family.at_b.peer_id, Emancipate(OPERATOR))
    family.network.advance(400.0)
    assert family.b.life == 2, "the crash has not happened"
    if "emancipated_at" not in family.b.record(family.at_b.peer_id).metadata:
        assert (number, moment) == (1, "before")
        emancipate(family)
        family.network.advance(1.0)
    ended = family.b.store.load(GRANT.name, grant_id)
    assert ended is not None
    assert ended.record.revoked_at is not None
    assert "emancipated_at" in family.a.record(family.at_a.peer_id).metadata
    (held,) = (row.record for row in family.a.store.query(Query(RECEIVED.name)))
    assert (held.refused_code, held.sealed_bearer) == ("grant_revoked", None)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 4))
def test_a_crash_of_the_parent_leaves_it_no_bearer(family: Pair, number: int, moment: Any) -> None:
    family.a.crash_at = (family.a.commits + number, moment)
    emancipate(family)
    family.network.advance(400.0)
    assert family.a.life == 2, "the crash has not happened"
    assert "emancipated_at" in family.a.record(family.at_a.peer_id).metadata
    (held,) = (row.record for row in family.a.store.query(Query(RECEIVED.name)))
    assert (held.refused_code, held.sealed_bearer) == ("grant_revoked", None)


def test_in_a_pause_the_word_waits_and_with_the_end_of_the_peering_it_is_dropped(family: Pair) -> None:
    family.b.told(family.at_b.peer_id, Suspend(OPERATOR))
    family.network.passed.clear()
    assert isinstance(emancipate(family), Shown)
    family.network.advance(120.0)
    assert notices(family) == 0
    assert family.b.record(family.at_b.peer_id).emancipation is not None
    family.b.told(family.at_b.peer_id, Revoke(OPERATOR, immediate=True))
    family.network.advance(2 * OWED_NOTICE_RETRY_MAX_S)
    assert family.b.record(family.at_b.peer_id).emancipation is None


@pytest.mark.parametrize(
    ("role", "mode"), [(None, None), ("child", "autonomous_peer"), ("parent", "managed_child")], ids=["symmetric", "autonomous", "parent"]
)
def test_nobody_else_can_say_so(role: str | None, mode: str | None) -> None:
    two = pair(role_of_b=role, mode=mode)
    two.connect()
    before = two.b.record(two.at_b.peer_id)
    refused = emancipate(two)
    assert isinstance(refused, Fault)
    assert refused.code == "not_managed_child"
    assert two.b.record(two.at_b.peer_id) == before
    expected = {"managed_child_grant_missing": two.at_b.peer_id} if role == "parent" else {}
    assert found(two.b) == expected


def test_before_the_accept_and_after_the_end_there_is_nothing_to_part_from() -> None:
    two = pair(role_of_b="child", mode="managed_child")
    early = emancipate(two)
    assert isinstance(early, Fault)
    assert (early.code, early.status) == ("peer_not_ready", 409)
    assert found(two.a) == {}
    two.connect()
    two.b.told(two.at_b.peer_id, Revoke(OPERATOR))
    late = emancipate(two)
    assert isinstance(late, Fault)
    assert (late.code, late.status) == ("already_revoked", 409)


def test_over_rest_a_repeated_request_is_answered_alike_and_the_mode_that_counts_is_shown() -> None:
    world = World("family")
    parent, child = (world.platform(name).sign_in() for name in ("parent", "child"))

    def ask(host: Host, path: str, body: Any, **headers: str) -> Reply:
        reply = host.call("POST", f"{PEERS}{path}", body, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert reply is not None
        return reply

    modes = {"spawn_mode": "managed_child"}
    token = ask(parent, "", {"remote_instance_url": child.url, "spawn_role": "parent", **modes}).data["acceptance_token"]
    peer_id = ask(child, "", {"remote_instance_url": parent.url, "spawn_role": "child", **modes}).data["peer"]["id"]
    assert ask(child, f"/{peer_id}/accept", {"acceptance_token": token}).data["peer"]["effective_spawn_mode"] == "managed_child"
    first, again = (ask(child, f"/{peer_id}/emancipate", {"reason": "grown up"}, idempotency_key="once") for _ in range(2))
    assert (first.status, first.data["peer"]["effective_spawn_mode"], first.data["peer"]["spawn_mode"]) == (
        200, "autonomous_peer", "managed_child",
    )  # fmt: skip
    assert again.data == first.data
    refused = ask(child, f"/{peer_id}/emancipate", {})
    assert (refused.status, refused.body["code"]) == (422, "not_managed_child")
    world.run_for(5.0)
    shown = parent.call("GET", f"{PEERS}?spawn_role=parent")
    assert shown is not None
    found = parent.call("GET", f"{PEERS}/{shown.data[0]['id']}")
    assert found is not None
    assert found.data["peer"]["effective_spawn_mode"] == "autonomous_peer"


def test_over_rest_the_parent_sees_what_it_holds_and_what_becomes_of_it() -> None:
    world = World("family")
    parent, child = (world.platform(name).sign_in() for name in ("parent", "child"))

    def ask(host: Host, method: str, path: str, body: Any = None) -> Reply:
        reply = host.call(method, f"{PEERS}{path}", body)
        assert reply is not None
        assert "fg-" not in str(reply.body)
        return reply

    modes = {"spawn_mode": "managed_child"}
    invited = parent.call("POST", PEERS, {"remote_instance_url": child.url, "spawn_role": "parent", **modes})
    assert invited is not None
    at_child = ask(child, "POST", "", {"remote_instance_url": parent.url, "spawn_role": "child", **modes}).data["peer"]["id"]
    ask(child, "POST", f"/{at_child}/accept", {"acceptance_token": invited.data["acceptance_token"]})
    world.run_for(5.0)
    at_parent = invited.data["peer"]["id"]
    (grant,) = ask(child, "GET", f"/{at_child}/grants?origin=managed_child").data
    assert (grant["effective"], grant["remote_subject"]) == (True, f"parent-operator@{at_child}")
    (held,) = ask(parent, "GET", f"/{at_parent}/received_grants").data
    assert (held["grant_id"], held["source"], held["usable"]) == (grant["id"], "accept", True)
    checking = f"/{at_parent}/received_grants/{held['id']}/check"
    checked = ask(parent, "POST", checking).data
    assert (checked["served"], checked["remote_code"], checked["kinds"]) == (True, None, [])
    assert ask(child, "POST", f"/{at_child}/grants/{grant['id']}/revoke", {}).status == 200
    checked = ask(parent, "POST", checking).data
    assert (checked["served"], checked["remote_code"], checked["received_grant"]["usable"]) == (False, "grant_revoked", False)
    world.run_for(5.0)
    for host, id in ((parent, at_parent), (child, at_child)):
        assert ask(host, "GET", f"/{id}").data["peer"]["effective_spawn_mode"] == "autonomous_peer"
    assert ask(parent, "POST", checking).data["remote_code"] == "grant_revoked"


def test_over_rest_a_child_gives_its_parent_the_grant_anew_until_it_stands_alone() -> None:
    world = World("family")
    parent, child = (world.platform(name).sign_in() for name in ("parent", "child"))

    def ask(host: Host, method: str, path: str, body: Any = None) -> Reply:
        reply = host.call(method, f"{PEERS}{path}", body)
        assert reply is not None
        return reply

    modes = {"spawn_mode": "managed_child"}
    invited = ask(parent, "POST", "", {"remote_instance_url": child.url, "spawn_role": "parent", **modes})
    at_parent = invited.data["peer"]["id"]
    at_child = ask(child, "POST", "", {"remote_instance_url": parent.url, "spawn_role": "child", **modes}).data["peer"]["id"]
    assert ask(child, "POST", f"/{at_child}/entrust").body["code"] == "peer_not_ready"
    ask(child, "POST", f"/{at_child}/accept", {"acceptance_token": invited.data["acceptance_token"]})
    world.run_for(5.0)
    (first,) = ask(parent, "GET", f"/{at_parent}/received_grants").data
    # What the parent has forgotten, it is given anew.
    assert ask(parent, "DELETE", f"/{at_parent}/received_grants/{first['id']}").status == 200
    given = ask(child, "POST", f"/{at_child}/entrust")
    assert (given.status, given.data["delivered"], given.data["bearer_token"]) == (201, True, None)
    assert given.data["grant"]["origin"] == "managed_child"
    world.run_for(5.0)
    usable = [held for held in ask(parent, "GET", f"/{at_parent}/received_grants").data if held["usable"]]
    assert [held["grant_id"] for held in usable] == [given.data["grant"]["id"]]
    assert ask(parent, "POST", f"/{at_parent}/received_grants/{usable[0]['id']}/check").data["served"]
    assert ask(child, "GET", f"/{at_child}").data["peer"]["effective_spawn_mode"] == "managed_child"
    assert ask(parent, "POST", f"/{at_parent}/entrust").body["code"] == "not_managed_child"
    assert ask(child, "POST", f"/{at_child}/emancipate", {}).status == 200
    assert ask(child, "POST", f"/{at_child}/entrust").body["code"] == "not_managed_child"
    world.run_for(5.0)
    assert not any(held["usable"] for held in ask(parent, "GET", f"/{at_parent}/received_grants").data)
