"""Rotation after a compromise: the former root ends at once, its word counts for nothing, and no success is claimed early."""

from __future__ import annotations

from actors import certificates
from actors.limits import DAY_S
from actors.peer import steps
from actors.peer.messages import Accepted, ApproveAnchor, Shown
from actors.rotation.messages import Rotating
from actors.rotation.record import token_burnt
from runtime.errors import Fault
from runtime.store.port import Put, Unit
from runtime.values import evolve
from tests.support.federation import OPERATOR, pair
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


def test_open_tokens_are_burnt_with_the_root_and_counted() -> None:
    two = pair()
    a, b, at_a, at_b = two.a, two.b, two.at_a, two.at_b
    open_before = status(a)["open_tokens"]
    rotate(a, force=True, reason="stolen")
    shown = status(a)
    assert (open_before, shown["open_tokens"], shown["tokens_burnt"]) == (1, 0, 1)
    row = a.record(at_a.peer_id)
    assert (row.acceptance_token_digest, row.token_expired_at) == (None, two.network.clock.wall())
    refused = b.accept(at_b.peer_id, at_a.token)
    assert isinstance(refused, Fault)
    assert row.status == "proposed"
    # A new one is made under the new root, and a later rotation by force burns that too.
    assert isinstance(b.accept(at_b.peer_id, a.regenerate(at_a.peer_id)), Accepted)


def test_a_burnt_token_opens_nothing_before_its_row_has_followed() -> None:
    """The row is told by a message, which a crash loses; the root counts at every redemption all the same."""
    two = pair()
    a, at_a = two.a, two.at_a
    untouched = a.record(at_a.peer_id)
    rotate(a, force=True, reason="stolen")
    version = a.record(at_a.peer_id).version
    a.store.commit([Unit((Put("peer", evolve(untouched, version=version + 1), version),))], len)
    assert token_burnt(a.record(at_a.peer_id), rotation(a), a.settings.identity)
    a.restart()
    answers = a.redeem(at_a.token, two.b)
    two.network.run()
    assert [answer.status for answer in answers] == [401]
    assert a.record(at_a.peer_id).acceptance_token_digest is None


def test_operators_may_keep_open_tokens() -> None:
    two = pair()
    a, at_a = two.a, two.at_a
    a.propose(two.network.platform("c"))
    rotate(a, force=True, keep_tokens=True, reason="tested")
    shown = status(a)
    assert (shown["open_tokens"], shown["tokens_burnt"]) == (2, 0)
    answers = a.redeem(at_a.token, two.b)
    two.network.run()
    assert [answer.status for answer in answers] == [200]
    # What is left ends with the next one that does not keep it, although it was made under another root.
    rotate(a, force=True, reason="stolen")
    assert (status(a)["open_tokens"], status(a)["tokens_burnt"]) == (0, 1)


def test_every_root_that_has_ended_is_remembered_as_ours() -> None:
    two = connected()
    roots = [two.a.authority.ca_fingerprint]
    for _ in range(3):
        rotate(two.a, force=True, reason="stolen")
        current = rotation(two.a).current
        assert current is not None
        roots.append(current.fingerprint)
    assert status(two.a)["former"] == roots[:-1]
    rotate(two.a, force=True, reason="stolen")
    assert status(two.a)["former"] == roots


def test_a_root_that_was_announced_and_dropped_is_ours_too() -> None:
    two = connected()
    first = two.a.authority.ca_fingerprint
    rotate(two.a)
    announced = rotation(two.a).next
    assert announced is not None
    rotate(two.a, force=True, reason="stolen")
    assert status(two.a)["former"] == [first, announced.fingerprint]
    assert all(root.burnt for root in rotation(two.a).former)
