"""Rotation after a compromise: the former root ends at once, its word counts for nothing, and no success is claimed early."""

from __future__ import annotations

from actors import certificates
from actors.limits import DAY_S
from actors.peer import steps
from actors.peer.messages import Accepted, ApproveAnchor, Shown
from actors.rotation.messages import Rotating
from tests.support.federation import OPERATOR
from tests.support.rotations import connected, finish, leap, progress, rotate, rotation, status


def test_the_former_root_ends_at_once_and_peers_are_told_but_convinced_of_nothing() -> None:
    two = connected()
    first = two.a.authority.ca_fingerprint
    assert isinstance(rotate(two.a, force=True, reason="stolen"), Rotating)
    current = rotation(two.a).current
    assert current is not None
    assert rotation(two.a).next is None
    assert certificates.fingerprint(two.a.server_chain[-1]) == current.fingerprint
    row = two.b.record(two.at_b.peer_id)
    assert [a.fingerprint for a in row.trusted_anchors] == [first]
    assert row.compromise_disclosed_at is not None
    assert row.unproven_anchor is not None
    assert (row.unproven_anchor.fingerprint, row.unproven_anchor.reason) == (current.fingerprint, "compromise_disclosed")
    leap(two, DAY_S)
    row = two.b.record(two.at_b.peer_id)
    assert [a.fingerprint for a in row.trusted_anchors] == [first]
    assert progress(two.a) == {two.b.url: "must_approve"}
    assert (status(two.a)["complete"], status(two.a)["peers"][0]["told"]) == (False, True)


def test_success_is_claimed_once_every_peer_has_approved() -> None:
    two = connected()
    rotate(two.a, force=True, reason="stolen")
    current = rotation(two.a).current
    assert current is not None
    two.network.advance(120.0)
    assert isinstance(two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint)), Shown)
    two.network.advance(180.0)
    assert progress(two.a) == {two.b.url: "promoted"}
    assert status(two.a)["complete"]
    row = two.b.record(two.at_b.peer_id)
    assert ([a.fingerprint for a in row.trusted_anchors], row.compromise_disclosed_at) == ([current.fingerprint], None)
    assert two.statuses == ("active", "active")


def test_a_peer_out_of_reach_is_told_when_it_comes_back_and_blocks_success_until_given_up() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two.a, force=True, reason="stolen")
    two.network.advance(600.0)
    shown = status(two.a)
    assert (shown["complete"], shown["peers"][0]["told"]) == (False, False)
    two.network.down.clear()
    two.network.advance(300.0)
    assert status(two.a)["peers"][0]["told"] is True
    assert isinstance(finish(two.a, two.at_a.peer_id), Rotating)
    assert status(two.a)["complete"] is True


def test_the_word_of_a_stolen_key_about_a_next_root_is_withdrawn() -> None:
    """The compromise is found while an ordinary rotation is under way: what was announced by the stolen key goes, too."""
    two = connected()
    rotate(two.a)
    announced = rotation(two.a).next
    assert announced is not None
    two.network.advance(3_600.0)
    rotate(two.a)
    second = rotation(two.a).next
    rotate(two.a, force=True, reason="stolen")
    current = rotation(two.a).current
    assert current is not None
    assert second is not None
    assert current.fingerprint not in (announced.fingerprint, second.fingerprint)
    assert rotation(two.a).next is None
    assert progress(two.a) == {two.b.url: "must_approve"}


def test_certificates_of_children_end_with_the_root_that_signed_them() -> None:
    two = connected(role_of_b="child")
    rotate(two.a, force=True, reason="stolen")
    current = rotation(two.a).current
    assert current is not None
    assert [a.fingerprint for a in two.a.record(two.at_a.peer_id).trusted_anchors] == [current.fingerprint]
    assert progress(two.a) == {two.b.url: "must_pair_again"}
    two.network.advance(900.0)
    assert two.b.evidence(two.at_b.peer_id).last_error == "server_identity_unverified"
    outcome = two.b.accept(two.at_b.peer_id, two.a.regenerate(two.at_a.peer_id))
    assert isinstance(outcome, Accepted), outcome
    two.network.advance(60.0)
    assert (two.statuses, progress(two.a)) == (("active", "active"), {two.b.url: "promoted"})


def test_an_approval_brings_a_child_nothing_and_a_token_everything() -> None:
    two = connected(role_of_b="child")
    rotate(two.a, force=True, reason="stolen")
    current = rotation(two.a).current
    assert current is not None
    two.network.advance(300.0)
    refused = two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint))
    assert (refused.code, refused.details["remote_code"]) == ("remote_rejected", "client_certificate_invalid")
    assert steps.trust_status_at(two.a.record(two.at_a.peer_id), two.network.clock.wall()) == "expired"
    outcome = two.b.accept(two.at_b.peer_id, two.a.regenerate(two.at_a.peer_id))
    assert isinstance(outcome, Accepted), outcome
    two.network.advance(60.0)
    assert (two.statuses, progress(two.a)) == (("active", "active"), {two.b.url: "promoted"})


def test_a_crash_right_after_the_decision_leaves_no_certificate_of_the_former_root_in_force() -> None:
    two = connected(role_of_b="child")
    two.a.crash_at = (two.a.commits + 1, "after")
    from actors.rotation.messages import Rotate
    from actors.rotation.record import KIND
    from runtime.actor import Ref
    from tests.support.federation import ACCOUNT

    message = Rotate(by=OPERATOR, account_id=ACCOUNT, overlap_days=7, force=True, reason="stolen")
    two.a.engine.ask(Ref(KIND.name, two.a.instance_id), message, 60.0, lambda outcome: None)
    two.network.run()
    current = rotation(two.a).current
    assert current is not None
    two.network.advance(1.0)
    assert [a.fingerprint for a in two.a.record(two.at_a.peer_id).trusted_anchors] == [current.fingerprint]
