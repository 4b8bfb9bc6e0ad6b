"""Rotation of a platform's root: both sides stay in contact, nothing unproven is applied, and a crash anywhere loses nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from actors import certificates, cross_signature
from actors.limits import DAY_S, SKEW_MAX_S
from actors.peer import invitation as invitations
from actors.peer.messages import ApproveAnchor, Regenerate, RotateNow, Shown
from actors.ports import CrossSign, MadeRoot, MakeRoot, SignedStatement, SignStatement
from actors.rotation.messages import Rotating
from actors.rotation.shown import shown
from runtime.clock import parse_iso
from runtime.errors import Fault, RemoteFault
from runtime.store.port import Query
from tests.support.federation import ACCOUNT, OPERATOR, Pair
from tests.support.grants import peers
from tests.support.rotations import connected, failed_heartbeats, finish, leap, progress, rotate, rotation, status


def test_a_rotation_passes_without_one_failed_heartbeat() -> None:
    two = connected()
    first = two.a.authority.ca_fingerprint
    assert isinstance(rotate(two.a, days=1), Rotating)
    second = rotation(two.a).next
    assert second is not None
    two.network.advance(3_600.0)
    row, own = two.b.record(two.at_b.peer_id), two.a.record(two.at_a.peer_id)
    assert own.outbound is not None
    assert own.outbound.issuer == second.fingerprint
    assert {a.fingerprint: a.state for a in row.trusted_anchors} == {first: "retiring", second.fingerprint: "current"}
    done = rotation(two.a)
    assert status(two.a)["ca_pem"] == second.key.certificate_pem
    assert done.current == second
    assert done.next is None
    assert certificates.fingerprint(two.a.server_chain[-1]) == second.fingerprint
    leap(two, DAY_S)
    assert [a.fingerprint for a in two.b.record(two.at_b.peer_id).trusted_anchors] == [second.fingerprint]
    assert two.statuses == ("active", "active")
    assert failed_heartbeats(two) == []
    assert two.b.evidence(two.at_b.peer_id).last_error is None


def test_both_sides_may_rotate_at_once() -> None:
    two = connected()
    rotate(two.a)
    rotate(two.b)
    two.network.advance(3_600.0)
    assert two.statuses == ("active", "active")
    assert rotation(two.a).next is rotation(two.b).next is None
    assert failed_heartbeats(two) == []


def test_a_second_rotation_waits_for_the_first_one() -> None:
    two = connected()
    rotate(two.a)
    outcome = rotate(two.a)
    assert isinstance(outcome, Fault)
    assert outcome.code == "rotation_under_way"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"force": True}, "reason_required"),
        ({"force": True, "reason": "stolen", "overlap_days": 3}, "invalid_parameter"),
        ({"keep_tokens": True}, "invalid_parameter"),
    ],
)
def test_nothing_of_a_rotation_that_cannot_be_taken_back_is_guessed(body: dict[str, Any], code: str) -> None:
    two = peers("contradictions")
    refused = two.ask("POST", "/api/v1/system/platform/trust/rotate", body)
    assert (refused.body["code"], two.ask("GET", "/api/v1/system/platform/trust/rotation").data["rotation"]["former"]) == (code, [])


@pytest.mark.parametrize(("body", "days"), [({}, 3.5), ({"overlap_days": 2}, 2.0)])
def test_how_long_both_roots_count_is_a_setting_that_a_request_may_overrule(body: dict[str, int], days: float) -> None:
    two = peers("overlap", anchor_overlap_s=3.5 * DAY_S)
    told = two.ask("POST", "/api/v1/system/platform/trust/rotate", body).data["rotation"]
    begins, ends = parse_iso(told["begins"]), parse_iso(told["ends"])
    assert begins is not None
    assert ends is not None
    assert ends - begins == days * DAY_S


@pytest.mark.parametrize("step", [1, 2, 4, 7])
@pytest.mark.parametrize("who", ["a", "b"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_commit_of_a_rotation_loses_nothing(step: int, who: str, moment: Any) -> None:
    two = connected()
    victim = two.a if who == "a" else two.b
    rotate(two.a)
    victim.crash_at = (victim.commits + step, moment)
    two.network.advance(3_600.0)
    assert two.statuses == ("active", "active")
    fingerprint = rotation(two.a).current
    assert fingerprint is not None
    held = {a.fingerprint: a.state for a in two.b.record(two.at_b.peer_id).trusted_anchors}
    assert held[fingerprint.fingerprint] == "current"


def test_a_peer_that_was_away_for_the_whole_overlap_needs_an_approval() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two.a, days=1)
    leap(two, 1.1 * DAY_S)
    current = rotation(two.a).current
    assert current is not None
    two.network.down.clear()
    two.network.advance(600.0)
    row = two.b.record(two.at_b.peer_id)
    assert [a.fingerprint for a in row.trusted_anchors] == [two.a.authority.ca_fingerprint]
    assert row.unproven_anchor is not None
    assert row.unproven_anchor.fingerprint == current.fingerprint
    wrong = two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, "sha256:" + "0" * 64))
    assert wrong.code == "fingerprint_mismatch"
    assert isinstance(two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint)), Shown)
    two.network.advance(600.0)
    assert two.statuses == ("active", "active")
    assert two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint)).code == "nothing_to_approve"


@pytest.mark.parametrize("flaw", ["signature", "instance", "window", "another_root", "missing"])
def test_an_unproven_root_is_not_applied(flaw: str) -> None:
    two = connected()
    rotate(two.a)
    held = two.b.record(two.at_b.peer_id).trusted_anchors
    serve = two.a.call

    def tampered(method: str, path: str, body: bytes, done: Any, *more: Any, **named: Any) -> None:
        def spoilt(answer: Any) -> None:
            offered = answer.body.get("data", {}).get("rotation") if path.endswith("trust_bundle") else None
            if offered is not None:
                if flaw == "missing":
                    del answer.body["data"]["rotation"]
                else:
                    offered.update(_spoil(flaw, two, offered))
            done(answer)

        serve(method, path, body, spoilt, *more, **named)

    two.a.call = tampered  # type: ignore[method-assign]
    two.network.advance(600.0)
    row = two.b.record(two.at_b.peer_id)
    assert row.trusted_anchors == held
    assert row.unproven_anchor is not None
    assert two.statuses == ("active", "active")
    # Who hurries it is told that nothing was done, and why.
    hurried = two.b.told(two.at_b.peer_id, RotateNow(OPERATOR))
    assert (hurried.code, hurried.details["fingerprint"]) == ("anchor_unproven", row.unproven_anchor.fingerprint)


def _spoil(flaw: str, two: Pair, offered: dict[str, Any]) -> dict[str, Any]:
    if flaw == "window":
        return {"ends": "2099-01-01T00:00:00.000Z"}
    if flaw == "another_root":
        made = two.a.authority.handle(MakeRoot())
        assert isinstance(made, MadeRoot)
        return {"next_ca_pem": made.key.certificate_pem}
    if flaw == "instance":
        record = rotation(two.a)
        assert record.next is not None
        statement = cross_signature.statement(
            new=record.next.fingerprint, old=two.a.authority.ca_fingerprint, rotating=two.a.instance_id, told=two.a.instance_id,
            begins=record.begins, ends=record.ends,
        )  # fmt: skip
        signature = two.a.authority.handle(CrossSign(statement, None))
        assert isinstance(signature, bytes)
        return {"signature": base64.b64encode(signature).decode()}
    return {"signature": base64.b64encode(b"\0" * 64).decode()}


def test_the_end_of_the_window_leaves_room_for_clocks_that_are_ahead() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two.a, days=1)
    leap(two, DAY_S - SKEW_MAX_S - 120.0)
    assert rotation(two.a).next is not None
    two.network.advance(240.0)
    assert rotation(two.a).next is None
    assert progress(two.a) == {two.b.url: "must_approve"}


def test_those_who_have_not_followed_are_named_first_and_the_others_counted() -> None:
    two = connected()
    third = two.network.platform("c")
    at_a, at_c = two.a.propose(third), third.propose(two.a)
    assert not isinstance(third.accept(at_c.peer_id, at_a.token), Fault)
    two.network.advance(5.0)
    two.network.down.add(two.b.url)
    rotate(two.a)
    two.network.advance(600.0)
    rows = two.a.store.query(Query("peer"))
    for named_max in (0, 1, 2):
        found = shown(rotation(two.a), two.a.settings, rows, ACCOUNT, two.network.clock.wall(), named_max=named_max)
        assert [peer["progress"] for peer in found["peers"]] == ["waiting", "promoted"][:named_max]
        assert (found["peers_omitted"], found["counts"]) == (2 - named_max, {"promoted": 1, "waiting": 1})
    strangers = shown(rotation(two.a), two.a.settings, rows, OPERATOR, two.network.clock.wall(), named_max=9)
    assert (strangers["peers"], strangers["waiting"]) == ([], 1)


def test_the_overlap_ends_early_only_without_anybody_left_behind() -> None:
    two = connected()
    assert finish(two.a).code == "no_rotation"
    two.network.down.add(two.b.url)
    rotate(two.a)
    refused = finish(two.a)
    assert (refused.code, refused.details["peer_ids"]) == ("peers_left_behind", [two.at_a.peer_id])
    assert finish(two.a, "0190c0de-0000-7000-8000-000000000bad").code == "not_found"
    assert isinstance(finish(two.a, two.at_a.peer_id), Rotating)
    assert progress(two.a) == {two.b.url: "given_up"}
    assert status(two.a)["complete"]
    entry = two.a.store.audit(two.a.instance_id, 0, 100)[-1]
    assert (entry.action, entry.payload["peer_ids"]) == ("trust.peers_given_up", [two.at_a.peer_id])


def test_forcing_the_end_gives_up_whoever_has_not_followed() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two.a)
    assert isinstance(finish(two.a, force=True), Rotating)
    assert (rotation(two.a).next, rotation(two.a).given_up) == (None, (two.at_a.peer_id,))
    two.network.down.clear()
    two.network.advance(600.0)
    current = rotation(two.a).current
    assert current is not None
    assert isinstance(two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint)), Shown)
    two.network.advance(180.0)
    assert progress(two.a) == {two.b.url: "promoted"}


def test_a_rotation_waits_until_the_last_one_left_nobody_behind() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two.a, days=1)
    leap(two, 1.1 * DAY_S)
    refused = rotate(two.a)
    assert (refused.code, refused.details["peer_ids"]) == ("rotation_incomplete", [two.at_a.peer_id])
    assert isinstance(finish(two.a, two.at_a.peer_id), Rotating)
    assert isinstance(rotate(two.a), Rotating)


def test_a_root_that_no_call_has_promoted_yet_may_vouch_for_the_next() -> None:
    """B reads A's bundles, but A's own calls do not get through: B never sees one under the first next root."""
    two = connected()
    rotate(two.a, days=2)
    two.network.answers = lambda exchange: unreachable() if exchange.sender is two.a else None
    two.network.advance(600.0)
    first = rotation(two.a).next
    assert first is not None
    assert [a.state for a in two.b.record(two.at_b.peer_id).trusted_anchors] == ["current", "next"]
    ended = two.b.record(two.at_b.peer_id).trusted_anchors[0].accept_until
    assert isinstance(finish(two.a, force=True), Rotating)
    assert isinstance(rotate(two.a, days=5), Rotating)
    two.network.advance(600.0)
    second = rotation(two.a).next
    assert second is not None
    held = two.b.record(two.at_b.peer_id).trusted_anchors
    assert [(a.fingerprint, a.state) for a in held[1:]] == [(first.fingerprint, "current"), (second.fingerprint, "next")]
    assert held[0].accept_until == ended
    two.network.answers = lambda exchange: None
    two.network.advance(3_600.0)
    assert progress(two.a) == {two.b.url: "promoted"}
    assert two.statuses == ("active", "active")


def unreachable() -> Fault:
    return RemoteFault("remote_unreachable", "no endpoint answers", 502)


def test_a_token_made_during_a_rotation_pins_the_present_root_and_ends_with_it() -> None:
    two = connected()
    third = two.network.platform("c")
    two.network.down.add(two.b.url)
    rotate(two.a, days=1)
    invited = two.a.propose(third, token_ttl_s=30 * int(DAY_S))
    row = two.a.record(invited.peer_id)
    assert row.acceptance_token_expires_at == rotation(two.a).ends - SKEW_MAX_S
    # The one who holds it is in time until the very end: the listener still proves the pinned root.
    leap(two, DAY_S - SKEW_MAX_S - 100.0)
    late = two.a.told(invited.peer_id, Regenerate(OPERATOR, 3_600))
    assert late.ca_fingerprint == two.a.authority.ca_fingerprint
    assert invitations.decode(late.invitation.reveal()).ca_fingerprint == two.a.authority.ca_fingerprint
    at_c = third.propose(two.a)
    third.accept(at_c.peer_id, late.token)
    two.network.advance(30.0)
    assert two.a.record(invited.peer_id).status == "active"
    again = two.a.told(two.a.propose(two.network.platform("d"), token_ttl_s=60).peer_id, Regenerate(OPERATOR, 3_600))
    assert again.record.acceptance_token_expires_at == rotation(two.a).ends - SKEW_MAX_S
    two.network.advance(30.0)
    refused = two.a.told(invited.peer_id, Regenerate(OPERATOR, 3_600))
    assert isinstance(refused, Fault)
    two.network.advance(3_600.0)
    after = two.a.propose(two.network.platform("e"))
    assert after.token.reveal().endswith(str(certificates.pin_of_fingerprint(rotation(two.a).current.fingerprint)))  # type: ignore[union-attr]


def test_in_the_last_moment_of_a_rotation_no_token_is_made() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two.a, days=1)
    leap(two, DAY_S - SKEW_MAX_S - 30.0)
    third = two.network.platform("c")
    with pytest.raises(AssertionError, match="rotation_ends_soon"):
        two.a.propose(third)


def test_an_open_accept_keeps_the_root_that_it_named() -> None:
    two = connected()
    third = two.network.platform("c")
    at_a, at_c = two.a.propose(third), third.propose(two.a)
    two.network.lost_answers["/federation_api/accept"] = 1_000
    assert isinstance(third.accept(at_c.peer_id, at_a.token), Fault)
    rotate(third, days=1)
    two.network.advance(3_600.0)
    assert rotation(third).next is not None
    assert finish(third).code == "tokens_pin_former_root"


def test_what_a_platform_signs_after_a_rotation_stands_under_the_new_root() -> None:
    two = connected()
    rotate(two.a)
    two.network.advance(3_600.0)
    current = rotation(two.a).current
    assert current is not None
    signed = two.a.authority.handle(SignStatement("purpose", b"content", current.key))
    assert isinstance(signed, SignedStatement)
    leaf = certificates.parse_leaf(certificates.pem_to_der(signed.certificate_pem))  # type: ignore[arg-type]
    anchors = certificates.load_anchors([current.key.certificate_pem])
    assert not isinstance(leaf, str)
    assert not isinstance(anchors, str)
    assert certificates.check_issued_by(leaf, anchors, now=two.network.clock.wall()) is None
    minted = two.a.told(two.a.propose(two.network.platform("c")).peer_id, Regenerate(OPERATOR, 3_600))
    assert minted.ca_fingerprint == current.fingerprint


def test_operators_may_take_the_next_step_with_one_peer_at_once() -> None:
    two = connected()
    assert two.a.told(two.at_a.peer_id, RotateNow(OPERATOR)).code == "nothing_to_rotate"
    rotate(two.a)
    # The peer has not heard of the root yet, and says so.
    assert two.a.told(two.at_a.peer_id, RotateNow(OPERATOR)).code == "remote_rejected"
    assert two.a.told(two.at_a.peer_id, RotateNow(OPERATOR)).code == "remote_rejected"
    # Asked at once, without waiting for word of it.
    assert isinstance(two.b.told(two.at_b.peer_id, RotateNow(OPERATOR)), Shown)
    assert two.b.told(two.at_b.peer_id, RotateNow(OPERATOR)).code == "nothing_to_rotate"
    assert isinstance(two.a.told(two.at_a.peer_id, RotateNow(OPERATOR)), Shown) or progress(two.a) == {two.b.url: "promoted"}
    assert progress(two.a) == {two.b.url: "promoted"}


def test_a_claim_that_nobody_makes_any_more_is_forgotten() -> None:
    two = connected()
    claimed = "sha256:" + "1" * 64
    record = two.b.record(two.at_b.peer_id)
    beat = two.a.plain_body

    def lying(request: Any) -> bytes:
        return beat(request).replace(two.a.authority.ca_fingerprint.encode(), claimed.encode())

    two.a.plain_body = lying  # type: ignore[method-assign]
    row = record
    for _ in range(200):
        # a's answers tell the truth, so that each heartbeat of b's own ends the claim that a's last one made.
        two.network.advance(1.0)
        row = two.b.record(two.at_b.peer_id)
        if row.unproven_anchor is not None:
            break
    assert row.unproven_anchor is not None
    assert row.unproven_anchor.fingerprint == claimed
    assert two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, claimed)).code == "server_identity_unverified"
    two.a.plain_body = beat  # type: ignore[method-assign]
    two.network.advance(200.0)
    assert two.b.record(two.at_b.peer_id).unproven_anchor is None
    assert two.b.record(two.at_b.peer_id).trusted_anchors == record.trusted_anchors
