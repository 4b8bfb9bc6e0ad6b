"""Whole migrations between two platforms: the happy way, every cut on the way, and what stands in it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from actors import certificates
from actors.continuity.messages import Decide, Decided
from actors.grant.messages import Revoke, Rotate
from actors.migration.limits import FORGOTTEN_AFTER_S, RECOVERY_S
from actors.migration.messages import Act, Proof, Prove, Resolve, ResolveArrival, SetStep
from actors.migration.record import ARRIVAL, MIGRATION, MigrationRecord, shown, shown_arrival
from actors.peer.messages import Revoke as RevokePeer
from actors.peer.record import KIND as PEER
from actors.received_grant.messages import Receive
from actors.received_grant.record import KIND as RECEIVED
from actors.received_grant.record import row_id
from actors.resource.messages import Update, Written
from actors.schema_rule.messages import Create as CreateRule
from actors.schema_rule.record import SchemaRule
from runtime.actor import Ref
from runtime.errors import Fault
from runtime.values import evolve
from tests.support.catalogue import BOOK, catalogue, draft, stored, told, write, written
from tests.support.federation import ACCOUNT, OPERATOR
from tests.support.migrations import Move, move

BASE = "/federation_api/migrations"
CRASHES_MAX = 40
ID = "0190c0de-0000-7000-8000-0000000000aa"


def settled(moving: Move, id: str) -> None:
    """A migration that came to its end: one home for each record, the same verdict and receipt on both sides, nothing held."""
    record, arrival = moving.migration(id), moving.arrival(id)
    assert record.status == "completed", record.error
    assert arrival is not None
    assert arrival.verdict == "finalized"
    assert arrival.receipt is not None
    assert record.receipt is not None
    assert record.receipt["receipt"] == arrival.receipt
    for each in moving.ids:
        assert moving.homes(each) == [("b", True)]


def undone(moving: Move) -> None:
    """Everything is at home and free."""
    for each in moving.ids:
        assert moving.homes(each) == [("a", True)]


def never_two_homes(moving: Move) -> None:
    """No record can be written at two places."""
    for each in moving.ids:
        assert sum(1 for _, writable in moving.homes(each) if writable) <= 1


def decide(moving: Move, id: str, policy: Any) -> None:
    """An operator decides about the root."""
    decided = told(moving.pair.a, Ref(MIGRATION.name, id), SetStep(by=OPERATOR, order=0, policy=policy))
    assert isinstance(decided, MigrationRecord), decided


def test_a_module_moves_with_its_versions_and_keeps_its_ids() -> None:
    moving = move()
    id = moving.planned()
    assert moving.migration(id).cleared_digest == moving.migration(id).plan_digest
    moving.act(id, "apply")
    settled(moving, id)
    module = stored(moving.pair.b, moving.module.id)
    assert module.attributes["name"] == "nginx"
    assert module.origin["migrated_from"]["uuid"] == moving.module.id
    # The reference to what stayed points to the destination's own.
    assert module.attributes["node_platform_id"] != moving.module.attributes["node_platform_id"]
    gone = stored(moving.pair.a, moving.module.id)
    assert gone.moved is not None
    assert gone.moved.instance_id == moving.pair.b.instance_id
    fault = catalogue(moving.pair.a, Update(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=moving.module.id, changes={"tags": []}))
    assert isinstance(fault, Fault)
    assert fault.code == "resource_moved"


def test_a_copy_has_ids_of_its_own_and_its_parts_point_to_it() -> None:
    moving = move()
    id = moving.planned("duplicate")
    moving.act(id, "apply")
    record, arrival = moving.migration(id), moving.arrival(id)
    assert record.status == "completed", record.error
    assert arrival is not None
    assert arrival.receipt is not None
    id_map = arrival.receipt["id_map"]
    undone(moving)
    for version in moving.versions:
        assert stored(moving.pair.b, id_map[version.id]).attributes["node_module_id"] == id_map[moving.module.id]
    assert stored(moving.pair.b, id_map[moving.module.id]).origin["duplicated_from"]["uuid"] == moving.module.id


def test_a_dry_run_asks_nothing_and_changes_nothing() -> None:
    moving = move()
    before = len(moving.pair.network.passed)
    id = moving.planned(dry_run=True)
    assert moving.migration(id).status == "planned"
    assert len(moving.pair.network.passed) == before
    undone(moving)


def test_a_name_that_is_taken_stops_it_until_an_operator_decides() -> None:
    moving = move()
    (taken,) = written(moving.pair.b, draft("NodeModule", name="NGINX"))
    id = moving.planned()
    record = moving.migration(id)
    assert record.status == "conflict"
    assert record.conflict_log[-1]["conflicting_id"] == taken.id
    fault = moving.act(id, "apply")
    assert isinstance(fault, Fault)
    assert fault.code == "migration_conflict"
    undone(moving)
    decide(moving, id, "rename_with_suffix")
    moving.act(id, "validate")
    moving.act(id, "apply")
    settled(moving, id)
    assert stored(moving.pair.b, moving.module.id).attributes["name"].startswith("nginx-")


def test_what_the_destination_lacks_is_told_with_what_is_taken_and_no_longer_once_it_is_there() -> None:
    moving = move()
    written(moving.pair.a, draft("NodePlatform", name="arm", architecture="arm64"))
    (module,) = written(moving.pair.a, draft("NodeModule", name="haproxy", node_platform_id={"name": "arm"}))
    (taken,) = written(moving.pair.b, draft("NodeModule", name="haproxy"))
    moving = Move(moving.pair, module, (), moving.bearer, moving.grant_id)
    id = moving.planned()
    lacking, meeting = moving.migration(id).conflict_log
    names = {"step", "kind", "id", "key", "conflicting_id", "code", "suggested_policy", "at"}
    assert (set(lacking), lacking["code"], lacking["conflicting_id"]) == (names, "link_target_missing", None)
    assert (lacking["kind"], lacking["key"]) == ("NodePlatform", {"name": "arm"})
    assert meeting["conflicting_id"] == taken.id
    fault = moving.act(id, "apply")
    assert isinstance(fault, Fault)
    assert (fault.code, len(fault.details["conflicts"])) == ("link_target_missing", 2)
    written(moving.pair.b, draft("NodePlatform", name="arm", architecture="arm64"))
    moving.pair.network.clock.advance(1.0)
    moving.act(id, "validate")
    fault = moving.act(id, "apply")
    assert isinstance(fault, Fault)
    assert (fault.code, [entry["conflicting_id"] for entry in fault.details["conflicts"]]) == ("migration_conflict", [taken.id])


@pytest.mark.parametrize("policy", ["skip_if_exists", "overwrite"])
def test_what_stays_under_its_own_id_at_the_destination_owns_what_comes(policy: Any) -> None:
    moving = move(versions=1)
    (own,) = written(moving.pair.b, draft("NodeModule", name="nginx", description="ours"))
    id = moving.planned()
    decide(moving, id, policy)
    moving.act(id, "validate")
    moving.act(id, "apply")
    assert moving.migration(id).status == "completed", moving.migration(id).error
    assert stored(moving.pair.b, moving.versions[0].id).attributes["node_module_id"] == own.id
    assert moving.homes(moving.module.id) == []
    assert stored(moving.pair.b, own.id).attributes.get("description") == ("ours" if policy == "skip_if_exists" else None)


def test_held_records_and_what_they_own_cannot_change() -> None:
    moving = move()
    moving.pair.network.lost_requests[BASE] = 1
    id = moving.planned()
    moving.act(id, "apply")
    assert moving.migration(id).status == "transferring"
    change = Update(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=moving.module.id, changes={"tags": ["x"]})
    fault = catalogue(moving.pair.a, change)
    assert isinstance(fault, Fault)
    assert fault.code == "resource_frozen"
    another = [draft("ModuleVersion", node_module_id=moving.module.id, number=9)]
    refused = write(moving.pair.a, another)
    assert isinstance(refused, Fault)
    assert refused.code == "resource_frozen"
    moving.act(id, "cancel")
    assert moving.migration(id).status == "cancelled"
    undone(moving)
    assert isinstance(write(moving.pair.a, another), Written)


def test_a_change_after_the_plan_is_in_the_plan_that_is_applied() -> None:
    moving = move()
    id = moving.planned(dry_run=True)
    before = moving.migration(id).plan_digest
    written(moving.pair.a, draft("ModuleVersion", node_module_id=moving.module.id, number=7))
    moving.act(id, "apply")
    record = moving.migration(id)
    assert record.plan_digest != before
    assert record.status == "completed", record.error
    assert len(record.steps) == 5


@pytest.mark.parametrize("path", ["", "/{id}/steps", "/{id}/commit", "/{id}/finalize"])
@pytest.mark.parametrize("way", ["request", "answer"])
def test_a_cut_anywhere_on_the_way_ends_well(path: str, way: Literal["request", "answer"]) -> None:
    moving = move()
    id = moving.planned()
    lost = moving.pair.network.lost_requests if way == "request" else moving.pair.network.lost_answers
    lost[BASE + path.format(id=id)] = 1
    moving.act(id, "apply")
    assert moving.migration(id).status != "completed"
    never_two_homes(moving)
    moving.pair.network.advance(3 * RECOVERY_S)
    if (path, way) == ("/{id}/commit", "request"):
        # The destination has not heard of the commit, and the fence made that final.
        assert moving.migration(id).status == "failed"
        undone(moving)
        moving.act(id, "retry")
    settled(moving, id)


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_commit_of_either_side_ends_well(side: str, moment: Any) -> None:
    for number in range(1, CRASHES_MAX):
        moving = move(versions=1)
        platform = moving.pair.a if side == "a" else moving.pair.b
        id = moving.planned()
        platform.crash_at = (platform.commits + number, moment)
        moving.pair.a.engine.ask(Ref(MIGRATION.name, id), Act(by=OPERATOR, act="apply"), 60.0, lambda outcome: None)
        moving.pair.network.run()
        never_two_homes(moving)
        fired = platform.life > 1
        platform.crash_at = None
        moving.pair.network.advance(4 * RECOVERY_S)
        never_two_homes(moving)
        if moving.migration(id).status != "completed":
            # The word of the operator was lost, or the destination had not heard of the commit.
            undone(moving)
            moving.act(id, "retry" if moving.migration(id).status == "failed" else "apply")
            moving.pair.network.advance(2 * RECOVERY_S)
        settled(moving, id)
        if not fired:
            assert number > 3
            return
    raise AssertionError("the crash never stopped firing")


def test_a_receipt_that_somebody_else_signed_lets_nothing_go() -> None:
    moving = move()
    id = moving.planned()
    authority, moving.pair.b.authority = moving.pair.b.authority, moving.pair.a.authority
    moving.act(id, "apply")
    assert (moving.migration(id).status, moving.migration(id).error) == ("in_doubt", "receipt_invalid")
    for each in moving.ids:
        assert sum(1 for _, writable in moving.homes(each) if writable) == 0
    moving.pair.b.authority = authority
    moving.pair.network.advance(2 * RECOVERY_S)
    settled(moving, id)


def test_data_that_must_not_cross_a_boundary_stays() -> None:
    moving = move(residency_mode="refuse", data_residency="CH")
    moving.pair.b.federation = evolve(moving.pair.b.federation, data_residency="US")
    moving.pair.b.restart()
    moving.pair.network.advance(120.0)
    fault = moving.plan()
    assert isinstance(fault, Fault)
    assert fault.code == "residency_refused"


def test_the_destination_keeps_to_its_own_rules_about_residency() -> None:
    moving = move(data_residency="CH")
    moving.pair.b.federation = evolve(moving.pair.b.federation, data_residency="US", residency_mode="refuse")
    moving.pair.b.restart()
    id = moving.planned()
    assert (moving.migration(id).status, moving.migration(id).error) == ("failed", "residency_refused")
    undone(moving)


def test_without_the_grant_nothing_is_even_announced() -> None:
    moving = move()
    id = moving.planned()
    told(moving.pair.b, Ref(BOOK, moving.pair.at_b.peer_id), Revoke(grant_id=moving.grant_id, by=OPERATOR))
    moving.act(id, "apply")
    record = moving.migration(id)
    assert (record.status, record.error) == ("failed", "grant_revoked")
    undone(moving)
    assert moving.pair.b.store.load(ARRIVAL.name, id) is None


def take_back(moving: Move, *, immediate: bool = False) -> None:
    """The destination's operators revoke the grant under which the migration came."""
    message = Revoke(grant_id=moving.grant_id, by=OPERATOR, immediate=immediate)
    assert not isinstance(told(moving.pair.b, Ref(BOOK, moving.pair.at_b.peer_id), message), Fault)


@pytest.mark.parametrize("immediate", [False, True])
def test_what_has_been_applied_comes_to_its_end_without_the_grant(immediate: bool) -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_answers[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    assert moving.migration(id).status == "in_doubt"
    take_back(moving, immediate=immediate)
    moving.pair.network.advance(3 * RECOVERY_S)
    settled(moving, id)


def test_what_has_been_applied_comes_to_its_end_with_the_former_bearer() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_requests[f"{BASE}/{id}/finalize"] = 1
    moving.act(id, "apply")
    told(moving.pair.b, Ref(BOOK, moving.pair.at_b.peer_id), Rotate(grant_id=moving.grant_id, by=OPERATOR))
    moving.pair.network.advance(3 * RECOVERY_S)
    settled(moving, id)


def test_what_has_been_applied_comes_to_its_end_after_the_grant_has_expired() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_requests[f"{BASE}/{id}/finalize"] = 1
    moving.act(id, "apply")
    assert moving.migration(id).status == "finalizing"
    moving.pair.network.down.add(moving.pair.b.url)
    moving.pair.network.advance(90_000.0)
    moving.pair.network.down.clear()
    moving.pair.network.advance(600.0)
    settled(moving, id)


@pytest.mark.parametrize("immediate", [False, True])
def test_a_commit_that_was_lost_is_fenced_without_the_grant(immediate: bool) -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_requests[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    take_back(moving, immediate=immediate)
    moving.pair.network.advance(3 * RECOVERY_S)
    assert moving.migration(id).status == "failed"
    undone(moving)


@pytest.mark.parametrize("lost", ["", "/{id}/steps"])
def test_a_migration_under_way_may_go_on_for_five_minutes_after_its_grant_was_revoked(lost: str) -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_answers[BASE + lost.format(id=id)] = 1
    moving.act(id, "apply")
    assert moving.migration(id).status == "transferring"
    take_back(moving)
    moving.pair.network.advance(2 * RECOVERY_S)
    settled(moving, id)


@pytest.mark.parametrize(("immediate", "tries"), [(True, 1), (False, 12)])
def test_a_migration_under_way_ends_with_the_grace_of_its_grant(immediate: bool, tries: int) -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_requests[f"{BASE}/{id}/steps"] = tries
    moving.act(id, "apply")
    take_back(moving, immediate=immediate)
    moving.pair.network.advance((tries + 1) * RECOVERY_S)
    record = moving.migration(id)
    assert (record.status, record.error) == ("failed", "grant_revoked")
    undone(moving)


def test_a_move_is_made_by_the_calls_of_the_protocol() -> None:
    moving = move()
    calls: list[tuple[str, str]] = []

    def noted(exchange: Any) -> None:
        calls.append((exchange.request.method, exchange.request.path))

    id = moving.planned()
    moving.pair.network.answers = noted
    moving.act(id, "apply")
    settled(moving, id)
    assert [call for call in calls if call[1].startswith(BASE)] == [
        ("POST", BASE), ("PUT", f"{BASE}/{id}/steps"), ("POST", f"{BASE}/{id}/commit"), ("POST", f"{BASE}/{id}/finalize"),
    ]  # fmt: skip


def test_a_grant_that_was_revoked_lets_nothing_begin() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_requests[f"{BASE}"] = 1
    moving.act(id, "apply")
    take_back(moving)
    moving.pair.network.advance(2 * RECOVERY_S)
    assert (moving.migration(id).status, moving.migration(id).error) == ("failed", "grant_revoked")
    undone(moving)


def test_a_grant_that_is_held_already_is_used() -> None:
    moving = move()
    fault = moving.plan(bearer=None)
    assert isinstance(fault, Fault)
    assert fault.code == "no_received_grant"
    keep = Receive(account_id=ACCOUNT, peer_id=moving.pair.at_a.peer_id, bearer=moving.bearer, by=OPERATOR)
    held = told(moving.pair.a, Ref(RECEIVED.name, row_id(keep.peer_id, moving.grant_id)), keep)
    assert not isinstance(held, Fault), held
    id = moving.planned(bearer=None)
    moving.act(id, "apply")
    settled(moving, id)


def test_what_was_begun_may_end_in_the_grace_of_a_revocation_and_nothing_may_begin() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_answers[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    assert moving.migration(id).status == "in_doubt"
    told(moving.pair.b, Ref(PEER.name, moving.pair.at_b.peer_id), RevokePeer(by=OPERATOR, reason="over"))
    moving.pair.network.advance(3 * RECOVERY_S)
    settled(moving, id)
    fault = moving.plan("duplicate")
    assert isinstance(fault, Fault)


def test_a_crossing_is_marked_and_told_at_both_ends_and_no_bearer_is_kept() -> None:
    moving = move(data_residency="CH")
    moving.pair.b.federation = evolve(moving.pair.b.federation, data_residency="US")
    moving.pair.b.restart()
    moving.pair.network.advance(120.0)
    id = moving.planned()
    assert moving.migration(id).sealed_bearer
    moving.act(id, "apply")
    settled(moving, id)
    arrival = moving.arrival(id)
    assert arrival is not None
    assert (moving.migration(id).cross_jurisdiction, arrival.cross_jurisdiction) == (True, True)
    both = (shown(moving.migration(id)), shown_arrival(arrival))
    assert [each["metadata"] for each in both] == [{"cross_jurisdiction": True}] * 2
    for platform in (moving.pair.a, moving.pair.b):
        assert platform.events().count("migration.cross_boundary") == 1
    assert moving.migration(id).sealed_bearer == b""


def withhold(platform: Any, kind: str) -> None:
    """An operator decides that records of a kind are not exchanged between this version and its like."""
    version = platform.engine.settings.platform_version
    rule = CreateRule(
        account_id=ACCOUNT, by=OPERATOR, local_version=version, remote_version=version, status="degraded", blocked_kinds=(kind,)
    )  # fmt: skip
    assert isinstance(told(platform, Ref("schema_rule", ID), rule), SchemaRule)


def test_a_kind_that_is_withheld_between_the_versions_does_not_leave_as_a_part_of_another() -> None:
    moving = move()
    id = moving.planned()
    withhold(moving.pair.a, "ModuleVersion")
    moving.act(id, "apply")
    assert (moving.migration(id).status, moving.migration(id).error) == ("failed", "schema_incompatible")
    undone(moving)
    fault = moving.plan()
    assert isinstance(fault, Fault)
    assert (fault.code, fault.details["kinds"]) == ("schema_incompatible", ["ModuleVersion"])


@pytest.mark.parametrize("cleared", [False, True])
def test_a_kind_that_is_withheld_between_the_versions_does_not_arrive_as_a_part_of_another(cleared: bool) -> None:
    moving = move()
    id = moving.planned() if cleared else ""
    withhold(moving.pair.b, "ModuleVersion")
    if cleared:
        moving.act(id, "apply")
    else:
        id = moving.planned()
    assert (moving.migration(id).status, moving.migration(id).error) == ("failed", "schema_incompatible")
    undone(moving)


def test_a_place_that_nobody_knows_is_noted_at_both_ends() -> None:
    moving = move(data_residency="CH")
    moving.pair.b.federation = evolve(moving.pair.b.federation, data_residency="unknown")
    moving.pair.b.restart()
    moving.pair.network.advance(120.0)
    id = moving.planned()
    moving.act(id, "apply")
    settled(moving, id)
    assert moving.migration(id).status == "completed"
    for platform, peer_id in ((moving.pair.a, moving.pair.at_a.peer_id), (moving.pair.b, moving.pair.at_b.peer_id)):
        actions = [entry.action for entry in platform.store.audit(peer_id, 0, 1_000)]
        assert actions.count("migration.residency_unknown") == 1
        assert "migration.cross_boundary" not in platform.events()


# --- what a peering leaves behind when it ends ----------------------------------------------------------------------------


def apart(moving: Move, *, lost: str, way: str = "answer") -> str:
    """A migration that was cut on its way, and whose peering has ended beyond its grace with nobody having been able to finish."""
    id = moving.planned()
    at = moving.pair.network.lost_answers if way == "answer" else moving.pair.network.lost_requests
    at[BASE + lost.format(id=id)] = 1
    moving.act(id, "apply")
    for platform, peer_id in ((moving.pair.a, moving.pair.at_a.peer_id), (moving.pair.b, moving.pair.at_b.peer_id)):
        moving.pair.network.down |= {moving.pair.a.url, moving.pair.b.url}
        told(platform, Ref(PEER.name, peer_id), RevokePeer(by=OPERATOR, reason="over"))
    moving.pair.network.advance(600.0)
    moving.pair.network.down.clear()
    return id


def together(moving: Move) -> None:
    """The same platforms peer again, under new rows."""
    a, b = moving.pair.a, moving.pair.b
    moving.pair.at_a, moving.pair.at_b = a.propose(b), b.propose(a)
    moving.pair.connect()


def resolve(moving: Move, id: str, keep: bool, *, at: str = "a") -> Any:
    if at == "a":
        return told(moving.pair.a, Ref(MIGRATION.name, id), Resolve(by=OPERATOR, keep=keep, word="Bea said so on the phone"))
    message = ResolveArrival(arrival_id=moving.migration(id).transfer_id, by=OPERATOR, keep=keep, word="Al said so on the phone")
    return catalogue(moving.pair.b, message)


def handed_over(moving: Move, id: str) -> dict[str, Any]:
    """The receipt as B's operators get it."""
    proof = told(moving.pair.b, Ref(ARRIVAL.name, moving.migration(id).transfer_id), Prove())
    assert isinstance(proof, Proof), proof
    return {"receipt": dict(proof.receipt), "signature": proof.signature, "certificate_pem": proof.certificate_pem}


def by_receipt(moving: Move, id: str, receipt: dict[str, Any], *, keep: bool = False) -> Any:
    return told(moving.pair.a, Ref(MIGRATION.name, id), Resolve(by=OPERATOR, keep=keep, word="Bea sent it", receipt=receipt))


def test_a_receipt_that_is_handed_over_ends_what_was_stuck_although_the_peering_is_over() -> None:
    moving = move()
    id = apart(moving, lost="/{id}/commit")
    receipt = handed_over(moving, id)
    forged = {**receipt, "receipt": {**receipt["receipt"], "operation": "duplicate"}}
    twisted = {**receipt, "signature": receipt["signature"][::-1]}
    for wrong, reason in ((forged, "other_plan"), (twisted, "signature_invalid"), ({}, "malformed")):
        refused = by_receipt(moving, id, wrong)
        assert isinstance(refused, Fault)
        assert (refused.code, refused.details["reason"]) == ("receipt_invalid", reason)
    assert moving.migration(id).status == "in_doubt"
    contrary = by_receipt(moving, id, receipt, keep=True)
    assert isinstance(contrary, Fault)
    assert contrary.code == "receipt_held"
    assert not isinstance(by_receipt(moving, id, receipt), Fault)
    moving.pair.network.run()
    ended = moving.migration(id)
    assert (ended.status, ended.receipt_digest is not None) == ("completed", True)
    assert not any(place == "a" for each in moving.ids for place, _ in moving.homes(each))


def test_a_receipt_ends_a_doubt_while_the_destination_is_out_of_reach() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_answers[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    moving.pair.network.down.add(moving.pair.b.url)
    assert moving.migration(id).status == "in_doubt"
    assert not isinstance(by_receipt(moving, id, handed_over(moving, id)), Fault)
    assert moving.migration(id).status == "finalizing"
    moving.pair.network.down.clear()
    moving.pair.network.advance(3 * RECOVERY_S)
    assert moving.migration(id).status == "completed"
    assert all(moving.homes(each) == [("b", True)] for each in moving.ids)


@pytest.mark.parametrize("lost", ["/{id}/commit", "/{id}/finalize"])
@pytest.mark.parametrize("way", ["answer", "request"])
def test_peering_again_with_the_same_platform_ends_what_was_stuck(lost: str, way: str) -> None:
    moving = move()
    id = apart(moving, lost=lost, way=way)
    stuck = moving.migration(id)
    assert stuck.status in ("in_doubt", "finalizing")
    assert stuck.sealed_bearer == b""
    never_two_homes(moving)
    together(moving)
    moving.pair.network.advance(3 * RECOVERY_S)
    if (lost, way) == ("/{id}/commit", "request"):
        assert moving.migration(id).status == "failed"
        undone(moving)
    else:
        settled(moving, id)
    assert moving.migration(id).destination_peer_id == moving.pair.at_a.peer_id


def test_another_platform_or_another_plan_reclaims_nothing() -> None:
    moving = move()
    id = apart(moving, lost="/{id}/commit")
    together(moving)
    # Before the source has asked by itself, somebody asks with a wrong plan.
    outbound = moving.pair.a.record(moving.pair.at_a.peer_id).outbound
    assert outbound is not None
    der = certificates.pem_to_der(outbound.certificate_pem)
    assert isinstance(der, bytes)
    record = moving.migration(id)
    body = {**record.header.to_json(), "plan_digest": "0" * 64}
    answers: list[Any] = []
    moving.pair.b.call("POST", f"{BASE}/{id}/reclaim", json.dumps(body).encode(), answers.append, (der,))
    moving.pair.network.run()
    assert (answers[0].status, answers[0].body["code"]) == (409, "migration_id_conflict")


def test_an_operator_says_where_the_records_live_when_nobody_can_be_asked() -> None:
    moving = move()
    id = apart(moving, lost="/{id}/commit")
    assert moving.homes(moving.module.id) == [("a", False), ("b", False)]
    resolve(moving, id, keep=False)
    moving.pair.network.run()
    assert moving.migration(id).status == "completed"
    assert moving.homes(moving.module.id) == [("b", False)]
    resolve(moving, id, keep=True, at="b")
    for each in moving.ids:
        assert moving.homes(each) == [("b", True)]
    chain = moving.pair.a.chain(moving.migration(id).destination_peer_id)
    (entry,) = [entry for entry in chain if entry.action == "migration.resolved"]
    assert (entry.payload["outcome"], entry.payload["word"]) == ("release", "Bea said so on the phone")


def test_an_operator_keeps_them_at_home_and_the_other_side_gives_back_what_had_arrived() -> None:
    moving = move()
    id = apart(moving, lost="/{id}/commit")
    resolve(moving, id, keep=True)
    resolve(moving, id, keep=False, at="b")
    moving.pair.network.run()
    undone(moving)
    assert (moving.migration(id).status, moving.migration(id).error) == ("failed", "resolved_by_operator")
    arrival = moving.arrival(id)
    assert arrival is not None
    assert arrival.verdict == "released"
    # The name is free again there, and the id waits for its owner.
    together(moving)
    assert isinstance(write(moving.pair.b, [draft("NodeModule", name="nginx", node_platform_id={"name": "debian"})]), Written)


def test_what_is_proven_is_not_kept_and_what_can_end_by_itself_is_not_resolved() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_answers[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    assert resolve(moving, id, keep=True).code == "migration_not_stuck"
    assert resolve(moving, id, keep=True, at="b").code == "migration_not_stuck"
    other = move()
    held = apart(other, lost="/{id}/finalize", way="request")
    assert other.migration(held).status == "finalizing"
    assert resolve(other, held, keep=True).code == "receipt_held"
    resolve(other, held, keep=False)
    other.pair.network.run()
    assert (other.migration(held).status, other.migration(held).error) == ("completed", "destination_not_told")


def test_with_the_grace_every_bearer_of_a_migration_is_destroyed_and_what_was_not_sent_whole_fails() -> None:
    moving = move()
    moving.pair.network.lost_requests[BASE] = 10_000
    sending, planned = moving.planned("duplicate"), moving.planned("duplicate", dry_run=True)
    moving.act(sending, "apply")
    assert moving.migration(sending).status == "transferring"
    assert moving.migration(planned).sealed_bearer
    told(moving.pair.a, Ref(PEER.name, moving.pair.at_a.peer_id), RevokePeer(by=OPERATOR, reason="over"))
    moving.pair.network.advance(600.0)
    found = {id: moving.migration(id) for id in (sending, planned)}
    assert {id: (record.status, record.error) for id, record in found.items()} == {
        sending: ("failed", "peer_revoked"), planned: ("cancelled", "peer_revoked"),
    }  # fmt: skip
    assert not any(record.sealed_bearer for record in found.values())
    undone(moving)


def put_back(moving: Move, copy: Any) -> None:
    """B runs on this copy of its disk, and its operators have said that it was restored."""
    b = moving.pair.b
    b.store = copy
    b.restored_at_epoch = b.life + 1
    b.restart()
    moving.pair.network.run()
    decided = told(b, Ref("continuity", b.instance_id), Decide(by=OPERATOR, decision="restored", keep_peerings=True, keep_grants=True))
    assert isinstance(decided, Decided), decided


@pytest.mark.parametrize("order", ["receipt, then copy", "copy, then receipt"])
def test_a_receipt_that_is_handed_over_and_a_destination_that_forgot_come_to_one_end(order: str) -> None:
    moving = move()
    network, copy = moving.pair.network, moving.pair.b.store.image()
    id = moving.planned()
    network.lost_answers[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    network.down.add(moving.pair.b.url)
    receipt = handed_over(moving, id)
    if order == "copy, then receipt":
        put_back(moving, copy)
    assert not isinstance(by_receipt(moving, id, receipt), Fault)
    assert moving.migration(id).status == "finalizing"
    if order == "receipt, then copy":
        put_back(moving, copy)
    network.down.clear()
    network.advance(FORGOTTEN_AFTER_S / 2)
    assert (moving.migration(id).status, moving.migration(id).error) == ("finalizing", "migration_not_found")
    network.advance(FORGOTTEN_AFTER_S)
    ended = moving.migration(id)
    assert (ended.status, ended.error, ended.receipt_digest is not None) == ("completed", "destination_forgot", True)
    assert moving.pair.a.events().count("migration.destination_forgot") == moving.pair.a.events().count("migration.completed") == 1
    assert not any(place == "a" for each in moving.ids for place, _ in moving.homes(each))
    again = by_receipt(moving, id, receipt)
    assert isinstance(again, Fault)
    assert again.code == "migration_not_stuck"
    assert moving.migration(id) == ended


def test_a_receipt_comes_too_late_once_the_copy_has_said_that_nothing_was_applied() -> None:
    moving = move()
    network, copy = moving.pair.network, moving.pair.b.store.image()
    id = moving.planned()
    network.lost_answers[f"{BASE}/{id}/commit"] = 1
    moving.act(id, "apply")
    network.down.add(moving.pair.b.url)
    receipt = handed_over(moving, id)
    put_back(moving, copy)
    network.down.clear()
    network.advance(3 * RECOVERY_S)
    assert moving.migration(id).status == "failed"
    undone(moving)
    late = by_receipt(moving, id, receipt)
    assert isinstance(late, Fault)
    assert late.code == "migration_not_stuck"
    network.advance(2 * FORGOTTEN_AFTER_S)
    undone(moving)
    assert "migration.destination_forgot" not in moving.pair.a.events()
