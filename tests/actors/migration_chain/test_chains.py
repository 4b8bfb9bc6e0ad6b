"""Chains of migrations: what is refused, who is asked, and where the resource is when something goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from actors.governance.messages import Start
from actors.governance.record import KIND as GOVERNANCE
from actors.migration_chain.record import HOP
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Ref
from runtime.store.port import Query
from tests.support.chains import APPROVALS, CHAINS, SYSTEM, Trio, trio, wrote
from tests.support.grants import PEERS

NOBODYS = "0190c0de-dead-7000-8000-000000000404"


@pytest.fixture
def three() -> Trio:
    return trio("chains")


def codes(reply: Any) -> list[tuple[str, str]]:
    return [(problem["field"], problem["code"]) for problem in reply.body["details"]["problems"]]


def test_a_module_goes_over_two_platforms_and_each_holder_is_asked(three: Trio) -> None:
    id = three.planned(three.b, three.c)
    assert three.shown(id)["holder"]["instance_id"] == three.a.settings().identity.instance_id
    assert three.homes() == {"a"}
    three.act(id, "run")
    approved = three.decide(three.b).data["approval"]
    assert (approved["execution_status"], approved["origin"], approved["requested_by"]) == ("succeeded", "peer", None)
    record = three.until(id, "completed")
    assert three.homes() == {"c"}
    assert (record.current_hop_index, record.holder_peer_id) == (2, three.peer_id(three.a, three.c))
    (hop,) = three.b.store.query(Query(HOP.name))
    moved = three.ask(three.b, "GET", f"{SYSTEM}/platform/migrations/{hop.record.migration_id}").data["migration"]
    assert (moved["chain_id"], moved["chain_position"], moved["status"]) == (id, 1, "completed")


def test_advance_carries_out_one_hop_and_waits(three: Trio) -> None:
    id = three.planned(three.b, three.c)
    three.act(id, "advance")
    assert three.world.run_until(lambda: three.chain(id).current_hop_index == 1, 60.0)
    three.world.run_for(300.0)
    assert three.homes() == {"b"}
    assert three.b.store.query(Query("approval")) == []
    assert "advances it by one hop" in three.shown(id)["waits_for"]
    three.act(id, "advance")
    three.decide(three.b)
    three.until(id, "completed")


def test_a_copy_leaves_one_at_each_platform(three: Trio) -> None:
    id = three.planned(three.b, three.c, operation="duplicate")
    three.act(id, "run")
    three.decide(three.b)
    record = three.until(id, "completed")
    assert three.homes() == {"a"}
    last = three.c.store.load(RESOURCE.name, record.root_now)
    assert last is not None
    assert last.record.origin["duplicated_from"]["uuid"] != three.module_id


def test_every_problem_of_the_hops_is_told_at_once(three: Trio) -> None:
    assert three.plan().body["code"] == "chain_too_short"
    assert three.plan(*([three.b] * 9)).body["code"] == "chain_too_long"
    b, own = three.peer_id(three.a, three.b), three.a.settings().identity.instance_id
    refused = three.plan(hop_peer_ids=[b, b, own, NOBODYS])
    assert codes(refused) == [
        ("hop_peer_ids[1]", "chain_duplicate_hop"), ("hop_peer_ids[2]", "chain_duplicate_hop"), ("hop_peer_ids[3]", "peer_not_found"),
    ]  # fmt: skip
    assert refused.status == 422
    assert (three.plan(hop_peer_ids=[NOBODYS]).status, three.plan(root_resource_id=NOBODYS, hop_peer_ids=[b]).status) == (404, 404)
    three.ask(three.a, "POST", f"{PEERS}/{three.peer_id(three.a, three.c)}/suspend", {})
    assert codes(three.plan(three.b, three.c)) == [("hop_peer_ids[1]", "peer_not_ready")]
    assert three.a.store.query(Query("migration_chain")) == []


def test_without_a_grant_of_each_holder_there_is_no_chain() -> None:
    three = trio("unlent", lent=False)
    assert codes(three.plan(three.b, three.c)) == [("hop_peer_ids[0]", "no_received_grant")]
    assert codes(three.plan(three.b, three.c, three.b)) == [
        ("hop_peer_ids[0]", "no_received_grant"), ("hop_peer_ids[1]", "no_received_grant"), ("hop_peer_ids[2]", "chain_duplicate_hop"),
    ]  # fmt: skip


def test_what_a_holder_cannot_do_is_refused_before_its_operators_are_asked() -> None:
    three = trio("half lent", lent=False)
    three.lend(three.b, three.a)
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    record = three.until(id, "failed")
    assert (record.error, record.holder_certain) == ("no_received_grant", True)
    assert three.homes() == {"b"}
    assert three.b.store.query(Query("approval")) == []
    shown = three.shown(id)
    assert shown["refused_by_peer_id"] == three.peer_id(three.a, three.b) == shown["holder"]["peer_id"]
    assert (shown["holder"]["url"], shown["hop_urls"]) == (three.b.url, [three.b.url, three.c.url])
    three.lend(three.c, three.b)
    three.act(id, "retry")
    assert (three.shown(id)["ended_at"], three.shown(id)["refused_by_peer_id"]) == (None, None)
    approval = three.decide(three.b).data["approval"]
    assert approval["summary"] == f"{three.a.url} asks for hop 1 of its chain: NodeModule nginx moves to {three.c.url}"
    three.until(id, "completed")


def test_what_has_come_is_listed_at_the_destination(three: Trio) -> None:
    id = three.planned(three.b, three.c)
    three.act(id, "advance")
    assert three.world.run_until(lambda: three.chain(id).current_hop_index == 1, 60.0)
    path = f"{SYSTEM}/platform/migrations"
    (arrived,) = three.ask(three.b, "GET", f"{path}?side=destination").data
    assert (arrived["side"], arrived["status"], arrived["root_resource_id"]) == ("destination", "finalized", three.module_id)
    assert three.ask(three.b, "GET", path).data == []
    assert three.ask(three.b, "GET", f"{path}?side=destination&status=fenced").data == []
    assert three.ask(three.b, "GET", f"{path}?side=destination&operation=duplicate").data == []
    assert [each["side"] for each in three.ask(three.a, "GET", path).data] == ["source"]


def test_what_has_changed_until_the_approval_is_found_out_then_and_told_to_both(three: Trio) -> None:
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    assert three.world.run_until(lambda: bool(three.b.store.query(Query("approval"))), 90.0)
    three.ask(three.b, "POST", f"{PEERS}/{three.peer_id(three.b, three.c)}/suspend", {})
    approved = three.decide(three.b).data["approval"]
    assert (approved["execution_status"], approved["resolution"]["code"]) == ("failed", "peer_not_ready")
    assert three.until(id, "failed").error == "peer_not_ready"
    assert three.homes() == {"b"}


def test_the_grant_must_still_hold_when_the_hop_is_approved() -> None:
    three = trio("revoked grant", lent=False)
    grant_id = three.lend(three.b, three.a)
    three.lend(three.c, three.b)
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    assert three.world.run_until(lambda: bool(three.b.store.query(Query("approval"))), 90.0)
    three.ask(three.b, "POST", f"{PEERS}/{three.peer_id(three.b, three.a)}/grants/{grant_id}/revoke", {"reason": "over"})
    assert three.decide(three.b).data["approval"]["resolution"]["code"] == "precondition_changed"
    record = three.until(id, "failed")
    # Whoever of the two hears of it first.
    assert record.error in ("grant_revoked", "precondition_changed", "no_received_grant")
    assert three.homes() == {"b"}


def test_a_chain_that_has_ended_does_not_go_on(three: Trio) -> None:
    id = three.planned(three.b)
    assert three.act(id, "retry").body["code"] == "invalid_transition"
    three.act(id, "run")
    three.until(id, "completed")
    for act in ("run", "advance", "retry", "cancel"):
        refused = three.act(id, act)
        assert (refused.status, refused.body["code"]) == (409, "chain_terminal")
    other = three.planned(three.b, root_resource_id=wrote(three.a, "NodeModule", name="other", node_platform_id=platform_of(three)))
    assert three.act(other, "cancel").data["migration_chain"]["status"] == "cancelled"
    assert three.act(other, "run").body["code"] == "chain_terminal"


def platform_of(three: Trio) -> str:
    reply = three.ask(three.a, "GET", f"{SYSTEM}/platform/resources/NodePlatform")
    return str(reply.data[0]["id"])


def test_names_that_are_taken_wait_for_the_holders_operators(three: Trio) -> None:
    platform = three.ask(three.c, "GET", f"{SYSTEM}/platform/resources/NodePlatform").data[0]["id"]
    wrote(three.c, "NodeModule", name="nginx", node_platform_id=platform)
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    three.decide(three.b)
    assert three.world.run_until(lambda: three.chain(id).word is not None and "names" in three.chain(id).word.waits_for, 200.0)
    (hop,) = three.b.store.query(Query(HOP.name))
    path = f"{SYSTEM}/platform/migrations/{hop.record.migration_id}"
    assert three.ask(three.b, "PATCH", f"{path}/steps/0", {"conflict_policy": "rename_with_suffix"}).status == 200
    three.ask(three.b, "POST", f"{path}/validate", {})
    three.world.run_for(5.0)
    three.ask(three.b, "POST", f"{path}/apply", {})
    three.until(id, "completed")
    assert three.homes() == {"c"}


def test_a_chain_is_not_cancelled_in_the_middle_of_a_hop_and_ends_with_it_at_the_latest(three: Trio) -> None:
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    assert three.world.run_until(lambda: bool(three.b.store.query(Query("approval"))), 90.0)
    approval = three.b.store.query(Query("approval"))[0].record.id
    three.b.send("POST", f"{APPROVALS}/{approval}/approve", {})
    # Two operators at the same moment, one on each side.
    assert three.act(id, "cancel").status == 200
    assert three.world.run_until(lambda: three.chain(id).status in ("completed", "cancelled"), 300.0)
    record = three.chain(id)
    held = {"completed": {"c"}, "cancelled": {"b"}}[record.status] if record.current_hop_index == 1 else {"c"}
    assert three.homes() == held
    assert record.holder_certain


def test_a_stalled_chain_is_a_finding_that_says_what_it_waits_for(three: Trio) -> None:
    # As the daemon does at its start.
    three.a.engine.tell(Ref(GOVERNANCE.name, three.a.account_id), Start(three.a.account_id))
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    three.world.run_for(2 * 3_600.0)
    assert three.shown(id)["stalled"]
    findings = three.ask(three.a, "GET", f"{SYSTEM}/federation/governance?kind=migration_chain_stalled").data
    assert [found["payload"]["chain_id"] for found in findings] == [id]
    assert "approval of the holder's operators" in findings[0]["message"]
    three.decide(three.b)
    three.until(id, "completed")
    assert not three.shown(id)["stalled"]


def test_chains_are_listed_newest_first(three: Trio) -> None:
    ids = [three.planned(three.b)]
    three.world.run_for(1.0)
    ids.append(three.planned(three.b, three.c))
    listed = three.ask(three.a, "GET", f"{CHAINS}?status=planned&limit=1")
    assert [row["id"] for row in listed.data] == [ids[1]]
    following = three.ask(three.a, "GET", f"{CHAINS}?cursor={listed.body['meta']['next_cursor']}")
    assert [row["id"] for row in following.data] == [ids[0]]
