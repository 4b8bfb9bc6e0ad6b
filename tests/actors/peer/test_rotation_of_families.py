"""Rotation where one platform signs for the other: children follow their parent's root, parents follow the root of a child's listener."""

from __future__ import annotations

from typing import Any

import pytest

from actors import certificates
from actors.limits import DAY_S
from actors.peer.messages import Accepted, ApproveAnchor, Shown
from actors.rotation.messages import Rotating
from tests.support.federation import OPERATOR, Pair
from tests.support.rotations import connected, failed_heartbeats, finish, leap, progress, rotate, rotation


def family() -> Pair:
    """A is the parent of B."""
    return connected(role_of_b="child")


def root_of(pem: str, *roots: str) -> str:
    """The fingerprint of the root among these that signed a certificate."""
    leaf = certificates.parse_leaf(certificates.pem_to_der(pem))  # type: ignore[arg-type]
    anchors = certificates.load_anchors(roots)
    assert not isinstance(leaf, str)
    assert not isinstance(anchors, str)
    return next(a.fingerprint for a in anchors if certificates.check_issued_by(leaf, (a,), now=leaf.not_before + 700) is None)


def test_children_follow_the_root_of_their_parent_without_one_failed_heartbeat() -> None:
    two = family()
    first = two.a.authority.ca_fingerprint
    assert isinstance(rotate(two.a, days=1), Rotating)
    assert progress(two.a) == {two.b.url: "waiting"}
    two.network.advance(3_600.0)
    second = rotation(two.a).current
    assert second is not None
    assert rotation(two.a).next is None
    assert progress(two.a) == {two.b.url: "promoted"}
    child, parent = two.b.record(two.at_b.peer_id), two.a.record(two.at_a.peer_id)
    assert child.outbound is not None
    assert root_of(child.outbound.certificate_pem, two.a.authority.ca_bundle_pem, second.key.certificate_pem) == second.fingerprint
    assert {a.fingerprint: a.state for a in parent.trusted_anchors} == {first: "retiring", second.fingerprint: "current"}
    assert {a.fingerprint: a.state for a in child.trusted_anchors} == {first: "retiring", second.fingerprint: "current"}
    leap(two, DAY_S)
    assert [a.fingerprint for a in two.a.record(two.at_a.peer_id).trusted_anchors] == [second.fingerprint]
    assert [a.fingerprint for a in two.b.record(two.at_b.peer_id).trusted_anchors] == [second.fingerprint]
    assert two.statuses == ("active", "active")
    assert failed_heartbeats(two) == []


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("who", ["a", "b"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_commit_leaves_no_child_behind(step: int, who: str, moment: Any) -> None:
    two = family()
    victim = two.a if who == "a" else two.b
    rotate(two.a)
    victim.crash_at = (victim.commits + step, moment)
    two.network.advance(2 * 3_600.0)
    assert progress(two.a) == {two.b.url: "promoted"}
    assert two.statuses == ("active", "active")


def test_a_child_that_was_away_is_shown_and_pairs_again_with_a_token() -> None:
    two = family()
    two.network.down.add(two.b.url)
    rotate(two.a, days=1)
    assert finish(two.a).code == "peers_left_behind"
    leap(two, 1.1 * DAY_S)
    assert progress(two.a) == {two.b.url: "must_pair_again"}
    current = rotation(two.a).current
    assert current is not None
    assert [a.fingerprint for a in two.a.record(two.at_a.peer_id).trusted_anchors] == [current.fingerprint]
    two.network.down.clear()
    two.network.advance(600.0)
    assert two.b.evidence(two.at_b.peer_id).last_error == "server_identity_unverified"
    token = two.a.regenerate(two.at_a.peer_id)
    outcome = two.b.accept(two.at_b.peer_id, token)
    assert isinstance(outcome, Accepted), outcome
    two.network.advance(60.0)
    assert two.statuses == ("active", "active")
    assert progress(two.a) == {two.b.url: "promoted"}


def test_a_suspended_child_is_held_to_the_window_all_the_same() -> None:
    from actors.peer.messages import ResumePeering, Suspend

    two = family()
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR, None))
    rotate(two.a, days=1)
    former = two.a.authority.ca_fingerprint
    held = {a.fingerprint: a.accept_until for a in two.a.record(two.at_a.peer_id).trusted_anchors}
    assert held[former] == rotation(two.a).ends
    leap(two, 1.1 * DAY_S)
    assert former not in {a.fingerprint for a in two.a.record(two.at_a.peer_id).trusted_anchors}
    two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR, None))
    assert progress(two.a) == {two.b.url: "must_pair_again"}


def test_a_parent_follows_the_root_of_its_childs_listener() -> None:
    two = family()
    assert isinstance(rotate(two.b, days=1), Rotating)
    assert progress(two.b) == {two.a.url: "waiting"}
    two.network.advance(3_600.0)
    second = rotation(two.b).current
    assert second is not None
    assert certificates.fingerprint(two.b.server_chain[-1]) == second.fingerprint
    following = two.a.record(two.at_a.peer_id).server_anchor_next
    assert following is not None
    assert following.fingerprint == second.fingerprint
    leap(two, DAY_S)
    parent = two.a.record(two.at_a.peer_id)
    assert (parent.server_anchor_pem, parent.server_anchor_next) == (second.key.certificate_pem, None)
    assert two.a.evidence(two.at_a.peer_id).last_error is None
    assert two.statuses == ("active", "active")
    assert failed_heartbeats(two) == []


def test_a_parent_that_was_away_approves_the_root_of_its_childs_listener() -> None:
    two = family()
    two.network.down.add(two.a.url)
    rotate(two.b, days=1)
    leap(two, 1.1 * DAY_S)
    assert progress(two.b) == {two.a.url: "must_approve"}
    two.network.down.clear()
    two.network.advance(600.0)
    second = rotation(two.b).current
    assert second is not None
    unproven = two.a.record(two.at_a.peer_id).unproven_anchor
    assert unproven is not None
    assert unproven.fingerprint == second.fingerprint
    assert isinstance(two.a.told(two.at_a.peer_id, ApproveAnchor(OPERATOR, second.fingerprint)), Shown)
    two.network.advance(180.0)
    assert two.a.evidence(two.at_a.peer_id).last_error is None
