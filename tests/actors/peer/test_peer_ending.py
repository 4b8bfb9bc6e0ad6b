"""Suspend, resume and revoke: what the commit closes at once, what the remote sees, and what goes on after a crash."""

from __future__ import annotations

import pytest

from actors.peer import standing
from actors.peer.messages import HeartbeatNow, ResumePeering, Revoke, Shown, Suspend, Update
from tests.support.federation import OPERATOR, Pair, pair

HEARTBEAT = "/federation_api/heartbeat"
EVENTS = "/federation_api/peer_events"


@pytest.fixture
def two() -> Pair:
    joined = pair()
    joined.connect()
    return joined


def suspend(two: Pair, reason: str | None = None) -> None:
    assert isinstance(two.a.told(two.at_a.peer_id, Suspend(OPERATOR, reason)), Shown)


def resume(two: Pair) -> None:
    assert isinstance(two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR)), Shown)


def revoke(two: Pair, reason: str | None = None, *, immediate: bool = False) -> None:
    assert isinstance(two.a.told(two.at_a.peer_id, Revoke(OPERATOR, reason, immediate)), Shown)


# --- pauses ---------------------------------------------------------------------------------------------------------


def test_a_pause_is_told_to_the_remote_in_a_last_heartbeat(two: Pair) -> None:
    two.network.passed.clear()
    suspend(two, "maintenance")
    ours, theirs = two.a.record(two.at_a.peer_id), two.b.record(two.at_b.peer_id)
    assert (ours.status, ours.status_before_suspend, ours.suspended_at) == ("suspended", "active", two.network.clock.wall())
    assert ours.metadata["suspension_reason"] == "maintenance"
    assert (theirs.status, theirs.remote_state) == ("degraded", "suspended_us")
    assert two.network.passed == [("a", "b", HEARTBEAT, 200)]


def test_while_paused_the_remote_is_refused_and_nothing_leaves(two: Pair) -> None:
    suspend(two)
    two.network.passed.clear()
    two.network.advance(3600.0)
    assert {(sender, status) for sender, _, _, status in two.network.passed} == {("b", 403)}
    assert two.b.evidence(two.at_b.peer_id).last_error == "peer_suspended"
    assert not {"federation.peer.unreachable", "federation.peer.auth_rejected"} & set(two.b.events())


def test_a_lost_last_heartbeat_is_made_up_for_by_the_answer_to_the_remotes_next_one(two: Pair) -> None:
    two.network.lost_requests[HEARTBEAT] = 1
    suspend(two)
    assert two.b.record(two.at_b.peer_id).remote_state == "ok"
    two.network.advance(70.0)
    assert two.b.record(two.at_b.peer_id).remote_state == "suspended_us"


def test_the_end_of_a_pause_enrols_at_once_and_the_next_heartbeat_activates_both_sides(two: Pair) -> None:
    suspend(two, "maintenance")
    two.network.advance(3600.0)
    outcome = two.a.ask(two.at_a.peer_id, ResumePeering(OPERATOR))
    two.a.run()
    assert outcome[0].record.status == "enrolled"
    two.network.advance(1.0)
    assert two.statuses == ("active", "active")
    row = two.a.record(two.at_a.peer_id)
    assert two.a.steps(two.at_a.peer_id)[-4:] == ["suspended", "accepted", "enrolled", "active"]
    assert (row.suspended_at, row.status_before_suspend, "suspension_reason" in row.metadata) == (None, None, False)


def test_a_pause_before_the_remote_has_proven_itself_ends_at_accepted() -> None:
    two = pair()
    two.network.lost_requests[HEARTBEAT] = 100
    two.accept()
    assert two.statuses == ("accepted", "accepted")
    suspend(two)
    resume(two)
    assert two.a.record(two.at_a.peer_id).status == "accepted"
    two.network.lost_requests.clear()
    two.network.advance(70.0)
    assert two.statuses == ("active", "active")


def test_a_heartbeat_under_way_when_the_pause_begins_wakes_nobody(two: Pair) -> None:
    held = []
    serve = two.b.serve
    two.b.serve = held.append  # type: ignore[method-assign]
    waiting = two.a.ask(two.at_a.peer_id, HeartbeatNow(None))
    two.network.run()
    suspend(two)
    two.b.serve = serve  # type: ignore[method-assign]
    for exchange in reversed(held):
        two.b.serve(exchange)
        two.network.run()
    assert two.statuses == ("suspended", "degraded")
    assert two.b.record(two.at_b.peer_id).remote_state == "suspended_us"
    resume(two)
    two.network.advance(1.0)
    assert two.statuses == ("active", "active")
    assert len(waiting) == 1


@pytest.mark.parametrize(
    ("status", "message", "code", "http"),
    [
        ("suspended", Suspend(OPERATOR), "peer_suspended", 409),
        ("active", ResumePeering(OPERATOR), "invalid_transition", 422),
        ("revoked", Suspend(OPERATOR), "invalid_transition", 422),
        ("revoked", ResumePeering(OPERATOR), "invalid_transition", 422),
        ("revoked", Revoke(OPERATOR), "already_revoked", 409),
    ],
)
def test_what_the_status_does_not_allow_is_refused_and_changes_nothing(
    two: Pair, status: str, message: object, code: str, http: int
) -> None:
    if status == "suspended":
        suspend(two)
    elif status == "revoked":
        revoke(two)
    before = two.a.record(two.at_a.peer_id)
    outcome = two.a.told(two.at_a.peer_id, message)
    assert (outcome.code, outcome.status) == (code, http)
    assert two.a.record(two.at_a.peer_id) == before


def test_a_proposal_cannot_be_paused() -> None:
    two = pair()
    outcome = two.a.told(two.at_a.peer_id, Suspend(OPERATOR))
    assert (outcome.code, outcome.details["allowed"]) == ("invalid_transition", ["accepted", "revoked"])


def test_a_pause_past_the_agreed_end_is_not_lifted(two: Pair) -> None:
    suspend(two)
    two.a.told(two.at_a.peer_id, Update(OPERATOR, {"expires_at": two.network.clock.wall() + 10.0}))
    two.network.advance(11.0)
    outcome = two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR))
    assert (outcome.code, outcome.status) == ("peering_expired", 409)


# --- the end --------------------------------------------------------------------------------------------------------


def test_the_commit_of_a_revocation_ends_everything_given_under_the_peering(two: Pair) -> None:
    epoch, wall = two.a.record(two.at_a.peer_id).peering_epoch, two.network.clock.wall()
    assert standing.in_force(two.a.record(two.at_a.peer_id), epoch, wall)
    revoke(two, "contract ended")
    row = two.a.record(two.at_a.peer_id)
    assert (row.status, row.peering_epoch, row.revoked_at) == ("revoked", epoch + 1, wall)
    assert row.metadata["revocation_reason"] == "contract ended"
    assert not standing.in_force(row, epoch, wall)
    assert not standing.in_force(row, epoch + 1, wall)
    assert standing.may_finish(row, epoch, wall + 299.0)
    assert not standing.may_finish(row, epoch, wall + 300.0)
    assert not standing.may_finish(row, epoch + 1, wall)


def test_a_revocation_needs_no_reason_and_says_who(two: Pair) -> None:
    revoke(two)
    row = two.a.record(two.at_a.peer_id)
    assert (row.metadata["revocation_reason"], row.metadata["revoked_by_user_id"]) == ("operator-initiated", OPERATOR)


def test_after_the_grace_our_key_is_gone_and_after_the_tombstone_the_remote_is_nobody(two: Pair) -> None:
    two.network.down.add(two.b.url)
    revoke(two)
    assert two.a.record(two.at_a.peer_id).outbound is not None
    two.network.advance(301.0)
    row = two.a.record(two.at_a.peer_id)
    assert (row.revocation.phase, row.outbound, row.inbound_subject is not None) == ("complete", None, True)
    two.network.advance(7 * 86_400.0)
    row = two.a.record(two.at_a.peer_id)
    assert (row.inbound_subject, row.trusted_anchors, row.server_anchor_pem) == (None, (), None)


def test_an_immediate_revocation_gives_no_grace_and_tells_nobody(two: Pair) -> None:
    epoch, wall = two.a.record(two.at_a.peer_id).peering_epoch, two.network.clock.wall()
    two.network.passed.clear()
    revoke(two, "key stolen", immediate=True)
    two.network.run()
    row = two.a.record(two.at_a.peer_id)
    assert (row.revocation.phase, row.revocation.last_word, row.outbound) == ("complete", None, None)
    assert not standing.may_finish(row, epoch, wall)
    assert two.network.passed == []


def test_an_immediate_end_after_an_ordinary_one_ends_the_grace_and_keeps_the_reason(two: Pair) -> None:
    two.network.down.add(two.b.url)
    revoke(two, "moved out")
    two.network.advance(5.0)
    before = two.a.record(two.at_a.peer_id)
    assert (before.revocation.phase, before.outbound is None) == ("draining", False)
    revoke(two, "key stolen", immediate=True)
    row = two.a.record(two.at_a.peer_id)
    assert (row.revocation.phase, row.revocation.last_word, row.outbound) == ("complete", None, None)
    assert (row.peering_epoch, row.metadata["revocation_reason"]) == (before.peering_epoch, "moved out")
    assert not standing.may_finish(row, before.peering_epoch - 1, two.network.clock.wall())
    ended = [entry for entry in two.a.chain(two.at_a.peer_id) if entry.action == "peer.grace_ended"]
    assert [(entry.actor_kind, entry.actor_id, entry.payload["reason"]) for entry in ended] == [("user", OPERATOR, "key stolen")]
    two.network.down.clear()
    two.network.passed.clear()
    two.network.advance(310.0)
    assert [passed for passed in two.network.passed if passed[0] == "a"] == []
    assert two.a.told(two.at_a.peer_id, Revoke(OPERATOR, immediate=True)).code == "already_revoked"


def test_a_second_end_that_is_not_immediate_changes_nothing(two: Pair) -> None:
    revoke(two)
    before = two.a.record(two.at_a.peer_id)
    assert two.a.told(two.at_a.peer_id, Revoke(OPERATOR)).code == "already_revoked"
    assert two.a.record(two.at_a.peer_id) == before


def test_an_unreachable_remote_is_told_three_times_and_then_given_up(two: Pair) -> None:
    two.network.down.add(two.b.url)
    revoke(two)
    two.network.advance(31.0)
    actions = [entry.action for entry in two.a.chain(two.at_a.peer_id)]
    assert actions.count("peer.notification_undelivered") == 1
    assert two.a.record(two.at_a.peer_id).revocation.last_word is None
    assert "federation.peer.notification_undelivered" in two.a.events()
